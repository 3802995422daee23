"""A game: one planted bug drew this line; which?"""

import functools

import numpy as np
import torch
import traitlets

from ..bugs import CATALOGUE
from ..lab import plots
from ..losses import FocalLoss
from .view import Choice, LiveView, Step, module, pack, rounded

__all__ = ["WhichBug"]

ROUNDS = (
    "weight_inside_cross_entropy",
    "easy_side_kept",
    "softmax_twice",
    "mean_before_pt",
    "product_instead_of_power",
    "weight_applied_twice",
    "detached_focus",
    "alpha_reversed",
    "scalar_alpha",
    "alpha_and_gamma_swapped",
)
GAMMA = 2.0
CAPTIONS = {
    "loss": "the loss of one example (nats)",
    "gradient": "size of one example's gradient",
    "weight": "factor that a class weight of 4 puts on the loss",
    "batch": "size of each example's gradient, in one batch",
}
P_T = Step(0.5, 0.02, 0.98, 0.02)
VISIBLE = 0.05  # two lines differ to the eye if somewhere they are this share of the picture's height apart


class WhichBug(LiveView):
    """A line drawn by a focal loss with one bug; choose the bug, get a reason, see the right line.

    ::

        WhichBug(["easy_side_kept", "softmax_twice", "product_instead_of_power", "scalar_alpha"])

    Args:
        bugs: ids of catalogue bugs, one a round, at least 4 and at most 10; None takes ten of chapter 06. Each round
            shows the first picture (loss of one example, its gradient, effect of a class weight, gradients in a batch)
            in which its bug looks different from the correct loss and from three other bugs of the list.
        round: 1 to 10.
        chosen: "none", or the letter of the chosen bug.
        p_t: where the line is read off, 0.02 to 0.98 in steps of 0.02.
        hide: any of "p_t", "next", "reset", "link".
        name: what the view is called in a link.

    Raises:
        ValueError: an unknown bug, too few or too many, or one that no picture tells from the others.

    Used in chapter 06.
    """

    _esm = module("which_bug.js")
    round = Step(1, 1, 10, 1)
    chosen = Choice("none", "A", "B", "C", "D")
    p_t = P_T

    def __init__(self, bugs=None, **kwargs):
        bugs = list(ROUNDS if bugs is None else bugs)
        unknown = [bug for bug in bugs if bug not in CATALOGUE]
        if unknown:
            raise ValueError(f"{unknown[0]!r} is no bug of the catalogue; it has {', '.join(CATALOGUE)}.")
        if not 4 <= len(set(bugs)) == len(bugs) <= 10:
            raise ValueError(f"bugs must be 4 to 10 different ids, one a round, got {len(bugs)}.")
        self._rounds = [self._round(bug, bugs) for bug in bugs]
        super().__init__(**kwargs)
        self._limits = {**self._limits, "round": {**self._limits["round"], "high": len(bugs)}}
        lines = [[_line(bug, r["kind"]) for bug in [None, *r["options"]]] for r in self._rounds]
        self._tables = {"lines": pack(np.array(lines).transpose(2, 0, 1))}  # (p_t, round, right and four options)
        self._facts = {
            "rounds": [
                {
                    "caption": CAPTIONS[r["kind"]],
                    "answer": r["answer"],
                    "options": [
                        {key: getattr(CATALOGUE[bug], key) for key in ("id", "title", "symptom", "hides")}
                        for bug in r["options"]
                    ],
                }
                for r in self._rounds
            ]
        }

    @traitlets.validate("round")
    def _existing_round(self, proposal):
        if proposal.value > len(self._rounds):
            raise traitlets.TraitError(f"round must be at most {len(self._rounds)}, got {proposal.value}.")
        return proposal.value

    def _round(self, bug, bugs):
        """The picture and the four options of one round; the answer's place follows from the round's number."""
        number = bugs.index(bug)
        for kind in CAPTIONS:
            if kind == "weight" and not CATALOGUE[bug].takes_weights:
                continue

            def differ(one, other, kind=kind):
                height = max(np.ptp(_line(None, kind)), np.ptp(_line(bug, kind)), 1.0)
                return np.abs(_line(one, kind) - _line(other, kind)).max() > VISIBLE * height

            others = [
                other
                for other in bugs[number + 1 :] + bugs[:number]
                if differ(bug, other) and (kind != "weight" or CATALOGUE[other].takes_weights)
            ]
            if differ(bug, None) and len(others) >= 3:
                others.sort(key=lambda other: not differ(other, None))  # first those that this picture shows at all
                options = others[:3]
                answer = (7 * number + 2) % 4
                options.insert(answer, bug)
                return {"kind": kind, "options": options, "answer": answer}
        raise ValueError(f"no picture tells {bug!r} from the correct loss and from three other bugs of the list.")

    def sentence(self):
        this = self._rounds[int(self.round) - 1]
        at = P_T.index(self.p_t)
        shown = rounded(_line(this["options"][this["answer"]], this["kind"])[at])
        read = f"Round {self.round:.0f} of {len(self._rounds)}. At p_t = {self.p_t:.2f} the line is at {shown}"
        if self.chosen == "none":
            return f"{read}. Which bug drew it?"
        read += f", the right one at {rounded(_line(None, this['kind'])[at])}"
        bug = CATALOGUE[this["options"]["ABCD".index(self.chosen)]]
        if "ABCD".index(self.chosen) == this["answer"]:
            return f"{read}. Yes, {self.chosen}: {bug.title}. Why nobody noticed: {bug.hides}"
        return f"{read}. No: {bug.title} would draw the dotted line. {bug.symptom}"

    def picture(self):
        this = self._rounds[int(self.round) - 1]
        figure, ax = plots.axes(
            "$p_t$, probability of the true class  (hard ← → easy)", CAPTIONS[this["kind"]], width=7, height=4
        )
        ax.plot(P_T.grid(), _line(this["options"][this["answer"]], this["kind"]), **plots.STYLES["bug"])
        ax.set_xlim(0, 1)
        return figure


@functools.cache
def _line(bug, kind):
    """What a bug (None: the correct loss) draws in one kind of picture: float64 array, one value a p_t."""

    def criterion(weight=1.0):
        alpha = torch.tensor([weight, 1.0], dtype=torch.float64)
        return FocalLoss(alpha, GAMMA) if bug is None else CATALOGUE[bug].build(alpha, GAMMA)

    p_t = torch.as_tensor(P_T.grid())
    logits = torch.stack([torch.logit(p_t), torch.zeros_like(p_t)], dim=1).requires_grad_()
    target = torch.zeros(len(p_t), dtype=torch.int64)
    if kind == "batch":
        total = criterion()(logits, target) * len(p_t)
    else:
        alone = [
            torch.stack([f(logits[k : k + 1], target[k : k + 1]).sum() for k in range(len(p_t))])
            for f in (criterion(), criterion(4.0))
        ]
        if kind == "loss":
            return alone[0].detach().numpy()
        if kind == "weight":
            return (alone[1] / alone[0]).detach().numpy()
        total = alone[0].sum()
    (gradient,) = torch.autograd.grad(total, logits)
    return gradient[:, 0].abs().numpy()
