"""The tensor itself: numbers in a flat list, seen through a shape and strides, as torch does it."""

import functools
import math

from . import _numbers as N
from ._autograd import Node, _Mode, backward, edge
from ._missing import COLAB, not_here
from ._shape import CPU, Size, Storage, dense, dim_of, positions

_special = set()  # the subclasses that have a say in every call, by a __torch_function__ of their own


def op(function):
    """A public function of tensors: subclasses with a ``__torch_function__`` are asked first."""

    @functools.wraps(function)
    def call(*args, **kwargs):
        if _special:
            for a in (*args, *kwargs.values()):
                kinds = {type(x) for x in a} if isinstance(a, (list, tuple)) else {type(a)}
                if mine := kinds & _special:
                    kind = mine.pop()
                    return kind.__torch_function__(call, (kind,), args, kwargs)
        return function(*args, **kwargs)

    return call


class Tensor:
    """Numbers with a shape, a dtype and a gradient. See torch.Tensor."""

    layout = "torch.strided"
    is_cuda = is_sparse = is_quantized = is_mps = False
    grad_fn = grad = None
    requires_grad = False

    def __init_subclass__(cls):
        if "__torch_function__" in vars(cls):
            _special.add(cls)

    def __new__(cls, *args, **kwargs):
        from ._make import tensor

        if not args:
            return tensor([]).as_subclass(cls)
        if len(args) == 1 and isinstance(args[0], (Tensor, list, tuple)):
            return tensor(args[0], dtype=N.float32).as_subclass(cls)
        return _wrap([0.0] * math.prod(args), Size(args), N.float32).as_subclass(cls)

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        def plain(a):
            if isinstance(a, (list, tuple)) and not isinstance(a, Size):
                return type(a)(plain(x) for x in a)
            return a.as_subclass(Tensor) if type(a) in _special else a

        result = function(*map(plain, args), **{k: plain(v) for k, v in (kwargs or {}).items()})
        return result.as_subclass(cls) if type(result) is Tensor else result

    def as_subclass(self, cls):
        new = object.__new__(cls)
        new.__dict__.update(self.__dict__)
        return new

    # ---- what it is

    @property
    def ndim(self):
        return len(self.shape)

    def dim(self):
        return len(self.shape)

    ndimension = dim

    def numel(self):
        return math.prod(self.shape)

    nelement = numel

    def size(self, dim=None):
        return self.shape if dim is None else self.shape[dim_of(dim, self.ndim)]

    def stride(self, dim=None):
        return self._strides if dim is None else self._strides[dim]

    def is_contiguous(self, memory_format=None):
        return self._dense

    def element_size(self):
        return self.dtype.itemsize

    itemsize = property(element_size)

    def is_floating_point(self):
        return self.dtype.kind == 2

    def is_complex(self):
        return False

    @property
    def is_meta(self):
        return self.device.type == "meta"

    @property
    def is_cpu(self):
        return self.device.type == "cpu"

    @property
    def is_leaf(self):
        return self.grad_fn is None

    @property
    def _version(self):
        return self._s.version

    @property
    def data(self):
        return self.detach()

    @data.setter
    def data(self, other):
        for name in ("_s", "shape", "_strides", "_offset", "_dense", "dtype", "device"):
            setattr(self, name, getattr(other, name))

    def get_device(self):
        return -1

    def data_ptr(self):
        return id(self._s) + self._offset

    # ---- its numbers

    def _v(self):
        """The numbers, row by row. The list may be the storage's own: read it, never write."""
        data = self._s.data
        if self._dense:
            n = math.prod(self.shape)
            return data if n == len(data) else data[self._offset : self._offset + n]
        return [data[i] for i in positions(tuple(self.shape), self._strides, self._offset)]

    def _where(self):
        return positions(tuple(self.shape), self._strides, self._offset)

    def _like(self, values):
        """A tensor of this shape, dtype and device with other numbers."""
        return _wrap(values, self.shape, self.dtype, self.device)

    def _looked_at(self, how="item"):
        if self.is_meta:
            raise RuntimeError("Tensor.item() cannot be called on meta tensors" if how == "item" else (
                "Cannot copy out of meta tensor; no data!"))  # fmt: skip

    def item(self):
        self._looked_at()
        if self.numel() != 1:
            raise RuntimeError(f"a Tensor with {self.numel()} elements cannot be converted to Scalar")
        return self._v()[0]

    def tolist(self):
        self._looked_at("list")
        flat = self._v()
        if not self.shape:
            return flat[0]
        for n in reversed(self.shape[1:]):
            flat = [flat[i : i + n] for i in range(0, len(flat), n)] if n else [[]] * math.prod(self.shape[:-1])
        return list(flat)

    def __bool__(self):
        if self.is_meta:
            raise NotImplementedError("Tensor.__bool__ cannot be called on meta tensors")
        if self.numel() != 1:
            what = "no values" if self.numel() == 0 else "more than one value"
            raise RuntimeError(f"Boolean value of Tensor with {what} is ambiguous")
        return bool(self._v()[0])

    def __float__(self):
        return float(self.item())

    def __int__(self):
        return int(self.item())

    def __index__(self):
        if self.dtype.kind == 2 or self.numel() != 1:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __format__(self, spec):
        return self.item().__format__(spec) if not self.shape and not self.is_meta else str(self).__format__(spec)

    def __len__(self):
        if not self.shape:
            raise TypeError("len() of a 0-d tensor")
        return self.shape[0]

    def __iter__(self):
        if not self.shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter([self[i] for i in range(self.shape[0])])

    def __contains__(self, value):
        return bool((self == value).any())

    def __hash__(self):
        return id(self)

    def __repr__(self):
        from ._print import tensor_text

        return tensor_text(self)

    def __deepcopy__(self, memo):
        if self.grad_fn is not None:
            raise RuntimeError(
                "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at the "
                "moment.  If you were attempting to deepcopy a module, this may be because of a torch.nn.utils."
                "weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001"
            )
        new = self._like(list(self._v())).as_subclass(type(self))
        new.__dict__.update({k: v for k, v in vars(self).items() if k not in vars(new)})
        new.requires_grad = self.requires_grad
        memo[id(self)] = new
        return new

    def __array__(self, *_):
        raise not_here("numpy")

    def __getattr__(self, name):
        from ._absent import absent

        if absent("Tensor", name):
            raise AttributeError(f"Tensor.{name}: {COLAB}")
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    # ---- its gradient

    def __setattr__(self, name, value):
        if name == "requires_grad" and value:
            if self.dtype.kind != 2:
                raise RuntimeError("only Tensors of floating point dtype can require gradients")
        elif name == "requires_grad" and self.grad_fn is not None:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in "
                "a subgraph that doesn't require differentiation use var_no_grad = var.detach()."
            )
        self.__dict__[name] = value

    def requires_grad_(self, requires_grad=True):
        self.requires_grad = requires_grad
        return self

    def retain_grad(self):
        if self.grad_fn is not None:
            raise not_here("retain_grad")

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        backward(self, gradient, retain_graph, create_graph, inputs)

    def detach(self):
        return view(self, self.shape, self._strides, self._offset)

    def detach_(self):
        self.__dict__["grad_fn"], self.__dict__["requires_grad"] = None, False
        return self


def _wrap(values, shape, kind, where=CPU):
    """A new tensor around a flat list, which is its own from now on."""
    new = object.__new__(Tensor)
    shape = shape if type(shape) is Size else Size(shape)
    new.__dict__.update(
        _s=Storage(values), shape=shape, _strides=dense(shape), _offset=0, _dense=True, dtype=kind, device=where
    )
    return new


def view(base, shape, strides, offset):
    """Another look at the same numbers, outside the graph."""
    new = object.__new__(Tensor)
    shape = Size(shape)
    strides = tuple(strides)
    same = all(n == 1 or s == d for n, s, d in zip(shape, strides, dense(shape), strict=True)) or 0 in shape
    new.__dict__.update(
        _s=base._s, shape=shape, _strides=strides, _offset=offset, _dense=same, dtype=base.dtype, device=base.device
    )
    return new


def recorded(out, name, inputs, slope, saved=()):
    """Enter a result into the graph, if anything it was made from is part of it."""
    if _Mode.enabled and out.dtype.kind == 2:
        for t in inputs:
            if t.requires_grad:
                out.__dict__["requires_grad"] = True
                out.__dict__["grad_fn"] = Node(name + "Backward0", out.dtype, [edge(t) for t in inputs], slope, saved)
                break
    return out


def one_device(*tensors):
    """The device that tensors share. A CPU tensor without dimensions goes with any."""
    first = tensors[0]
    found = first.device
    for t in tensors[1:]:
        if t.device is not found and t.device != found:
            if not t.shape and t.device.type == "cpu":
                continue
            if not first.shape and first.device.type == "cpu":
                first, found = t, t.device
                continue
            raise RuntimeError(f"Tensor on device {t.device} is not on the expected device {found}!")
    return found
