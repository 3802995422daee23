"""What a diagnosis found, as text, as HTML and as plain data: the cause first."""

import collections
import html
import re
from dataclasses import dataclass, field

from ..bugs import CATALOGUE
from .advice import BITES, LEVEL_WORDS, MENDS, OF_THE_FORMULA, RAISED, bites, mend, titled, to_the_focal_loss
from .naming import named
from .properties import LEVELS, PROPERTIES

__all__ = ["Diagnosis"]

GRADIENT = "gradient_has_the_closed_form"
WHOLE = "The focal loss whole, in the names of this one (in a module, self.gamma for gamma, and so on):"
FAR_APART = ("is_finite_at_extreme_logits", "gradient_is_full_when_wrong_by_100")


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What ``diagnose`` found. Prints as text, shows as HTML in a notebook.

    Attributes:
        violations: property name -> counter-example.
        kinds: property name -> the kind of its violation, for those that have words of their own.
        levels: property name -> how bad that is: wrong, fragile or manners.
        suspects: ids of the catalogue's bugs that give these very numbers, likeliest first.
        explained: bug id -> the violated properties it explains.
        nearest: where some violation fits no known bug, the id of the bug that shares some of its numbers.
        relative: which other known loss this is, in words; None if none.
        kin: which other known loss it would be without its mistake, in words.
        mistake: what it does wrong, the fix, an example, and the violated properties that this explains, where it is
            known and not in the catalogue; else empty.
        conventions: choices that are not faults, in words.
        reading: how the numbers of the examples come about, in words, where that does not go without saying.
        names: alpha, gamma, input and target -> what the loss calls them; the axis of classes -> where it has it.
        setting: what to pass so that another loss becomes the focal loss, and what is still broken then, in words.
        costs: what rows of a loss of unknown cause cost, beside the focal loss, in words.
        rewrite: the focal loss whole, as code with the names that the loss has; None where it wants another form.
        everyday: for a fragile loss, how far it is right in float32 with gamma = 2, in words.
        left: the arguments that stayed at their defaults, so that nothing is known of their other values.
        untested: property name -> why it could not be checked.
        stopped: why there is no verdict at all; None if there is one.
    """

    name: str
    violations: dict = field(default_factory=dict)
    kinds: dict = field(default_factory=dict)
    levels: dict = field(default_factory=dict)
    suspects: list = field(default_factory=list)
    explained: dict = field(default_factory=dict)
    nearest: str | None = None
    relative: str | None = None
    kin: str | None = None
    mistake: list = field(default_factory=list)
    conventions: list = field(default_factory=list)
    reading: list = field(default_factory=list)
    names: dict = field(default_factory=dict)
    setting: str | None = None
    costs: str | None = None
    rewrite: str | None = None
    everyday: str | None = None
    left: list = field(default_factory=list)
    untested: dict = field(default_factory=dict)
    stopped: str | None = None

    @property
    def ok(self):
        """True if nothing is violated."""
        return not self.violations and self.stopped is None

    @property
    def verdict(self):
        """``faulty``, ``fragile``, ``right``, ``another loss`` or ``could not test``."""
        if self.stopped:
            return "could not test"
        if self.relative:
            return "another loss"
        return {"wrong": "faulty", "fragile": "fragile"}.get(self.worst, "right")

    @property
    def worst(self):
        """The worst level among the violations; None without any."""
        return next((level for level in LEVELS if level in self.levels.values()), None)

    def passes(self, level="wrong"):
        """Whether nothing is broken of this level or a worse one."""
        failing = LEVELS[: LEVELS.index(level) + 1]
        return self.verdict not in ("another loss", "could not test") and self.worst not in failing

    @property
    def _mistake_first(self):
        """Whether the report opens with the mistake: unless a bug of the catalogue explains more, or what is worse."""
        if not self.mistake or not self.suspects or self.kin:
            return bool(self.mistake)
        ours, theirs = self.mistake[3], self.explained[self.suspects[0]]
        worst, worst_of_bug = (min((self._rank(name)[0] for name in names), default=9) for names in (ours, theirs))
        return worst < worst_of_bug or (worst == worst_of_bug and len(theirs) <= len(ours))

    @property
    def unexplained(self):
        """The violations that no suspect explains, the worst first."""
        known = {name for names in [*self.explained.values(), *self.mistake[3:]] for name in names}
        return sorted((name for name in self.violations if name not in known), key=self._rank)

    def _rank(self, name):
        """Order of violations: the worst first, and among these a negative loss, which needs no calculation."""
        negative = name == "lies_between_zero_and_cross_entropy" and ": got -" in self.violations[name]
        # What follows from something that is simpler to see comes late.
        late = name in (
            *("takes_any_gamma", "is_the_same_for_renamed_classes", "image_equals_its_rows"),
            *("weights_follow_the_module", "masked_class_is_absent"),
        )
        lasting = name in ("is_stateless", "inputs_are_unchanged", "is_right_at_every_size")
        of_batch = name == "batch_is_mean_of_singles"  # says more than that a formula is another
        return LEVELS.index(self.levels[name]), not lasting, not negative, not of_batch, late

    def as_dict(self):
        """Everything as plain data, for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        causes = [dict(zip(("cause", "lines", "fix"), cause, strict=True)) for cause in self.causes()]
        said = {"verdict": self.verdict, "headline": self.headline, "next": self.next, "causes": causes}
        mends = {name: self._mend(name) for name in self.unexplained}
        return {**said, "notes": dict(self._notes()), "mends": mends, **plain}

    @property
    def headline(self):
        """The verdict in one sentence, with its cause."""
        name, broken = self.name, len(self.violations)
        if self.stopped:
            return f"{name}: could not be tested, because {self.stopped}."
        if self.relative:
            return f"{name}: another loss. It is {self.relative}."
        remarks = ("", ", with a remark")[broken] if broken < 2 else f", with {broken} remarks"
        if self.verdict == "right":
            tested = len(PROPERTIES) - len(self.untested) - broken
            if tested == 1:
                return f"{name}: right{remarks}. The one property that can be tested of it holds: its gradient."
            all_others = "All other" if broken else "All"
            that = " that could be tested" if self.untested else ""
            return f"{name}: right{remarks}. {all_others} {tested} properties{that} hold."
        if self._mistake_first:
            return f"{name}: {self.verdict}. {self.mistake[0]}."
        if first := self._bug_first:
            number = len(self.explained[first])
            some = "all" if number == broken else f"{number} of"
            share = "its one broken promise" if broken == 1 else f"{some} its {broken} broken promises"
            follow = "follows" if number == 1 else "follow"
            return f"{name}: {self.verdict}. {self._of(first, 'title')}: {share} {follow} from that."
        errors = collections.Counter(filter(None, map(self._error, self.violations)))
        error, number = errors.most_common(1)[0] if errors else ("", 0)
        if number > 1 and 2 * number >= broken:
            so = "all" if number == broken else f"{number} of"
            what = f"It raises {error.rstrip('.')}"
            if "used in the graph" in error:
                what = "No gradient reaches the logits: the graph is cut, by item(), a number or a new tensor"
            return f"{name}: {self.verdict}. {what}: {so} its {broken} broken promises are that."
        first = self._serious[0]
        if title := self._titled(first):
            return (
                f"{name}: {self.verdict}. {title}"
                + f": the worst of its {broken} faults." * (broken > 1)
                + "." * (broken == 1)
            )
        of = f"{broken} promises, first" if broken > 1 else "a promise"
        return f"{name}: {self.verdict}. It breaks {of}: “{PROPERTIES[first].statement}”"

    @property
    def next(self):
        """What to do about another loss, and when a fragile one bites, in sentences to follow the headline."""
        if self.stopped:
            return []
        change = self.setting or named(to_the_focal_loss(self.relative or self.kin or ""), self.names)
        change = f"For the paper's focal loss, {change}"
        if self.relative:
            beside = [name for name in self.unexplained if not self._follows(name)]
            beside += [n for names in self.explained.values() for n in names if self.levels[n] == "fragile"]
            when = self._bites(beside)
            rest = f"Beside that, it bites with {when}." if when else "Beside that, see below." * bool(beside)
            right = "If you want that loss, keep it: its numbers are right as that."
            return [right, change, rest or "Nothing else that was tested is broken."]
        if self.kin:
            return ["If you want that loss, mend this and keep the rest.", change]
        worst = list(self._serious)
        if self.verdict == "fragile":
            told = FAR_APART if "wrong with" in (self.everyday or "") else ()  # it says from where on
            when = self._bites(name for name in worst if name not in told)
            return [*([self.everyday] if self.everyday else []), *([f"It bites with {when}."] if when else [])]
        if self.verdict == "faulty" and not {*worst} - {*BITES} and self.levels.get(GRADIENT) != "wrong":
            return [f"It bites with {self._bites(worst)}. Without, in ordinary use, its numbers are the focal loss's."]
        return []

    def _bites(self, names):
        """When these bite, in words. A gradient that is wrong everywhere bites always, and has none."""
        everywhere = GRADIENT if self.levels.get(GRADIENT) == "wrong" else None
        return bites({name: self.violations[name] for name in names if name != everywhere}, self.kinds)

    def _error(self, name):
        """The error that a violation is; empty if it is none."""
        return self.violations[name].partition(RAISED)[2]

    def _of(self, id, text):
        """A text of a bug of the catalogue, its switch called as the loss calls it."""
        return getattr(CATALOGUE[id], text).replace("reduce=False", self.names.get("reduce=False", "reduce=False"))

    def _titled(self, name):
        return titled(name, self.kinds.get(name), self.violations[name])

    def _mend(self, name):
        return named(mend(name, self.kinds.get(name)), self.names)

    def causes(self):
        """(what it is, lines, fix) for each suspect, and for what no suspect explains."""
        found = list(self._causes())
        if found and self.reading:
            found[0][1].insert(1, f"In the examples, {'; '.join(self.reading)}.")
        return [(what, lines, named(fix, self.names)) for what, lines, fix in found]

    def _causes(self):
        mistake = [(self.mistake[0], [f"Shown by: {self.mistake[2]}"], self.mistake[1])] if self.mistake else []
        if self._mistake_first:
            yield from mistake
        if self._untraced_first:
            yield from self._untraced()
        for id in self.suspects:
            bug, names = CATALOGUE[id], self.explained[id]
            if (self.relative or self.kin) and "wrong" in {self.levels[name] for name in names}:
                continue  # that is what the other loss is
            best = bug.exposed_by if bug.exposed_by in names else names[0]
            lines = self._shown(best)
            if self.worst in {self.levels[name] for name in names}:  # of a lesser fault, the fix is enough
                lines += [f"Symptom: {self._of(id, 'symptom')}", f"Hidden, because: {self._of(id, 'hides')}"]
            yield f"{self._of(id, 'title')} ({id})", lines, bug.fix
        if not self._mistake_first:
            yield from mistake
        if not self._untraced_first:
            yield from self._untraced()

    def _shown(self, name):
        return [f"Shown by: {self.violations[name]}", f"Breaks the promise: “{PROPERTIES[name].statement}”"]

    @property
    def _serious(self):
        """The violations of the worst level, in their order."""
        return sorted((name for name in self.violations if self.levels[name] == self.worst), key=self._rank)

    @property
    def _bug_first(self):
        """The bug of the catalogue that opens the report: if it explains a third of what is worst, else None."""
        if not self.suspects or self.unexplained[:1] == ["is_right_at_every_size"]:  # that is more than an extreme
            return None
        shared = {*self._serious} & {*self.explained[self.suspects[0]]}
        return self.suspects[0] if 3 * len(shared) >= len(self._serious) else None

    @property
    def _untraced_first(self):
        """Whether the report opens with what no suspect explains."""
        opens = not (self.relative or self._mistake_first or self._bug_first) and self.violations
        return bool(opens) and self._serious[0] in self.unexplained

    def _untraced(self):
        """What no suspect explains, by what mends it: the worst first, and of manners only where there is no more."""
        groups = {}
        for name in self.unexplained:
            if self._follows(name):
                continue
            fix = next((f for f, (first, *_) in groups.items() if self._error(first) == self._error(name) != ""), None)
            groups.setdefault(fix or self._mend(name), []).append(name)
        for number, (fix, names) in enumerate(groups.items()):
            if number and self.levels[names[0]] == "manners":
                continue
            lines, many = self._shown(names[0]), len(names) > 1
            lines += [self.costs] if self.costs and not number else []
            if self.nearest and not number:
                lines.append(f"Some numbers are those of: {CATALOGUE[self.nearest].title} ({self.nearest}).")
            if names[0] not in MENDS and (many or not self._untraced_first):
                cause = "have one cause" if self._untraced_first else "vanish with the fix above"
                lines.append(f"{f'All {len(names)}' if many else 'This'} may {cause}: mend it and run again.")
            what = f"{len(names)} broken promise{'s' * many}, traced to none of the known bugs"
            what = "Wrong from a size on" if names[0] == "is_right_at_every_size" else what
            yield self._titled(names[0]) * (not many) or what, lines, fix

    def _broken(self):
        """(heading, [(name, statement, example)]) of all violations, under what explains them."""
        groups = [(f"Promises broken by “{self._of(id, 'title')}”:", self.explained[id]) for id in self.suspects]
        if self.mistake:
            ours = f"Promises broken by “{self.mistake[0]}”:", self.mistake[3]
            groups.insert(0 if self._mistake_first else len(groups), ours)
        follows = [name for name in self.unexplained if self._follows(name)]
        rest = [name for name in self.unexplained if name not in follows]
        groups.insert(
            0 if self._untraced_first else len(groups),
            (f"Promises broken{' beside that' if self.relative else ', traced to none of the known bugs'}:", rest),
        )
        groups.append(("Of the focal loss's promises, this other loss breaks, as it must:", follows))
        for heading, names in groups:
            if names:
                levels = [f"{name} ({self.levels[name]})" * (names is not follows) or name for name in names]
                yield (
                    heading,
                    [
                        (n, PROPERTIES[name].statement, self._example(name))
                        for n, name in zip(levels, names, strict=True)
                    ],
                )

    def _example(self, name):
        """The counter-example of a violation, and what to do about it where no cause says so."""
        if name not in self.unexplained or self._follows(name) or name not in MENDS:
            return self.violations[name]
        return f"{self.violations[name].rstrip('.')}. Mend: {self._mend(name)}"

    def _follows(self, name):
        """Whether a broken promise follows from its being another loss; that it fails or gives nan does not."""
        fails = name == "runs_with_defaults" or re.search(r"\bnan\b", self.violations[name])
        as_it_must = self.levels[name] == "wrong" and not fails
        return bool(self.relative or self.kin) and (as_it_must or name in OF_THE_FORMULA)

    def _levels(self):
        """What the levels mean that stand in this report."""
        told = {level for name, level in self.levels.items() if not self._follows(name)}
        words = "; ".join(f"{level}: {LEVEL_WORDS[level]}" for level in LEVELS if level in told)
        return [f"({words}.)"] if words else []

    def _notes(self):
        """(heading, lines) of what is good to know."""
        yield "Not a fault, but good to know:", self.conventions
        yield "Left at their defaults, so not tested:", self.left
        reasons = {why: [n for n, reason in self.untested.items() if reason == why] for why in self.untested.values()}
        named = {why: ", ".join(names) if len(names) < 9 else f"{len(names)} others" for why, names in reasons.items()}
        yield "Not tested:", [f"{names}: {why}" for why, names in named.items()]

    def __str__(self):
        if self.stopped:
            return self.headline
        lines = [self.headline, *self.next]
        for title, words, fix in self.causes():
            lines += ["", f"→ {title}", *(f"    {word}" for word in words), f"    Fix: {fix}"]
        if self.rewrite:
            lines += ["", f"→ {WHOLE}", *(f"    {line}" for line in self.rewrite.split("\n"))]
        for number, (heading, entries) in enumerate(self._broken()):
            lines += ["", heading, *([] if number else self._levels())]
            for name, statement, example in entries:
                shown = any(self.violations[name.split()[0]] in line for line in lines)
                lines += [f"✗ {name}: {statement}", *([] if shown else [f"    {example}"])]
        for heading, words in self._notes():
            lines += ["", heading, *(f"    {word}" for word in words)] if words else []
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self):
        """The report in HTML: inherits the page's colours, so that it reads on light and on dark."""
        colours = {"right": "#009E73", "faulty": "#D55E00", "fragile": "#E69F00"}

        def say(text):
            return re.sub(r"(?<=\w[.(])(?=\w)", "<wbr>", html.escape(text))  # where code may break on a phone

        parts = [f"<p><strong>{say(self.headline)}</strong></p>"]
        parts += [f"<p>{'<br>'.join(map(say, self.next))}</p>"] if self.next else []
        for title, words, fix in self.causes():
            lines = "<br>".join(map(say, words))
            parts.append(f"<p>→ <strong>{say(title)}</strong><br>{lines}<br><strong>Fix:</strong> {say(fix)}</p>")
        if self.rewrite:
            code = f'<pre style="white-space: pre-wrap">{say(self.rewrite)}</pre>'
            parts.append(f"<details><summary>{WHOLE}</summary>{code}</details>")
        for number, (heading, entries) in enumerate(self._broken()):
            rows = "".join(f"<li>{say(s)} <small>({say(n)})</small><br>{say(e)}</li>" for n, s, e in entries)
            summary = f"<summary>{say(heading)} {len(entries)}</summary>"
            summary += "" if number else "".join(f"<p>{say(words)}</p>" for words in self._levels())
            parts.append(f"<details>{summary}<ul>{rows}</ul></details>")
        for heading, words in self._notes() if not self.stopped else ():
            if words:
                rows = "".join(f"<li>{say(word)}</li>" for word in words)
                number = len(self.untested) if heading == "Not tested:" else len(words)
                parts.append(f"<details><summary>{heading} {number}</summary><ul>{rows}</ul></details>")
        style = f"border-left: 4px solid {colours.get(self.verdict, '#777')}; padding: 0 1em; color: inherit"
        return f'<div style="{style}; overflow-wrap: anywhere">' + "".join(parts) + "</div>"
