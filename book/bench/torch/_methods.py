"""The methods and operators of a tensor: the functions of the other files, by their names there."""

from . import _cast
from . import _elementwise as E
from . import _index as I
from . import _make as M
from . import _matrix as X
from . import _order as O
from . import _reduce as R
from . import _views as V
from ._tensor import Tensor
from ._write import in_place

FUNCTIONS = {  # functions of torch that are methods of tensors too
    **{name: getattr(E, name) for name in (
        "add", "sub", "mul", "div", "true_divide", "floor_divide", "remainder", "pow", "maximum", "minimum", "xlogy",
        "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or", "logical_xor", "logical_not", "bitwise_and",
        "bitwise_or", "bitwise_xor", "bitwise_not", "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sqrt",
        "rsqrt", "reciprocal", "sigmoid", "tanh", "sin", "cos", "erf", "neg", "square", "relu", "sign", "floor",
        "ceil", "trunc", "isfinite", "isinf", "isnan", "isneginf", "isposinf") if hasattr(E, name)},
    "abs": E.abs_, "absolute": E.abs_, "round": E.round_, "negative": E.neg, "subtract": E.sub, "multiply": E.mul,
    "divide": E.div, "true_divide": E.true_div, "greater": E.gt, "less": E.lt, "special_expit": E.sigmoid,
    **{name: getattr(R, name) for name in (
        "mean", "prod", "nansum", "var", "std", "norm", "logsumexp", "amax", "amin", "aminmax", "argmax", "argmin",
        "count_nonzero", "softmax", "log_softmax", "cumsum", "allclose", "isclose", "equal", "median")},
    "matmul": X.matmul, "dot": X.dot, "outer": X.outer,
    "sum": R.sum_, "max": R.max_, "min": R.min_, "any": R.any_, "all": R.all_, "mm": X.matmul,
    "bmm": X.matmul, "mv": X.matmul,
    **{name: getattr(I, name) for name in (
        "masked_fill", "masked_select", "nonzero", "argwhere", "clamp", "clamp_min", "clamp_max", "nan_to_num",
        "gather", "take_along_dim", "scatter", "scatter_add", "index_select", "take", "bincount")},
    **{name: getattr(O, name) for name in (
        "flip", "roll", "tile", "repeat_interleave", "tril", "triu", "sort", "argsort", "topk", "unique")},
    "clip": I.clamp,
    **{name: getattr(V, name) for name in (
        "reshape", "clone", "permute", "movedim", "transpose", "t", "unsqueeze", "squeeze", "flatten", "select",
        "narrow", "unbind", "chunk", "split", "diagonal")},
    "swapaxes": V.transpose, "moveaxis": V.movedim,
    **{name: getattr(M, name) for name in ("bernoulli",)},
}  # fmt: skip
METHODS = {
    **FUNCTIONS,
    **_cast.CASTS,
    "to": _cast.to, "type_as": _cast.type_as, "type": _cast.type_, "cpu": _cast.cpu, "cuda": _cast.cuda,
    "where": I.where_method, "repeat": O.repeat, "view": V.view_, "contiguous": V.contiguous, "expand": V.expand,
    "expand_as": V.expand_as, "new_zeros": M.new_zeros, "new_ones": M.new_ones, "new_full": M.new_full,
    "new_tensor": M.new_tensor, "uniform_": M.uniform_, "normal_": M.normal_,
}  # fmt: skip


def _logit(input, eps=None):
    return E.logit(input if eps is None else I.clamp(input, eps, 1 - eps))


def view_as(self, other):
    return V.view_(self, other.shape)


def reshape_as(self, other):
    return V.reshape(self, other.shape)


def fill_(self, value):
    V.setitem(self, ..., value)
    return self


def copy_(self, other, non_blocking=False):
    V.setitem(self, ..., other.to(self.dtype))
    return self


def zero_(self):
    return fill_(self, 0)


def sum_to_size(self, *size):
    size = V.sizes(size)
    out = self
    while out.ndim > len(size):
        out = R.sum_(out, 0)
    for d, n in enumerate(size):
        if n == 1 and out.shape[d] != 1:
            out = R.sum_(out, d, True)
    return V.expand(out, size)


FUNCTIONS |= {"logit": _logit}
METHODS |= {
    "logit": _logit, "view_as": view_as, "reshape_as": reshape_as, "fill_": fill_, "copy_": copy_, "zero_": zero_,
    "sum_to_size": sum_to_size, "item_": None,
}  # fmt: skip
IN_PLACE = (
    "add", "sub", "mul", "div", "pow", "exp", "log", "sqrt", "sigmoid", "tanh", "neg", "abs", "relu", "clamp",
    "clamp_min", "clamp_max", "clip", "masked_fill", "scatter", "scatter_add", "round", "floor", "reciprocal",
    "log1p", "expm1", "square", "logical_not", "eq", "nan_to_num",
)  # fmt: skip


def _reversed(function):
    return lambda self, other: function(other, self)


def _operator(function):
    """An operator gives way where the other operand is no number."""

    def call(self, other):
        if not isinstance(other, (Tensor, bool, int, float)):
            return NotImplemented
        return function(self, other)

    call.__name__ = function.__name__
    return call


def attach():
    for name, function in METHODS.items():
        if function is not None:
            setattr(Tensor, name, function)
    for name in IN_PLACE:
        setattr(Tensor, name + "_", in_place(METHODS[name]))
    pairs = {
        "add": E.add, "sub": E.sub, "mul": E.mul, "truediv": E.true_div, "floordiv": E.floor_divide,
        "mod": E.remainder, "pow": E.pow, "and": E.bitwise_and, "or": E.bitwise_or, "xor": E.bitwise_xor,
    }  # fmt: skip
    for name, function in pairs.items():
        setattr(Tensor, f"__{name}__", _operator(function))
        setattr(Tensor, f"__r{name}__", _operator(_reversed(function)))
        setattr(Tensor, f"__i{name}__", in_place(function))
    for name in ("eq", "ne", "lt", "le", "gt", "ge"):
        setattr(Tensor, f"__{name}__", _operator(getattr(E, name)))
    Tensor.__matmul__ = X.matmul
    Tensor.__neg__, Tensor.__abs__, Tensor.__invert__ = E.neg, E.abs_, E.bitwise_not
    Tensor.__pos__ = lambda self: self
    Tensor.__getitem__, Tensor.__setitem__ = V.getitem, V.setitem
    Tensor.T = property(lambda self: V.permute(self, list(range(self.ndim))[::-1]))
    Tensor.mT = property(lambda self: V.transpose(self, -2, -1))
