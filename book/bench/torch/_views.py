"""Other looks at the same numbers: reshaping, moving axes, slicing; and writing through them."""

import math

from ._missing import not_here
from ._numbers import rounded
from ._shape import Size, dense, dim_of, positions
from ._tensor import Tensor, _wrap, op, recorded, view


def looked(base, look, name):
    """A view in the graph. ``look`` maps (shape, strides, offset) of the base to those of the view."""
    out = view(base, *look(base.shape, base._strides, base._offset))
    if not base.requires_grad:
        return out
    shape, seen = base.shape, out.shape

    def slope(g):
        if math.prod(seen) == math.prod(shape) and seen and name in ("View", "Unsqueeze", "Squeeze"):
            return [g]
        found = [0.0] * math.prod(shape)
        new_shape, strides, offset = look(shape, dense(shape), 0)
        for i, x in zip(positions(tuple(new_shape), tuple(strides), offset), g, strict=True):
            found[i] += x
        return [found]

    return recorded(out, name, (base,), slope)


def sizes(args):
    """A shape, given as numbers or as one list."""
    if len(args) == 1 and isinstance(args[0], (list, tuple)):
        args = args[0]
    return tuple(int(n) for n in args)


def _filled_in(shape, numel):
    if shape.count(-1) > 1:
        raise RuntimeError("only one dimension can be inferred")
    known = math.prod(n for n in shape if n != -1)
    fits = known and numel % known == 0 if -1 in shape else known == numel
    if not fits:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return tuple(numel // known if n == -1 else n for n in shape)


def _dense_look(shape):
    return lambda _, __, offset: (shape, dense(shape), offset)


@op
def reshape(self, *shape):
    shape = _filled_in(sizes(shape), self.numel())
    base = self if self._dense else contiguous(self)
    return looked(base, _dense_look(shape), "View")


@op
def view_(self, *shape):
    if len(shape) == 1 and type(shape[0]).__name__ == "dtype":
        raise not_here("Tensor.view(dtype)")
    shape = _filled_in(sizes(shape), self.numel())
    if not self._dense:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one dimension spans across two "
            "contiguous subspaces). Use .reshape(...) instead."
        )
    return looked(self, _dense_look(shape), "View")


@op
def contiguous(self, memory_format=None):
    return self if self._dense else clone(self)


@op
def clone(self, *, memory_format=None):
    return recorded(self._like(list(self._v())), "Clone", (self,), lambda g: [g])


@op
def permute(self, *dims):
    dims = [dim_of(d, self.ndim) for d in sizes(dims)]
    if len(dims) != self.ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the length of the desired "
            f"ordering of dimensions i.e. input.dim() = {self.ndim} is not equal to len(dims) = {len(dims)}"
        )
    return looked(self, lambda s, t, o: ([s[d] for d in dims], [t[d] for d in dims], o), "Permute")


@op
def movedim(self, source, destination):
    sources = [source] if isinstance(source, int) else list(source)
    places = [destination] if isinstance(destination, int) else list(destination)
    sources, places = [dim_of(d, self.ndim) for d in sources], [dim_of(d, self.ndim) for d in places]
    rest = iter(d for d in range(self.ndim) if d not in sources)
    return permute(self, [sources[places.index(i)] if i in places else next(rest) for i in range(self.ndim)])


@op
def transpose(self, dim0, dim1):
    order = list(range(self.ndim))
    if order:
        a, b = dim_of(dim0, self.ndim), dim_of(dim1, self.ndim)
        order[a], order[b] = order[b], order[a]
    return permute(self, order)


@op
def t(self):
    if self.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {self.ndim}D")
    return transpose(self, 0, 1) if self.ndim == 2 else self


@op
def unsqueeze(self, dim):
    dim = dim_of(dim, self.ndim + 1)

    def look(shape, strides, offset):
        step = shape[dim] * strides[dim] if dim < len(shape) else 1
        return (*shape[:dim], 1, *shape[dim:]), (*strides[:dim], step, *strides[dim:]), offset

    return looked(self, look, "Unsqueeze")


@op
def squeeze(self, dim=None):
    dims = range(self.ndim) if dim is None else [dim_of(d, self.ndim) for d in ([dim] if isinstance(dim, int) else dim)]
    kept = [i for i, n in enumerate(self.shape) if n != 1 or i not in dims]
    return looked(self, lambda s, t, o: ([s[i] for i in kept], [t[i] for i in kept], o), "Squeeze")


@op
def flatten(self, start_dim=0, end_dim=-1):
    if not self.shape:
        return reshape(self, 1)
    a, b = dim_of(start_dim, self.ndim), dim_of(end_dim, self.ndim)
    return reshape(self, *self.shape[:a], math.prod(self.shape[a : b + 1]), *self.shape[b + 1 :])


@op
def expand(self, *shape):
    wanted = sizes(shape)
    extra = len(wanted) - self.ndim
    if extra < 0:
        raise RuntimeError(
            f"expand(torch.FloatTensor{{{list(self.shape)}}}, size={list(wanted)}): the number of sizes provided "
            f"({len(wanted)}) must be greater or equal to the number of dimensions in the tensor ({self.ndim})"
        )
    shape = [self.shape[i - extra] if n == -1 else n for i, n in enumerate(wanted)]
    for i, n in enumerate(self.shape):
        if n not in (1, shape[i + extra]):
            raise RuntimeError(
                f"The expanded size of the tensor ({shape[i + extra]}) must match the existing size ({n}) at "
                f"non-singleton dimension {i + extra}.  Target sizes: {list(wanted)}.  Tensor sizes: {list(self.shape)}"
            )

    def look(old, strides, offset):
        steps = [
            0 if n == 1 and shape[i + extra] != 1 else s for i, (n, s) in enumerate(zip(old, strides, strict=True))
        ]
        return shape, [0] * extra + steps, offset

    return looked(self, look, "Expand")


def expand_as(self, other):
    return expand(self, other.shape)


@op
def select(self, dim, index):
    dim = dim_of(dim, self.ndim)
    n = self.shape[dim]
    if not -n <= index < n:
        raise IndexError(f"index {index} is out of bounds for dimension {dim} with size {n}")
    index %= n
    return looked(self, lambda s, t, o: (_without(s, dim), _without(t, dim), o + index * t[dim]), "Select")


def _without(values, dim):
    return (*values[:dim], *values[dim + 1 :])


def slice_(self, dim, cut):
    if cut.step is not None and cut.step < 1:
        raise ValueError("step must be greater than zero")
    start, stop, step = cut.indices(self.shape[dim])
    n = len(range(start, stop, step))

    def look(shape, strides, offset):
        return (*shape[:dim], n, *shape[dim + 1 :]), (*strides[:dim], strides[dim] * step, *strides[dim + 1 :]), (
            offset + start * strides[dim] if n else offset)  # fmt: skip

    return looked(self, look, "Slice")


@op
def narrow(self, dim, start, length):
    return slice_(self, dim_of(dim, self.ndim), slice(int(start), int(start) + length))


@op
def unbind(self, dim=0):
    return tuple(select(self, dim, i) for i in range(self.shape[dim_of(dim, self.ndim)]))


@op
def chunk(self, chunks, dim=0):
    n = self.shape[dim_of(dim, self.ndim)]
    return split(self, max(1, -(-n // chunks)), dim)


@op
def split(self, split_size, dim=0):
    dim = dim_of(dim, self.ndim)
    n = self.shape[dim]
    lengths = [min(split_size, n - i) for i in range(0, n, split_size)] if isinstance(split_size, int) else split_size
    starts = [sum(lengths[:i]) for i in range(len(lengths))]
    return tuple(narrow(self, dim, start, length) for start, length in zip(starts, lengths, strict=True))


@op
def diagonal(self, offset=0, dim1=0, dim2=1):
    if offset or (dim1, dim2) != (0, 1) or self.ndim != 2:
        raise not_here("diagonal of anything but a matrix")
    n = min(self.shape)
    return looked(self, lambda s, t, o: ([n], [sum(t)], o), "Diagonal")


# ---- indexing


def _basic(self, key):
    """Apply what needs no copy of the key; the rest is [(dimension, index tensor)]."""
    key = key if isinstance(key, tuple) else (key,)
    used = sum(
        1 if not isinstance(k, Tensor) or k.dtype.kind else k.ndim
        for k in key
        if k is not None and k is not ... and not isinstance(k, bool)
    )
    if used == 1 and not self.ndim and isinstance(key[0], slice):
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    if used == 1 and not self.ndim and isinstance(key[0], int):
        raise IndexError(
            f"index {key[0]} is out of bounds for dimension 0 with size 0"
            if key[0]
            else "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to "
            "convert a 0-dim tensor to a number"
        )
    if used > self.ndim:
        raise IndexError(f"too many indices for tensor of dimension {self.ndim}")
    filled = []
    for k in key:
        filled += [slice(None)] * (self.ndim - used) if k is ... else [k]
    out, dim, indices = self, 0, []
    for k in filled:
        if k is None:
            out, dim = unsqueeze(out, dim), dim + 1
        elif isinstance(k, bool):
            raise not_here("indexing with a bool")
        elif isinstance(k, slice):
            whole = k == slice(None)
            if not all(x is None or hasattr(x, "__index__") for x in (k.start, k.stop, k.step)):
                raise TypeError("slice indices must be integers or None or have an __index__ method")
            cut = slice(*(None if x is None else int(x) for x in (k.start, k.stop, k.step)))
            out, dim = (out if whole else slice_(out, dim, cut)), dim + 1
        elif isinstance(k, (list, range)) or (isinstance(k, Tensor) and (k.ndim or not k.dtype.kind)):
            from ._make import tensor

            k = k if isinstance(k, Tensor) else tensor(list(k))
            if k.dtype.kind == 2 and k.numel():
                raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
            if k.dtype.kind == 0:
                found = _masked(out, dim, k)
                indices += [(dim + i, f) for i, f in enumerate(found)]
                dim += k.ndim
            else:
                indices.append((dim, k))
                dim += 1
        elif hasattr(k, "__index__"):
            out = _picked(out, dim, k.__index__())
        elif isinstance(k, str):
            raise TypeError("new(): invalid data type 'str'")
        else:
            raise IndexError(
                "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices "
                f"(got {type(k).__name__})"
            )
    return out, indices


def _picked(self, dim, i):
    if not self.shape:
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in C++ to convert a "
            "0-dim tensor to a number"
        )
    return select(self, dim, i)


def _masked(self, dim, mask):
    """A mask as index tensors, one for each of its dimensions."""
    for i, n in enumerate(mask.shape):
        if n != self.shape[dim + i]:
            raise IndexError(
                f"The shape of the mask {list(mask.shape)} at index {i} does not match the shape of the indexed tensor "
                f"{list(self.shape)} at index {dim + i}"
            )
    if mask.is_meta:
        raise NotImplementedError("indexing by a mask on the meta device")
    from ._numbers import int64

    true = [i for i, on in enumerate(mask._v()) if on]
    steps = dense(tuple(mask.shape))
    return [_wrap([i // s % n for i in true], (len(true),), int64) for s, n in zip(steps, mask.shape, strict=True)]


def _gathered(self, indices):
    """Shape of self[indices], and where each of its numbers lies in the dense self."""
    from ._shape import broadcast, spread

    common = Size()
    for _, k in indices:
        try:
            common = broadcast(common, k.shape)
        except RuntimeError:
            shapes = ", ".join(str(list(k.shape)) for _, k in indices)
            raise IndexError(
                f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
            ) from None
    dims = [d for d, _ in indices]
    together = dims == list(range(dims[0], dims[0] + len(dims)))
    first = dims[0] if together else 0
    steps = dense(tuple(self.shape))
    offsets = [0] * math.prod(common)
    for d, k in indices:
        n, values, index = self.shape[d], k._v(), spread(k.shape, common)
        values = values if index is None else [values[i] for i in index]
        for j, i in enumerate(values):
            if not -n <= i < n:
                if n == 0 or k.is_meta:
                    i = 0
                else:
                    raise IndexError(f"index {i} is out of bounds for dimension {d} with size {n}")
            offsets[j] += (i % n if n else 0) * steps[d]
    left = [d for d in range(self.ndim) if d not in dims]
    before, after = [d for d in left if d < first], [d for d in left if d >= first]
    if not together:
        before, after = [], left
    shape = (*(self.shape[d] for d in before), *common, *(self.shape[d] for d in after))
    outer = positions(tuple(self.shape[d] for d in before), tuple(steps[d] for d in before))
    inner = positions(tuple(self.shape[d] for d in after), tuple(steps[d] for d in after))
    if len(outer) == 1 == len(inner):
        return shape, offsets
    return shape, [o + i + j for o in outer for i in offsets for j in inner]


@op
def getitem(self, key):
    out, indices = _basic(self, key)
    if not indices:
        return out if out is not self else looked(self, lambda s, t, o: (s, t, o), "Alias")
    shape, where = _gathered(out, indices)
    values, n = out._v(), out.numel()

    def slope(g):
        found = [0.0] * n
        for i, x in zip(where, g, strict=True):
            found[i] += x
        return [found]

    return recorded(_wrap([values[i] for i in where], shape, out.dtype, out.device), "Index", (out,), slope)


@op
def setitem(self, key, value):
    from ._write import write_at

    key_free = self.detach()
    out, indices = _basic(key_free, key)
    if indices:
        shape, where = _gathered(out, indices)
        lies = out._where()
        where = [lies[i] for i in where]
    else:
        shape, where = out.shape, out._where()
    write_at(self, Size(shape), where, value)


def rounded_like(values, other):
    return rounded(values, other.dtype)
