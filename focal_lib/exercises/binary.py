"""What an exercise on a sigmoid loss needs: the same as of a multiclass one, and a diagnosis of its own."""

import math
import random

import torch

from ..diagnosis.cases import make_cases, numbers
from ..losses import sigmoid_focal_loss
from .outcomes import DIGITS, difference_of, outcome_of

__all__ = ["Binary", "BinaryDiagnosis"]

# Of the hidden batches: shape, gamma from and to, alpha (None: any), the largest spread of the logits. Every second one
# is float32; a gamma below 1 wants float64 and no certain examples, where the textbook's formula is no number.
BATCHES = [
    ((64, 12), (1, 5), None, 25),
    ((50,), (1, 5), None, 25),
    ((17, 4), (0.02, 1), None, 3),
    ((33, 9), (1, 5), None, 25),
    ((3, 5, 4), (1, 5), None, 25),
    ((40, 7), (1, 5), None, 25),
    ((12,), (0, 0), 0.0, 3),
    ((6, 3), (1, 1), 1.0, 25),
    ((12,), (5, 10), None, 25),
    ((20, 2), (2, 2), 0.3, 3000),
    ((9,), (1, 5), 0.5, 3),
    ((1, 1), (1, 5), None, 3),
    ((16,), (0.02, 0.4), None, 3),
    ((14,), (1, 5), 0.01, 3),
]


class Binary:
    """A yes or no for each number, alpha for yes. The same methods as :class:`~.multiclass.Multiclass`."""

    logits, labels = "[0.5, ...]", "[1.0, ...]"
    one_example, one_label = torch.zeros(1, 2), torch.zeros(1, 2)
    some_alpha = 0.25
    both_means = False

    def right(self, loss):
        """A right loss."""
        return sigmoid_focal_loss

    def diagnose(self, loss, seed=0):
        """A :class:`BinaryDiagnosis`."""
        return BinaryDiagnosis(loss, seed)

    def inputs(self):
        """A few small inputs."""
        for case in make_cases(dtype=torch.float32)[2:]:
            yield {"logits": case.input.roll(1, dims=1), "labels": (case.input > 0).float(), "alpha": 0.25}

    def hidden(self, seed):
        """Inputs that nobody can know without the seed: tensors and settings of an ordinary training, and its tails."""
        draw = random.Random(seed)
        for number, (shape, (least, most), alpha, widest) in enumerate(BATCHES):
            dtype = (torch.float64, torch.float32)[number % 2]
            many, limit = math.prod(shape), max(100.0, 3.0 * widest)
            spread = [draw.choice((1, 3, 3, widest)) for _ in range(many)]
            flat = [max(-limit, min(limit, draw.gauss(0, s))) for s in spread]
            if widest > 3:
                flat[:2] = [limit, -limit]
            labels = [0.0, 1.0, *(float(draw.random() < 0.4) for _ in range(many - 2))]
            if many < 10:  # one kind of label only, and an example that costs something
                labels, flat[0] = [float(alpha == 0.5)] * many, (-2.0 if alpha == 0.5 else 2.0)
            yield {
                "logits": torch.tensor(flat[:many], dtype=dtype).reshape(shape),
                "labels": torch.tensor(labels[:many], dtype=dtype).reshape(shape),
                "alpha": draw.uniform(0.02, 0.98) if alpha is None else alpha,
                "gamma": draw.uniform(least, most) if least < most else float(least),
            }

    def ignoring(self, case):
        """A sigmoid loss ignores nothing."""
        return case

    def read_labels(self, labels, given):
        """Labels as floats."""
        return labels.to(torch.float32)

    def read_alpha(self, alpha, classes):
        """One number from 0 to 1; ValueError if it is not that."""
        if torch.as_tensor(alpha).numel() != 1 or not 0 <= float(alpha) <= 1:
            raise ValueError(f"alpha is a number from 0 to 1 here, the weight of label 1; got {alpha!r}.")
        return float(alpha)

    def check_shapes(self, logits, labels, ignore_index):
        """ValueError unless there is one label, 0 or 1, for each logit."""
        if labels.shape != logits.shape:
            raise ValueError(f"labels must have the logits' shape, {tuple(logits.shape)}; got {tuple(labels.shape)}.")
        if not ((labels == 0) | (labels == 1)).all():
            raise ValueError(f"Labels are 0.0 or 1.0; got {labels.tolist()}.")


class BinaryDiagnosis:
    """The counterpart of ``diagnose`` for a sigmoid loss: how far off are positives and negatives?

    It has what exercises read of a :class:`~focal_lib.diagnosis.report.Diagnosis`: ``ok``, ``violations``, ``levels``,
    ``untested``, ``suspects``, ``explained``, ``relative``, ``mistake`` and ``stopped``.
    """

    def __init__(self, loss, seed=0):
        self.violations, self.levels, self.untested, self.suspects, self.explained = {}, {}, {}, [], {}
        self.stopped, self.relative, self.mistake = None, None, []
        generator = torch.Generator().manual_seed(seed)
        for alpha, gamma in ((0.25, 2.0), (0.9, 1.0), (0.25, 0.0)):
            case = {"logits": torch.randn(2, 6, generator=generator) * 3, "alpha": alpha, "gamma": gamma}
            case["labels"] = torch.tensor([[1.0], [0.0]]).repeat(1, 6)
            for reduction in ("none", "sum", "mean"):
                outcomes = [outcome_of(f, {**case, "reduction": reduction}) for f in (loss, sigmoid_focal_loss)]
                self._compare(outcomes, f"alpha {alpha}, gamma {gamma:g}, reduction {reduction}")
        if not self.violations:
            self._look_at_certain_answers(loss)

    def _compare(self, outcomes, setting):
        ours, right = outcomes
        if self.violations or not (difference := difference_of(ours, right)):
            return
        if isinstance(ours, str) or ours["the loss"].shape != (2, 6):
            self.violations["runs_with_defaults" if isinstance(ours, str) else setting] = f"{setting}: {difference}"
            return
        ratios = ours["the loss"] / right["the loss"]
        (positives, negatives), average = ratios.mean(1).tolist(), ""
        fault = "weights"  # a side that is off by one factor has a wrong weight; by a changing factor, a wrong p_t
        if not torch.allclose(ratios, ratios.mean(1, keepdim=True), rtol=1e-3):
            off = (ratios - 1).abs().amax(1) > 1e-3
            sides = [side for side, wrong in zip(("positives", "negatives"), off, strict=True) if wrong]
            fault, average = f"p_t of {' and '.join(sides)}", " on average"
        words = f"positives are {positives:.3g} times what they should be, negatives {negatives:.3g} times{average}"
        self.violations[fault] = f"{setting}: {words}."

    def _look_at_certain_answers(self, loss):
        certain = {"logits": torch.tensor([50.0, -50.0]), "labels": torch.tensor([1.0, 0.0]), "gamma": 0.5}
        outcome = outcome_of(loss, certain)
        if not isinstance(outcome, str) and not outcome["the gradient"].isfinite().all():
            gradient = numbers(outcome["the gradient"], DIGITS)
            text = f"for logits [50, -50], labels [1, 0] and gamma 0.5 its gradient is {gradient}"
            self.violations["is_finite_for_small_gamma"], self.levels["is_finite_for_small_gamma"] = text, "fragile"

    @property
    def ok(self):
        """True if nothing is violated."""
        return not self.violations
