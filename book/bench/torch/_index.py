"""Picking numbers and putting them together: where, gather, scatter, masks, cat, sorting."""

import math

from . import _numbers as N
from ._elementwise import result_type
from ._make import tensor
from ._missing import not_here
from ._shape import Size, broadcast, dense, dim_of, positions, spread
from ._tensor import Tensor, _wrap, one_device, op, recorded
from ._views import expand, getitem, unsqueeze


def _back(g, on, t, shape):
    """The gradient of those places of the common shape that came from t."""
    index, found = spread(t.shape, shape), [0.0] * t.numel()
    for i, (x, mine) in enumerate(zip(g, on, strict=True)):
        if mine:
            found[i if index is None else index[i]] += x
    return found


@op
def where(condition, input=None, other=None):
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if not isinstance(condition, Tensor) or condition.dtype.kind:
        got = f"{condition.dtype}" if isinstance(condition, Tensor) else type(condition).__name__
        raise RuntimeError(f"where expected condition to be a boolean tensor, but got a tensor with dtype {got}")
    kind = result_type(input, other)
    tensors = [t for t in (condition, input, other) if isinstance(t, Tensor)]
    shape = Size()
    for t in tensors:
        shape = broadcast(shape, t.shape)
    columns = []
    for t in (condition, input, other):
        if isinstance(t, Tensor):
            index, values = spread(t.shape, shape), t._v()
            columns.append(values if index is None else [values[i] for i in index])
        else:
            columns.append([t] * math.prod(shape))
    on = columns[0]
    values = N.STORE[kind]([x if c else y for c, x, y in zip(*columns, strict=True)])
    inputs = [t for t in (input, other) if isinstance(t, Tensor)]

    def back(g):
        sides = [(input, on), (other, [not c for c in on])]
        return [_back(g, mine, t, shape) for t, mine in sides if isinstance(t, Tensor)]

    return recorded(_wrap(values, shape, kind, one_device(*tensors)), "Where", inputs, back)


def where_method(self, condition, other):
    return where(condition, self, other)


@op
def masked_fill(self, mask, value):
    if mask.dtype.kind:
        raise RuntimeError("masked_fill_ only supports boolean masks, but got mask with dtype " + _c_name(mask.dtype))
    shape = broadcast(self.shape, mask.shape)
    if self.dtype.kind != 2 and isinstance(value, float) and value != int(value if math.isfinite(value) else 0):
        raise RuntimeError(f"value cannot be converted to type int64_t without overflow: {value}")
    fill = value.to(self.dtype) if isinstance(value, Tensor) else tensor(value, dtype=self.dtype, device=self.device)
    if fill.ndim:
        raise RuntimeError(
            f"masked_fill only supports a 0-dimensional value tensor, but got tensor with {fill.ndim} dimension(s)."
        )
    one_device(mask, self)
    return where(expand(mask, shape), fill, expand(self, shape))


def _c_name(kind):
    return {"int64": "long long", "float32": "float"}.get(kind.name, kind.name)


@op
def masked_select(input, mask):
    shape = broadcast(input.shape, mask.shape)
    return getitem(expand(input, shape), expand(mask, shape))


@op
def nonzero(input, *, as_tuple=False):
    on = [i for i, x in enumerate(input._v()) if x]
    columns = [[i // s % n for i in on] for s, n in zip(dense(tuple(input.shape)), input.shape, strict=True)]
    if as_tuple:
        return tuple(_wrap(c, (len(on),), N.int64) for c in columns)
    return _wrap([i for row in zip(*columns, strict=True) for i in row], (len(on), input.ndim), N.int64)


def argwhere(input):
    return nonzero(input)


def clamped(self, low, high):
    x = self._v()
    values = [v if v != v else _least(high, _most(low, v)) for v in x]
    kind = result_type(self, *(b for b in (low, high) if b is not None))
    inside = [v == v and (low is None or v >= low) and (high is None or v <= high) for v in x]
    result = _wrap(N.STORE[kind](values), self.shape, kind, self.device)
    return recorded(
        result, "Clamp", (self,), lambda g: [[a if b else 0.0 for a, b in zip(g, inside, strict=True)]], [self]
    )


def _most(low, v):
    return v if low is None or v >= low else low


def _least(high, v):
    return v if high is None or v <= high else high


@op
def clamp(self, min=None, max=None):
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if isinstance(min, Tensor) or isinstance(max, Tensor):
        from ._elementwise import maximum, minimum

        out = (
            self
            if min is None
            else maximum(self, tensor(min, dtype=self.dtype) if not isinstance(min, Tensor) else min)
        )
        return (
            out if max is None else minimum(out, tensor(max, dtype=self.dtype) if not isinstance(max, Tensor) else max)
        )
    from ._elementwise import number

    kind = result_type(self, *(b for b in (min, max) if b is not None))
    base = self if self.dtype is kind else self.to(kind)
    return clamped(base, *(None if b is None else number(b, kind) for b in (min, max)))


def clamp_min(self, min):
    return clamp(self, min=min)


def clamp_max(self, max):
    return clamp(self, max=max)


@op
def nan_to_num(input, nan=0.0, posinf=None, neginf=None):
    if input.dtype.kind != 2:
        return input
    limits = N.finfo(input.dtype)
    high, low = limits.max if posinf is None else posinf, limits.min if neginf is None else neginf
    x = input._v()
    values = [nan if v != v else high if v == math.inf else low if v == -math.inf else v for v in x]
    return recorded(
        input._like(N.STORE[input.dtype](values)), "NanToNum", (input,),
        lambda g: [[a if math.isfinite(v) else 0.0 for a, v in zip(g, x, strict=True)]],
    )  # fmt: skip


# ---- gather and scatter


def _index_of(self, dim, index, name):
    """Where each number of ``index`` points to in the dense self."""
    if index.dtype not in (N.int64, N.int32):
        raise RuntimeError(
            f"{name}(): Expected dtype int64 for index"
            if name == "gather"
            else f"{name}(): Expected dtype int32/int64 for index"
        )
    if index.ndim != max(self.ndim, 0) and self.ndim:
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as input tensor"
            if name == "gather"
            else "Index tensor must have the same number of dimensions as self tensor"
        )
    steps = dense(tuple(self.shape))
    for d, (n, m) in enumerate(zip(index.shape, self.shape, strict=True)):
        if d != dim and n > m:
            raise RuntimeError(
                f"Size does not match at dimension {d} expected index {list(index.shape)} to be no larger than self "
                f"{list(self.shape)} apart from dimension {dim}"
            )
    at = positions(tuple(index.shape), tuple(0 if d == dim else s for d, s in enumerate(steps)))
    n = self.shape[dim] if self.shape else 1
    for i in index._v():
        if not 0 <= i < n:
            raise RuntimeError(f"index {i} is out of bounds for dimension {dim} with size {n}")
    step = steps[dim] if self.shape else 0
    return [a + i * step for a, i in zip(at, index._v(), strict=True)]


@op
def gather(input, dim, index, *, sparse_grad=False):
    dim = dim_of(dim, input.ndim)
    at, x = _index_of(input, dim, index, "gather"), input._v()

    def back(g):
        found = [0.0] * len(x)
        for i, v in zip(at, g, strict=True):
            found[i] += v
        return [found]

    result = _wrap([x[i] for i in at], index.shape, input.dtype, input.device)
    return recorded(result, "Gather", (input,), back, [])


def take_along_dim(input, indices, dim=None):
    if dim is None:
        return gather(input.flatten(), 0, indices.flatten())
    dim = dim_of(dim, input.ndim)
    shape = [indices.shape[d] if d == dim else max(input.shape[d], indices.shape[d]) for d in range(input.ndim)]
    whole = [input.shape[d] if d == dim else n for d, n in enumerate(shape)]
    return gather(expand(input, whole), dim, expand(indices, shape))


def _scatter(self, dim, index, src, add):
    dim = dim_of(dim, self.ndim)
    at = _index_of(self, dim, index, "scatter")
    given = isinstance(src, Tensor)
    if given and src.dtype is not self.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    seen = positions(tuple(index.shape), dense(tuple(src.shape))) if given else None
    new = N.STORE[self.dtype]([src] * len(at)) if not given else [src._v()[i] for i in seen]
    values = list(self._v())
    for i, x in zip(at, new, strict=True):
        values[i] = values[i] + x if add else x
    written = set(at)

    def back(g):
        found = [g if add else [0.0 if i in written else x for i, x in enumerate(g)]]
        if given:
            if src.shape != index.shape:
                raise RuntimeError(
                    f"Function {'ScatterAdd' if add else 'Scatter'}Backward0 returned an invalid gradient at index 1 - "
                    f"got {list(index.shape)} but expected shape compatible with {list(src.shape)}"
                )
            mine = [0.0] * src.numel()
            for i, k in zip(at, seen, strict=True):
                mine[k] = g[i]
            found.append(mine)
        return found

    return recorded(self._like(N.STORE[self.dtype](values)), "Scatter", (self, src) if given else (self,), back)


@op
def scatter(self, dim, index, src=None, *, value=None, reduce=None):
    if reduce is not None:
        raise not_here("scatter(reduce=...)")
    return _scatter(self, dim, index, value if src is None else src, False)


@op
def scatter_add(self, dim, index, src):
    return _scatter(self, dim, index, src, True)


@op
def index_select(input, dim, index):
    return getitem(input, (*[slice(None)] * dim_of(dim, input.ndim), index))


def take(input, index):
    return getitem(input.reshape(-1), index)


@op
def bincount(input, weights=None, minlength=0):
    values = input._v()
    if input.dtype.kind == 2:
        label = "Double" if input.dtype is N.float64 else "Float"
        raise NotImplementedError(f"\"bincount_cpu\" not implemented for '{label}'")
    if input.ndim != 1 or (values and min(values) < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    counts = [0 if weights is None else 0.0] * max(minlength, max(values, default=-1) + 1)
    for i, w in zip(values, weights._v() if weights is not None else [1] * len(values), strict=True):
        counts[i] += w
    return _wrap(counts, (len(counts),), N.int64 if weights is None else N.float64)


@op
def one_hot(tensor, num_classes=-1):
    if tensor.dtype is not N.int64:
        raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
    values = tensor._v()
    if num_classes == -1:
        tensor.is_meta and tensor.item()
        num_classes = max(values) + 1
    if values and min(values) < 0:
        raise RuntimeError("Class values must be non-negative.")
    if values and max(values) >= num_classes and not tensor.is_meta:
        raise RuntimeError("Class values must be smaller than num_classes.")
    flat = [int(i == k) for i in values for k in range(num_classes)]
    return _wrap(flat, (*tensor.shape, num_classes), N.int64, tensor.device)


# ---- putting together


@op
def cat(tensors, dim=0):
    tensors = [t for t in tensors if t.shape != (0,)] or list(tensors)[:1]
    if not tensors:
        raise RuntimeError("torch.cat(): expected a non-empty list of Tensors")
    first = tensors[0]
    if not first.ndim:
        raise RuntimeError("zero-dimensional tensor (at position 0) cannot be concatenated")
    dim = dim_of(dim, first.ndim)
    for k, t in enumerate(tensors):
        if t.ndim != first.ndim:
            raise RuntimeError(f"Tensors must have same number of dimensions: got {first.ndim} and {t.ndim}")
        for d in range(first.ndim):
            if d != dim and t.shape[d] != first.shape[d]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {first.shape[d]} but got "
                    f"size {t.shape[d]} for tensor number {k} in the list."
                )
    kind = result_type(*tensors)
    n = math.prod(first.shape[:dim])
    parts = [N.STORE[kind](t._v()) if t.dtype is not kind else t._v() for t in tensors]
    widths = [t.numel() // n if n else 0 for t in tensors]
    values = [x for i in range(n) for p, w in zip(parts, widths, strict=True) for x in p[i * w : (i + 1) * w]]
    shape = (*first.shape[:dim], sum(t.shape[dim] for t in tensors), *first.shape[dim + 1 :])

    def back(g):
        found, whole = [], sum(widths)
        for k, w in enumerate(widths):
            start = sum(widths[:k])
            found.append([x for i in range(n) for x in g[i * whole + start : i * whole + start + w]])
        return found

    return recorded(_wrap(values, shape, kind, one_device(*tensors)), "Cat", tensors, back)


concat = concatenate = cat


@op
def stack(tensors, dim=0):
    tensors = list(tensors)
    if not tensors:
        raise RuntimeError("stack expects a non-empty TensorList")
    for k, t in enumerate(tensors):
        if t.shape != tensors[0].shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(tensors[0].shape)} at entry 0 and "
                f"{list(t.shape)} at entry {k}"
            )
    return cat([unsqueeze(t, dim) for t in tensors], dim)
