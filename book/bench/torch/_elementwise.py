"""Number by number: arithmetic, comparison and the functions of one number, with their slopes."""

import math
import operator

from . import _numbers as N
from ._make import get_default_dtype, kind_of
from ._shape import broadcast, spread
from ._tensor import Tensor, _wrap, one_device, op, recorded


def result_type(*operands):
    """The dtype that operands of a call share: tensors decide over single numbers of the same category."""
    best = [None, None, None]  # of tensors with dimensions, of those without, of Python's numbers
    for a in operands:
        level = (0 if a.shape else 1) if isinstance(a, Tensor) else 2
        kind = a.dtype if isinstance(a, Tensor) else kind_of(a)
        best[level] = kind if best[level] is None else N.promote_types(best[level], kind)
    found = best[0]
    for level in best[1:]:
        if level is not None and (found is None or level.kind > found.kind):
            found = level
    return found


def number(a, kind):
    """A Python number as a calculation in this dtype sees it."""
    if kind.kind == 2:
        return N._round_32([a])[0] if kind is not N.float64 else float(a)
    return a


def refuse(name, a):
    raise TypeError(f"{name}(): argument 'other' (position 1) must be Tensor, not {type(a).__name__}")


def flat_pair(a, b, kind):
    """Shape, device, and both operands' flat numbers in the common shape."""
    ta, tb = isinstance(a, Tensor), isinstance(b, Tensor)
    if ta and tb:
        where = a.device if a.device is b.device else one_device(a, b)
        x, y = a._v(), b._v()
        if a.dtype is not kind:
            x = N.STORE[kind](x)
        if b.dtype is not kind:
            y = N.STORE[kind](y)
        if a.shape == b.shape:
            return a.shape, where, x, y
        shape = broadcast(a.shape, b.shape)
        for index, values in ((spread(a.shape, shape), "x"), (spread(b.shape, shape), "y")):
            if index is not None and values == "x":
                x = [x[i] for i in index]
            elif index is not None:
                y = [y[i] for i in index]
        return shape, where, x, y
    if ta:
        x = a._v() if a.dtype is kind else N.STORE[kind](a._v())
        return a.shape, a.device, x, [number(b, kind)] * len(x)
    y = b._v() if b.dtype is kind else N.STORE[kind](b._v())
    return b.shape, b.device, [number(a, kind)] * len(y), y


def gathered_back(g, shape, out):
    """A gradient of the broadcast shape, summed to the smaller one."""
    index = spread(shape, out)
    if index is None:
        return g
    if shape == out[-len(shape) :]:  # a row added to every row
        n = math.prod(shape)
        return [sum(g[i::n], 0.0) for i in range(n)]
    found = [0.0] * math.prod(shape)
    for i, x in zip(index, g, strict=True):
        found[i] += x
    return found


def _numeric(a):
    return isinstance(a, (Tensor, bool, int, float))


def binary(name, label, f, slopes, saves="", kind_for=None, same_bool=True):
    """A function of two operands; ``slopes`` are two functions of (g, x, y, r)."""

    @op
    def call(input, other, *, alpha=None, out=None, rounding_mode=None):
        a, b = input, other
        if not (_numeric(a) and _numeric(b)):
            refuse(name, b if _numeric(a) else a)
        if alpha is not None and alpha != 1:
            b = b * alpha
        common = result_type(a, b)
        kind = kind_for(common) if kind_for else common
        shape, where, x, y = flat_pair(a, b, kind)
        values = list(map(f, x, y))
        if kind is not N.float64:
            values = N.STORE[kind](values)
        result = _wrap(values, shape, kind, where)
        if kind.kind != 2:
            return result
        inputs = [t for t in (a, b) if isinstance(t, Tensor)]
        if not any(t.requires_grad for t in inputs):
            return result

        def slope(g):
            return [
                gathered_back(g if s is _same else list(map(s, g, x, y, values)), t.shape, shape)
                for t, s in zip((a, b), slopes, strict=True)
                if isinstance(t, Tensor)
            ]

        keeps = [t for t, letter in ((a, "x"), (b, "y")) if letter in saves and isinstance(t, Tensor)]
        return recorded(result, label, inputs, slope, keeps + ([result] if "r" in saves else []))

    call.__name__ = name
    return call


def _floating(kind):
    return kind if kind.kind == 2 else get_default_dtype()


def _not_bool(kind):
    if kind.kind == 0:
        raise RuntimeError(
            "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or `logical_xor()` "
            "operator instead."
        )
    return kind


def _pow_slope_x(g, x, y, r):
    return 0.0 if y == 0 else g * y * N.power(x, y - 1)


def _pow_slope_y(g, x, y, r):
    return 0.0 if x == 0 and y >= 0 else g * r * N.log(x)


def _floor_div(x, y):
    if isinstance(x, int) and isinstance(y, int):
        if y == 0:
            raise RuntimeError("ZeroDivisionError")
        return x // y
    return N.div(x, y) if y == 0 else float(math.floor(x / y)) if math.isfinite(x / y) else x / y


def _no_slope(*_):
    raise RuntimeError("derivative for aten::floor_divide is not implemented")


def _remainder(x, y):
    if y == 0:
        if isinstance(x, int) and isinstance(y, int):
            raise RuntimeError("ZeroDivisionError")
        return math.nan
    return x % y if math.isfinite(x) else math.nan


def _power(x, y):
    if isinstance(x, int) and isinstance(y, int):
        if y < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        return x**y
    return N.power(x, y)


def _tie(g, x, y, r, first):
    return g / 2 if x == y else g * ((r == x) if first else (r == y))


def _same(g, *_):
    return g


add = binary("add", "Add", operator.add, (_same, _same))
sub = binary("sub", "Sub", operator.sub, (_same, lambda g, *_: -g), kind_for=_not_bool)
mul = binary(
    "mul", "Mul", operator.mul, (lambda g, x, y, r: g * y, lambda g, x, y, r: g * x), "xy"
)  # fmt: skip
true_div = binary(
    "div", "Div", N.div,
    (lambda g, x, y, r: N.div(g, y), lambda g, x, y, r: -g * N.div(N.div(x, y), y)), "xy", kind_for=_floating,
)  # fmt: skip
floor_divide = binary("floor_divide", "FloorDivide", _floor_div, (_no_slope, _no_slope))
remainder = binary("remainder", "Remainder", _remainder, (_same, lambda g, x, y, r: -g * _floor_div(x, y)), "xy")
_pow = binary("pow", "Pow", _power, (_pow_slope_x, _pow_slope_y), "xyr")
maximum = binary(
    "maximum", "Maximum", N.larger,
    (lambda g, x, y, r: _tie(g, x, y, r, True), lambda g, x, y, r: _tie(g, x, y, r, False)), "xy",
)  # fmt: skip
minimum = binary(
    "minimum", "Minimum", N.smaller,
    (lambda g, x, y, r: _tie(g, x, y, r, True), lambda g, x, y, r: _tie(g, x, y, r, False)), "xy",
)  # fmt: skip
xlogy = binary(
    "xlogy", "Xlogy", lambda x, y: y if y != y else 0.0 if x == 0 else x * N.log(y),
    (lambda g, x, y, r: 0.0 if x == 0 and y <= 0 else g * N.log(y), lambda g, x, y, r: N.div(g * x, y)), "xy",
    kind_for=_floating,
)  # fmt: skip


def div(input, other, *, rounding_mode=None):
    """As torch.div."""
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        return trunc(true_div(input, other))
    return true_div(input, other)


def pow(input, exponent):
    """As torch.pow."""
    if not isinstance(exponent, Tensor) and isinstance(input, Tensor):
        return _pow_number(input, exponent)
    return _pow(input, exponent)


_powers = {}


def _pow_number(input, y):
    """A tensor to the power of a number, whose slope knows that the number is fixed."""
    if not _numeric(y):
        raise TypeError(f"unsupported operand type(s) for ** or pow(): 'Tensor' and '{type(y).__name__}'")
    return _pow(input, y)


# ---- comparison and logic


def compare(name, f, logical=False):
    @op
    def call(input, other, *, out=None):
        a, b = input, other
        if not (_numeric(a) and _numeric(b)):
            if name in ("eq", "ne"):
                return NotImplemented
            refuse(name, b if _numeric(a) else a)
        shape, where, x, y = flat_pair(a, b, result_type(a, b))
        return _wrap([f(p, q) for p, q in zip(x, y)], shape, N.bool_, where)  # noqa: B905

    call.__name__ = name
    return call


eq, ne = compare("eq", lambda x, y: x == y), compare("ne", lambda x, y: x != y)
lt, le = compare("lt", lambda x, y: x < y), compare("le", lambda x, y: x <= y)
gt, ge = compare("gt", lambda x, y: x > y), compare("ge", lambda x, y: x >= y)
logical_and = compare("logical_and", lambda x, y: bool(x) and bool(y))
logical_or = compare("logical_or", lambda x, y: bool(x) or bool(y))
logical_xor = compare("logical_xor", lambda x, y: bool(x) != bool(y))


def bits(name, f):
    @op
    def call(input, other):
        kind = result_type(input, other)
        if kind.kind == 2:
            raise NotImplementedError(f"\"{name}_cpu\" not implemented for '{_label(kind)}'")
        shape, where, x, y = flat_pair(input, other, kind)
        return _wrap(N.STORE[kind]([f(p, q) for p, q in zip(x, y, strict=True)]), shape, kind, where)

    call.__name__ = name
    return call


def _label(kind):
    return {"float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long",
            "int32": "Int", "bool": "Bool"}.get(kind.name, kind.name)  # fmt: skip


bitwise_and = bits("bitwise_and", lambda x, y: x & y)
bitwise_or = bits("bitwise_or", lambda x, y: x | y)
bitwise_xor = bits("bitwise_xor", lambda x, y: x ^ y)


# ---- of one number


def unary(name, label, f, slope, saves="x", floats=True):
    """A function of one tensor; ``slope`` is a function of (g, x, r). ``floats``: whole numbers become floats."""

    @op
    def call(input, *, out=None):
        if not isinstance(input, Tensor):
            raise TypeError(f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}")
        kind = _floating(input.dtype) if floats else input.dtype
        x = input._v() if input.dtype.kind == 2 or not floats else [float(v) for v in input._v()]
        values = list(map(f, x))
        if kind is not N.float64:
            values = N.STORE[kind](values)
        result = _wrap(values, input.shape, kind, input.device)
        if not input.requires_grad:
            return result
        return recorded(
            result, label, (input,),
            lambda g: [list(map(slope, g, x, values))],
            [input] if saves == "x" else [result] if saves == "r" else [],
        )  # fmt: skip

    call.__name__ = name
    return call


def _sign(x):
    return x if x != x else type(x)((x > 0) - (x < 0))


def _nearest(x):
    return float(round(x)) if isinstance(x, float) and math.isfinite(x) else x


def _whole(f):
    return lambda x: float(f(x)) if isinstance(x, float) and math.isfinite(x) else x


def _none(g, x, r):
    return 0.0


exp = unary("exp", "Exp", N.exp, lambda g, x, r: g * r, "r")
exp2 = unary("exp2", "Exp2", lambda x: N.power(2.0, x), lambda g, x, r: g * r * math.log(2), "r")
expm1 = unary("expm1", "Expm1", N.expm1, lambda g, x, r: g * (r + 1), "r")
log = unary("log", "Log", N.log, lambda g, x, r: N.div(g, x))
log1p = unary("log1p", "Log1P", N.log1p, lambda g, x, r: N.div(g, x + 1))
log2 = unary("log2", "Log2", N.log2, lambda g, x, r: N.div(g, x * math.log(2)))
log10 = unary("log10", "Log10", N.log10, lambda g, x, r: N.div(g, x * math.log(10)))
sqrt = unary("sqrt", "Sqrt", N.sqrt, lambda g, x, r: N.div(g, 2 * r), "r")
rsqrt = unary("rsqrt", "Rsqrt", lambda x: N.div(1.0, N.sqrt(x)), lambda g, x, r: -0.5 * g * r**3, "r")
reciprocal = unary("reciprocal", "Reciprocal", lambda x: N.div(1.0, x), lambda g, x, r: -g * r * r, "r")
sigmoid = unary("sigmoid", "Sigmoid", N.sigmoid, lambda g, x, r: g * (1 - r) * r, "r")
tanh = unary("tanh", "Tanh", math.tanh, lambda g, x, r: g * (1 - r * r), "r")
sin = unary("sin", "Sin", N.trigonometric(math.sin), lambda g, x, r: g * N.trigonometric(math.cos)(x))
cos = unary("cos", "Cos", N.trigonometric(math.cos), lambda g, x, r: -g * N.trigonometric(math.sin)(x))
erf = unary("erf", "Erf", math.erf, lambda g, x, r: g * 2 / math.sqrt(math.pi) * N.exp(-x * x))
log_sigmoid = unary("logsigmoid", "LogSigmoid", lambda x: -N.softplus(-x), lambda g, x, r: g * N.sigmoid(-x))
softplus_ = unary("softplus", "Softplus", N.softplus, lambda g, x, r: g * N.sigmoid(x))
neg = unary("neg", "Neg", lambda x: -x, lambda g, x, r: -g, "", False)
abs_ = unary("abs", "Abs", abs, lambda g, x, r: g * _sign(x), floats=False)
logit = unary(
    "logit",
    "Logit",
    lambda x: N.log(N.div(x, 1 - x)),
    # At 0 and 1 the slope is infinite, whatever the sign of that 0: as torch has it.
    lambda g, x, r: math.nan if not 0 <= x <= 1 else g * math.inf if x in (0, 1) else N.div(g, x * (1 - x)),
)
square = unary("square", "Pow", lambda x: x * x, lambda g, x, r: 2 * g * x, floats=False)
relu = unary("relu", "Relu", lambda x: x if x > 0 or x != x else type(x)(0), lambda g, x, r: g * (r > 0), "r", False)
sign = unary("sign", "Sign", _sign, _none, "", False)
floor, ceil = (unary(n, n.title(), _whole(getattr(math, n)), _none, "", False) for n in ("floor", "ceil"))
round_, trunc = (
    unary("round", "Round", _nearest, _none, "", False),
    unary("trunc", "Trunc", _whole(math.trunc), _none, "", False),
)


def _flag(name, f):
    @op
    def call(input):
        return _wrap([f(x) for x in input._v()], input.shape, N.bool_, input.device)

    call.__name__ = name
    return call


isfinite, isinf, isnan = _flag("isfinite", math.isfinite), _flag("isinf", math.isinf), _flag("isnan", math.isnan)
isneginf, isposinf = _flag("isneginf", lambda x: x == -math.inf), _flag("isposinf", lambda x: x == math.inf)
logical_not = _flag("logical_not", lambda x: not x)


@op
def bitwise_not(input):
    if input.dtype.kind == 2:
        raise NotImplementedError(f"\"bitwise_not_cpu\" not implemented for '{_label(input.dtype)}'")
    return input._like([(not x) if input.dtype.kind == 0 else ~x for x in input._v()])
