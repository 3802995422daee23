"""A true probability, what gamma teaches the network to say instead, and the way back."""

import numpy as np
import torch

from ..lab import plots
from ..lab.calibration import taught, way_back
from .view import Choice, LiveView, Step, module, pack, rounded

__all__ = ["WayBack"]

CLASSES = (2, 3, 5, 10, 100, 1000)


class WayBack(LiveView):
    """The probability that focal loss teaches, against the true one, and what the closed form makes of it.

    ::

        WayBack(gamma=2.0, q=0.9, classes=10)

    The class has the true probability ``q``; all others share the rest equally.

    Args:
        gamma: focusing parameter, 0 to 5 in steps of 0.5.
        q: true probability of the class, 0.01 to 0.99 in steps of 0.01.
        classes: number of classes: 2, 3, 5, 10, 100 or 1000.
        axis: "linear" or "log".
        hide: any of "gamma", "q", "classes", "axis", "presets", "reset", "link".
        name: what the view is called in a link.

    Explained in chapter 11.
    """

    _esm = module("way_back.js")
    gamma = Step(2.0, 0, 5, 0.5)
    q = Step(0.9, 0.01, 0.99, 0.01)
    classes = Choice(*CLASSES)
    axis = Choice("linear", "log")

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        q = self.traits()["q"].grid()
        gammas = self.traits()["gamma"].grid()
        learned = self.learned(q, torch.as_tensor(gammas)[:, None, None, None], np.array(CLASSES)[:, None])
        # the true probability is the axis along which the tables vary smoothly
        back = [
            [self.recovered(row, gamma, n) for row, n in zip(rows, CLASSES, strict=True)]
            for rows, gamma in zip(learned, gammas.tolist(), strict=True)
        ]
        both = {"learned": learned, "recovered": back}
        self._tables = {name: pack(np.transpose(table, (2, 0, 1)), places=4) for name, table in both.items()}

    @staticmethod
    def learned(q, gamma, classes):
        """What the class is given where its true probability is q: float64 array, of the shape of both together."""
        q, others = np.broadcast_arrays(q, np.asarray(classes) - 1)
        rows = torch.as_tensor(np.stack([q, (1 - q) / others], axis=-1))
        return taught(rows, gamma, np.stack([np.ones_like(others), others], axis=-1))[..., 0].numpy()

    @staticmethod
    def recovered(p, gamma, classes):
        """The closed form of the learned probability: float64 array of p's shape."""
        p = torch.as_tensor(p)
        rows = torch.cat([p[..., None], ((1 - p) / (classes - 1))[..., None].expand(*p.shape, classes - 1)], dim=-1)
        return way_back(rows, gamma)[..., 0].numpy()

    def sentence(self):
        learned = self.learned(np.array([self.q]), self.gamma, self.classes)
        back = self.recovered(learned, self.gamma, self.classes).item()
        return say(self.classes, self.gamma, self.q, learned.item(), back)

    def picture(self):
        grid = self.traits()["q"].grid()
        figure, ax = plots.axes("true probability of the class", "probability that is learned", width=5.5, height=4.4)
        ax.plot(grid, grid, label="cross-entropy (γ = 0)", **plots.STYLES["cross_entropy"])
        learned = self.learned(grid, self.gamma, self.classes)
        ax.plot(grid, learned, label=f"focal loss, γ = {self.gamma:.1f}", **plots.STYLES["focal"])
        ax.plot(self.q, learned[self.traits()["q"].index(self.q)], "o", color=plots.COLORS["focal"], markersize=9)
        ax.set_title(f"{self.classes} classes")
        if self.axis == "log":
            ax.set_xscale("log")
            ax.set_yscale("log")
        ax.legend(frameon=False)
        return figure


def say(classes, gamma, q, learned, back):
    """The view's sentence."""
    shown = rounded(learned, 4)
    verdict = "exactly that" if float(shown) == round(q, 4) else "less than that" if learned < q else "more than that"
    return (
        f"{classes} classes, γ = {gamma:.1f}: a class whose true probability is {q:.2f} is given {shown}, {verdict}; "
        f"the way back makes {rounded(back, 4)} of it."
    )
