"""Probabilities, both ways: what gamma teaches a network, and how to get the true ones back."""

import math

import torch

from .._checks import check_gamma

__all__ = ["calibration_slope", "taught", "temperature", "way_back"]

STEPS = 50  # halvings of an interval, to the last digits of float64


def way_back(p, gamma=2.0, alpha=None):
    """The true probabilities of a network that has learned ``p`` from unlimited data under focal loss.

    At the minimum of the expected focal loss the true probability q of each class is proportional to
    ``p / (alpha * k(p))``, where ``k(p) = (1 - p)**gamma - gamma * p * (1 - p)**(gamma - 1) * log(p)`` is the factor
    by which gamma changes an example's gradient. The order of the classes stays the same unless alpha changes it.

    Args:
        p: probabilities of shape (..., C), each row with the sum 1.
        gamma: the focusing parameter of the training.
        alpha: None, or the class weights of the training, shape (C,), all above 0.

    Returns:
        float64 tensor of p's shape. A class that p is certain of stays certain.

    Raises:
        ValueError: p holds a value that is no probability, or rows whose sum is not 1; an alpha that is not positive.

    Source: Charoenphakdee et al. 2021, arXiv 2011.09172. Explained in chapter 11.
    """
    check_gamma(gamma)
    p = _probabilities(p, "p")
    if alpha is not None and not (alpha.shape == p.shape[-1:] and (alpha > 0).all()):
        raise ValueError(f"alpha must hold {p.shape[-1]} weights above 0, got {alpha.tolist()}.")
    logs = _log_ratio(p, gamma)
    if alpha is not None:
        logs = logs - alpha.double().log()
    return logs.softmax(dim=-1)


def taught(q, gamma=2.0, counts=None):
    """The probabilities that minimise the expected focal loss where the true ones are ``q``.

    Args:
        q: true probabilities of shape (..., C), each row with the sum 1.
        gamma: the focusing parameter, or a tensor of several that goes with q's shape.
        counts: None, or how many classes each column stands for, of a shape that goes with q: with counts (1, 999) the
            columns are one class and 999 others that share one probability, and a row's sum counts each that often.

    Returns:
        float64 tensor of q's shape (with several gammas, of the shape of both together), the inverse of
        :func:`way_back`, to 12 decimals.

    Raises:
        ValueError: q holds a value that is no probability, rows whose sum is not 1, or other columns than counts.

    Explained in chapter 11.
    """
    gamma = torch.as_tensor(gamma, dtype=torch.float64)
    for one in gamma.flatten().tolist():
        check_gamma(one)
    counts = torch.ones(q.shape[-1]) if counts is None else torch.as_tensor(counts)
    counts = counts.double()
    if counts.shape[-1:] != q.shape[-1:]:
        raise ValueError(
            f"counts must hold one count for each of the {q.shape[-1]} columns, got {counts.long().tolist()}."
        )
    q = _probabilities(q, "q", counts)
    goal = q.log() + torch.zeros_like(gamma)
    # p / k(p) grows with p, so both searches halve an interval: p for a common factor, the factor for the sum 1.
    low, high = (torch.full((*goal.shape[:-1], 1), end, dtype=torch.float64) for end in (-5.0, 60.0))
    for _ in range(STEPS):
        middle = (low + high) / 2
        large = (_solve(goal + middle, gamma) * counts).sum(-1, keepdim=True) > 1
        low, high = torch.where(large, low, middle), torch.where(large, middle, high)
    return _solve(goal + low, gamma)


def temperature(logits, target):
    """The temperature T for which ``softmax(logits / T)`` has the lowest cross-entropy on these examples.

    Args:
        logits: shape (..., N, C); leading dimensions are searched side by side.
        target: int64 labels of shape (..., N).

    Returns:
        float64 tensor of the leading shape, between 0.05 and 20. Above 1: the network was too sure.

    Raises:
        ValueError: a logit that is not finite, no examples, or labels of another shape or outside [0, C).

    Source: Guo et al. 2017, arXiv 1706.04599. Explained in chapter 11.
    """
    if not logits.numel() or not logits.isfinite().all():
        raise ValueError(f"logits must be finite and of at least one example, got shape {tuple(logits.shape)}.")
    check_labels(target, logits.shape)
    z = logits.double()
    said = z.gather(-1, target[..., None]).squeeze(-1)
    low, high = (torch.full(z.shape[:-2], end, dtype=torch.float64) for end in (-math.log(20), math.log(20)))
    for _ in range(30):  # the slope in 1 / T only grows
        middle = (low + high) / 2
        expected = ((z * middle.exp()[..., None, None]).softmax(-1) * z).sum(-1)
        steep = (expected - said).mean(-1) > 0
        low, high = torch.where(steep, low, middle), torch.where(steep, middle, high)
    return (-(low + high) / 2).exp()


def calibration_slope(p, target, bound=10.0):
    """How steeply the labels follow the probabilities: the slope of a logistic regression of the label on logit(p).

    1 is right; below 1 the probabilities are too sure, above 1 not sure enough. With two classes p is that of class 1;
    with more, each class is asked "this one, or another?" and all answers go into one regression.

    Args:
        p: probabilities of shape (..., N, C); target: int64 labels of shape (..., N).
        bound: slopes are cut to 1 / bound and bound (separable answers have an infinite one).

    Returns:
        float64 tensor of the leading shape.

    Raises:
        ValueError: p holds a value that is no probability or rows whose sum is not 1, or is empty; labels of another
            shape or outside [0, C).
    """
    if not p.numel():
        raise ValueError("p must hold at least one example, got none.")
    p = _probabilities(p, "p")
    check_labels(target, p.shape)
    hit = torch.nn.functional.one_hot(target, p.shape[-1]).to(torch.float64)
    if p.shape[-1] == 2:
        p, hit = p[..., 1:], hit[..., 1:]
    x, y = torch.logit(p.flatten(-2), eps=1e-6), hit.flatten(-2)
    a, b = torch.zeros(x.shape[:-1], dtype=torch.float64), torch.ones(x.shape[:-1], dtype=torch.float64)
    for _ in range(8):  # Newton's method, with steps that stay small
        guess = (a[..., None] + b[..., None] * x).sigmoid()
        weight, rest = guess * (1 - guess), y - guess
        s0, s1, s2 = weight.sum(-1), (weight * x).sum(-1), (weight * x * x).sum(-1)
        r0, r1 = rest.sum(-1), (rest * x).sum(-1)
        area = (s0 * s2 - s1 * s1).clamp(min=1e-9)
        a = a + ((s2 * r0 - s1 * r1) / area).clamp(-2, 2)
        b = (b + ((s0 * r1 - s1 * r0) / area).clamp(-1, 1)).clamp(1 / bound, bound)
    return b


def check_labels(target, shape):
    """One sentence if the labels do not go with probabilities or logits of this shape, (..., N, C)."""
    if target.shape != shape[:-1]:
        raise ValueError(f"target must have shape {tuple(shape[:-1])}, got {tuple(target.shape)}.")
    wrong = target[(target < 0) | (target >= shape[-1])]
    if len(wrong):
        raise ValueError(f"target must lie in [0, {shape[-1]}), got {wrong[0].item()}.")


def _log_ratio(p, gamma):
    """log(p / k(p)), shape of p; finite except at 0, where it is -inf."""
    p = p.clamp(max=1 - 1e-15)
    left = torch.log1p(-p)
    falling = (1 - p) - gamma * torch.special.xlogy(p, p)
    return p.log() - (gamma - 1) * left - falling.log()


def _solve(logs, gamma):
    """The p between 0 and 1 with log(p / k(p)) = logs."""
    low, high = torch.zeros_like(logs), torch.ones_like(logs)
    for _ in range(STEPS):
        middle = (low + high) / 2
        large = _log_ratio(middle, gamma) > logs
        low, high = torch.where(large, low, middle), torch.where(large, middle, high)
    return (low + high) / 2


def _probabilities(p, name, counts=1.0):
    p = p.double()
    if not ((p >= 0) & (p <= 1)).all():
        wrong = p[~((p >= 0) & (p <= 1))][0].item()
        raise ValueError(f"{name} must hold probabilities, got {wrong}.")
    total = (p * counts).sum(-1)
    if ((total - 1).abs() > 1e-4).any():
        raise ValueError(f"each row of {name} must have the sum 1, got {total[(total - 1).abs() > 1e-4][0]:.4f}.")
    return p
