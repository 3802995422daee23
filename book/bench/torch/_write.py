"""Writing into a tensor: item assignment and the methods whose names end in an underscore."""

from ._autograd import Node, _Mode, edge
from ._missing import not_here
from ._numbers import STORE
from ._shape import broadcast, positions, spread
from ._tensor import Tensor


def _check(self):
    if self.requires_grad and self.grad_fn is None and _Mode.enabled:
        raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")


def _store(self, where, values):
    data = list(self._s.data)
    for i, x in zip(where, values, strict=True):
        data[i] = x
    self._s.data = data
    self._s.version += 1


def write_at(self, shape, where, value):
    """self[where] = value, broadcast to ``shape``; in the graph where either is."""
    _check(self)
    if isinstance(value, Tensor):
        if broadcast(shape, value.shape) != shape and value.numel() != 1:
            raise RuntimeError(
                f"shape mismatch: value tensor of shape {list(value.shape)} cannot be broadcast to indexing result of "
                f"shape {list(shape)}"
            )
        index = spread(value.shape, shape) if value.numel() != 1 or value.ndim <= len(shape) else [0] * len(where)
        flat = value._v()
        values = STORE[self.dtype](flat if index is None else [flat[i] for i in index])
    else:
        index, values = None, STORE[self.dtype]([value] * len(where))
    tracked = [t for t in (self, value) if isinstance(t, Tensor) and t.requires_grad]
    if tracked and _Mode.enabled:
        _enter(self, where, value, index)
    _store(self, where, values)


def _enter(self, where, value, index):
    lies = self._where()
    if len(lies) != len(self._s.data) or not self._dense:
        raise not_here("writing into a view of a tensor that needs a gradient")
    written, edges = set(where), [edge(self)]
    if isinstance(value, Tensor):
        edges.append(edge(value))
        n = value.numel()

    def slope(g):
        found = [[0.0 if i in written else x for i, x in enumerate(g)]]
        if len(edges) == 2:
            mine = [0.0] * n
            for k, i in enumerate(where):
                mine[k if index is None else index[k]] += g[i]
            found.append(mine)
        return found

    self.__dict__["requires_grad"] = True
    self.__dict__["grad_fn"] = Node("CopySlices", self.dtype, edges, slope)


def in_place(function):
    """The method that writes what ``function(self, ...)`` returns into self."""

    def method(self, *args, **kwargs):
        _check(self)
        if self.requires_grad and (not self._dense or self.numel() != len(self._s.data)) and _Mode.enabled:
            raise not_here("writing into a view of a tensor that needs a gradient")
        result = function(self, *args, **kwargs)
        if result.shape != self.shape:
            raise RuntimeError(
                f"output with shape {list(self.shape)} doesn't match the broadcast shape {list(result.shape)}"
            )
        if result.dtype.kind > self.dtype.kind:
            names = {2: "Float", 1: "Long", 0: "Bool"}
            theirs = {"float64": "Double", "float16": "Half", "bfloat16": "BFloat16"}.get(
                result.dtype.name, names[result.dtype.kind]
            )
            ours = {"int32": "Int"}.get(self.dtype.name, names[self.dtype.kind])
            raise RuntimeError(f"result type {theirs} can't be cast to the desired output type {ours}")
        _store(self, positions(tuple(self.shape), self._strides, self._offset), STORE[self.dtype](result._v()))
        if result.requires_grad:
            node = result.grad_fn
            # What the step saved of its own result is the same numbers, at their new version.
            node.saved = [
                (self._s, self._s.version, t, n) if t is result else (s, v, t, n) for s, v, t, n in node.saved
            ]
            self.__dict__.update(requires_grad=True, grad_fn=node)
        return self

    method.__name__ = function.__name__ + "_"
    return method
