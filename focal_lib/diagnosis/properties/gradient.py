"""What a step of training gets from the loss."""

import torch
import torch.nn.functional as F

from ..adapter import Untestable
from ..cases import Violation, expect, gradient, numbers
from .registry import a_property


@a_property("The gradient is the slope of the loss.", "gradient")
def gradient_is_the_slope(loss, cases):
    step = 1e-3  # coarse enough for a loss that computes in float32
    for case in cases[::2]:
        got = gradient(loss, case.input, case.target)
        for i in range(case.input.numel()):
            shift = torch.zeros_like(case.input)
            shift.view(-1)[i] = step
            rise = loss(case.input + shift, case.target) - loss(case.input - shift, case.target)
            slope, here = (rise / (2 * step)).detach(), got.flatten()[i]
            if not (here - slope).abs() <= 5e-4 + 1e-3 * slope.abs():
                setting = f"{case}: the gradient of logit {i % case.input.shape[1]} of row {i // case.input.shape[1]}"
                raise Violation(f"{setting} is {numbers(here)}, the slope of the loss {numbers(slope)}", (here.item(),))


@a_property("The gradient is (p - onehot) ((1-p_t)^gamma - gamma p_t (1-p_t)^(gamma-1) log p_t) / N.", "gradient")
def gradient_has_the_closed_form(loss, cases):
    for gamma in loss.gammas:
        for case in cases[1::2]:
            p = case.input.softmax(1)
            p_t = p.gather(1, case.target[:, None])
            k = (1 - p_t) ** gamma - gamma * p_t * (1 - p_t) ** (gamma - 1) * p_t.log()
            k = loss.inside(case.target).reshape(-1, 1) * k
            expected = k * (p - F.one_hot(case.target, p.shape[1])) / len(p)
            got = gradient(loss, case.input, case.target, gamma=gamma)
            off = ~got.to(expected).isclose(expected, **loss.tolerance).all(1)
            if not off.any():
                continue
            ranked = case.input.sort(1).values
            tied = (ranked[:, 1:] == ranked[:, :-1]).any(1)
            if not tied.all() and not (off & ~tied).any():
                row = int(off.nonzero()[0])
                setting = f"logits {numbers(case.input[row])}, two of them equal, gamma {gamma:g}: the gradient"
                example = f"{setting} is {numbers(len(p) * got[row])}, expected {numbers(len(p) * expected[row])}"
                raise Violation(example, tuple(got.flatten().tolist()), "fragile")
            expect(loss, got, expected, f"{case}, gamma {gamma:g}: the gradient")


@a_property("The gradient points elsewhere than cross-entropy's: it is not just a smaller step.", "gradient")
def gradient_is_not_parallel_to_cross_entropys(loss, cases):
    if loss.gammas[0] == 0:
        raise Untestable("its gamma is 0")
    input, target = loss.tensor([[1, 0], [-1, 0]]), loss.labels([0, 0])
    ours, theirs = gradient(loss, input, target), gradient(F.cross_entropy, input, target)
    cosine = F.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0)
    if cosine > 0.999:
        example = f"logits {numbers(input)}, target [0, 0]: the gradient is {numbers(ours)}"
        example += f", cross-entropy's {numbers(theirs)}: the cosine between them is {numbers(cosine)}"
        raise Violation(example, tuple(ours.flatten().tolist()))
