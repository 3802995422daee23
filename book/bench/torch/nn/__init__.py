"""torch.nn: modules and losses."""

import sys
import types

from . import functional
from .layers import (
    GELU,
    BCELoss,
    BCEWithLogitsLoss,
    CrossEntropyLoss,
    Dropout,
    Flatten,
    Identity,
    KLDivLoss,
    L1Loss,
    Linear,
    LogSigmoid,
    LogSoftmax,
    ModuleDict,
    ModuleList,
    MSELoss,
    NLLLoss,
    ReLU,
    Sequential,
    Sigmoid,
    SiLU,
    Softmax,
    Tanh,
    _Loss,
    _WeightedLoss,
)  # fmt: skip
from .modules import Module, Parameter

__all__ = [
    "GELU", "BCELoss", "BCEWithLogitsLoss", "CrossEntropyLoss", "Dropout", "Flatten", "Identity", "KLDivLoss", "L1Loss",
    "Linear", "LogSigmoid", "LogSoftmax", "MSELoss", "Module", "ModuleDict", "ModuleList", "NLLLoss", "Parameter",
    "ReLU", "Sequential", "SiLU", "Sigmoid", "Softmax", "Tanh", "functional",
]  # fmt: skip

for _name in ("loss", "parameter", "module"):  # where copied code imports some names from
    _module = types.ModuleType(f"torch.nn.modules.{_name}")
    _module.__dict__.update(_Loss=_Loss, _WeightedLoss=_WeightedLoss, Module=Module, Parameter=Parameter)
    sys.modules[_module.__name__] = _module
sys.modules["torch.nn.parameter"] = sys.modules["torch.nn.modules.parameter"]


def __getattr__(name):
    from .._absent import absent
    from .._missing import COLAB

    if absent("torch.nn", name):
        raise AttributeError(f"torch.nn.{name}: {COLAB}")
    raise AttributeError(f"module 'torch.nn' has no attribute '{name}'")
