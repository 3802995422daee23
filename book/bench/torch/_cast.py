"""From one dtype or device to another."""

from . import _numbers as N
from ._shape import CPU
from ._shape import device as device_
from ._tensor import Tensor, _wrap, op, recorded


def _parts(args, dtype, device):
    for a in args:
        if isinstance(a, Tensor):
            dtype, device = a.dtype, a.device
        elif isinstance(a, N.dtype):
            dtype = a
        elif isinstance(a, (str, device_)):
            device = a
    return dtype, device


@op
def to(self, *args, dtype=None, device=None, non_blocking=False, copy=False, other=None, memory_format=None):
    dtype, device = _parts((*args, other), dtype, device)
    dtype = dtype or self.dtype
    device = self.device if device is None else device if isinstance(device, device_) else device_(device)
    if dtype is self.dtype and device == self.device and not copy:
        return self
    if self.is_meta and device.type != "meta":
        raise NotImplementedError("Cannot copy out of meta tensor; no data!")
    values = list(self._v()) if dtype is self.dtype else N.STORE[dtype](self._v())
    return recorded(_wrap(values, self.shape, dtype, device), "ToCopy", (self,), lambda g: [g])


def _caster(name, kind):
    @op
    def cast(self, *_, **__):
        return to(self, kind)

    cast.__name__ = name
    return cast


CASTS = {
    name: _caster(name, kind)
    for name, kind in {
        "float": N.float32, "double": N.float64, "half": N.float16, "bfloat16": N.bfloat16, "long": N.int64,
        "int": N.int32, "short": N.int16, "byte": N.uint8, "char": N.int8, "bool": N.bool_,
    }.items()
}  # fmt: skip


@op
def type_as(self, other):
    return to(self, other)


@op
def type_(self, dtype=None, non_blocking=False):
    if dtype is None:
        return "torch." + next(name for name, kind in N.NAMES.items() if kind is self.dtype)
    if isinstance(dtype, str):
        dtype = N.NAMES[dtype.removeprefix("torch.")]
    return to(self, getattr(dtype, "kind_made", dtype))


@op
def cpu(self):
    return to(self, CPU)


@op
def cuda(self, *_, **__):
    raise AssertionError("Torch not compiled with CUDA enabled")
