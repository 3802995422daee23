"""What the loss of given logits and targets is."""

import math

import torch
import torch.nn.functional as F

from ..adapter import Untestable
from ..cases import Violation, expect, need, numbers, rows_of, weights, widened, with_weights
from .registry import a_property, first_line


@a_property("At gamma = 0, focal loss is cross-entropy.", "value")
def gamma_zero_is_cross_entropy(loss, cases):
    need(loss, "gamma")
    for case in cases:
        ce = rows_of(loss, case.input, case.target, 0.0).mean()
        expect(loss, loss(case.input, case.target, gamma=0.0), ce, f"{case}, gamma 0", "-log p_t")


@a_property("gamma may be any number from 0 up, whole or not.", "value")
def takes_any_gamma(loss, cases):
    need(loss, "gamma")
    case = cases[2]
    for gamma in (1.5, 5, 0.7):
        expected = rows_of(loss, case.input, case.target, gamma).mean()
        try:
            got = loss(case.input, case.target, gamma=gamma)
        except Exception as error:
            raise Untestable(f"it refuses gamma {gamma:g}: {first_line(error)}") from error
        expect(loss, got, expected, f"{case}, gamma {gamma:g}")


@a_property("Three examples worked out by hand come out to the digit.", "value")
def gives_the_golden_numbers(loss, cases):
    c = loss.only_classes or 2
    odds = [3.0, 1.0, 1 / 3]  # two classes with logits [log(odds), 0]: p_t = odds / (1 + odds) = 3/4, 1/2, 1/4
    input, target = loss.tensor([[math.log(o * (c - 1)), *[0.0] * (c - 1)] for o in odds]), loss.labels([0, 0, 0])
    gamma = loss.gammas[0]
    golden = loss.inside(target[:1]) * loss.tensor([-((1 - p) ** gamma) * math.log(p) for p in (0.75, 0.5, 0.25)])
    for i, p in enumerate((0.75, 0.5, 0.25)):
        setting = f"p_t = {p}, gamma {gamma:g}"
        expect(loss, loss(input[i : i + 1], target[:1]), golden[i], setting, f"-(1 - {p})^{gamma:g} log {p}")
    setting = f"a batch with p_t = 0.75, 0.5, 0.25, gamma {gamma:g}"
    expect(loss, loss(input, target), golden.mean(), setting, f"the mean of {numbers(golden)}")
    if loss.dtype == torch.float64:
        expect(loss, loss(input.float(), target).double(), golden.mean(), f"{setting}, in float32", "as in float64")


@a_property("Focal loss is at least 0 and at most cross-entropy.", "value")
def lies_between_zero_and_cross_entropy(loss, cases):
    for gamma in loss.gammas:
        for case in cases:
            value = loss(case.input, case.target, gamma=gamma).detach()
            ce = rows_of(loss, case.input, case.target, 0.0).mean()
            slack = 1e-6 + 1e-4 * ce
            if not (value.numel() == 1 and -slack <= value <= ce + slack):
                example = f"{case}, gamma {gamma:g}: got {numbers(value)}, cross-entropy is {numbers(ce)}"
                raise Violation(example, tuple(value.flatten().tolist()))


@a_property("The ratio of focal loss to cross-entropy falls as p_t rises.", "value")
def ratio_falls_as_p_t_rises(loss, cases):
    if loss.gammas[0] == 0:
        raise Untestable("its gamma is 0")
    before, target = None, loss.labels([0])
    for margin in (-2, -1, 0, 1, 2, 3):
        input = loss.tensor(widened(loss, [[margin, 0]]))
        ratio = (loss(input, target) / F.cross_entropy(input, target)).detach()
        if before is not None and not ratio < before * (1 - 1e-4):
            example = f"logits {numbers(input)}, target [0]: the ratio is {numbers(ratio)}"
            example += f", with {widened(loss, [[margin - 1, 0]])} it was {numbers(before)}"
            raise Violation(example, (ratio.item(), before.item()))
        before = ratio


@a_property("A perfect prediction costs nothing.", "value")
def perfect_prediction_costs_nothing(loss, cases):
    rows = [[50, 0, 0], [0, 50, 0]] if loss.only_classes != 2 else [[50, 0], [0, 50]]
    input, target = loss.tensor(rows), loss.labels([0, 1])
    expect(loss, loss(input, target), 0.0, f"logits {numbers(input)}, target [0, 1]")


@a_property("Adding a constant to all logits of an example changes nothing.", "value")
def is_shift_invariant(loss, cases):
    for case in cases:
        expected = loss(case.input, case.target)
        expect(loss, loss(case.input + 2, case.target), expected, f"{case}, then 2 added to every logit", "as before")


@a_property("Renaming the classes, in logits, targets and weights alike, changes nothing.", "value")
def is_the_same_for_renamed_classes(loss, cases):
    if loss.weights_inside is not None:
        raise Untestable("it has weights of its own built in")
    for case in cases:
        alpha = weights(loss, case)
        expected = loss(case.input, case.target, alpha)
        renamed = case.input.roll(1, dims=1), (case.target + 1) % case.input.shape[1]
        got = loss(*renamed, None if alpha is None else alpha.roll(1))
        setting = f"{case}{with_weights(alpha)}, every class renamed to the next one"
        expect(loss, got, expected, setting, "as before")
