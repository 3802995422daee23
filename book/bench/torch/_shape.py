"""Shapes, strides and places: which number of a flat list is where."""

import functools
import math

from ._missing import not_here


class Size(tuple):
    """A shape."""

    def numel(self):
        return math.prod(self)

    def __repr__(self):
        return f"torch.Size({list(self)})"

    def __getitem__(self, key):
        found = super().__getitem__(key)
        return Size(found) if isinstance(key, slice) else found


class device:
    """Where a tensor is: "cpu", or "meta", which keeps shapes only."""

    def __init__(self, type="cpu", index=None):
        name = str(type).partition(":")
        if name[0] not in ("cpu", "meta"):
            if name[0] in ("cuda", "mps", "xpu", "xla"):
                raise not_here(f"device {type!r}")
            raise RuntimeError(
                "Expected one of cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, "
                f"vulkan, mps, meta, hpu, mtia, privateuseone device type at start of device string: {name[0]}"
            )
        self.type, self.index = name[0], int(name[2]) if name[2] else index

    def __eq__(self, other):
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self):
        return hash((self.type, self.index))

    def __str__(self):
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __repr__(self):
        return (
            f"device(type={self.type!r})" if self.index is None else f"device(type={self.type!r}, index={self.index})"
        )

    def __deepcopy__(self, memo):
        return self


CPU, META = device("cpu"), device("meta")


class Storage:
    """The numbers. Writing gives a new list, so that whoever kept the old one keeps its numbers."""

    __slots__ = ("data", "version")

    def __init__(self, data):
        self.data, self.version = data, 0


@functools.lru_cache(4096)
def dense(shape):
    """The strides of a shape whose numbers lie one after the other."""
    strides, step = [], 1
    for n in reversed(shape):
        strides.append(step)
        step *= max(n, 1)
    return tuple(reversed(strides))


@functools.lru_cache(4096)
def positions(shape, strides, offset=0):
    """Where each number lies, row by row."""
    found = [offset]
    for n, step in zip(shape, strides, strict=True):
        found = [i + k * step for i in found for k in range(n)] if step or n != 1 else found
    return found


@functools.lru_cache(4096)
def broadcast(a, b):
    """The common shape."""
    if a == b:
        return a
    longer = max(len(a), len(b))
    left, right = (1,) * (longer - len(a)) + tuple(a), (1,) * (longer - len(b)) + tuple(b)
    for i in reversed(range(longer)):
        if left[i] != right[i] and 1 not in (left[i], right[i]):
            raise RuntimeError(
                f"The size of tensor a ({left[i]}) must match the size of tensor b ({right[i]}) at non-singleton "
                f"dimension {i}"
            )
    out = [n if m == 1 else m for m, n in zip(left, right, strict=True)]
    return Size(out)


@functools.lru_cache(4096)
def spread(shape, out):
    """For each number of the broadcast shape, which number of the smaller one it is; None if they are the same."""
    if tuple(shape) == tuple(out):
        return None
    padded = (1,) * (len(out) - len(shape)) + tuple(shape)
    steps = (0,) * (len(out) - len(shape)) + dense(tuple(shape))
    return positions(tuple(out), tuple(s if n != 1 else 0 for n, s in zip(padded, steps, strict=True)))


def dim_of(dim, ndim):
    """A dimension as a number from 0; IndexError if there is no such dimension."""
    if not isinstance(dim, int) or isinstance(dim, bool):
        raise TypeError(f"dim must be an int, not {type(dim).__name__}")
    most = max(ndim, 1)
    if not -most <= dim < most:
        raise IndexError(f"Dimension out of range (expected to be in range of [{-most}, {most - 1}], but got {dim})")
    return dim % most
