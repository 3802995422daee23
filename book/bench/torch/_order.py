"""The same numbers in another order: flips, repeats, sorting."""

import builtins

from . import _numbers as N
from ._index import gather, index_select
from ._make import tensor
from ._missing import not_here
from ._reduce import lanes, several
from ._shape import dense, dim_of, positions
from ._tensor import Tensor, _wrap, op, recorded
from ._views import sizes


def _rearranged(self, where, shape, label):
    x = self._v()

    def back(g):
        found = [0.0] * len(x)
        for i, v in zip(where, g, strict=True):
            found[i] += v
        return [found]

    return recorded(_wrap([x[i] for i in where], shape, self.dtype, self.device), label, (self,), back)


@op
def flip(self, *dims):
    dims = [dim_of(d, self.ndim) for d in sizes(dims)]
    steps = dense(tuple(self.shape))
    start = sum((self.shape[d] - 1) * steps[d] for d in dims)
    strides = tuple(-s if d in dims else s for d, s in enumerate(steps))
    return _rearranged(self, positions(tuple(self.shape), strides, start), self.shape, "Flip")


@op
def roll(self, shifts, dims=None):
    if dims is None:
        return roll(self.reshape(-1), shifts, 0).reshape(self.shape)
    if isinstance(dims, int):
        dims = (dims,)
        shifts = (shifts,) if isinstance(shifts, int) else shifts
    out = self
    for shift, dim in zip(shifts, dims, strict=True):
        dim = dim_of(dim, self.ndim)
        n = self.shape[dim]
        out = index_select(out, dim, tensor([(i - shift) % n for i in range(n)]))
    return out


@op
def repeat(self, *times):
    times = sizes(times)
    if len(times) < self.ndim:
        raise RuntimeError("Number of dimensions of repeat dims can not be smaller than number of dimensions of tensor")
    shape = (1,) * (len(times) - self.ndim) + tuple(self.shape)
    steps = (0,) * (len(times) - self.ndim) + dense(tuple(self.shape))
    out = tuple(n * k for n, k in zip(shape, times, strict=True))
    where = [0]
    for n, k, s in zip(shape, times, steps, strict=True):
        where = [w + i % max(n, 1) * s for w in where for i in range(n * k)]
    return _rearranged(self, where, out, "Repeat")


def tile(self, *dims):
    dims = sizes(dims)
    return repeat(self, *(1,) * (self.ndim - len(dims)), *dims)


@op
def repeat_interleave(input, repeats, dim=None):
    base, d = (input.reshape(-1), 0) if dim is None else (input, dim)
    counts = repeats.tolist() if isinstance(repeats, Tensor) else repeats
    n = base.shape[d]
    counts = [counts] * n if isinstance(counts, int) else counts
    return index_select(base, d, tensor([i for i, c in enumerate(counts) for _ in range(c)], dtype=N.int64))


@op
def tril(input, diagonal=0):
    return _corner(input, lambda i, j: j - i <= diagonal)


@op
def triu(input, diagonal=0):
    return _corner(input, lambda i, j: j - i >= diagonal)


def _corner(input, keeps):
    n, m = input.shape[-2:]
    return input * tensor([[int(keeps(i, j)) for j in range(m)] for i in range(n)]).to(input.dtype)


_Sorted, _Top = several("sort", "values", "indices"), several("topk", "values", "indices")


def _ranked(self, dim, descending, k=None):
    dim = dim_of(dim, self.ndim)
    x, order = self._v(), []
    for lane in lanes(self.shape, dim):
        key = (lambda i, lane=lane: (x[lane[i]] == x[lane[i]], -x[lane[i]])) if descending else (
            lambda i, lane=lane: (x[lane[i]] != x[lane[i]], x[lane[i]]))  # fmt: skip
        order.append(sorted(range(len(lane)), key=key)[:k])
    n = len(order[0])
    rest = [m for d, m in enumerate(self.shape) if d != dim]
    index = _wrap([i for row in order for i in row], (*rest, n), N.int64, self.device).movedim(-1, dim)
    index = index.contiguous() if self.ndim else index.reshape(())
    return gather(self, dim, index) if self.ndim else self, index


@op
def sort(input, dim=-1, descending=False, stable=False):
    return _Sorted(*_ranked(input, dim, descending))


@op
def argsort(input, dim=-1, descending=False, stable=False):
    return _ranked(input, dim, descending)[1]


@op
def topk(input, k, dim=-1, largest=True, sorted=True):
    if k > input.shape[dim]:
        raise RuntimeError("selected index k out of range")
    return _Top(*_ranked(input, dim, largest, k))


@op
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    if dim is not None:
        raise not_here("torch.unique(dim=...)")
    x = input._v()
    found = list(dict.fromkeys(x)) if not sorted else builtins.sorted(set(x))
    out = [_wrap(found, (len(found),), input.dtype)]
    if return_inverse:
        out.append(_wrap([found.index(v) for v in x], input.shape, N.int64))
    if return_counts:
        out.append(_wrap([x.count(v) for v in found], (len(found),), N.int64))
    return out[0] if len(out) == 1 else tuple(out)
