"""What chapter 06 shows of each bug: its plaque, the picture of its symptom, and which property finds which bug."""

import base64
import contextlib
import difflib
import functools
import html
import io
import re
from dataclasses import dataclass

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image

from ..bugs import CATALOGUE, ROOMS
from ..bugs.catalogue import Bug
from ..diagnosis.adapter import Adapter
from ..diagnosis.cases import Violation, make_cases
from ..diagnosis.properties import PROPERTIES, check
from ..losses import FocalLoss
from . import plots
from .data import inverse_frequency, load_example
from .scores import evaluate
from .training import Run, make_model, training_steps

__all__ = [
    "Push",
    "faults",
    "found_by",
    "plaque",
    "right_code",
    "story",
    "table",
    "trained",
    "trainings",
    "wall",
    "who_finds_what",
]

TRAINED = [bug for bug in CATALOGUE.values() if bug.room != "manners"]  # those with a training curve, as on the wall


def plaque(bug):
    """The head of an exhibit, in Markdown: its name, what one would notice, the code and where it is faulty."""
    marks = " ".join("{}:{}-{}".format(*place) for place in faults(bug))
    return "\n".join(
        [
            f'<span class="exhibit" id="{bug.id}" data-faults="{marks}"></span>\n',
            f"### {bug.title}\n",
            f"{bug.symptom}\n",
            f"```python\n{bug.code.rstrip()}\n```",
        ]
    )


def faults(bug):
    """Where the code is faulty: (line, from, to), counted from 0, for each piece of a line that the mend changes.

    Of a faulty text that is from its first changed token to the last; the whole of it if it is only added to, or if
    that would part a bracket from its twin.
    """
    found = set()
    for faulty, right in bug.mend.items():
        old, new = (list(re.finditer(r"\w+|\*+|\S", text)) for text in (faulty, right))
        words, others = ([token[0] for token in tokens] for tokens in (old, new))
        steps = difflib.SequenceMatcher(None, words, others, autojunk=False).get_opcodes()
        places = [place for step, *place in steps if step != "equal"]
        changed = old[places[0][0] : places[-1][1]]
        if not changed or sum((token[0] == "(") - (token[0] == ")") for token in changed):
            changed = old
        start = bug.bare.index(faulty)
        start, end = start + changed[0].start(), start + changed[-1].end()
        for piece in re.finditer(r"\S.*", bug.bare[start:end]):
            line_start = bug.bare.rfind("\n", 0, start + piece.start()) + 1
            line = bug.bare.count("\n", 0, line_start)
            found.add((line, start + piece.start() - line_start, start + piece.end() - line_start))
    return sorted(found)


def right_code(bug):
    """The whole code, as the lines of a diff from the faulty one, comments left out."""
    old, new = (code.rstrip().split("\n") for code in (bug.bare, bug.mended))
    return "\n".join(list(difflib.unified_diff(old, new, n=len(old), lineterm=""))[3:])


def story(bug):
    """What one unfolds below an exhibit, in Markdown: the right code, why nobody noticed, the check, the source."""
    adapter = Adapter(bug.loss)
    example = check(bug.exposed_by, adapter, make_cases(0, classes=adapter.only_classes)).example
    where = "(#which-of-these-trainings-went-wrong)"  # a heading of chapter 06
    fix = re.sub("__[a-z]+__", r"`\g<0>`", bug.fix)  # two lines would be bold type
    training = f" Its training is curve {TRAINED.index(bug) + 1} of [these]{where}." if bug in TRAINED else ""
    return "\n".join(
        [
            "<details class=story><summary>Right code</summary>\n",
            f"**The fix.** {fix}\n",
            f"```diff\n{right_code(bug)}\n```\n",
            "</details>\n",
            "<details class=story><summary>Why did nobody notice? The check, where it was seen</summary>\n",
            f"**Why nobody noticed.** {bug.hides}{training}\n",
            f"**The check.** {PROPERTIES[bug.exposed_by].statement} *{example}*\n",
            f"*Seen:* {bug.source_links}. *In the catalogue:* `{bug.id}`\n",
            "</details>",
        ]
    )


def found_by(seed=0):
    """bug id -> the names of the properties that it violates: real results, computed now."""
    found = {}
    for id, bug in CATALOGUE.items():
        adapter = Adapter(bug.loss)
        results = {name: check(name, adapter, make_cases(seed, classes=adapter.only_classes)) for name in PROPERTIES}
        found[id] = [name for name, result in results.items() if isinstance(result, Violation)]
    return found


@dataclass(frozen=True)
class Push:
    """What a bug does: the push of each example of one batch, from hard to easy, beside the right loss's.

    In a notebook it shows itself as a figure; its text, which is also the figure's alternative text, says the numbers.
    """

    bug: Bug

    @functools.cached_property
    def extreme(self):
        """Whether it shows only where the logits are far apart."""
        property = PROPERTIES[self.bug.exposed_by]
        return property.group == "extremes" and self.bug.exposed_by != "masked_class_is_absent"

    @functools.cached_property
    def numbers(self):
        """Four tensors, one value an example; p_t or margin, class or -100, right push, push under the bug."""
        bug = self.bug
        weights = torch.tensor([1.0, 4.0]) if bug.takes_weights else None
        gamma = 0.5 if self.extreme else 2.0
        x = torch.linspace(-120, 60, 61) if self.extreme else torch.linspace(0.02, 0.98, 49)
        x = x.repeat_interleave(2)  # one of each class
        target = torch.arange(len(x)) % 2
        margin = x if self.extreme else torch.logit(x)
        logits = torch.stack([margin, torch.zeros_like(x)], 1)
        logits[target == 1] = logits[target == 1].flip(1)
        if bug.exposed_by == "masked_class_is_absent":
            logits = torch.cat([logits, torch.full_like(x[:, None], -torch.inf)], 1)
        if "ignore_index" in bug.arguments:
            target[::3] = -100
        images = bug.exposed_by == "image_equals_its_rows"
        losses = (FocalLoss(weights, gamma), bug.build(weights, gamma))
        return x, target, *(_push(loss, logits, target.clone(), images=images) for loss in losses)

    def lines(self):
        """Lists of positions, one a line: the two classes where they differ, and the ignored examples."""
        _, target, *pushes = self.numbers
        ignores = (target == -100).any()
        pairs = [torch.allclose(push[0::2], push[1::2], atol=1e-4, equal_nan=True) for push in pushes]
        one_line = not self.bug.takes_weights and (ignores or all(pairs))
        kinds = [target == -100, *([target >= 0] if one_line else [target == 0, target == 1])]
        return [kind.nonzero()[:, 0].tolist() for kind in kinds if kind.any()]

    def __repr__(self):
        x, target, right, bug = self.numbers
        wanted = (-100, 0, 50) if self.extreme else (0.1, 0.5, 0.9)
        said = []
        for line in self.lines():
            near = [min(line, key=lambda k: abs(x[k].item() - at)) for at in wanted]
            theirs, ours = (", ".join(_number(push[k].item()) for k in near) for push in (bug, right))
            match sorted(set(target[line].tolist())):
                case [-100]:
                    name = "ignored examples"
                case [one]:
                    name = f"class {one}"
                case _:
                    name = "other examples"
            name = f"{name}: " if len(self.lines()) > 1 else ""
            said.append(f"{name}{theirs} instead of {ours}")
        where = f"{'margin' if self.extreme else 'p_t'} {', '.join(map(str, wanted))}"
        return f"{self.bug.title}: push at {where}, from hard to easy: {'; '.join(said)}."

    def figure(self):
        x, _, right, bug = self.numbers
        figure, ax = plots.axes(
            "margin (wrong ← → certain)" if self.extreme else "$p_t$  (hard ← → easy)", "push", width=5.2, height=2.5
        )
        for push, style, name in ((right, "focal", "right"), (bug, "bug", "this bug")):
            *others, last = self.lines()
            for line in others:
                ax.plot(x[line], push[line], **plots.STYLES[style])
            ax.plot(x[last], push[last], **plots.STYLES[style], label=name)
            if push.isnan().any():
                ends = x[push.isnan()].min().item(), x[push.isnan()].max().item()
                said = f"{name}: NaN" if push.isnan().all() else "NaN"
                ax.axvspan(*ends, color=plots.COLORS[style], alpha=0.2)
                ax.text(
                    sum(ends) / 2, 0.7, said, color=plots.COLORS[style], ha="center", transform=ax.get_xaxis_transform()
                )
        ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
        plots.label_lines(ax, "free")
        return figure

    def _repr_mimebundle_(self, **kwargs):
        drawn, small, figure = io.BytesIO(), io.BytesIO(), self.figure()
        figure.savefig(drawn, format="png", dpi=100)
        plt.close(figure)
        Image.open(drawn).convert("RGB").quantize(32).save(small, format="png", optimize=True)  # there are many
        return {"text/plain": repr(self), "image/png": base64.b64encode(small.getvalue()).decode()}

    def svg(self, width=96, height=64):
        """The same lines, small and without axes."""
        x, _, right, bug = self.numbers
        high = 1.25 * np.nanmax(right.numpy()) or 1.0
        low, far = x.min().item(), x.max().item()
        least = max(-0.5, min(0, np.nanmin([*right, *bug]) / high)) - 0.05
        paths = ""
        for push, kind in ((right, "r"), (bug, "b")):
            for line in self.lines():
                seen = [k for k in line if push[k].isfinite()]
                across = [(x[k].item() - low) / (far - low) for k in seen]
                up = [(max(least, min(1.1, push[k].item() / high)) - least) / (1.1 - least) for k in seen]
                # Many a place ends in 5 at the second digit. Without the last term, a processor's last bit rounds it.
                points = [
                    f"{5 + a * (width - 10) + 1e-6:.1f},{height - 5 - b * (height - 10) + 1e-6:.1f}"
                    for a, b in zip(across, up, strict=True)
                ]
                paths += f'<polyline class="{kind}" points="{" ".join(points)}"/>' if len(points) > 1 else ""
        return f'<svg viewBox="0 0 {width} {height}" aria-hidden="true">{paths}</svg>'


def _number(push):
    if not np.isfinite(push):
        return "not a number" if np.isnan(push) else "infinite"
    return f"{push + 1e-9:.2f}".replace("-0.00", "0.00")


def wall(found=None, page=""):
    """The whole collection as small pictures, in HTML: links to the exhibits on ``page``, room by room.

    ``found``, as from :func:`found_by`, lets a reader filter by what finds a bug.
    """
    rooms = ""
    for room, name in ROOMS.items():
        bugs = [bug for bug in CATALOGUE.values() if bug.room == room]
        rooms += f'<h3 class="gallery-room">{name} <small>{len(bugs)}</small></h3><div class="gallery">'
        for bug in bugs:
            words = [bug.id, bug.title, bug.symptom, bug.code, *(found or {}).get(bug.id, [])]
            drawing = Push(bug).svg() if room != "manners" else "<b>no curve</b>"
            title = html.escape(bug.title).replace("p_t", "<i>p</i><sub>t</sub>")
            rooms += (
                f'<a href="{page}#{bug.id}" data-words="{html.escape(" ".join(words).lower())}">'
                f"<span>{drawing}</span>{title}</a>"
            )
        rooms += "</div>"
    return f'<div class="gallery-wall">{rooms}</div>'


def trainings():
    """The training curve of every bug that has one, beside the right loss's: all of them look well."""
    columns = 8
    rows = -(-len(TRAINED) // columns)
    figure, axes = plt.subplots(rows, columns, figsize=(9, 1.05 * rows), layout="constrained")
    for ax in axes.flat:
        ax.set_axis_off()
    for number, (ax, bug) in enumerate(zip(axes.flat, TRAINED, strict=False), start=1):
        for id, style in ((None, "focal"), (bug.id, "bug")):
            losses = np.array(trained(id, bug.takes_weights)[0])
            ax.plot(losses / losses[0], **{**plots.STYLES[style], "linewidth": 1.3})
        ax.set_ylim(0, 1.1)
        ax.text(60, 0.8, str(number), fontsize=9.5)
    return figure


def _push(criterion, logits, target, images=False):
    """How each example's true logit is raised by a step: minus its gradient, times the number of examples.

    Of an ignored example the first logit's, whichever way. At the second call with the same targets.
    """
    kept = (target != -100).sum()
    logits = logits.clone().requires_grad_()
    rows = logits.reshape(7, 14, 2).movedim(-1, 1) if images else logits
    target = target.reshape(7, 14) if images else target
    criterion(rows, target)
    (gradient,) = torch.autograd.grad(criterion(rows, target), logits)
    true = target.flatten().clamp_min(0)
    push = -gradient[torch.arange(len(true)), true]
    return torch.where(target.flatten() == -100, push.abs(), push) * kept


@functools.cache
def trained(id=None, weighted=False, seed=0):
    """(training losses, held-out scores) of the example's network under a bug, or under the right loss (None)."""
    example = _example()
    weights = inverse_frequency(example.y_train) if weighted else None
    with contextlib.redirect_stdout(io.StringIO()):
        criterion = FocalLoss(weights) if id is None else CATALOGUE[id].build(weights)
    run = Run(make_model(seed))
    with contextlib.suppress(FloatingPointError):  # keep what was trained until then
        run.losses.extend(training_steps(run.model, criterion, example.x_train, example.y_train))
    return run.losses, evaluate(run.logits(example.x_test), example.y_test)


@functools.cache
def _example():
    return load_example()


def table(found):
    """How many bugs each property finds, most first; ``found`` as from :func:`found_by`."""
    number = {name: sum(name in names for names in found.values()) for name in PROPERTIES}
    names = sorted((name for name in number if number[name]), key=lambda name: -number[name])
    figure, ax = plots.axes(f"bugs found, of {len(found)}", "", width=7.5, height=0.25 * len(names) + 0.8)
    ax.barh(names, [number[name] for name in names], color=plots.COLORS["bug"])
    for y, name in enumerate(names):
        ax.text(number[name] + 0.2, y, str(number[name]), va="center", fontsize=9.5)
    ax.tick_params(axis="y", labelsize=9.5)
    ax.grid(axis="y", visible=False)
    ax.invert_yaxis()
    ax.margins(y=0.01)
    return figure


def who_finds_what(found):
    """Every bug and the properties that it violates, as a Markdown table in a fold."""
    rows = [f"| [{CATALOGUE[id].title}](#{id}) | {', '.join(names)} |" for id, names in found.items()]
    head = "<details class=story><summary>Every bug, and all the checks that find it</summary>\n"
    return "\n".join([head, "| bug | found by |", "|---|---|", *rows, "\n</details>"])
