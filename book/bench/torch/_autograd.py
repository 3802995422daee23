"""Gradients: the graph that calls leave behind, and the walk back through it."""

import contextlib
import functools

from ._missing import not_here
from ._numbers import rounded


class _Mode:
    enabled = True


def is_grad_enabled():
    return _Mode.enabled


class set_grad_enabled(contextlib.ContextDecorator):
    """Switches the recording of gradients; as a context, only inside it."""

    def __init__(self, mode):
        self.before, _Mode.enabled = _Mode.enabled, bool(mode)
        self.mode = bool(mode)

    def __enter__(self):
        _Mode.enabled = self.mode

    def __exit__(self, *_):
        _Mode.enabled = self.before

    def __call__(self, function):
        _Mode.enabled = self.before
        return super().__call__(function)

    def _recreate_cm(self):
        return type(self)(self.mode)


class _Switch(contextlib.ContextDecorator):
    def __new__(cls, function=None):
        self = super().__new__(cls)
        return self if function is None else self(function)

    def __enter__(self):
        self.before, _Mode.enabled = _Mode.enabled, self.mode

    def __exit__(self, *_):
        _Mode.enabled = self.before

    def _recreate_cm(self):
        return type(self)()


class no_grad(_Switch):
    mode = False


class enable_grad(_Switch):
    mode = True


class inference_mode(_Switch):
    mode = False


class Node:
    """One call in the graph.

    ``edges`` are what it was made from: a leaf tensor, another node, or None for what needs no gradient.
    ``backward`` takes the flat gradient of the result, and gives one flat list for each edge.
    """

    __slots__ = ("backward", "dtype", "edges", "freed", "label", "saved")

    def __init__(self, name, dtype, edges, backward, saved=()):
        self.label, self.dtype, self.edges, self.backward = name, dtype, edges, backward
        # What the step needs again: the numbers, their version, and the step they came from.
        self.saved = [(t._s, t._s.version, t, t.grad_fn.label if t.grad_fn else name) for t in saved]
        self.freed = False

    def name(self):
        return self.label

    def __repr__(self):
        return f"<{self.label}>"


def edge(tensor):
    return (tensor.grad_fn or tensor) if tensor.requires_grad else None


def _order(roots):
    """Every node that the roots depend on, each before what it was made from."""
    seen, ordered, stack = set(), [], [(root, False) for root in roots]
    while stack:
        node, done = stack.pop()
        if done:
            ordered.append(node)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.append((node, True))
            if isinstance(node, Node):
                stack.extend((e, False) for e in node.edges if e is not None)
    return ordered[::-1]


def walk_back(outputs, seeds, retain):
    """id of a leaf or node -> its flat gradient."""
    found = {}
    for output, seed in zip(outputs, seeds, strict=True):
        key = id(edge(output))
        found[key] = [a + b for a, b in zip(found[key], seed, strict=True)] if key in found else seed
    order = _order([edge(output) for output in outputs])
    for node in order:
        if not isinstance(node, Node) or id(node) not in found:
            continue
        if node.freed:
            raise RuntimeError(
                "Trying to backward through the graph a second time (or directly access saved tensors after they have "
                "already been freed). Saved intermediate values of the graph are freed when you call .backward() or "
                "autograd.grad(). Specify retain_graph=True if you need to backward through the graph a second time or "
                "if you need to access saved tensors after calling backward."
            )
        for storage, version, tensor, label in node.saved:
            if storage.version != version:
                label = label.removesuffix("Backward0")
                kind = {"float32": "Float", "float64": "Double", "float16": "Half", "int64": "Long"}
                raise RuntimeError(
                    "one of the variables needed for gradient computation has been modified by an inplace operation: "
                    f"[torch.{kind.get(tensor.dtype.name, 'BFloat16')}Tensor {list(tensor.shape)}]"
                    f"{f', which is output 0 of {label},' if tensor.grad_fn else ','} is at version "
                    f"{storage.version}; expected version {version} instead. Hint: enable anomaly detection to find "
                    "the operation that failed to compute its gradient, with "
                    "torch.autograd.set_detect_anomaly(True, check_nan=False)."
                )
        with no_grad():
            results = node.backward(found[id(node)])
        for target, result in zip(node.edges, results, strict=True):
            if target is None or result is None:
                continue
            result, key = rounded(result, target.dtype), id(target)
            if key in found:
                result = rounded([a + b for a, b in zip(found[key], result, strict=True)], target.dtype)
            found[key] = result
        if node.saved and not retain:
            node.freed, node.saved, node.backward = True, (), None  # what it kept may keep it: no waiting for gc
    return found, order


def _seed(output, given):
    if not output.requires_grad:
        raise RuntimeError("element 0 of tensors does not require grad and does not have a grad_fn")
    if given is None:
        if output.numel() != 1:
            raise RuntimeError("grad can be implicitly created only for scalar outputs")
        return [1.0]
    if given.shape != output.shape:
        raise RuntimeError(
            f"Mismatch in shape: grad_output[0] has a shape of {given.shape} and output[0] has a shape of "
            f"{output.shape}."
        )
    return list(given._v())


def _listed(value):
    return list(value) if isinstance(value, (list, tuple)) else [value]


def grad(
    outputs, inputs, grad_outputs=None, retain_graph=None, create_graph=False, allow_unused=None,
    is_grads_batched=False, materialize_grads=False,
):  # fmt: skip
    """As torch.autograd.grad, for first derivatives."""
    if create_graph or is_grads_batched:
        raise not_here("torch.autograd.grad(create_graph=True)" if create_graph else "is_grads_batched")
    outputs, inputs = _listed(outputs), _listed(inputs)
    given = [None] * len(outputs) if grad_outputs is None else _listed(grad_outputs)
    seeds = [_seed(o, g) for o, g in zip(outputs, given, strict=True)]
    for tensor in inputs:
        if not tensor.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
    found, _ = walk_back(outputs, seeds, bool(retain_graph))
    results = []
    for tensor in inputs:
        values = found.get(id(edge(tensor)))
        if values is None and materialize_grads:
            values = [0.0] * tensor.numel()
        elif values is None and not allow_unused:
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True "
                "if this is the desired behavior."
            )
        results.append(None if values is None else tensor._like(values))
    return tuple(results)


def backward(tensors, grad_tensors=None, retain_graph=None, create_graph=False, inputs=None):
    """As torch.autograd.backward: adds to ``.grad`` of the leaves."""
    if create_graph or inputs is not None:
        raise not_here("backward(create_graph=True)" if create_graph else "backward(inputs=...)")
    tensors = _listed(tensors)
    given = [None] * len(tensors) if grad_tensors is None else _listed(grad_tensors)
    found, order = walk_back(tensors, [_seed(t, g) for t, g in zip(tensors, given, strict=True)], bool(retain_graph))
    for leaf in order:
        if isinstance(leaf, Node) or id(leaf) not in found:
            continue
        values = found[id(leaf)]
        if leaf.grad is not None:
            values = rounded([a + b for a, b in zip(leaf.grad._v(), values, strict=True)], leaf.dtype)
        leaf.grad = leaf._like(values)


class _Context:
    """The ``ctx`` of a Function."""

    def __init__(self):
        self.saved_tensors, self.needs_input_grad = (), ()

    def save_for_backward(self, *tensors):
        self.saved_tensors = tensors

    def mark_non_differentiable(self, *tensors):
        self.stopped = tensors

    def set_materialize_grads(self, value):
        pass


class Function:
    """A step with a gradient written by hand: ``forward(ctx, ...)`` and ``backward(ctx, grad)``, used by ``apply``."""

    @classmethod
    def apply(cls, *args):
        from ._tensor import Tensor

        ctx = _Context()
        inputs = [a if isinstance(a, Tensor) else None for a in args]
        ctx.needs_input_grad = tuple(t is not None and t.requires_grad for t in inputs)
        with no_grad():
            result = cls.forward(ctx, *args)
        if not isinstance(result, Tensor):
            raise not_here("a torch.autograd.Function with several results")
        if not (_Mode.enabled and any(ctx.needs_input_grad)):
            return result

        def walk(flat):
            slopes = cls.backward(ctx, result._like(flat))
            slopes = slopes if isinstance(slopes, tuple) else (slopes,)
            if len(slopes) < len(args) or any(s is not None for s in slopes[len(args) :]):
                raise RuntimeError(
                    f"function {cls.__name__}Backward returned an incorrect number of gradients (expected {len(args)}, "
                    f"got {len(slopes)})"
                )
            return [_fitted(cls, i, s, t) for i, (s, t) in enumerate(zip(slopes, inputs, strict=False))]

        out = result.detach()
        edges = [edge(t) if t is not None else None for t in inputs]
        out.requires_grad = True
        out.grad_fn = Node(
            f"{cls.__name__}Backward", out.dtype, edges, walk, [t for t in ctx.saved_tensors if t is not None]
        )
        return out


def _fitted(cls, i, slope, tensor):
    if slope is None or tensor is None:
        return None
    if slope.shape != tensor.shape:
        try:
            slope = slope.expand(tensor.shape) if slope.numel() <= tensor.numel() else slope.sum_to_size(tensor.shape)
        except RuntimeError:
            raise RuntimeError(
                f"Function {cls.__name__}Backward returned an invalid gradient at index {i} - got "
                f"{list(slope.shape)} but expected shape compatible with {list(tensor.shape)}"
            ) from None
    return list(slope._v())


def once_differentiable(function):
    return functools.wraps(function)(function)
