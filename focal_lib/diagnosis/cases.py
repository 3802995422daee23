"""Small cases to check a loss on, the counter-examples that come of them, and what properties share to find them."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F

from .adapter import Untestable

__all__ = ["Case", "Violation", "make_cases"]

IN_A_PAGE = hasattr(torch, "NotOnThisPage")  # the small torch that judges in a page: no autocast, no large sizes
SIZES = [(1, 2), (2, 2), (2, 3), (4, 3)]  # (N, C); the first case that fails is the one shown


class Violation(Exception):
    """A counter-example: the setting in words, and what the loss gave there (numbers, or an error's text).

    ``level`` is how bad it is, where that depends on the example; None for the level of the property. ``kind`` names
    a way to break the property that has words of its own in ``advice.py``; None for the usual way.
    """

    def __init__(self, example, got, level=None, kind=None):
        super().__init__(example)
        self.example, self.got, self.level, self.kind = example, got, level, kind


@dataclass(frozen=True)
class Case:
    """Logits ``(N, C)`` and weights ``(C,)`` that are small integers, class indices ``(N)``."""

    input: torch.Tensor
    target: torch.Tensor
    alpha: torch.Tensor

    def __str__(self):
        return f"logits {numbers(self.input)}, target {self.target.tolist()}"


def make_cases(seed=0, dtype=torch.float64, device="cpu", classes=None):
    """A :class:`Case` of each of ``SIZES``, smallest first; the seed decides the numbers.

    ``classes`` is the number of classes of a loss that takes no other.
    """
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for n, c in SIZES:
        c = classes or c
        input = torch.randint(-3, 4, (n, c), generator=generator)
        target = torch.randint(c, (n,), generator=generator)
        alpha = torch.randperm(c, generator=generator) + 1
        cases.append(Case(input.to(device, dtype), target.to(device), alpha.to(device, dtype)))
    return cases


def numbers(tensor, digits=6):
    """A tensor as text with no more digits than it needs."""
    if tensor.ndim:
        return "[" + ", ".join(numbers(t, digits) for t in tensor) + "]"
    return f"{tensor.item():.{digits}g}"


def expect(loss, got, expected, setting, because=""):
    """Raise a Violation unless ``got`` equals ``expected`` within the loss's tolerance."""
    got, expected = got.detach(), torch.as_tensor(expected, dtype=got.dtype, device=got.device).detach()
    if got.shape != expected.shape:
        example = f"{setting}: the result has shape {tuple(got.shape)}, expected {tuple(expected.shape)}"
        raise Violation(example, (str(tuple(got.shape)),))
    if not torch.allclose(got, expected, **loss.tolerance):
        example = f"{setting}: got {numbers(got)}, expected {numbers(expected)}"
        raise Violation(example + (f" ({because})" if because else ""), tuple(got.flatten().tolist()))


def expect_finite(tensors, setting):
    for what, tensor in tensors.items():
        if not tensor.isfinite().all():
            raise Violation(f"{setting}: the {what} is {numbers(tensor)}", tuple(tensor.flatten().tolist()))


def need(loss, *names):
    for name in names:
        if name not in loss.settable:
            by_side = name == "alpha" and loss.balances
            raise Untestable("its alpha is for yes against no" if by_side else f"it has no argument for {name}")


def weights(loss, case):
    return case.alpha if loss.takes_weights else None


def sides_of(alpha):
    return "" if alpha is None else f", {alpha:g} for yes and {1 - alpha:g} for no"


def with_weights(alpha):
    return "" if alpha is None else f", weights {numbers(alpha)}"


def rows_of(loss, input, target, gamma=None):
    """What a right loss with the gamma, factor and weights of this one gives for each row."""
    nll = F.cross_entropy(input, target, reduction="none")
    focus = -torch.expm1(-nll.clamp_min(torch.finfo(nll.dtype).eps ** 2))
    return loss.inside(target) * focus ** (loss.gammas[0] if gamma is None else gamma) * nll


def gradient(loss, input, target, **arguments):
    input = input.detach().clone().requires_grad_()
    (result,) = torch.autograd.grad(loss(input, target, **arguments), input)
    return result


def total(loss, input, target, alpha):
    """The sum of the weighted losses, whichever way the loss divides for its mean."""
    divisor = alpha[target].sum() if loss.divides_by_weights else len(target)
    return loss(input, target, alpha=alpha) * divisor


def widened(loss, rows):
    """Rows of two classes, with a 0 for each further one of a loss that takes no fewer."""
    return [[*row, *[0] * ((loss.only_classes or 2) - len(row))] for row in rows]


def check_finite(loss, rows, target, **settings):
    input, target = loss.tensor(widened(loss, rows)).requires_grad_(), torch.tensor(target, device=loss.device)
    value = loss(input, target, **settings)
    (slope,) = torch.autograd.grad(value, input)
    words = "".join(f", {name} {setting:g}" for name, setting in settings.items())
    expect_finite(
        {"loss": value.detach(), "gradient": slope}, f"logits {numbers(input)}, target {target.tolist()}{words}"
    )
    return slope


def smallest(fails, good, bad):
    """By halving, a size at which it fails while it holds one below."""
    while bad - good > 1:
        middle = (good + bad) // 2
        good, bad = (good, middle) if fails(middle) else (middle, bad)
    return bad
