"""What a loss does with one input, and how that differs from what a right loss does, in words."""

import inspect

import torch

from ..diagnosis.cases import make_cases, numbers
from ..losses import sigmoid_focal_loss

__all__ = ["BinaryDiagnosis", "difference_of", "first_difference", "outcome_of"]

DIGITS = 4  # of a result in float32


def outcome_of(loss, case, binary=False):
    """What a loss does with an input: its value, gradient and the labels afterwards; or an error, as text."""
    settings = {n: v for n, v in case.items() if n not in ("logits", "labels", "device")}
    device = case.get("device", "cpu")
    logits = case["logits"].clone().to(device).requires_grad_()
    labels = case["labels"].clone().to(device)
    try:
        if inspect.isclass(loss):
            loss, settings = loss(**settings).to(device), {}
        value = loss(logits, labels, **settings)
        (slope,) = torch.autograd.grad(value.sum(), logits)
    except Exception as error:
        text = str(error).strip().split("\n")[0]
        return f"{type(error).__name__}: {text}".rstrip(".!: ")
    return {"the loss": value.detach(), "the gradient": slope, "the labels afterwards": labels}


def difference_of(ours, right):
    """In words, what differs between two outcomes; None if nothing does."""
    if isinstance(ours, str) or isinstance(right, str):
        return None if ours == right else f"This code: {say(ours)}. A right loss: {say(right)}."
    for what in ours:
        a, b = ours[what], right[what]
        if a.shape != b.shape:
            return f"{what} has shape {tuple(a.shape)}; of a right loss: {tuple(b.shape)}."
        if a.device.type != "meta" and not torch.allclose(a, b.to(a.dtype), rtol=1e-3, atol=1e-5, equal_nan=True):
            return f"Here {what}: {numbers(a, DIGITS)}. Of a right loss: {numbers(b, DIGITS)}."
    return None


def differ_a_little(ours, right):
    """True where two losses that :func:`difference_of` lets pass differ in their leading digits all the same."""
    a, b = ours["the loss"], right["the loss"]
    return not (a.is_meta or torch.allclose(a, b.to(a.dtype), rtol=1e-3, atol=0))


def say(outcome):
    if isinstance(outcome, str):
        return outcome
    value = outcome["the loss"]
    return (
        f"a result of shape {tuple(value.shape)}"
        if value.device.type == "meta"
        else f"the loss {numbers(value, DIGITS)}"
    )


def first_difference(ours, theirs, binary):
    """In words, the first small case in which two losses differ; None if they agree on all."""
    for case in make_cases(dtype=torch.float32)[2:]:
        inputs = {"logits": case.input, "labels": case.target, "alpha": case.alpha}
        if binary:
            yes = (case.input > 0).float()
            inputs = {"logits": case.input.roll(1, dims=1), "labels": yes, "alpha": 0.25}
        outcomes = [outcome_of(loss, inputs) for loss in (ours, theirs)]
        if difference_of(*outcomes):
            setting = ", ".join(f"{n} {numbers(torch.as_tensor(v))}" for n, v in inputs.items() if v is not None)
            gives, here = map(say, outcomes)
            return f"For {setting} it gives {gives}, and the code in question {here}."
    return None


class BinaryDiagnosis:
    """The counterpart of ``diagnose`` for a sigmoid loss: how far off are positives and negatives?"""

    def __init__(self, loss, seed=0):
        self.violations, self.untested, self.suspects, self.stopped = {}, {}, [], None
        generator = torch.Generator().manual_seed(seed)
        for alpha, gamma in ((0.25, 2.0), (0.9, 1.0), (0.25, 0.0)):
            case = {"logits": torch.randn(2, 6, generator=generator) * 3, "alpha": alpha, "gamma": gamma}
            case["labels"] = torch.tensor([[1.0], [0.0]]).repeat(1, 6)
            for reduction in ("none", "sum", "mean"):
                outcomes = [outcome_of(f, {**case, "reduction": reduction}) for f in (loss, sigmoid_focal_loss)]
                self._compare(outcomes, f"alpha {alpha}, gamma {gamma:g}, reduction {reduction}")
        self.remark = None if self.violations else self._remark(loss)

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

    def _remark(self, loss):
        """What is worth a remark, and no reason to turn a loss down: gradients that certain answers make not finite."""
        certain = {"logits": torch.tensor([50.0, -50.0]), "labels": torch.tensor([1.0, 0.0]), "gamma": 0.5}
        outcome = outcome_of(loss, certain)
        if isinstance(outcome, str) or outcome["the gradient"].isfinite().all():
            return None
        gradient = numbers(outcome["the gradient"], DIGITS)
        return f"for logits [50, -50], labels [1, 0] and gamma 0.5 its gradient is {gradient}; exercise 8 is about that"

    @property
    def ok(self):
        return not self.violations
