"""Extreme logits, small gammas, masked classes and half precision."""

import copy
import math

import torch

from ..adapter import Untestable
from ..cases import (
    IN_A_PAGE,
    Violation,
    check_finite,
    expect,
    expect_finite,
    gradient,
    numbers,
    rows_of,
    smallest,
    widened,
)
from .registry import a_property

MANY = 2000  # classes


@a_property("Loss and gradient are finite for logits of 10 000.", "extremes", level="fragile")
def is_finite_at_extreme_logits(loss, cases):
    three = [([[1e4, -1e4, 0]], [2])] if loss.only_classes != 2 else []
    for rows, target in [([[1e4, 0]], [0]), ([[1e4, 0]], [1]), ([[0, -1e4]], [1]), *three]:
        check_finite(loss, rows, target)


@a_property("For gamma below 1, a certain prediction has a finite gradient.", "extremes", level="fragile")
def is_finite_for_small_gamma(loss, cases):
    if loss.gammas[-1] >= 1:
        raise Untestable("its gamma cannot be set below 1")
    check_finite(loss, [[50, 0]], [0], gamma=0.5)
    check_finite(loss, [[0, 50]], [1], gamma=0.5)  # a yes, where two classes are a question


@a_property(
    "An example that is wrong by 100 still pulls with full strength: its gradient is near 1.",
    "extremes",
    level="fragile",
)
def gradient_is_full_when_wrong_by_100(loss, cases):
    if loss.form.words.startswith(("prob", "one prob")):
        raise Untestable("it takes probabilities, and they round to 0 there")
    input, target = loss.tensor(widened(loss, [[100, 0]])), loss.labels([1])
    full = loss.inside(target) * loss.tensor(widened(loss, [[1.0, -1.0]]))
    expect(loss, gradient(loss, input, target), full, f"logits {numbers(input)}, target [1]: the gradient")


@a_property("A class masked with -inf is as good as absent.", "extremes", level="fragile")
def masked_class_is_absent(loss, cases):
    if loss.only_classes == 2:
        raise Untestable("it takes a third class to mask one with -inf, and it is for two")
    if loss.only_classes not in (None, 3):
        raise Untestable(f"it takes {loss.only_classes} classes only")
    rows = [[1, 0, -math.inf], [0, 2, -math.inf]]
    check_finite(loss, rows, [0, 0])
    input, target = loss.tensor(rows), loss.labels([0, 0])
    without = loss(input[:, :2], target)
    expect(loss, loss(input, target), without, f"logits {numbers(input)}, target [0, 0]", "without the third class")


@a_property(
    "Half-precision logits give a finite loss and gradient, autocast about the same loss.", "extremes", level="fragile"
)
def is_finite_in_half_precision(loss, cases):
    for dtype in (torch.float16, torch.bfloat16):
        for target in (loss.labels([0]), loss.labels([1])):
            rows = widened(loss, [[20, 0]])
            input = torch.tensor(rows, dtype=dtype, device=loss.device, requires_grad=True)
            try:
                value = loss(input, target)
                (slope,) = torch.autograd.grad(value, input)
            except Exception as error:
                raise Untestable(f"it refuses {dtype} logits") from error
            setting = f"logits {rows} in {dtype}, target {target.tolist()}"
            expect_finite({"loss": value.detach(), "gradient": slope}, setting)
            right = loss(input.detach().float(), target).detach()
            _expect_about(value.detach(), right, f"{setting}: the loss")
    case = cases[2]
    if IN_A_PAGE:
        return
    right = loss(case.input.float(), case.target).detach()
    with torch.autocast(loss.device.type, dtype=torch.bfloat16):
        value = loss(case.input.float(), case.target)
    _expect_about(value.detach(), right, f"{case}, under autocast: the loss")


def _expect_about(got, right, setting):
    if not (got - right).abs() <= 0.05 + 0.1 * right.abs():
        raise Violation(f"{setting} is {numbers(got)}, in float32 it is {numbers(right)}", (got.item(),))


def right_every_day(loss):
    """How far a loss is right in float32 with gamma = 2: up to which distance of two logits, in words."""
    loss = copy.copy(loss)
    loss.dtype = torch.float32

    def wrong(row, target):
        input, target = loss.tensor([row]), loss.labels([target])
        wide = input.double().requires_grad_()
        (right,) = torch.autograd.grad(rows_of(loss, wide, target, loss.gammas[0]).sum(), wide)
        try:
            value, slope = loss(input, target).detach(), gradient(loss, input, target)
        except Exception as error:
            return f"it raises {type(error).__name__}"
        if not value.isfinite().all():
            return f"the loss is {numbers(value)}"
        if not (slope - right).abs().max() <= 1e-3 + 0.1 * right.abs().max():
            return f"the gradient is {numbers(slope, 3)}, expected {numbers(right, 3)}"
        return None

    others = (loss.only_classes or 2) - 1

    def apart(gap):
        return wrong(*widened(loss, [[abs(gap), 0]]), int(gap < 0))

    where = f"With float32 and gamma = {loss.gammas[0]:g}"
    for sign, side in ((-1, "behind"), (1, "ahead")):
        if apart(sign * 100):
            # In steps of 5: at which unit it rounds away differs from one machine to the next.
            gap = 5 * smallest(lambda fives, sign=sign: apart(sign * 5 * fives), 0, 20)
            near, far = (f" (p_t = {1 / (math.exp(g) + others):.2g})" * (sign < 0) for g in (gap - 5, gap))
            said = f"{where} it is right with the target's logit {gap - 5} {side}{near}, wrong with {gap}{far}: "
            said += f"{apart(sign * gap)}."
            if sign < 0 and loss.only_classes is None and wrong([0.0] * MANY, 0):
                said += f" So it is for {MANY} equal logits, where a model of {MANY} classes starts."
            return said
    return f"{where}, in small batches, it is right whatever the logits are: tried up to 100 apart."
