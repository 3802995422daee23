"""The welcome page: five copied lines of focal loss, and the 800 examples that they ought to tell apart."""

import functools

import numpy as np
import torch
import traitlets
from torch import nn

from ..lab import plots
from ..lab.curves import per_example
from ..lab.data import load_example
from ..lab.training import train
from .view import LiveView, Step, module, pack, percent, rounded

__all__ = ["FiveLines"]

# What the view shows is what it runs. The second line is as people copy it, or mended.
CODE = """\
def focal_loss(logits, target, gamma=2.0):
    ce = {}
    p_t = torch.exp(-ce)
    loss = (1 - p_t) ** gamma * ce
    return loss.mean()"""
COPIED = "nn.CrossEntropyLoss()(logits, target)"
MENDED = """\
nn.CrossEntropyLoss(
        reduction="none")(logits, target)"""
WIDTH = 640.0  # of the drawing
HARDEST, EASIEST = -5.2, 10.0  # margins at its ends
AREA = 7.0  # what an average example takes of it, over pi


class FiveLines(LiveView):
    """A much copied focal loss beside the training examples of chapter 01, each as large as its push on the model.

    ::

        FiveLines(gamma=2.0)

    Args:
        gamma: focusing parameter, 0 to 5 in steps of 0.25.
        mended: whether the second line asks for one cross-entropy per example.
        hide: any of "gamma", "mended", "reset", "link".
        name: what the view is called in a link.

    Shown on the welcome page.
    """

    _esm = module("five_lines.js")
    gamma = Step(0.0, 0, 5, 0.25)
    mended = traitlets.Bool(False).tag(sync=True, limits="yes or no")

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        example = load_example()
        logits = train(torch.nn.CrossEntropyLoss(), example, seed=0, device="cpu").logits(example.x_train)
        p_t = per_example(logits, example.y_train)[0]
        order = p_t.argsort()
        self._batch = logits[order].detach().double(), example.y_train[order]
        self._right = (p_t[order] > 0.5).numpy()
        gammas = self.traits()["gamma"].grid().tolist()
        size = np.sqrt(np.array([self.shares(gamma, mended=True) for gamma in gammas]))
        margin = np.clip(torch.logit(p_t[order]).numpy(), HARDEST, EASIEST)
        x = across(margin)
        labels = self._batch[1].numpy()
        radius = size[0] * np.sqrt(AREA * len(x))
        y = np.zeros(len(x))
        for label in (0, 1):
            y[labels == label] = swarm(x[labels == label], radius[labels == label])
        self._place = np.stack([x, y], axis=1)
        losses = np.array([[self.loss(gamma, mended) for mended in (False, True)] for gamma in gammas])
        right = np.array([[self.right(gamma, mended) for mended in (False, True)] for gamma in gammas])
        self._tables = {
            "size": pack(size.T, places=4),  # (example, gamma): the root of its share
            "place": pack(self._place, places=0),
            "loss": pack(losses, places=4),
            "smaller": pack(losses[0] / losses, places=1),
            "right": pack(right),
        }
        ticks = [0.01, 0.1, 0.5, 0.9, 0.99, 0.999, 0.9999]
        at = across(np.log(ticks) - np.log1p(-np.array(ticks)))
        self._facts = {
            "code": CODE,
            "lines": [COPIED, MENDED],
            "labels": "".join(map(str, labels)),
            "already": int(self._right.sum()),
            "area": AREA,
            "ticks": [[tick, round(float(x), 1)] for tick, x in zip(ticks, at, strict=True)],
        }

    def shares(self, gamma, mended):
        """What share of the push on the model each of the examples has, hard ones first; float64 array (800,)."""
        logits, target = self._batch
        logits = logits.clone().requires_grad_()
        shown_loss(mended)(logits, target, gamma).backward()
        push = logits.grad.norm(dim=1)
        return (push / push.sum()).numpy()

    def loss(self, gamma, mended):
        """The loss of all the examples, a number."""
        return shown_loss(mended)(*self._batch, gamma).item()

    def right(self, gamma, mended):
        """The share of the push that goes to examples which the model already has right."""
        return self.shares(gamma, mended)[self._right].sum()

    def sentence(self):
        total, already = len(self._right), int(self._right.sum())
        owned = percent(self.right(self.gamma, self.mended))
        if self.gamma == 0:
            return (
                f"At γ = 0 this is cross-entropy. {already} of the {total} examples are already right, and they own "
                f"{owned} of the push on the model. Focal loss promises to change that."
            )
        if self.mended:
            wrong = percent(1 - self.right(self.gamma, self.mended))
            return (
                f"One factor for each example. The {already} that are already right own {owned} of the push, the "
                f"{total - already} that are still wrong {wrong}. This is focal loss."
            )
        smaller = self.loss(0.0, False) / self.loss(self.gamma, False)
        times = rounded(smaller, 1) if smaller < 10 else rounded(float(rounded(smaller, 1)), 0)
        return (
            f"The loss falls: it is {times} times smaller than at γ = 0. Not one dot moves: {owned} of the push still "
            "goes to examples that are already right. This is not focal loss."
        )

    def picture(self):
        figure, ax = plots.axes("$p_t$, probability of the true class  (hard ← → easy)", "", width=7, height=4.4)
        labels = self._batch[1].numpy()
        radius = np.sqrt(self.shares(self.gamma, self.mended) * AREA * len(labels))
        for label, kind, rank in ((1, "minority", "rare"), (0, "majority", "common")):
            x, y = self._place[labels == label].T
            ax.scatter(x, y - 145 * label, s=(0.9 * radius[labels == label]) ** 2, color=plots.COLORS[kind])
            ax.text(0, -145 * label - 48, f"{kind} ({rank}): {len(x)} examples")
        ax.set_xticks([x for _, x in self._facts["ticks"]], [f"{tick:g}" for tick, _ in self._facts["ticks"]])
        ax.set_yticks([])
        ax.invert_yaxis()
        ax.set_title("dot area: share of the push on the model", fontsize=10, loc="right")
        return figure


@functools.cache
def shown_loss(mended):
    """The function whose code the view shows."""
    names = {"torch": torch, "nn": nn}
    exec(CODE.format(MENDED if mended else COPIED), names)
    return names["focal_loss"]


def across(margin):
    """Where a margin lies from left to right."""
    return 24 + (margin - HARDEST) / (EASIEST - HARDEST) * (WIDTH - 32)


def swarm(x, radius, gap=0.6):
    """Heights for discs at ``x``, so that none covers another: each as near to 0 as those before it leave room."""
    y = np.zeros(len(x))
    for k in range(len(x)):
        near = np.flatnonzero(np.abs(x[:k] - x[k]) < radius[:k] + radius[k] + gap)
        apart = np.sqrt((radius[near] + radius[k] + gap) ** 2 - (x[near] - x[k]) ** 2)
        free = [0.0, *(y[near] + apart), *(y[near] - apart)]
        fits = [at for at in free if (np.abs(y[near] - at) >= apart - 1e-9).all()]
        y[k] = min(fits, key=lambda at: (round(abs(at), 6), at))
    return y
