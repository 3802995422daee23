"""Making tensors: from numbers, from rules, and from torch's own stream of random numbers."""

import contextlib
import functools
import math
import random

from . import _numbers as N
from ._autograd import no_grad
from ._missing import not_here
from ._shape import CPU, Size
from ._shape import device as device_
from ._tensor import Tensor, _wrap, op
from ._views import sizes

_default = [N.float32]
MOST = 4_000_000  # numbers in one tensor


def get_default_dtype():
    return _default[0]


def set_default_dtype(kind):
    if kind.kind != 2:
        raise TypeError(f"only floating-point types are supported as the default type; got {kind}")
    _default[0] = kind


def _place(where):
    return CPU if where is None else where if isinstance(where, device_) else device_(where)


def kind_of(value):
    """The dtype of a Python number."""
    if isinstance(value, bool):
        return N.bool_
    return N.int64 if isinstance(value, int) else _default[0]


def _flat(value, out):
    """Put the numbers of nested lists into ``out``; returns their shape."""
    if isinstance(value, Tensor):
        out.extend(value.tolist() if value.ndim == 1 else value._v())
        return tuple(value.shape)
    if isinstance(value, (list, tuple, range)):
        shapes = [_flat(v, out) for v in value]
        for i, (v, shape) in enumerate(zip(value, shapes, strict=True)):
            if shape != shapes[0]:
                if isinstance(v, (list, tuple)) and shape and shapes[0]:
                    raise ValueError(f"expected sequence of length {shapes[0][0]} at dim 1 (got {shape[0]})")
                if shape:
                    raise TypeError("must be real number, not list" if i else "not a sequence")
                raise TypeError(f"expected a sequence of length {shapes[0][0]} at dim 1; got a number")
        return (len(value), *(shapes[0] if shapes else ()))
    if isinstance(value, (bool, int, float)):
        out.append(value)
        return ()
    if hasattr(value, "__float__") and not isinstance(value, str):
        out.append(float(value))
        return ()
    if isinstance(value, str):
        raise TypeError(f"new(): invalid data type '{type(value).__name__}'")
    raise RuntimeError(f"Could not infer dtype of {type(value).__name__}")


@op
def tensor(data, *, dtype=None, device=None, requires_grad=False):
    flat = []
    shape = _flat(data, flat)
    if dtype is None and isinstance(data, Tensor):
        dtype = data.dtype
    if dtype is None:
        kinds = {kind_of(x) for x in flat} or {_default[0]}
        dtype = max(kinds, key=lambda k: k.kind)
        held = [x.dtype for x in (data if isinstance(data, (list, tuple)) else ()) if isinstance(x, Tensor)]
        dtype = held[0] if held and len(held) == len(data) and held[0].kind == dtype.kind else dtype
    where = data.device if device is None and isinstance(data, Tensor) else _place(device)
    return _finish(_wrap(N.STORE[dtype](flat), shape, dtype, where), requires_grad)


def _finish(new, requires_grad):
    if requires_grad:
        new.requires_grad = True
    return new


@op
def as_tensor(data, dtype=None, device=None):
    if isinstance(data, Tensor):
        from ._cast import to

        return to(data, dtype=dtype, device=device)
    return tensor(data, dtype=dtype, device=device)


def full(size, fill_value, *, dtype=None, device=None, requires_grad=False, out=None, layout=None):
    if isinstance(fill_value, Tensor):
        dtype, fill_value = dtype or fill_value.dtype, fill_value.item()
    shape, kind = sizes((size,)) if not isinstance(size, int) else (size,), dtype or kind_of(fill_value)
    if any(n < 0 for n in shape):
        bad = next(n for n in shape if n < 0)
        raise RuntimeError(f"Trying to create tensor with negative dimension {bad}: {list(shape)}")
    if (most := math.prod(shape)) > MOST:
        raise MemoryError(f"a tensor of {most:,} numbers; this page holds {MOST:,} in one")
    values = N.STORE[kind]([fill_value]) * most
    return _finish(_wrap(values, shape, kind, _place(device)), requires_grad)


def zeros(*size, dtype=None, **options):
    return full(sizes(size or options.pop("size", ())), 0.0, dtype=dtype or _default[0], **options)


def ones(*size, dtype=None, **options):
    return full(sizes(size or options.pop("size", ())), 1.0, dtype=dtype or _default[0], **options)


empty = zeros


def _as(self, fill, dtype=None, device=None, requires_grad=False, memory_format=None, layout=None):
    return full(self.shape, fill, dtype=dtype or self.dtype, device=device or self.device, requires_grad=requires_grad)


@op
def zeros_like(input, **options):
    return _as(input, 0, **options)


@op
def ones_like(input, **options):
    return _as(input, 1, **options)


@op
def full_like(input, fill_value, **options):
    return _as(input, fill_value, **options)


empty_like = zeros_like


def new_zeros(self, *size, **options):
    return zeros(*size, **{"dtype": self.dtype, "device": self.device, **options})


def new_ones(self, *size, **options):
    return ones(*size, **{"dtype": self.dtype, "device": self.device, **options})


def new_full(self, size, fill_value, **options):
    return full(size, fill_value, **{"dtype": self.dtype, "device": self.device, **options})


def new_tensor(self, data, **options):
    return tensor(data, **{"dtype": self.dtype, "device": self.device, **options})


def arange(start, end=None, step=1, *, dtype=None, device=None, requires_grad=False):
    start, end = (0, start) if end is None else (start, end)
    numbers = [x.item() if isinstance(x, Tensor) else x for x in (start, end, step)]
    start, end, step = numbers
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (end - start) * step < 0:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    kind = dtype or (_default[0] if any(isinstance(x, float) for x in numbers) else N.int64)
    values = [start + i * step for i in range(math.ceil((end - start) / step))]
    return _finish(_wrap(N.STORE[kind](values), (len(values),), kind, _place(device)), requires_grad)


def linspace(start, end, steps, *, dtype=None, device=None, requires_grad=False):
    kind, step = dtype or _default[0], (end - start) / (steps - 1) if steps > 1 else 0.0
    values = [start + i * step if i < steps / 2 else end - (steps - 1 - i) * step for i in range(steps)]
    return _finish(_wrap(N.STORE[kind](values), (steps,), kind, _place(device)), requires_grad)


def logspace(start, end, steps, base=10.0, *, dtype=None, device=None, requires_grad=False):
    kind = dtype or _default[0]
    values = [base**x for x in linspace(start, end, steps, dtype=N.float64)._v()]
    return _finish(_wrap(N.STORE[kind](values), (steps,), kind, _place(device)), requires_grad)


def eye(n, m=None, *, dtype=None, device=None, requires_grad=False):
    m, kind = n if m is None else m, dtype or _default[0]
    values = N.STORE[kind]([float(i == j) for i in range(n) for j in range(m)])
    return _finish(_wrap(values, (n, m), kind, _place(device)), requires_grad)


# ---- random numbers: the same ones that torch gives for the same seed


@functools.lru_cache(100)
def _first_state(number):
    """The Mersenne twister's state for a seed: 624 numbers and a place."""
    state = [number]
    for i in range(1, 624):
        state.append((1812433253 * (state[-1] ^ state[-1] >> 30) + i) & 0xFFFFFFFF)
    return (*state, 624)


class Generator:
    """torch's stream of random numbers on the CPU: a Mersenne twister, started its way."""

    def __init__(self, device="cpu"):
        self.device, self._twister = device_(device), random.Random()
        self.manual_seed(67280421310721)

    def manual_seed(self, seed):
        self._seed, self._next = int(seed), None
        self._twister.setstate((3, _first_state(self._seed & 0xFFFFFFFF), None))
        return self

    def initial_seed(self):
        return self._seed

    def seed(self):
        return self.manual_seed(random.getrandbits(63)).initial_seed()

    def get_state(self):
        raise not_here("Generator.get_state")

    def _32(self):
        return self._twister.getrandbits(32)

    def _64(self):
        high = self._32()
        return high << 32 | self._32()

    def _uniform(self, kind):
        """A number in [0, 1), of as many bits as the dtype holds."""
        if kind is N.float64:
            return (self._64() & (1 << 53) - 1) * 2.0**-53
        bits = {N.float16: 11, N.bfloat16: 8, N.float32: 24}[kind]
        return (self._32() & (1 << bits) - 1) * 2.0**-bits

    def _normal(self):
        """One at a time, two from each pair of uniform numbers."""
        if self._next is not None:
            found, self._next = self._next, None
            return found
        u, v = self._uniform(N.float64), self._uniform(N.float64)
        radius, angle = math.sqrt(-2 * math.log1p(-v)), 2 * math.pi * u
        self._next = radius * math.sin(angle)
        return radius * math.cos(angle)

    def _normals(self, n, kind):
        if n < 16 or kind not in (N.float32, N.float64):
            return [self._normal() for _ in range(n)]
        values = [self._uniform(kind) for _ in range(n)]
        starts = list(range(0, n - 15, 16))
        for start in starts:
            _pairs(values, start)
        if n % 16:  # the last sixteen anew
            values[n - 16 :] = [self._uniform(kind) for _ in range(16)]
            _pairs(values, n - 16)
        return values


def _pairs(values, start):
    for i in range(start, start + 8):
        u, v = 1 - values[i], values[i + 8]
        radius, angle = math.sqrt(-2 * math.log(u)), 2 * math.pi * v
        values[i], values[i + 8] = radius * math.cos(angle), radius * math.sin(angle)


default_generator = Generator()


def manual_seed(seed):
    return default_generator.manual_seed(seed)


def seed():
    return default_generator.seed()


def initial_seed():
    return default_generator.initial_seed()


@contextlib.contextmanager
def fork_rng(devices=(), enabled=True):
    """What is drawn inside leaves the stream as it was."""
    one = default_generator
    kept = one._twister.getstate(), one._seed, one._next
    try:
        yield
    finally:
        if enabled:
            one._twister.setstate(kept[0])
            one._seed, one._next = kept[1:]


def _random(draw, shape, kind, options):
    generator = options.get("generator") or default_generator
    values = draw(generator, math.prod(shape))
    new = _wrap(N.STORE[kind](values), shape, kind, _place(options.get("device")))
    return _finish(new, options.get("requires_grad", False))


def rand(*size, dtype=None, **options):
    kind = dtype or _default[0]
    return _random(lambda g, n: [g._uniform(kind) for _ in range(n)], sizes(size), kind, options)


def randn(*size, dtype=None, **options):
    kind = dtype or _default[0]
    return _random(lambda g, n: g._normals(n, kind), sizes(size), kind, options)


def randint(*args, low=None, high=None, size=None, dtype=None, **options):
    args = list(args)
    size = size if size is not None else args.pop()
    high = high if high is not None else args.pop()
    low = args.pop() if args else low or 0
    if low >= high:
        raise RuntimeError(f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    width, kind = high - low, dtype or N.int64
    return _random(
        lambda g, n: [low + (g._64() if width >= 2**32 else g._32()) % width for _ in range(n)],
        sizes((size,)), kind, options,
    )  # fmt: skip


def randperm(n, *, generator=None, dtype=None, device=None):
    generator, order = generator or default_generator, list(range(n))
    for i in range(n - 1):
        j = i + generator._32() % (n - i)
        order[i], order[j] = order[j], order[i]
    return _wrap(order, (n,), dtype or N.int64, _place(device))


def rand_like(input, **options):
    return rand(*input.shape, **{"dtype": input.dtype, "device": input.device, **options})


def randn_like(input, **options):
    return randn(*input.shape, **{"dtype": input.dtype, "device": input.device, **options})


def bernoulli(input, *, generator=None):
    generator = generator or default_generator
    return input._like(N.STORE[input.dtype]([generator._uniform(N.float64) < p for p in input._v()]))


def filled(draw):
    """A method that fills its tensor anew."""

    def method(self, *args, generator=None, **kwargs):
        from ._write import write_at

        with no_grad():
            write_at(self, Size(self.shape), self._where(), draw(self, generator or default_generator, *args, **kwargs))
        return self

    return method


def _uniform(self, g, low=0.0, high=1.0):
    return self._like([low + (high - low) * g._uniform(self.dtype) for _ in range(self.numel())])


def _normal(self, g, mean=0.0, std=1.0):
    return self._like([mean + std * x for x in g._normals(self.numel(), self.dtype)])


uniform_, normal_ = filled(_uniform), filled(_normal)
