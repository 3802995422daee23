"""Small cases to check a loss on, and the counter-examples that come of them."""

from dataclasses import dataclass

import torch

__all__ = ["Case", "Violation", "expect", "expect_finite", "make_cases", "numbers"]

SIZES = [(1, 2), (1, 3), (2, 2), (2, 3), (4, 3), (6, 4)]  # (N, C); the first case that fails is the one shown


class Violation(Exception):
    """A counter-example: the setting in words, and what the loss gave there (numbers, or an error's text)."""

    def __init__(self, example, got):
        super().__init__(example)
        self.example, self.got = example, got


@dataclass(frozen=True)
class Case:
    """Logits ``(N, C)`` and weights ``(C,)`` that are small integers, class indices ``(N)``."""

    input: torch.Tensor
    target: torch.Tensor
    alpha: torch.Tensor

    def __str__(self):
        return f"logits {numbers(self.input)}, target {self.target.tolist()}"


def make_cases(seed=0, dtype=torch.float64, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    cases = []
    for n, c in SIZES:
        input = torch.randint(-3, 4, (n, c), generator=generator)
        target = torch.randint(c, (n,), generator=generator)
        alpha = torch.randperm(c, generator=generator) + 1
        cases.append(Case(input.to(device, dtype), target.to(device), alpha.to(device, dtype)))
    return cases


def numbers(tensor):
    """A tensor as text with no more digits than it needs."""
    if tensor.ndim:
        return "[" + ", ".join(numbers(t) for t in tensor) + "]"
    return f"{tensor.item():.6g}"


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
