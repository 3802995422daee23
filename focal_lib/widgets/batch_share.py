"""A real batch through gamma and alpha: which examples own the loss, and which own the gradient."""

import numpy as np
import torch

from ..lab import plots
from ..lab.curves import per_example
from .view import Choice, LiveView, Step, module, pack, percent

__all__ = ["BatchShare"]

MIXES = {"balanced": 1, "80/20": None, "1:1000": 1000}  # majority examples for each minority one; None: as it is
EASIEST = np.linspace(0, 1, 21)  # of each class, for the cumulative picture


class BatchShare(LiveView):
    """How the loss and the gradient of a batch divide among easy and hard, majority and minority examples.

    ::

        BatchShare(logits, target, gamma=2.0)

    Args:
        logits: (N, 2), what a trained model says about a batch; class 1 is the minority.
        target: int64 class indices (N,), both classes present.
        gamma: focusing parameter, 0 to 5 in steps of 0.1.
        alpha: weight of the minority class; the majority has 1.
        preset: "80/20", the batch as it is; "balanced" and "1:1000" mix the same two classes in other proportions, by
            counting each example of a class as often as that takes.
        show: "shares", three bars; or "cumulative", the share of its class's loss that the easiest examples own
            (the paper's figure 4, for this batch).
        hide: any of "gamma", "alpha", "preset", "show", "presets", "reset", "link".
        name: what the view is called in a link.

    Raises:
        ValueError: not two classes, or one of them has no examples.

    Explained in chapter 02.
    """

    _esm = module("batch_share.js")
    gamma = Step(2.0, 0, 5, 0.1)
    alpha = Choice(1, 2, 4, 10, 20, 50, 100, 200, 500, 1000)
    preset = Choice(*MIXES, default="80/20")
    show = Choice("shares", "cumulative")

    def __init__(self, logits, target, **kwargs):
        if logits.shape != (len(target), 2) or set(target.unique().tolist()) != {0, 1}:
            raise ValueError(
                f"expected logits (N, 2) and a target with both classes 0 and 1, got {tuple(logits.shape)} and "
                f"classes {target.unique().tolist()}."
            )
        super().__init__(**kwargs)
        self._batch = logits.cpu(), target.cpu()
        gammas, alphas = self.traits()["gamma"].grid().tolist(), self.traits()["alpha"].values
        shares = [[[self.shares(g, a, mix) for mix in MIXES] for a in alphas] for g in gammas]
        self._tables = {
            "shares": pack(np.array(shares)[..., 1:, :]),  # (gamma, alpha, preset, loss or gradient, group)
            "counts": pack(np.array([self.shares(0.0, 1, mix)[0] for mix in MIXES])),  # (preset, group)
            "cumulative": pack(np.array([self.cumulative(g) for g in gammas])),  # (gamma, class, easiest)
        }
        self._facts = {"groups": list(plots.GROUPS), "easiest": EASIEST.tolist()}

    def shares(self, gamma, alpha, preset):
        """Fractions of the examples, of the loss, of the gradient (rows) that each group of plots.GROUPS owns."""
        logits, target = self._batch
        p_t, loss, gradient = per_example(logits, target, torch.tensor([1.0, float(alpha)]), gamma)
        counts = target.bincount().double()
        ratio = MIXES[preset] or (counts[0] / counts[1]).item()
        times = (torch.tensor([ratio, 1.0], dtype=torch.float64) / counts)[target]
        owned = torch.stack([torch.ones_like(p_t), loss, gradient]) * times
        group = 2 * target + (p_t <= 0.5).long()  # in the order of plots.GROUPS
        sums = torch.zeros(3, 4, dtype=torch.float64).index_add_(1, group, owned)
        return (sums / sums.sum(dim=1, keepdim=True)).numpy()

    def cumulative(self, gamma):
        """Share of its class's loss that the easiest examples of each class own: (2, 21), the easiest 0 to 100 %."""
        logits, target = self._batch
        _, loss, _ = per_example(logits, target, gamma=gamma)
        rows = []
        for label in (0, 1):
            owned = np.concatenate([[0.0], np.cumsum(np.sort(loss[target == label].numpy()))])
            rows.append(np.interp(EASIEST, np.linspace(0, 1, len(owned)), owned / owned[-1]))
        return np.stack(rows)

    def sentence(self):
        if self.show == "cumulative":
            at = EASIEST.tolist().index(0.8)
            now, plain = self.cumulative(self.gamma)[:, at], self.cumulative(0.0)[:, at]
            return (
                f"At γ = {self.gamma:.1f} the easiest 80 % of the majority own {percent(now[0])} of its loss "
                f"({percent(plain[0])} under cross-entropy), the easiest 80 % of the minority {percent(now[1])} of "
                f"theirs ({percent(plain[1])})."
            )
        examples, loss, gradient = self.shares(self.gamma, self.alpha, self.preset)
        return (
            f"At γ = {self.gamma:.1f} and minority weight {self.alpha}: the majority examples already right are "
            f"{percent(examples[0])} of this batch and own {percent(gradient[0])} of its gradient "
            f"({percent(loss[0])} of its loss); the minority examples still wrong are {percent(examples[3])} and own "
            f"{percent(gradient[3])} ({percent(loss[3])})."
        )

    def picture(self):
        if self.show == "shares":
            rows = self.shares(self.gamma, self.alpha, self.preset)
            return plots.loss_shares(dict(zip(("examples", "loss", "gradient"), rows, strict=True)), plots.GROUPS)
        figure, ax = plots.axes("easiest share of the class's examples", "share of the class's loss", width=7, height=4)
        for gamma, width, style in ((0.0, 1.2, "--"), (self.gamma, 2.5, "-")):
            for kind, row in zip(("majority", "minority"), self.cumulative(gamma), strict=True):
                ax.plot(EASIEST, row, style, color=plots.COLORS[kind], linewidth=width, label=f"{kind}, γ = {gamma:g}")
        ax.legend(frameon=False)
        return figure
