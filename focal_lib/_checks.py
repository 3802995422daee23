"""What the losses ask of their arguments. Bad input gets one sentence: what was expected, and what came."""

import math

import torch


def can_look_at(tensor):
    """Reading a value would stall CUDA and break a compiled graph; out-of-range indices are loud there anyway."""
    return not (tensor.is_cuda or tensor.is_meta or torch.compiler.is_compiling())


def check_gamma(gamma):
    if not isinstance(gamma, (int, float)):
        raise TypeError(f"gamma must be a number, got {type(gamma).__name__}.")
    if not 0 <= gamma < math.inf:
        raise ValueError(f"gamma must be a finite number >= 0, got {gamma}.")


def check_choice(value, allowed, argument="reduction"):
    if value not in allowed:
        raise ValueError(f"{argument} must be one of {', '.join(allowed)}; got {value!r}.")


def check_floating(input):
    if not input.is_floating_point():
        raise TypeError(f"input must hold floating-point logits, got {input.dtype}.")


def check_shapes(input, target):
    check_floating(input)
    if input.ndim < 2 or input.shape[1] < 2:
        raise ValueError(
            f"input must have shape (N, C) or (N, C, d1, ..., dK) with C >= 2 classes, got {tuple(input.shape)}; "
            "for one logit per example use sigmoid_focal_loss."
        )
    if target.is_floating_point():
        raise TypeError(
            f"target must hold int64 class indices, got {target.dtype}: for soft targets at least three different "
            "losses are called focal, with different minimisers, so none of them is picked silently."
        )
    if target.dtype != torch.int64:
        raise TypeError(f"target must hold int64 class indices, got {target.dtype}; convert it with target.long().")
    expected = (*input.shape[:1], *input.shape[2:])
    if target.shape != expected:
        raise ValueError(
            f"target must have shape {expected} for input of shape {tuple(input.shape)}, got {tuple(target.shape)}."
        )


def check_target_range(target, classes, ignore_index):
    """Returns False where a look at the targets has shown that none is ignored, else True."""
    if not can_look_at(target) or target.numel() == 0:
        return True
    values = torch.func.debug_unwrap(target)  # under vmap: the whole batch at once
    low, high = (extreme.item() for extreme in values.aminmax())
    if low < 0 or high >= classes:
        wrong = values[(values != ignore_index) & ((values < 0) | (values >= classes))]
        if wrong.numel():
            raise ValueError(
                f"target must lie in [0, {classes}) or be ignore_index ({ignore_index}); got {wrong[0].item()}."
            )
    return low <= ignore_index <= high


def check_alpha(alpha, classes=None, device=None):
    if not isinstance(alpha, torch.Tensor):
        why = "one scalar cannot balance classes" if isinstance(alpha, (int, float)) else "one weight per class"
        raise TypeError(f"alpha must be None or a tensor of shape (C,), got {type(alpha).__name__}: {why}.")
    if alpha.ndim != 1 or (classes is not None and len(alpha) != classes):
        raise ValueError(f"alpha must have shape ({'C' if classes is None else classes},), got {tuple(alpha.shape)}.")
    if device is not None and alpha.device != device:
        raise ValueError(f"alpha is on {alpha.device} but input is on {device}; FocalLoss(alpha).to(device) moves it.")
    if can_look_at(alpha):
        values = torch.func.debug_unwrap(alpha).flatten()  # under vmap: the whole batch at once
        # item() works inside torch.func's transforms of every release, tolist() not in 2.9.
        low, high = (extreme.item() for extreme in values.aminmax()) if len(values) else (0, 0)
        if not (low >= 0 and high < math.inf):  # so that nan is refused too
            wrong = next(a.item() for a in values if not 0 <= a.item() < math.inf)
            raise ValueError(f"alpha must hold finite weights >= 0, got {wrong}.")
