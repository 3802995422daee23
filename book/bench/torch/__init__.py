"""A small torch in pure Python, for the pages that judge a reader's loss: what losses use, with torch's names.

Numbers are rounded as torch rounds them, so that its verdicts are those of real torch; tests/test_small_torch.py holds
the two together. What it lacks says so by name.
"""

# ruff: noqa: F401 (every name here is for others)
import builtins
import types

from . import _absent, _autograd, _elementwise, _index, _make, _methods, _missing, _numbers, _reduce, _shape
from ._autograd import enable_grad, inference_mode, is_grad_enabled, no_grad, set_grad_enabled
from ._index import cat, concat, concatenate, stack, where
from ._make import (
    Generator,
    arange,
    as_tensor,
    empty,
    empty_like,
    eye,
    full,
    full_like,
    get_default_dtype,
    initial_seed,
    linspace,
    logspace,
    manual_seed,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    seed,
    set_default_dtype,
    tensor,
    zeros,
    zeros_like,
)  # fmt: skip
from ._matrix import einsum
from ._numbers import bfloat16, finfo, float16, float32, float64, iinfo, int8, int16, int32, int64, promote_types, uint8
from ._print import set_printoptions
from ._shape import Size, device
from ._tensor import Tensor
from ._views import expand

_methods.attach()
globals().update(_methods.FUNCTIONS)
__version__ = "2.13.0+page"
half, double, long, short, strided = float16, float64, int64, int16, Tensor.layout
preserve_format = contiguous_format = "torch.preserve_format"
dtype, NotOnThisPage = _numbers.dtype, _missing.NotOnThisPage
pi, e, inf, nan, newaxis = 3.141592653589793, 2.718281828459045, builtins.float("inf"), builtins.float("nan"), None


def result_type(a, b):
    """The dtype of a calculation with both."""
    return _elementwise.result_type(a, b)


def numel(input):
    """How many numbers a tensor holds."""
    return input.numel()


def is_tensor(obj):
    """Whether it is a tensor."""
    return isinstance(obj, Tensor)


def is_floating_point(input):
    """Whether a tensor holds floats."""
    return input.is_floating_point()


def broadcast_shapes(*shapes):
    """The common shape."""
    out = Size()
    for shape in shapes:
        out = _shape.broadcast(out, Size(shape))
    return out


def broadcast_tensors(*tensors):
    """Tensors, each expanded to the common shape."""
    shape = broadcast_shapes(*(t.shape for t in tensors))
    return tuple(expand(t, shape) for t in tensors)


def broadcast_to(input, size):
    """A tensor, expanded to this shape."""
    return expand(input, size)


def get_num_threads():
    """One: the page has no other."""
    return 1


def set_num_threads(_):
    """Nothing to set."""


def _legacy(kind):
    """The old constructors, such as ``torch.FloatTensor([1, 2])``."""

    def make(*data):
        return (
            tensor(data[0], dtype=kind) if data and not isinstance(data[0], builtins.int) else zeros(*data, dtype=kind)
        )

    make.kind_made = kind
    return make


globals().update({name: _legacy(kind) for name, kind in _numbers.NAMES.items()})


class autocast:
    """Mixed precision is for devices that this page has not; off, it is nothing."""

    def __init__(self, *_, enabled=True, **__):
        if enabled:
            raise _missing.not_here("torch.autocast")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return False

    def __call__(self, function):
        return function


cuda = types.SimpleNamespace(
    is_available=lambda: False,
    device_count=lambda: 0,
    FloatTensor=None,
    empty_cache=lambda: None,
    synchronize=lambda *_: None,
)
backends = types.SimpleNamespace(mps=types.SimpleNamespace(is_available=lambda: False))
compiler = types.SimpleNamespace(is_compiling=lambda: False)
func = types.SimpleNamespace(debug_unwrap=lambda tensor: tensor)
# What the library asks before it takes a faster path: here it should not.
_C = types.SimpleNamespace(_are_functorch_transforms_active=lambda: True)
jit = types.SimpleNamespace(is_tracing=lambda: False, ignore=lambda f: f, export=lambda f: f, unused=lambda f: f)
testing = types.SimpleNamespace()
random = types.SimpleNamespace(fork_rng=_make.fork_rng, manual_seed=manual_seed, initial_seed=initial_seed)

from . import autograd, nn, optim  # noqa: E402 (they need the names above)
from .nn.functional import (  # noqa: E402
    binary_cross_entropy_with_logits,
    cosine_similarity,
    logsigmoid,
)  # fmt: skip

softmax_of, bool = _reduce.softmax, _numbers.bool_  # from here on, torch's bool
float, int = float32, int32


def __getattr__(name):
    if _absent.absent("torch", name):
        raise AttributeError(f"torch.{name}: {_missing.COLAB}")
    raise AttributeError(f"module 'torch' has no attribute '{name}'")


_ = (_index, _make, _autograd, autograd, nn, optim, binary_cross_entropy_with_logits, cosine_similarity, logsigmoid)
