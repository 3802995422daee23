"""torch.autograd: gradients of what was computed."""

import types

from ._autograd import (
    Function,
    backward,
    enable_grad,
    grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    once_differentiable,
    set_grad_enabled,
)  # fmt: skip
from ._missing import not_here
from ._tensor import Tensor

Variable = lambda tensor, requires_grad=False: tensor.requires_grad_() if requires_grad else tensor  # noqa: E731
forward_ad = types.SimpleNamespace(unpack_dual=lambda tensor: types.SimpleNamespace(tangent=None))
function = types.SimpleNamespace(Function=Function, once_differentiable=once_differentiable)


def gradcheck(*_, **__):
    raise not_here("torch.autograd.gradcheck")


__all__ = [
    "Function", "Tensor", "Variable", "backward", "enable_grad", "forward_ad", "grad", "gradcheck", "inference_mode",
    "is_grad_enabled", "no_grad", "set_grad_enabled",
]  # fmt: skip
