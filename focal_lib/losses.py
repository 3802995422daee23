"""The focal loss, written so that it is right: the formula first, then the three public names.

    FL(p_t) = -alpha_t (1 - p_t)^gamma log p_t        (Lin et al. 2017, arXiv 1708.02002, equation 5)

p_t is the probability the model gives to the true class. Chapter 04 builds this file line by line.
"""

from __future__ import annotations  # the book is built without torch, where Tensor is no type

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from . import _checks, _fused

__all__ = ["FocalLoss", "focal_loss", "sigmoid_focal_loss"]


def plain_focal_loss(input, target, alpha, gamma, ignore_index, reduction):
    """The formula above, line by line: what :func:`focal_loss` computes once its arguments are checked."""
    input = input.to(torch.promote_types(input.dtype, torch.float32))
    ce = F.cross_entropy(input, target, reduction="none", ignore_index=ignore_index)  # -log p_t
    # Once p_t rounds to 1, ce is exactly 0, and for gamma < 1 the derivative of 0**gamma is infinite: inf * 0 = nan.
    # The floor lies below every non-zero ce, so it changes no value and gives a zero gradient instead.
    one_minus_pt = -torch.expm1(-ce.clamp_min(torch.finfo(ce.dtype).eps ** 2))
    loss = one_minus_pt**gamma * ce
    kept = target != ignore_index
    weight = None
    if alpha is not None:
        weight = alpha.to(loss.dtype)[target.where(kept, 0)] * kept
        loss = weight * loss

    if reduction == "none":
        return loss
    if reduction == "sum":
        return loss.sum()
    total = kept.sum() if reduction == "mean" or weight is None else weight.sum()
    return loss.sum() / total.where(total > 0, 1)


def focal_loss(
    input: Tensor,
    target: Tensor,
    alpha: Tensor | None = None,
    gamma: float = 2.0,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    """Multiclass focal loss on logits.

    Args:
        input: logits, shape ``(N, C)`` or ``(N, C, d1, ..., dK)``, any floating dtype, C at least 2.
            Log-probabilities may be passed too, because log_softmax leaves them as they are.
        target: int64 class indices in ``[0, C)`` or ``ignore_index``, shape ``(N)`` or ``(N, d1, ..., dK)``.
        alpha: None, or a tensor of shape ``(C,)``: one non-negative weight per class.
        gamma: focusing parameter, a finite number >= 0. At 0 this is cross-entropy.
        ignore_index: targets with this value count neither in the sum nor in the mean.
        reduction: ``"none"`` (the target's shape, 0 where ignored), ``"sum"``, ``"mean"`` (the sum over the
            number of targets not ignored) or ``"weighted_mean"`` (the sum over the sum of their alphas,
            as ``F.cross_entropy(weight=alpha)`` divides).

    Returns:
        A tensor in float64 for float64 input, else in float32: half precision is computed in float32.
        With no target left to count, the mean is 0 (``F.cross_entropy`` returns nan there).

    Raises:
        TypeError: soft or non-int64 targets, an alpha that is not a tensor, a non-numeric gamma.
        ValueError: shapes that do not fit, a target out of range, a negative or non-finite alpha or gamma, an
            unknown reduction. The values of CUDA tensors, and of all tensors under ``torch.compile``, are left
            to the device's own checks, because looking at them would stall it.

    Source: Lin et al. 2017, equation 5. Explained in chapters 02 (gamma), 03 (alpha) and 04 (the code).
    """
    _checks.check_gamma(gamma)
    _checks.check_choice(reduction, ("none", "sum", "mean", "weighted_mean"))
    _checks.check_shapes(input, target)
    some_ignored = _checks.check_target_range(target, input.shape[1], ignore_index)
    if alpha is not None:
        _checks.check_alpha(alpha, input.shape[1], input.device)

    call = _fused.Call(input, target, alpha, gamma, ignore_index, reduction)
    if path := _fused.path(call):  # the same numbers, faster
        return _fused.focal_loss(path, call, plain_focal_loss, some_ignored)
    return plain_focal_loss(*call)


class FocalLoss(nn.Module):
    """:func:`focal_loss` as a module. Arguments, shapes and errors are the function's.

    ``alpha`` is a buffer: it follows ``.to(device)`` and is saved in the state dict.

    >>> FocalLoss(alpha=torch.tensor([1.0, 4.0]))(torch.tensor([[2.0, -1.0]]), torch.tensor([1]))
    tensor(11.0651)
    """

    def __init__(
        self, alpha: Tensor | None = None, gamma: float = 2.0, *, ignore_index: int = -100, reduction: str = "mean"
    ):
        super().__init__()
        _checks.check_gamma(gamma)
        _checks.check_choice(reduction, ("none", "sum", "mean", "weighted_mean"))
        if alpha is not None:
            _checks.check_alpha(alpha)
            alpha = alpha.detach().clone()
        self.register_buffer("alpha", alpha)
        self.gamma = gamma
        self.ignore_index = ignore_index
        self.reduction = reduction

    def forward(self, input: Tensor, target: Tensor) -> Tensor:
        return focal_loss(
            input, target, self.alpha, self.gamma, ignore_index=self.ignore_index, reduction=self.reduction
        )

    def extra_repr(self):
        alpha = None if self.alpha is None else f"tensor of shape {tuple(self.alpha.shape)}"
        return f"alpha={alpha}, gamma={self.gamma}, ignore_index={self.ignore_index}, reduction={self.reduction!r}"


def sigmoid_focal_loss(
    input: Tensor, target: Tensor, alpha: float | None = 0.25, gamma: float = 2.0, reduction: str = "mean"
) -> Tensor:
    """Binary or multilabel focal loss: every logit is a yes/no question of its own.

    Args:
        input: logits, any shape, any floating dtype.
        target: same shape; 0 or 1 (any dtype), or soft floating targets in [0, 1].
        alpha: weight of the positives; the negatives get ``1 - alpha``. None: no weights.
        gamma: focusing parameter, a finite number >= 0.
        reduction: ``"none"``, ``"sum"`` or ``"mean"`` (over all elements).

    Returns:
        A tensor in float64 for float64 input, else in float32.

    Raises:
        TypeError, ValueError: as :func:`focal_loss`; also for an alpha or a target outside [0, 1].

    Source: Lin et al. 2017, section 3 and its detection experiments. Explained in chapter 09.
    """
    _checks.check_gamma(gamma)
    _checks.check_choice(reduction, ("none", "sum", "mean"))
    if alpha is not None and not (isinstance(alpha, (int, float)) and 0 <= alpha <= 1):
        raise ValueError(f"alpha must be None or a number in [0, 1], the weight of the positives; got {alpha!r}.")
    _checks.check_floating(input)
    if target.shape != input.shape:
        raise ValueError(f"target must have input's shape {tuple(input.shape)}; got {tuple(target.shape)}.")
    if _checks.can_look_at(target) and not ((target >= 0) & (target <= 1)).all():
        raise ValueError(f"target must lie in [0, 1]; its values run from {target.min()} to {target.max()}.")

    input = input.to(torch.promote_types(input.dtype, torch.float32))
    target = target.to(input.dtype)
    ce = F.binary_cross_entropy_with_logits(input, target, reduction="none")
    p = input.sigmoid()
    one_minus_pt = 1 - (p * target + (1 - p) * (1 - target))
    # Where p_t rounds to 1, step around 0**gamma: its derivative is infinite for gamma < 1.
    certain = one_minus_pt == 0
    modulator = one_minus_pt.masked_fill(certain, 1) ** gamma
    loss = ce * (modulator.masked_fill(certain, 0) if gamma > 0 else modulator)
    if alpha is not None:
        loss = (alpha * target + (1 - alpha) * (1 - target)) * loss
    return loss if reduction == "none" else loss.sum() if reduction == "sum" else loss.mean()
