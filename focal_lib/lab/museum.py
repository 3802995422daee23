"""What chapter 06 shows of each bug: its plaque, the picture of its symptom, and which property finds which bug."""

import contextlib
import functools
import io

import numpy as np
import torch

from ..bugs import CATALOGUE
from ..diagnosis.adapter import Adapter
from ..diagnosis.cases import Violation, make_cases
from ..diagnosis.properties import PROPERTIES, check
from ..losses import FocalLoss
from . import plots
from .data import inverse_frequency, load_example
from .scores import evaluate
from .training import Run, make_model, training_steps

__all__ = ["found_by", "plaque", "symptom", "table", "trained"]


def plaque(bug):
    """The text beside an exhibit, in Markdown."""
    adapter = Adapter(bug.loss)
    example = check(bug.exposed_by, adapter, make_cases(0)).example
    return "\n".join(
        [
            f"**{bug.title}** (`{bug.id}`)\n",
            f"*Seen:* {bug.source_links}\n",
            f"```python\n{bug.code.rstrip()}\n```\n",
            f"**Symptom.** {bug.symptom}\n",
            f"**Why nobody noticed.** {bug.hides}\n",
            f"**The check.** {PROPERTIES[bug.exposed_by].statement} *{example}*\n",
            f"**The fix.** {bug.fix}",
        ]
    )


def found_by(seed=0):
    """bug id -> the names of the properties that it violates: real results, computed now."""
    found = {}
    for id, bug in CATALOGUE.items():
        adapter = Adapter(bug.loss)
        results = {name: check(name, adapter, make_cases(seed)) for name in PROPERTIES}
        found[id] = [name for name, result in results.items() if isinstance(result, Violation)]
    return found


def symptom(bug):
    """Left, what the bug does: its push on each example of one batch. Right, what one sees: its training loss."""
    weights = torch.tensor([1.0, 4.0]) if bug.takes_weights else None
    masked = bug.exposed_by == "masked_class_is_absent"
    extreme = PROPERTIES[bug.exposed_by].group == "extremes" and not masked
    gamma = 0.5 if extreme else 2.0
    x = torch.linspace(-120, 60, 61) if extreme else torch.linspace(0.02, 0.98, 49)
    target = torch.arange(len(x)) % 2
    margin = x if extreme else torch.logit(x)
    logits = torch.stack([margin, torch.zeros_like(x)], 1)
    logits[target == 1] = logits[target == 1].flip(1)
    if masked:
        logits = torch.cat([logits, torch.full_like(x[:, None], -torch.inf)], 1)
    if "ignore_index" in bug.arguments:
        target[::4] = -100

    figure, (left, right) = plots.axes("", "", width=8.5, height=2.9, columns=2)
    left.set_xlabel("margin (wrong ← → certain)" if extreme else "$p_t$  (hard ← → easy)")
    left.set_ylabel("push on the example")
    right.set_xlabel("epoch (full-batch updates)")
    right.set_ylabel("training loss (nats)")
    kinds = {"right": (FocalLoss(weights, gamma), "focal"), "this bug": (bug.build(weights, gamma), "bug")}
    for name, (criterion, style) in kinds.items():
        push = _push(criterion, logits, target.clone(), images=bug.exposed_by == "image_equals_its_rows")
        left.plot(x, push, ".", markersize=4, color=plots.COLORS[style], label=name)
        if push.isnan().any():
            left.axvspan(
                x[push.isnan()].min(), x[push.isnan()].max(), color=plots.COLORS[style], alpha=0.2, label="NaN"
            )
    for name, id, style in (("right", None, "focal"), ("this bug", bug.id, "bug")):
        right.plot(trained(id, weights is not None)[0], label=name, **plots.STYLES[style])
    for ax in (left, right):
        ax.set_ylim(bottom=min(0, ax.get_ylim()[0]))
        ax.legend(frameon=False)
    figure.set_dpi(72)  # there are many of these on one page
    return figure


def _push(criterion, logits, target, images=False):
    """|gradient of an example's first logit| times the number of examples, at the second call with the same targets."""
    kept = (target != -100).sum()
    logits = logits.clone().requires_grad_()
    rows = logits.reshape(7, 7, 2).movedim(-1, 1) if images else logits
    target = target.reshape(7, 7) if images else target
    criterion(rows, target)
    (gradient,) = torch.autograd.grad(criterion(rows, target), logits)
    return gradient[:, 0].abs() * kept


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
    """Which property (columns) finds which bug (rows); ``found`` as from :func:`found_by`."""
    names = sorted(PROPERTIES, key=lambda name: -sum(name in names for names in found.values()))
    marks = np.array([[name in found[id] for name in names] for id in found])
    figure, ax = plots.axes("", "", width=11, height=11)
    ys, xs = np.nonzero(marks)
    ax.scatter(xs, ys, marker="s", s=45, color=plots.COLORS["bug"])
    ax.set_xticks(
        range(len(names)), [f"{name} ({n})" for name, n in zip(names, marks.sum(0), strict=True)], rotation=90
    )
    ax.set_yticks(range(len(found)), list(found))
    ax.set_xlim(-0.5, len(names) - 0.5)
    ax.set_ylim(len(found) - 0.5, -0.5)
    return figure
