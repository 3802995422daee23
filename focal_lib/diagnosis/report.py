"""What a diagnosis found, as text and as HTML."""

import html
from dataclasses import dataclass, field

from ..bugs import CATALOGUE
from .properties import PROPERTIES

__all__ = ["Diagnosis"]


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What ``diagnose`` found. Prints as text, shows as HTML in a notebook.

    Attributes:
        violations: property name -> counter-example.
        suspects: ids of the catalogue's bugs that give these very numbers, likeliest first.
        explained: bug id -> the violated properties it explains.
        nearest: where some violation fits no known bug, the id of the bug whose violations are most alike.
        conventions: choices that are not faults, in words.
        untested: property name -> why it could not be checked.
        stopped: why there is no verdict at all; None if there is one.
    """

    name: str
    violations: dict = field(default_factory=dict)
    suspects: list = field(default_factory=list)
    explained: dict = field(default_factory=dict)
    nearest: str | None = None
    conventions: list = field(default_factory=list)
    untested: dict = field(default_factory=dict)
    stopped: str | None = None

    @property
    def ok(self):
        return not self.violations and self.stopped is None

    @property
    def verdict(self):
        return "could not test" if self.stopped else "right" if self.ok else "faulty"

    @property
    def unexplained(self):
        """The violations that no suspect explains."""
        known = {name for names in self.explained.values() for name in names}
        return [name for name in self.violations if name not in known]

    def as_dict(self):
        """Everything as plain data, for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"verdict": self.verdict, **plain}

    def _headline(self):
        if self.stopped:
            return f"{self.name}: could not be tested, because {self.stopped}."
        tested = len(PROPERTIES) - len(self.untested)
        if self.ok:
            return f"{self.name}: right. All {tested} properties that could be tested hold."
        return f"{self.name}: faulty. It violates {len(self.violations)} of {tested} properties."

    def _causes(self):
        """(title, lines, fix) for each suspect, and for what no suspect explains."""
        for id in self.suspects:
            bug, number = CATALOGUE[id], len(self.explained[id])
            which = (
                "all of it" if number == len(self.violations) else f"{number} of the {len(self.violations)} violations"
            )
            yield (
                f"{bug.title} ({id})",
                [f"Explains {which}, to the digit.", f"Symptom: {bug.symptom}", f"Hidden, because: {bug.hides}"],
                bug.fix,
            )
        if self.unexplained:
            names = ", ".join(self.unexplained)
            what = "None of the known bugs" if not self.suspects else f"No known bug explains {names}"
            nearest = (
                f"Nearest: {CATALOGUE[self.nearest].title} ({self.nearest}), with other numbers."
                if self.nearest
                else ""
            )
            yield what, [nearest or "Nothing in the catalogue is like it."], "start from the smallest counter-example."

    def __str__(self):
        lines = [self._headline()]
        for name, example in self.violations.items():
            lines += ["", f"✗ {name}: {PROPERTIES[name].statement}", f"    {example}"]
        for title, words, fix in self._causes():
            lines += ["", f"→ {title}"] + [f"    {word}" for word in words] + [f"    Fix: {fix}"]
        if self.conventions:
            lines += ["", "Not a fault, but good to know:"] + [f"    {convention}" for convention in self.conventions]
        if self.untested:
            lines += ["", "Not tested:"] + [f"    {name}: {why}" for name, why in self.untested.items()]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self):
        return _as_html(self)


def _as_html(diagnosis):
    """The report in HTML: inherits the page's colours, so that it reads on light and on dark."""
    colour = {"right": "#009E73", "faulty": "#D55E00", "could not test": "#777"}[diagnosis.verdict]
    say = html.escape
    parts = [f"<p><strong>{say(diagnosis._headline())}</strong></p>"]
    for name, example in diagnosis.violations.items():
        parts.append(
            f"<p>✗ <strong>{say(PROPERTIES[name].statement)}</strong> <small>({name})</small><br>{say(example)}</p>"
        )
    for title, words, fix in diagnosis._causes():
        lines = "<br>".join(say(word) for word in words)
        parts.append(f"<p>→ <strong>{say(title)}</strong><br>{lines}<br><strong>Fix:</strong> {say(fix)}</p>")
    if diagnosis.conventions:
        parts.append("<p>Not a fault, but good to know: " + say(" ".join(diagnosis.conventions)) + "</p>")
    if diagnosis.untested:
        rows = "".join(f"<li>{name}: {say(why)}</li>" for name, why in diagnosis.untested.items())
        parts.append(f"<details><summary>Not tested: {len(diagnosis.untested)}</summary><ul>{rows}</ul></details>")
    style = f"border-left: 4px solid {colour}; padding: 0 1em; color: inherit; overflow-wrap: anywhere"
    return f'<div style="{style}">' + "".join(parts) + "</div>"
