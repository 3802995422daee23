"""How a loss is called, and how it treats its caller."""

import contextlib
import copy
import inspect

import torch
from torch import nn

from ..adapter import Untestable
from ..cases import Violation, expect, expect_finite, gradient, make_cases, numbers, weights, with_weights
from ..settings import changed, hushed, reset, switches
from .registry import a_property, raised


@a_property("Called with nothing but logits and targets, the loss returns a finite tensor to differentiate.", "calling")
def runs_with_defaults(loss, cases):
    if loss.default_classes:
        cases = make_cases(0, loss.dtype, loss.device, loss.default_classes)
    case = cases[2]
    c = case.input.shape[1]
    input = case.input.clone().requires_grad_()
    try:
        value = loss.criterion(c, loss.unweighted(c) if loss.needs_alpha else None)(input, case.target.clone())
    except Exception as error:
        with contextlib.suppress(Exception):  # where it fails with weights as well, alpha is not why
            loss.criterion(c, case.alpha)(case.input.clone(), case.target.clone())
            error = raised(error, way="alpha_by_default") if loss.takes_weights and not loss.needs_alpha else error
        raise error
    if not isinstance(value, torch.Tensor):
        raise Violation(f"{case}: it returned {type(value).__name__}, not a tensor", (type(value).__name__,))
    expect_finite({"loss": value}, str(case))
    if not value.requires_grad:
        raise Violation(f"{case}: the result has no gradient graph, so nothing can learn from it", ("no graph",))
    slope = input
    with contextlib.suppress(Exception):  # a backward pass that fails is for the properties of the gradient
        (slope,) = torch.autograd.grad(value.sum(), input, allow_unused=True)
    if slope is None:
        raise Violation(f"{case}: the gradient does not reach the logits: the graph was cut", ("cut graph",))


@a_property("Targets are class indices.", "calling", level="manners")
def takes_class_indices(loss, cases):
    if loss.one_hot:
        example = f"{cases[2]}: it refuses class indices and takes only float targets of the logits' shape"
        raise Violation(example, ("one-hot",))


@a_property("The loss prints nothing.", "care", level="manners")
def prints_nothing(loss, cases):
    with hushed() as said:
        gradient(loss, cases[0].input, cases[0].target)
    if text := (loss.printed + said.text).strip():
        raise Violation(f"it printed {text.splitlines()[0][:60]!r}", ("printed",))


@a_property("Logits, targets, weights and the settings of torch are left as they were.", "care")
def inputs_are_unchanged(loss, cases):
    settings = switches()
    for case in cases[1:3]:
        ignore = -100 if "ignore_index" in loss.settable else None
        before = {"logits": case.input.clone(), "targets": case.target.clone(), "weights": case.alpha.clone()}
        if ignore is not None:
            before["targets"][-1] = ignore
        after = {name: tensor.clone() for name, tensor in before.items()}
        alpha = after["weights"] if loss.takes_weights else None
        try:
            loss.criterion(case.input.shape[1], alpha, ignore_index=ignore)(after["logits"], after["targets"])
        except Exception as error:
            raise Untestable("it fails on an ignored target") from error
        for name in before:
            if not torch.equal(before[name], after[name]):
                example = f"the {name} {numbers(before[name])} came back as {numbers(after[name])}"
                raise Violation(example, tuple(after[name].flatten().tolist()))
        if changed(settings):  # a second call may switch it back
            break
    case = cases[1]

    def call():
        loss.criterion(case.input.shape[1], loss.unweighted(case.input.shape[1]))(case.input.clone(), case.target)

    for what, (before, after) in changed(settings).items():
        level = "wrong" if what == "grad mode" else "manners"  # without it, nothing learns from here on
        raise Violation(f"{what} was {before} before the call and is {after} after it", (what,), level)
    if whose := reset(call):
        example = f"it resets the random numbers of {' and '.join(whose)}: after every call the same ones come"
        raise Violation(example, ("random numbers",), "manners")


@a_property("The same call gives the same number, whatever was called in between.", "care")
def is_stateless(loss, cases):
    case = cases[3]
    c = case.input.shape[1]
    alpha = weights(loss, case)
    given = loss.unweighted(c) if alpha is None and not loss.runs_without_alpha else alpha
    run = loss.criterion(c, given)
    # If one call's targets pick the next one's weights, it shows.
    target = loss.labels([1, 2, 0, 1]) % c
    first = run(case.input.clone(), target.clone()).detach().clone()
    run(cases[2].input.clone(), cases[2].target.clone())
    again = run(case.input.clone(), target.clone())
    setting = f"logits {numbers(case.input)}, target {target.tolist()}{with_weights(alpha)}"
    expect(loss, again, first, f"{setting}, called a second time", "the first result")
    other = (target + 1) % c
    fresh = loss.criterion(c, given)(case.input.clone(), other.clone())
    setting = f"logits {numbers(case.input)}, target {other.tolist()}, called after target {target.tolist()}"
    expect(loss, run(case.input.clone(), other), fresh, setting, "what a new one gives")


@a_property("float64 logits give a float64 loss.", "care", level="manners")
def keeps_float64(loss, cases):
    c = cases[2].input.shape[1]
    value = loss.criterion(c, loss.unweighted(c))(cases[2].input.double(), cases[2].target)
    if value.dtype != torch.float64:
        raise Violation(f"{cases[2]}, as float64: the loss came back as {value.dtype}", (str(value.dtype),))


class _LeftBehind(torch.Tensor):
    """Stands for a tensor on another device: it may be moved, but not mixed with other tensors."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function.__name__ in ("to", "type_as", "cuda", "cpu"):
            return function(args[0].as_subclass(torch.Tensor), *args[1:], **(kwargs or {}))
        if function.__name__ == "__get__" and function == torch.Tensor.device.__get__:
            return torch.device("meta")
        if function.__name__ == "type" and len(args) == 1:
            return "torch.elsewhere.Tensor"
        flat = [a for arg in args for a in (arg if isinstance(arg, (tuple, list)) else [arg])]
        if any(isinstance(a, torch.Tensor) and not isinstance(a, cls) and a.ndim for a in flat):
            raise Violation("", ("left behind",))
        return super().__torch_function__(function, types, args, kwargs)


@a_property("Moved to another device, a module takes its weights along.", "care", level="fragile")
def weights_follow_the_module(loss, cases):
    run = loss.criterion(cases[2].input.shape[1], weights(loss, cases[2]))
    if not isinstance(run.loss, nn.Module):
        raise Untestable("it is a function: it holds no tensor that could stay behind")
    run.loss = copy.deepcopy(run.loss)
    for module in run.loss.modules():
        for name, value in vars(module).items():  # parameters and buffers, which .to() moves, are not among these
            if isinstance(value, torch.Tensor):
                setattr(module, name, value.detach().as_subclass(_LeftBehind))
                left = f"{name} {numbers(value)}"
    try:
        run(cases[2].input.clone(), cases[2].target.clone())
    except Violation as violation:
        example = f"{left} is neither buffer nor parameter: after .to(device) it is where it was, and then used"
        if loss.alpha_is_numeric and _refuses_a_list(loss, cases[2]):  # though a tensor happens to pass through it
            raise Untestable("its alpha is a number, which is on no device") from None
        if _asks_for_a_gpu(run.loss):
            raise Untestable("it looks at is_cuda: whether it moves its weights shows on a GPU alone") from None
        raise Violation(example, violation.got) from None


def _asks_for_a_gpu(module):
    try:
        return "is_cuda" in inspect.getsource(type(module))
    except (OSError, TypeError):  # typed in, with no file behind it
        return False


def _refuses_a_list(loss, case):
    try:
        loss.criterion(case.input.shape[1], [1.0, 2.0, 3.0])(case.input.clone(), case.target.clone())
    except Exception:
        return True
    return False
