"""Mistakes in what a loss looks at and in its exponent, recognised by numbers: what it is, the fix, an example."""

import copy

import torch

from .cases import numbers
from .forms import PLAIN, softmax
from .probing import exponent_of
from .relatives import measured

__all__ = ["deaf_focus", "deaf_to_a_third", "deaf_to_classes", "turned_base", "whole_gammas"]


def deaf_focus(adapter):
    """Whether what gamma changes is the same for each target, as where p_t is not taken at the target."""
    if "gamma" not in adapter.settable:
        return None
    x, *_ = measured(adapter)
    x, c = x.detach()[:4], x.shape[1]
    with_1, with_3 = (
        torch.stack(
            [adapter(row[None], adapter.labels([k]), gamma=gamma).sum().detach() for row in x for k in range(c)]
        ).reshape(-1, c)
        for gamma in (1.0, 3.0)
    )
    change = with_1 - with_3
    if change.abs().min() < 1e-6 or not torch.allclose(change, change[:, :1].expand_as(change), rtol=1e-4):
        return None
    example = f"logits {numbers(x[0], 3)}: from gamma 1 to 3 it falls by {numbers(change[0, 0], 4)} for each target"
    what = "The part with gamma in it never looks at the target"
    return what, "Take p_t at the target: p_t = softmax(1).gather(1, target[:, None])[:, 0].", example


def deaf_to_classes(adapter):
    """Whether the logits of some classes change nothing."""
    x, _hot, _alone, _batch, slope = measured(adapter)
    deaf = (slope == 0).all(0)
    if adapter.only_classes == 2 or deaf.all() or not deaf.any():
        return None
    classes = " and ".join(str(k) for k in range(len(deaf)) if deaf[k])
    what = f"It never looks at the logits of class {classes}"
    example = f"the gradient of {len(x)} rows of {len(deaf)} classes is 0 in column {classes}"
    return what, "Take log_softmax over all classes, p_t at the target.", example


def deaf_to_a_third(adapter):
    """Whether a loss of two classes takes logits of three, and the third changes nothing, in words."""
    if adapter.only_classes != 2 or adapter.form.input not in (PLAIN.input, softmax):
        return None
    other, three = copy.copy(adapter), adapter.tensor([[0.2, 0.3, 0.5]]).repeat(3, 1).requires_grad_()
    other.form = PLAIN
    (slope,) = torch.autograd.grad(other(three, adapter.labels([0, 1, 2])).sum(), three)
    if slope[:, 2].any() or not slope.any():
        return None
    return "Handed three classes, it ignores the third column, and raises no error."


def turned_base(adapter):
    """Whether the factor is (p_t - 1) ** gamma: right for gamma 2 and 4, less than 0 for 1 and 3."""
    if "gamma" not in adapter.settable:
        return None
    once, twice = (adapter.singles(3, gamma=gamma) for gamma in (1.0, 2.0))
    p = adapter.tensor([0.75, 0.5, 0.25])
    right = ((1 - p) * -p.log()).expand_as(once)
    if not torch.allclose(once, -right, rtol=1e-3) or not torch.allclose(twice, right * (1 - p), rtol=1e-3):
        return None
    what = "It takes (p_t - 1) ** gamma where (1 - p_t) ** gamma was meant"
    example = f"p_t = 0.75, gamma 1: got {numbers(once[0, 0], 4)}; with gamma between whole numbers it is nan"
    return what, "(1 - p_t) ** gamma.", example


def whole_gammas(adapter):
    """Whether gamma is rounded to a whole number."""
    if "gamma" not in adapter.settable:
        return None
    exponents = [exponent_of(adapter.singles(3, gamma=gamma)) for gamma in (1.0, 1.5, 2.0, 2.5)]
    if None in exponents or [round(e, 3) for e in exponents[::2]] != [1, 2]:
        return None
    if any(abs(e - round(e)) > 1e-3 for e in exponents):
        return None
    what = "It takes gamma as a whole number, without its decimals"
    return what, "Leave gamma a float: no int(), round() or //.", f"gamma 1.5 acts as {exponents[1]:.3g}"
