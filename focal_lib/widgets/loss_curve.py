"""The loss of one example against p_t: what gamma does to it, and to its gradient."""

import torch
import traitlets

from ..bugs import CATALOGUE
from ..lab import plots
from ..lab.curves import curve
from .view import Choice, LiveView, Step, decimals, module, pack, rounded

__all__ = ["LossCurve"]


class LossCurve(LiveView):
    """Loss or gradient of one example against p_t, beside cross-entropy, with a point to drag.

    ::

        LossCurve(gamma=2.0, p_t=0.9)

    Args:
        gamma: focusing parameter, 0 to 5 in steps of 0.1.
        p_t: probability of the true class, 0.01 to 0.99 in steps of 0.01.
        quantity: "loss" or "gradient" (its size, with respect to the true class's logit, with two classes).
        axis: "linear" or "log".
        show_bug: whether the bug is drawn, if there is one.
        bug: None, or the id of a catalogue bug to draw on top, as it treats a batch of this one example.
        hide: any of "gamma", "p_t", "quantity", "axis", "show_bug", "presets", "reset", "link".
        name: what the view is called in a link.

    Explained in chapter 02.
    """

    _esm = module("loss_curve.js")
    gamma = Step(2.0, 0, 5, 0.1)
    p_t = Step(0.9, 0.01, 0.99, 0.01)
    quantity = Choice("loss", "gradient")
    axis = Choice("linear", "log")
    show_bug = traitlets.Bool(True).tag(sync=True, limits="yes or no")
    bug = traitlets.Unicode(None, allow_none=True).tag(sync=True)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._draw_tables()

    @traitlets.validate("bug")
    def _known_bug(self, proposal):
        if proposal.value is not None and proposal.value not in CATALOGUE:
            raise traitlets.TraitError(f"bug must be one of {', '.join(CATALOGUE)}, got {proposal.value!r}.")
        return proposal.value

    @traitlets.observe("bug")
    def _draw_tables(self, change=None):
        values, gradients = self._surface()
        tables = _drawn("", values, gradients)
        tables["loss_ratio"] = pack(values / values[0])
        tables["gradient_ratio"] = pack(gradients / gradients[0])
        if self.bug is not None:
            tables |= _drawn("bug_", *self._surface(self.bug))
        self._facts = {"bug": self.bug and CATALOGUE[self.bug].title}
        self._tables = tables

    def _surface(self, bug=None, gammas=None):
        """Loss and gradient size at each (gamma, p_t): two float64 tensors (gammas, 99)."""
        p_t = torch.as_tensor(self.traits()["p_t"].grid())
        rows = [
            curve(p_t, gamma, **({} if bug is None else {"loss": _alone(bug)}))
            for gamma in (self.traits()["gamma"].grid().tolist() if gammas is None else gammas)
        ]
        return torch.stack([values for values, _ in rows]), torch.stack([slopes.abs() for _, slopes in rows])

    def sentence(self):
        p_t = torch.tensor([self.p_t], dtype=torch.float64)
        loss, gradient = torch.stack(curve(p_t, self.gamma)).abs().flatten().tolist()
        plain_loss, plain_gradient = torch.stack(curve(p_t, 0.0)).abs().flatten().tolist()
        where = f"At p_t = {self.p_t:.2f} and γ = {self.gamma:.1f} "
        if self.gamma == 0:
            return f"{where}focal loss is cross-entropy: {decimals(plain_loss)}."
        slope = gradient / plain_gradient
        stronger = ", more than under cross-entropy" if float(rounded(slope)) > 1 else ""
        return (
            f"{where}this example counts {decimals(loss / plain_loss)}× its cross-entropy "
            f"({decimals(loss)} instead of {decimals(plain_loss)}); "
            f"its gradient {decimals(slope)}×{stronger}."
        )

    def picture(self):
        gammas = [0.0, *sorted({0.5, 1.0, 5.0} - {self.gamma}), self.gamma]
        surface = self._surface(gammas=gammas)[0 if self.quantity == "loss" else 1]
        labels = ["cross-entropy (γ = 0)", *(f"γ = {gamma:g}" for gamma in gammas[1:-1])]
        labels.append("focal loss, γ = 0" if self.gamma == 0 else f"γ = {self.gamma:g}")  # then both lines are one
        grid = self.traits()["p_t"]
        figure = plots.loss_curves(grid.grid(), dict(zip(labels, surface, strict=True)), log=self.axis == "log")
        (ax,) = figure.axes
        ax.plot(self.p_t, surface[-1, grid.index(self.p_t)], "o", color=plots.COLORS["focal"], markersize=9)
        if self.quantity == "gradient":
            ax.set_ylabel("size of the gradient")
            ax.relim()
            ax.autoscale(axis="y")
        ax.legend(frameon=False)
        return figure


def _alone(bug):
    """A catalogue bug as it treats each example of a batch as if it came alone, with weight 1 for each class."""

    def loss(logits, target, gamma, reduction):
        criterion = CATALOGUE[bug].build(torch.ones(logits.shape[1], dtype=logits.dtype), gamma)
        return torch.stack([criterion(logits[k : k + 1], target[k : k + 1]).sum() for k in range(len(target))])

    return loss


def _drawn(prefix, values, gradients):
    """The tables of one pair of surfaces, for the linear axis and, as powers of ten, for the logarithmic one."""
    surfaces = {"loss": values, "gradient": gradients}
    tables = {f"{prefix}{name}": pack(surface) for name, surface in surfaces.items()}
    # Below the axis' lowest tick, 1e-4, it matters only that nothing is infinite.
    return tables | {f"{prefix}log_{name}": pack(s.clamp(min=1e-6).log10()) for name, s in surfaces.items()}
