"""Numbers as torch keeps them: dtypes, their rounding, how they mix, and float functions that never raise."""

import math
import struct
from array import array


class dtype:
    """A dtype. Two of them are the same only if they are one object."""

    def __init__(self, name, kind, itemsize, rank):
        self.name, self.kind, self.itemsize, self.rank = name, kind, itemsize, rank
        self.is_floating_point, self.is_complex, self.is_signed = kind == 2, False, name not in ("uint8", "bool")

    def __repr__(self):
        return f"torch.{self.name}"

    def __reduce__(self):
        return self.name

    def __deepcopy__(self, memo):
        return self


# kind: 0 bool, 1 integer, 2 floating; within a kind, the larger rank wins.
bool_ = dtype("bool", 0, 1, 0)
uint8, int8 = dtype("uint8", 1, 1, 0), dtype("int8", 1, 1, 1)
int16, int32, int64 = dtype("int16", 1, 2, 2), dtype("int32", 1, 4, 3), dtype("int64", 1, 8, 4)
float16, bfloat16 = dtype("float16", 2, 2, 0), dtype("bfloat16", 2, 2, 0)
float32, float64 = dtype("float32", 2, 4, 1), dtype("float64", 2, 8, 2)
NAMES = {
    "CharTensor": int8, "LongTensor": int64, "IntTensor": int32, "FloatTensor": float32, "DoubleTensor": float64,
    "HalfTensor": float16, "BoolTensor": bool_, "ByteTensor": uint8, "ShortTensor": int16,
}  # fmt: skip


def promote_types(a, b):
    """The dtype that holds both."""
    if a is b:
        return a
    if a.kind != b.kind:
        return a if a.kind > b.kind else b
    if {a, b} == {float16, bfloat16}:
        return float32
    if {a, b} == {uint8, int8}:
        return int16
    return a if a.rank > b.rank else b


def _round_32(values):
    return array("f", values).tolist()


def _half(x):
    try:
        return struct.unpack("e", struct.pack("e", x))[0]
    except OverflowError:
        return math.copysign(math.inf, x)


def _brain(x):
    if x != x:
        return x
    (bits,) = struct.unpack("I", struct.pack("f", x))
    return struct.unpack("f", struct.pack("I", (bits + 0x7FFF + (bits >> 16 & 1)) & 0xFFFF0000))[0]


def _round_16(values):
    return [_half(x) for x in _round_32(values)]


def _round_brain(values):
    return [_brain(x) for x in _round_32(values)]


def _wrap(bits, signed):
    def wrapped(values):
        low, size = (-(2 ** (bits - 1)) if signed else 0), 2**bits
        return [(_whole(x) - low) % size + low for x in values]

    return wrapped


def _whole(x):
    return int(x) if not isinstance(x, float) or math.isfinite(x) else -(2**63)


STORE = {
    bool_: lambda values: [x != 0 for x in values],
    uint8: _wrap(8, False), int8: _wrap(8, True), int16: _wrap(16, True), int32: _wrap(32, True),
    int64: _wrap(64, True),
    float16: _round_16, bfloat16: _round_brain, float32: _round_32,
    float64: lambda values: [float(x) for x in values],
}  # fmt: skip


def rounded(values, kind):
    """The floats of a list as a floating dtype keeps them."""
    return values if kind is float64 else STORE[kind](values)


class finfo:
    """Limits of a floating dtype."""

    def __init__(self, kind=float32):
        mantissa, top = {float16: (10, 15), bfloat16: (7, 127), float32: (23, 127), float64: (52, 1023)}[kind]
        self.bits, self.dtype = kind.itemsize * 8, kind.name
        self.eps, self.tiny = 2.0**-mantissa, 2.0 ** (1 - top)
        self.max = (2 - self.eps) * 2.0**top
        self.min, self.smallest_normal, self.resolution = -self.max, self.tiny, 10.0 ** -int(mantissa * math.log10(2))


class iinfo:
    """Limits of an integer dtype."""

    def __init__(self, kind):
        self.bits, self.dtype = kind.itemsize * 8, kind.name
        self.min = 0 if kind is uint8 else -(2 ** (self.bits - 1))
        self.max = 2**self.bits - 1 if kind is uint8 else 2 ** (self.bits - 1) - 1


# Python's math raises where floating-point numbers have an answer.


def exp(x):
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


def expm1(x):
    try:
        return math.expm1(x)
    except OverflowError:
        return math.inf


def log(x):
    return math.log(x) if x > 0 else -math.inf if x == 0 else math.nan


def log1p(x):
    return math.log1p(x) if x > -1 else -math.inf if x == -1 else math.nan


def log2(x):
    return math.log2(x) if x > 0 else -math.inf if x == 0 else math.nan


def log10(x):
    return math.log10(x) if x > 0 else -math.inf if x == 0 else math.nan


def sqrt(x):
    return math.sqrt(x) if x >= 0 else math.nan


def div(x, y):
    try:
        return x / y
    except ZeroDivisionError:
        return math.nan if x == 0 or x != x else math.copysign(math.inf, x) * math.copysign(1.0, y)


def power(x, y):
    try:
        return math.pow(x, y)
    except OverflowError:
        return -math.inf if x < 0 and y % 2 == 1 else math.inf
    except ValueError:
        if x == 0:  # to a negative power
            return math.copysign(math.inf, x) if y % 2 == 1 else math.inf
        return math.nan


def sigmoid(x):
    return 1 / (1 + math.exp(-x)) if x >= 0 else (e := math.exp(x)) / (1 + e) if x == x else x


def softplus(x):
    """log(1 + e^x), without overflow."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x))) if x == x else x


def larger(x, y):
    """The larger one; nan if one is."""
    return x if x >= y or x != x else y


def smaller(x, y):
    return x if x <= y or x != x else y


def trigonometric(f):
    def safe(x):
        try:
            return f(x)
        except ValueError:
            return math.nan
        except OverflowError:
            return math.copysign(math.inf, x)

    return safe
