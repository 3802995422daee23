"""From many numbers to fewer: sums, means, extremes, softmax and products of matrices."""

import collections
import math

from . import _numbers as N
from ._elementwise import abs_, result_type
from ._elementwise import pow as power
from ._missing import not_here
from ._shape import Size, dense, dim_of, positions
from ._tensor import Tensor, _wrap, op, recorded


def lanes(shape, dim):
    """The places of the numbers that lie along a dimension, one list for each of the others."""
    if not shape:
        return [[0]]
    n, step = shape[dim], dense(tuple(shape))[dim]
    rest = [d for d in range(len(shape)) if d != dim]
    strides = dense(tuple(shape))
    starts = positions(tuple(shape[d] for d in rest), tuple(strides[d] for d in rest))
    return [range(start, start + n * step, step) for start in starts]


def groups(self, dim, keepdim):
    """For a reduction over ``dim`` (None, a number or several): the places of each result, and its shape."""
    if dim is None or dim == ():
        return [range(self.numel())], Size((1,) * self.ndim if keepdim else ())
    dims = [dim_of(d, self.ndim) for d in ([dim] if isinstance(dim, int) else dim)]
    if len(set(dims)) < len(dims):
        raise RuntimeError(f"dim {dims[0]} appears multiple times in the list of dims")
    kept = [d for d in range(self.ndim) if d not in dims]
    shape = Size(
        (1 if d in dims else n for d, n in enumerate(self.shape)) if keepdim else (self.shape[d] for d in kept)
    )
    if len(dims) == 1:
        return lanes(self.shape, dims[0]), shape
    steps = dense(tuple(self.shape))
    starts = positions(tuple(self.shape[d] for d in kept), tuple(steps[d] for d in kept))
    inside = positions(tuple(self.shape[d] for d in dims), tuple(steps[d] for d in dims))
    return [[s + i for i in inside] for s in starts], shape


def _total(values):
    total = 0.0
    for x in values:
        total += x
    return total


def reduction(name, label, f, slope, saves="", whole=False):
    """``f`` of a list; ``slope`` of (g, its numbers, the result) gives a list. ``whole``: integers stay integers."""

    @op
    def call(input, dim=None, keepdim=False, *, dtype=None, axis=None, out=None):
        dim = axis if axis is not None else dim
        if dtype is not None:
            input = input.to(dtype)
        kind = input.dtype
        if kind.kind != 2 and not whole:
            raise RuntimeError(
                f"{name}(): could not infer output dtype. Input dtype must be either a floating point or complex "
                f"dtype. Got: {_label(kind)}"
            )
        kind = N.int64 if kind.kind != 2 else kind
        where, shape = groups(input, dim, keepdim)
        x = input._v()
        values = [f([x[i] for i in lane]) for lane in where] if dim is not None else [f(x)]
        values = N.STORE[kind](values) if kind is not N.float64 else values
        result = _wrap(values, shape, kind, input.device)

        def back(g):
            found = [0.0] * len(x)
            for lane, h, r in zip(where, g, values, strict=True):
                for i, s in zip(lane, slope(h, [x[i] for i in lane], r), strict=True):
                    found[i] = s
            return [found]

        return recorded(result, label, (input,), back, [input] if saves else [])

    call.__name__ = name
    return call


def _label(kind):
    return {"int64": "Long", "bool": "Bool", "int32": "Int", "uint8": "Byte"}.get(kind.name, kind.name)


def _mean_of(x):
    return _total(x) / len(x) if x else math.nan


def _prod_slope(g, x, r):
    return [g * math.prod(x[:i] + x[i + 1 :]) for i in range(len(x))]


def _ints(f):
    return lambda x: f(x) if x and isinstance(x[0], float) else int(sum(x))


sum_ = reduction("sum", "Sum", _ints(_total), lambda g, x, r: [g] * len(x), whole=True)
mean = reduction("mean", "Mean", _mean_of, lambda g, x, r: [g / len(x)] * len(x))
prod = reduction("prod", "Prod", math.prod, _prod_slope, "x", whole=True)


def _nan_total(x):
    return _total([v for v in x if v == v])


nansum = reduction("nansum", "Nansum", _ints(_nan_total), lambda g, x, r: [g if v == v else 0.0 for v in x], whole=True)
_lse = reduction("logsumexp", "Logsumexp", lambda x: _logsumexp(x), lambda g, x, r: [g * N.exp(v - r) for v in x], "x")


def _logsumexp(x):
    top = max(x)
    return top + N.log(_total([N.exp(v - top) for v in x])) if math.isfinite(top) else top


def logsumexp(input, dim, keepdim=False):
    return _lse(input if input.dtype.kind == 2 else input.float(), dim, keepdim)


def _spread_of(name, label, f, slope):
    @op
    def call(input, dim=None, unbiased=True, keepdim=False, *, correction=None):
        if input.dtype.kind != 2:
            raise RuntimeError("std and var only support floating point and complex dtypes")
        less = int(unbiased) if correction is None else correction

        def back(g, x, r):
            center, n = _mean_of(x), len(x) - less
            return [slope(g, v - center, n, r) for v in x]

        def value(x):
            center = _mean_of(x)
            return f(N.div(_total([(v - center) ** 2 for v in x]), float(len(x) - less)) if len(x) > less else math.nan)

        return reduction(name, label, value, back, "x")(input, dim, keepdim)

    call.__name__ = name
    return call


var = _spread_of("var", "Var", lambda x: x, lambda g, off, n, r: N.div(2 * g * off, float(n)))
std = _spread_of("std", "Std", N.sqrt, lambda g, off, n, r: 0.0 if r == 0 else N.div(g * off, n * r))


def norm(input, p=2, dim=None, keepdim=False, dtype=None):
    if p == "fro":
        p = 2
    if p == math.inf:
        return amax(abs_(input), dim, keepdim)
    return power(sum_(power(abs_(input), p), dim, keepdim), 1 / p)


# ---- extremes


def _first(values, better):
    """Index of the best number; of the first nan where there is one."""
    best = 0
    for i, x in enumerate(values):
        if x != x:
            return i
        if better(x, values[best]):
            best = i
    return best


def several(name, *fields):
    """The kind of tuple that a function with several results returns."""

    def text(self):
        return f"torch.return_types.{name}(" + ",".join(f"\n{k}={v!r}" for k, v in self._asdict().items()) + ")"

    return type(name, (collections.namedtuple(name, fields),), {"__repr__": text, "__slots__": ()})


def extreme(name, label, better):
    Result = several(name, "values", "indices")

    @op
    def along(input, dim, keepdim=False):
        where, shape = groups(input, dim, keepdim)
        x = input._v()
        if where and not len(where[0]):
            raise IndexError(f"{name}(): Expected reduction dim {dim} to have non-zero size.")
        picked = [_first([x[i] for i in lane], better) for lane in where]
        places = [lane[i] for lane, i in zip(where, picked, strict=True)]
        values = _wrap([x[i] for i in places], shape, input.dtype, input.device)
        values = recorded(values, label, (input,), lambda g: [_put(g, places, len(x))])
        return Result(values, _wrap(picked, shape, N.int64, input.device))

    @op
    def shared(input, dim=(), keepdim=False):
        """amax and amin: the gradient is shared among equals."""
        where, shape = groups(input, dim, keepdim)
        x = input._v()
        if not input.numel():
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim "
                "with the 'dim' argument."
            )
        values = [x[lane[_first([x[i] for i in lane], better)]] for lane in where]

        def back(g):
            found = [0.0] * len(x)
            for lane, h, r in zip(where, g, values, strict=True):
                equal = [i for i in lane if x[i] == r]
                for i in equal:
                    found[i] = h / len(equal)
            return [found]

        return recorded(_wrap(values, shape, input.dtype, input.device), label, (input,), back, [input])

    @op
    def call(input, dim=None, keepdim=False, other=None):
        from ._elementwise import maximum, minimum

        if isinstance(dim, Tensor) or other is not None:
            return (maximum if name == "max" else minimum)(input, dim if other is None else other)
        return shared(input) if dim is None else along(input, dim, keepdim)

    @op
    def arg(input, dim=None, keepdim=False):
        if input.dtype is N.bool_:
            raise RuntimeError(f"arg{name}(): does not support bool input")
        where, shape = groups(input, dim, keepdim)
        x = input._v()
        return _wrap([_first([x[i] for i in lane], better) for lane in where], shape, N.int64, input.device)

    call.__name__, shared.__name__, arg.__name__ = name, "a" + name, "arg" + name
    return call, shared, arg


def _put(g, places, n):
    found = [0.0] * n
    for i, x in zip(places, g, strict=True):
        found[i] += x
    return found


max_, amax, argmax = extreme("max", "Max", lambda a, b: a > b)
min_, amin, argmin = extreme("min", "Min", lambda a, b: a < b)
_Extremes = several("aminmax", "min", "max")


@op
def aminmax(input, *, dim=None, keepdim=False):
    dim = () if dim is None else dim
    return _Extremes(amin(input, dim, keepdim), amax(input, dim, keepdim))


def _test(name, f):
    @op
    def call(input, dim=None, keepdim=False):
        where, shape = groups(input, dim, keepdim)
        x = input._v()
        return _wrap([f(bool(x[i]) for i in lane) for lane in where], shape, N.bool_, input.device)

    call.__name__ = name
    return call


any_, all_ = _test("any", any), _test("all", all)


@op
def count_nonzero(input, dim=None):
    where, shape = groups(input, dim, False)
    x = input._v()
    return _wrap([sum(x[i] != 0 for i in lane) for lane in where], shape, N.int64, input.device)


def median(*args, **kwargs):
    raise not_here("torch.median")


# ---- along a dimension, one result for each number


def along(name, label, f, slope, saves="r"):
    @op
    def call(input, dim=None, dtype=None):
        if dim is None:
            dim = 0 if input.ndim in (0, 1, 3) else 1
        dim = dim_of(dim, input.ndim)
        if dtype is not None:
            input = input.to(dtype)
        if input.dtype.kind != 2 and name != "cumsum":
            raise NotImplementedError(f"\"{name}_lastdim_kernel_impl\" not implemented for '{_label(input.dtype)}'")
        kind = N.int64 if input.dtype.kind != 2 else input.dtype
        x, where = input._v(), lanes(input.shape, dim)
        values = [0.0] * len(x)
        for lane in where:
            for i, r in zip(lane, f([x[i] for i in lane]), strict=True):
                values[i] = r
        values = N.STORE[kind](values) if kind is not N.float64 else values
        result = _wrap(values, input.shape, kind, input.device)

        def back(g):
            found = [0.0] * len(x)
            for lane in where:
                for i, s in zip(lane, slope([g[i] for i in lane], [values[i] for i in lane]), strict=True):
                    found[i] = s
            return [found]

        return recorded(result, label, (input,), back, [result] if saves else [])

    call.__name__ = name
    return call


def _softmax(x):
    top = max(x) if x else 0.0
    e = [N.exp(v - top) for v in x]
    total = _total(e)
    return [N.div(v, total) for v in e]


def _log_softmax(x):
    top = max(x) if x else 0.0
    total = N.log(_total([N.exp(v - top) for v in x]))
    return [v - top - total for v in x]


def _softmax_slope(g, r):
    inner = _total([a * b for a, b in zip(g, r, strict=True)])
    return [(a - inner) * b for a, b in zip(g, r, strict=True)]


def _log_softmax_slope(g, r):
    total = _total(g)
    return [a - N.exp(b) * total for a, b in zip(g, r, strict=True)]


def _running(x):
    total, out = 0, []
    for v in x:
        total += v
        out.append(total)
    return out


softmax = along("softmax", "Softmax", _softmax, _softmax_slope)
log_softmax = along("log_softmax", "LogSoftmax", _log_softmax, _log_softmax_slope)
cumsum = along("cumsum", "Cumsum", _running, lambda g, r: _running(g[::-1])[::-1], "")


# ---- comparison of whole tensors


@op
def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{_c(input.dtype)} did not match {_c(other.dtype)}")
    if input.is_meta:
        input.item()
    return bool(all_(isclose(input, other, rtol, atol, equal_nan)))


def _c(kind):
    return {"float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16"}.get(
        kind.name, _label(kind)
    )


@op
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    from ._elementwise import flat_pair

    shape, where, x, y = flat_pair(input, other, result_type(input, other))
    close = [
        a == b or (abs(a - b) <= atol + rtol * abs(b) and math.isfinite(b)) or (equal_nan and a != a and b != b)
        for a, b in zip(x, y, strict=True)
    ]
    return _wrap(close, shape, N.bool_, where)


@op
def equal(input, other):
    if input.is_meta or other.is_meta:
        raise NotImplementedError("aten::equal: attempted to run this operator with Meta tensors")
    return input.shape == other.shape and all(a == b for a, b in zip(input._v(), other._v(), strict=True))
