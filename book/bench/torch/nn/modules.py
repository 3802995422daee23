"""torch.nn.Module: parameters, buffers and modules by name."""

import collections

from .. import _numbers as N
from .._cast import to as to_
from .._missing import not_here
from .._tensor import Tensor


class Parameter(Tensor):
    """A tensor that a module trains."""

    def __new__(cls, data=None, requires_grad=True):
        from .._make import tensor

        new = (tensor([]) if data is None else data.detach()).as_subclass(cls)
        new.requires_grad = requires_grad
        return new


class Module:
    """Base class of layers and losses."""

    training = True

    def __init__(self, *args, **kwargs):
        set_ = object.__setattr__
        set_(self, "training", True)
        for name in ("_parameters", "_buffers", "_modules"):
            set_(self, name, {})
        set_(self, "_non_persistent", set())

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def forward(self, *input):
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __setattr__(self, name, value):
        own = self.__dict__
        if isinstance(value, Parameter):
            self._take(name, own.get("_parameters"), "parameters")[name] = value
        elif isinstance(value, Module):
            self._take(name, own.get("_modules"), "module")[name] = value
        elif name in own.get("_parameters", ()):
            if value is not None:
                raise TypeError(
                    f"cannot assign '{_kind(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            own["_parameters"][name] = None
        elif name in own.get("_buffers", ()):
            if value is not None and not isinstance(value, Tensor):
                raise TypeError(
                    f"cannot assign '{_kind(value)}' as buffer '{name}' (torch.nn.Buffer, torch.Tensor or None "
                    "expected)"
                )
            own["_buffers"][name] = value
        elif name in own.get("_modules", ()) and value is None:
            own["_modules"][name] = None
        else:
            object.__setattr__(self, name, value)

    def _take(self, name, into, what):
        if into is None:
            raise AttributeError(f"cannot assign {what} before Module.__init__() call")
        for store in (self.__dict__, self._parameters, self._buffers, self._modules):
            if store is not into:
                store.pop(name, None)
        return into

    def __getattr__(self, name):
        for store in ("_parameters", "_buffers", "_modules"):
            if name in self.__dict__.get(store, ()):
                return self.__dict__[store][name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name):
        for store in (self._parameters, self._buffers, self._modules):
            if name in store:
                del store[name]
                return
        object.__delattr__(self, name)

    def __dir__(self):
        return [*object.__dir__(self), *self._parameters, *self._buffers, *self._modules]

    def register_buffer(self, name, tensor, persistent=True):
        if "_buffers" not in self.__dict__:
            raise AttributeError("cannot assign buffer before Module.__init__() call")
        if hasattr(self, name) and name not in self._buffers:
            raise KeyError(f"attribute '{name}' already exists")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(
                f"cannot assign '{_kind(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = tensor
        if not persistent:
            self._non_persistent.add(name)

    def register_parameter(self, name, param):
        self._parameters[name] = param

    def add_module(self, name, module):
        self._modules[name] = module

    register_module = add_module

    def register_forward_hook(self, *_, **__):
        raise not_here("Module.register_forward_hook")

    def named_modules(self, memo=None, prefix="", remove_duplicate=True):
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(prefix=f"{prefix}.{name}" if prefix else name)

    def modules(self):
        return (module for _, module in self.named_modules())

    def named_children(self):
        return ((name, module) for name, module in self._modules.items() if module is not None)

    def children(self):
        return (module for _, module in self.named_children())

    def _named(self, store, prefix="", recurse=True):
        for path, module in self.named_modules(prefix=prefix) if recurse else [(prefix, self)]:
            for name, tensor in getattr(module, store).items():
                if tensor is not None:
                    yield (f"{path}.{name}" if path else name), tensor

    def named_parameters(self, prefix="", recurse=True, remove_duplicate=True):
        return self._named("_parameters", prefix, recurse)

    def parameters(self, recurse=True):
        return (tensor for _, tensor in self.named_parameters(recurse=recurse))

    def named_buffers(self, prefix="", recurse=True, remove_duplicate=True):
        return self._named("_buffers", prefix, recurse)

    def buffers(self, recurse=True):
        return (tensor for _, tensor in self.named_buffers(recurse=recurse))

    def state_dict(self):
        found = collections.OrderedDict()
        for path, module in self.named_modules():
            for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
                if tensor is not None and name not in module._non_persistent:
                    found[f"{path}.{name}" if path else name] = tensor.detach()
        return found

    def load_state_dict(self, state_dict, strict=True):
        own = self.state_dict()
        if strict and set(own) != set(state_dict):
            raise RuntimeError(f"Error(s) in loading state_dict for {type(self).__name__}")
        for name, tensor in state_dict.items():
            if name in own:
                own[name].copy_(tensor)

    def _apply(self, function):
        for module in self.children():
            module._apply(function)
        for name, p in self._parameters.items():
            if p is not None:
                self._parameters[name] = Parameter(function(p), p.requires_grad)
        for name, b in self._buffers.items():
            if b is not None:
                self._buffers[name] = function(b)
        return self

    def apply(self, function):
        for module in self.children():
            module.apply(function)
        function(self)
        return self

    def to(self, *args, **kwargs):
        kinds = [a for a in (*args, kwargs.get("dtype")) if isinstance(a, N.dtype)]
        if kinds and kinds[0].kind != 2:
            raise TypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={kinds[0]}"
            )

        def move(t):
            if t.dtype.kind == 2:
                return to_(t, *args, **kwargs)
            rest = [a for a in args if not isinstance(a, N.dtype)]
            return to_(t, *rest, **{k: v for k, v in kwargs.items() if k != "dtype"})

        return self._apply(move)

    def type(self, dst_type):
        return self._apply(lambda t: t.type(dst_type))

    def float(self):
        return self.to(N.float32)

    def double(self):
        return self.to(N.float64)

    def half(self):
        return self.to(N.float16)

    def bfloat16(self):
        return self.to(N.bfloat16)

    def cpu(self):
        return self.to("cpu")

    def cuda(self, device=None):
        raise AssertionError("Torch not compiled with CUDA enabled")

    def train(self, mode=True):
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self):
        return self.train(False)

    def requires_grad_(self, requires_grad=True):
        for p in self.parameters():
            p.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none=True):
        for p in self.parameters():
            p.grad = None

    def extra_repr(self):
        return ""

    def _get_name(self):
        return type(self).__name__

    def __repr__(self):
        extra, lines = self.extra_repr(), []
        for name, module in self._modules.items():
            lines.append(f"({name}): " + repr(module).replace("\n", "\n  "))
        if not lines:
            return f"{self._get_name()}({extra})"
        lines = ([extra] if extra else []) + lines
        return f"{self._get_name()}(\n  " + "\n  ".join(lines) + "\n)"


def _kind(value):
    """The type of a value as torch names it in its messages."""
    kind = type(value)
    if issubclass(kind, Tensor):
        return {"float32": "torch.FloatTensor", "float64": "torch.DoubleTensor", "int64": "torch.LongTensor"}.get(
            value.dtype.name, "torch.Tensor"
        )
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"
