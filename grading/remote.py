"""A student's loss that lives in a sandbox, as a function, Module class or instance of this process.

Whatever comes back is checked against what was asked, kind, shape, dtype, device and size, before a tensor is made.
"""

import inspect
import math
import sys
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).parent))
from boxes import one_line
from sandbox_child import DTYPES, SETTINGS

MOST_ARGUMENTS = 64  # of a student's function
KINDS = {int(kind): kind for kind in type(inspect.Parameter.KEYWORD_ONLY)}


class NotCallable(TypeError):
    """What the sandbox says about a loss makes no function of this process."""


def pack(value):
    if isinstance(value, torch.Tensor):
        data = None if value.device.type == "meta" else value.detach().flatten().tolist()
        return {"dtype": str(value.dtype), "shape": list(value.shape), "data": data, "device": value.device.type}
    return value


def unpack(packed, like, exact=True):
    """A tensor from a reply, checked against what was asked before it is made; TypeError if it is none.

    ``like`` is the tensor that the reply belongs to. ``exact``: it must have the shape and dtype of that one; else (the
    value of a loss) at most as many numbers and axes, of any common dtype. Its numbers are only that.
    """
    try:
        if not isinstance(packed, dict):
            if exact:
                raise ValueError("a number where a tensor was asked for")
            return torch.tensor(float(packed))
        dtype, shape, data = DTYPES[packed["dtype"]], packed["shape"], packed["data"]
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError("its shape is none")
        if exact and (shape != list(like.shape) or dtype != like.dtype):
            raise ValueError(f"shape {one_line(shape, 40)}, expected {list(like.shape)}")
        if len(shape) > max(like.dim(), 1) or max(shape, default=0) > max(like.numel(), 1):
            raise ValueError(f"shape {one_line(shape, 40)} for input of shape {list(like.shape)}")
        size = math.prod(shape)
        if size > max(like.numel(), 1):
            raise ValueError(f"{size} numbers for input of shape {list(like.shape)}")
        if like.is_meta:
            return torch.empty(shape, dtype=dtype, device="meta")
        if not isinstance(data, list) or len(data) != size:
            raise ValueError("its numbers do not fill its shape")
        return torch.tensor([float(n) for n in data], dtype=torch.float64).to(dtype).reshape(shape)
    except (AttributeError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"it returned no number ({one_line(error, 200)})") from None


class _Call(torch.autograd.Function):
    """One call of the student's loss: its value, and its gradient when asked for."""

    @staticmethod
    def forward(ctx, logits, labels, sandbox, module, settings):
        packed = {name: pack(value) for name, value in settings.items()}
        ctx.sandbox, ctx.graph, ctx.like = sandbox, sandbox.count(), logits.detach()
        reply = sandbox.ask(
            do="call",
            graph=ctx.graph,
            module=module,
            logits=pack(logits),
            labels=pack(labels),
            settings=packed,
            grad=bool(logits.requires_grad),
        )
        sandbox.borrowed |= bool(reply.get("borrowed"))
        changed = reply.get("changed")
        for name, new in changed.items() if isinstance(changed, dict) else ():
            target = {"labels": labels, **settings}.get(name)  # a loss that writes into its arguments does so here too
            if isinstance(target, torch.Tensor):
                target.copy_(unpack(new, target))
        value = unpack(reply.get("value"), logits, exact=False)
        if reply.get("graph") is not True or not value.is_floating_point():
            ctx.mark_non_differentiable(value)
        return value

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, upstream):
        reply = ctx.sandbox.ask(do="gradient", graph=ctx.graph, upstream=pack(upstream))
        return unpack(reply.get("gradient"), ctx.like), None, None, None, None


def signature(known):
    """A signature from what the sandbox says about it; NotCallable if that makes none."""
    try:
        if len(known) > MOST_ARGUMENTS:
            raise ValueError(f"{len(known)} of them")
        return inspect.Signature(
            inspect.Parameter(str(name), KINDS[kind], default=default if optional else inspect.Parameter.empty)
            for name, optional, default, kind in known
        )
    except (LookupError, TypeError, ValueError) as error:
        raise NotCallable(f"its arguments make no signature ({one_line(error, 200)})") from None


def bound(signature, args, kwargs):
    """What is passed, as (what has a place only, {name: value}); TypeError where the signature does not take it."""
    given, places = signature.bind(*args, **kwargs).arguments, []
    for p in signature.parameters.values():
        if p.kind is p.VAR_KEYWORD:
            given |= given.pop(p.name, {})
        elif p.kind is p.VAR_POSITIONAL:
            places += given.pop(p.name, ())
    return places, given


def remote_loss(sandbox, described, which=0):
    """The student's loss (``which`` of those described) as a function, Module class or instance of this process."""
    call_signature = signature(described["call"])

    def call(module, *args, **kwargs):
        places, given = bound(call_signature, args, kwargs)
        by_place = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
        first = [p.name for p in call_signature.parameters.values() if p.kind in by_place][:2]
        data = [*(given.pop(name) for name in first if name in given), *places]
        if len(data) != 2:
            raise TypeError(f"it takes {len(data)} arguments; expected logits, labels and settings")
        return _Call.apply(*data, sandbox, module, given)

    def loss(*args, **kwargs):
        return call({"fix": which}, *args, **kwargs)

    loss.__signature__ = call_signature
    if described["kind"] == "function":
        return loss
    build_signature = signature(described["build"])

    class Loss(nn.Module):
        def __init__(self, *args, **kwargs):
            super().__init__()
            _, given = bound(build_signature, args, kwargs)
            self.module = {"built": sandbox.count()}
            settings = {name: pack(value) for name, value in given.items()}
            reply = sandbox.ask(do="build", fix=which, module=self.module["built"], settings=settings)
            self._register(reply.get("parameters"))

        def _register(self, parameters):
            for number, _ in enumerate(parameters[:8] if isinstance(parameters, list) else ()):
                self.register_parameter(f"parameter_{number}", nn.Parameter(torch.zeros(())))

        def forward(self, *args, **kwargs):
            return call(self.module, *args, **kwargs)

    Loss.__signature__ = build_signature
    Loss.forward.__signature__ = call_signature.replace(
        parameters=[inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY), *call_signature.parameters.values()]
    )
    if described["kind"] == "class":
        return Loss
    instance = Loss.__new__(Loss)
    nn.Module.__init__(instance)
    instance.module = {"fix": which}
    instance._register(described.get("parameters"))
    for name, value in described["attributes"].items():
        if name in (*build_signature.parameters, *SETTINGS) and not hasattr(instance, name):
            setattr(instance, name, setting(value))
    return instance


def setting(packed):
    """A setting of a student's instance as a number, text or small tensor."""
    if not isinstance(packed, dict) or "dtype" not in packed:
        return packed
    size = len(packed.get("data") or ())
    return unpack(packed, torch.empty(min(size, 10_000)), exact=False)
