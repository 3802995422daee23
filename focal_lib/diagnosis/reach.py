"""Losses that are no torch function of logits and targets: boosters' objectives, other frameworks, training steps."""

import contextlib
import copy
import functools
import inspect
import itertools
import types

import torch
from torch import nn

from .adapter import parameters_of, product_of
from .cases import IN_A_PAGE, numbers, sides_of
from .forms import INPUT_NAMES, NAMES, OF_SETTINGS, REQUIRED, TARGET_NAMES
from .formulas import yes_or_no
from .probing import first_of
from .settings import hushed

__all__ = ["IN_NUMPY", "gradient_of_objective", "hint", "step_of", "through"]


class _Outside(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, target, value_and_gradient):
        value, gradient = value_and_gradient(input.detach().numpy(), target.numpy())
        ctx.save_for_backward(torch.as_tensor(gradient).to(input))
        return torch.as_tensor(value).to(input)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return grad * ctx.saved_tensors[0], None, None


def through(value_and_gradient):
    """A torch loss of a function of another framework, for :func:`~focal_lib.diagnosis.diagnose.diagnose`.

    Args:
        value_and_gradient: takes logits ``(N, C)`` and labels ``(N)`` as numpy arrays and returns the loss, one number,
            and its gradient by the logits, both as numbers or arrays. ``jax.value_and_grad(loss)`` is one.

    Returns:
        A function of logits and labels, tensors on the CPU, whose value and gradient come from there.
        It raises what that raises.

    Explained in chapter 07.
    """

    def loss(input, target):
        return _Outside.apply(input, target, value_and_gradient)

    return loss


LINES = {  # by the framework that the code uses
    "jax": "diagnose(focal_lib.diagnosis.through(jax.value_and_grad({name})))",
    "keras": "with KERAS_BACKEND=torch in the environment, diagnose(lambda input, target: {name}(one_hot(target, "
    "input.shape[1]).to(input), input.softmax(1))), where one_hot is that of torch.nn.functional",
}
LINES["tensorflow"] = LINES["keras"]


def hint(loss, name, error):
    """The line that would make a loss work which could not be called."""
    if any(word in str(error) for word in ("CUDA", "NVIDIA", "MPS")):
        return "It asks for a GPU that is not here: make its tensors with device=input.device"
    if OF_SETTINGS in str(error):
        return f"Hand over the loss that it makes: diagnose({name}(...))"
    places = [loss, *(getattr(loss, name, None) for name in ("forward", "call", "__init__"))]
    space = next((place.__globals__ for place in places if hasattr(place, "__globals__")), {})
    used = {value.__name__.split(".")[0] for value in space.values() if isinstance(value, types.ModuleType)}
    if "numpy" in used and not used & {"torch", *LINES}:
        return f"It {IN_NUMPY}"
    framework = next((framework for framework in LINES if framework in used), None)
    if framework:
        return f"An adapter says how to call it: {LINES[framework].format(name=name)}"
    return _line(loss, name)


GUESSES = ("None", "1.0", "torch.ones_like(target)", "input", "lambda x: x")  # for an argument that no name explains


def _line(loss, name):
    """The line that diagnoses a loss which asks for more than logits and targets, and what to replace in it."""
    is_class = isinstance(loss, type)
    at_call = parameters_of(getattr(loss, "forward", loss))[is_class:]
    asked = [p.name for p in at_call if p.default is p.empty and p.kind not in (2, 4)]
    at_build = {p.name: p.default is p.empty for p in parameters_of(loss)} if is_class else {}
    target = next((n for n in asked if n in TARGET_NAMES), asked[1] if len(asked) > 1 else None)
    input = next((n for n in asked if n in INPUT_NAMES), next((n for n in asked if n != target), None))
    known = {}
    for ours, code in (("gamma", "gamma"), ("alpha", "alpha"), ("classes", "input.shape[1]")):
        known |= dict.fromkeys(NAMES[ours], code)
    known |= {n: repr(value) for n, value in REQUIRED.items() if not isinstance(value, str)}
    known |= {input: "input", target: "target"}
    unknown = [n for n in [*(n for n, asks in at_build.items() if asks), *asked] if n not in known]
    build = [n for n, asks in at_build.items() if asks or known.get(n) in ("gamma", "alpha")]

    def call(guess, made=name):
        told = known | dict.fromkeys(unknown, guess)
        build_with, call_with = (", ".join(f"{n}={told[n]}" for n in names) for names in (build, asked))
        return f"{made}({build_with})({call_with})" if is_class else f"{made}({call_with})"

    def runs(guess):
        with contextlib.suppress(Exception), hushed():
            x, t = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 1.0]], requires_grad=True), torch.tensor([0, 2])
            space = {"loss": loss, "torch": torch, "input": x, "target": t, "alpha": None, "gamma": 2.0}
            return isinstance(first_of(eval(call(guess, "loss"), space)), torch.Tensor)

    guess = next(filter(runs, GUESSES if unknown else ["None"]), None)
    line = call(guess or "input")
    given = "".join(f", {n}={default}" for n, default in (("alpha", None), ("gamma", 2.0)) if f"={n}" in line)
    imports = "import torch; " * ("torch." in line) + "from focal_lib import diagnose; "
    if "<" not in getattr(loss, "__qualname__", "<") and loss.__module__ != "__main__":
        imports += f"from {loss.__module__} import {name}; "
    rest = f", with your own {' and '.join(unknown)} in place of {guess or 'input'}" if unknown else ""
    if guess == "lambda x: x":  # what makes logits
        rest = f", where {guess} stands for {' and '.join(unknown)}, because input is logits already"
    return f"An adapter says how to call it: {imports}print(diagnose(lambda input, target{given}: {line})){rest}"


def step_of(module):
    """A loss of logits and targets from a module with ``training_step(batch, batch_idx)``; None if it is no such."""
    if not hasattr(module, "training_step"):
        return None
    try:
        module = module() if isinstance(module, type) else copy.deepcopy(module)
    except Exception:
        return None
    for name, child in list(module.named_children()):
        if next(child.parameters(), None) is not None:  # the model, or a part of it: the batch is its logits already
            setattr(module, name, nn.Identity())
    module.forward = lambda x, *_, **__: x
    module.log = module.log_dict = module.print = lambda *_, **__: None
    return lambda input, target: module.training_step((input, target), 0)


IN_NUMPY = (
    "computes in numpy, and no gradient flows through that: write it in torch to train with it, or hand over its "
    "gradient too, diagnose(focal_lib.diagnosis.through(value_and_gradient))"
)
OBJECTIVE = "an objective for a booster: it returns (gradient, Hessian)"


def _calls(scores, labels):
    """(arguments, how the gradient comes back) of every usual way to call an objective; numpy arrays."""
    n, c = scores.shape
    whole, floats = labels.astype(int), labels.astype(float)
    data = types.SimpleNamespace(label=floats, labels=floats, get_label=lambda: floats, get_weight=lambda: None)
    for order in "FC":
        flat, back = scores.ravel(order), lambda gradient, order=order: gradient.reshape(n, c, order=order)
        yield (flat, data), back
        yield (whole, flat), back
    yield (scores, data), back
    yield (whole, scores), back
    if c == 2:
        margin = scores[:, 1] - scores[:, 0]
        yield (margin, data), _of_two
        yield (floats, margin), _of_two


def _of_two(gradient):
    """The gradient by both logits from that by their difference."""
    return gradient.reshape(-1)[:, None] * [[-1.0, 1.0]]


def _in_proportion(got, expected, classes):
    """A row for each class: the gradients by those expected, where that is one positive number; else None."""
    ratio = (got / expected).reshape(-1, classes, classes).movedim(1, 0).flatten(1)
    return ratio if torch.allclose(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-3) and (ratio > 0).all() else None


def _wrong_hessian(second, right):
    """What is wrong with an objective's second derivatives ``(N)``; None if nothing is, or little."""
    if torch.allclose(-second, right, rtol=1e-2, atol=1e-3):
        return "Its Hessian has the wrong sign"
    if not second.isfinite().all() or not (second > 0).any() or ((second <= 0) & (right > 1e-3)).any():
        return "Its Hessian is not positive where the loss is convex"
    return None


def _one_against_all(scores, hot, got, gammas, named):
    """Which sides and gamma of a sigmoid focal loss give this gradient, in words; None if none do."""
    own = [a for a in named.values() if isinstance(a, float) and 0 < a < 1]
    for gamma, alpha in itertools.product(gammas, dict.fromkeys([None, *own, 0.25, 0.75, 0.5])):
        (right,) = torch.autograd.grad(yes_or_no(scores.sigmoid(), hot, gamma, alpha).sum(), scores)
        if torch.allclose(got, right, rtol=1e-3, atol=1e-6):
            words = f"one yes-or-no question for each class{sides_of(alpha)}"
            return f"{OBJECTIVE} of a sigmoid focal loss: {words}, gamma {gamma:g}"
    return None


def gradient_of_objective(loss, call, gamma=None):
    """What is wrong with an objective that returns (gradient, Hessian) in numpy.

    ``call(loss, ...)`` calls it, or what a function of settings alone makes. Returns None if ``loss`` is no such
    objective; else (what it is, which other loss it is or None, None or [what is wrong, the fix, a counter-example]).
    """
    try:
        import numpy as np
    except ImportError:
        return None
    if IN_A_PAGE:
        return None  # a small tensor is no array
    named = {p.name: p.default for p in parameters_of(loss)}
    usual = dict.fromkeys(NAMES["alpha"], 0.25) | dict.fromkeys(NAMES["gamma"], 2.0 if gamma is None else gamma)
    asked = {n: usual[n] for n, default in named.items() if n in usual and default is inspect.Parameter.empty}
    if made := product_of(loss):
        loss = made
    elif asked:
        loss, named = functools.partial(loss, **asked), named | asked
    own = next((named[n] for n in NAMES["gamma"] if isinstance(named.get(n), (int, float))), gamma)
    gammas = (2.0, 1.0, 3.0, 5.0, 1.5, 0.5, 0.0) if own is None else (own,)
    wrong = None
    for classes in (3, 2, 4):
        generator = torch.Generator().manual_seed(0)
        rows = 2 * classes if classes > 3 else 6
        scores = (torch.randint(-3, 4, (rows, classes), generator=generator).double() / 2).requires_grad_()
        target = torch.arange(rows) % classes
        p, hot = scores.softmax(1), torch.eye(classes).double()[target]
        p_t = p.gather(1, target[:, None])
        right = {g: ((1 - p_t) ** g - g * p_t * (1 - p_t) ** (g - 1) * p_t.log()) * (p - hot) for g in gammas}
        for arguments, back in _calls(scores.detach().numpy(), target.numpy()):
            try:
                with np.errstate(all="ignore"):
                    got, second = (np.asarray(array, dtype=float) for array in call(loss, *arguments))
                got, second = torch.tensor(back(got)), torch.tensor(back(second))[:, -1]
            except Exception:
                continue
            if got.shape != scores.shape or len(second) != len(scores):
                continue  # such as a loss and an accuracy
            example = f"scores {numbers(scores[:1].detach())}, label [{target[0]}]"
            for g, expected in right.items():
                ratio = _in_proportion(got, expected.detach(), classes)
                if ratio is not None:
                    (slope,) = torch.autograd.grad(expected[:, -1].sum(), scores)
                    slope = slope[:, -1] * ratio[target, 0]
                    same = torch.allclose(ratio, torch.ones_like(ratio), rtol=1e-3)
                    words = f"{OBJECTIVE}{', of one logit for two classes' * (back is _of_two)}, gamma {g:g}"
                    words += f", times {numbers(ratio[:, 0], 4)} for the classes" * (not same)
                    if what := _wrong_hessian(second, slope):
                        row = int((slope - second).nan_to_num(9.0).argmax())
                        told = f"scores {numbers(scores[row].detach())}, label {target[row]}: the last Hessian"
                        fix = "A booster's step is -gradient / Hessian: return the second derivative, or p * (1 - p)."
                        told = f"{told} is {second[row]:.4g}, expected {slope[row]:.4g}"
                        return words, None, [what, fix, told]
                    if not torch.allclose(second, slope, rtol=1e-2, atol=1e-3):
                        words += ". Its Hessian is positive, but not the second derivative: other steps, one end"
                    return words, None, None
            if classes > 2 and (relative := _one_against_all(scores, hot, got, gammas, named)):
                return OBJECTIVE, relative, None
            g, expected = next((g, gradient.detach()) for g, gradient in right.items())
            turned = bool((got * expected < 0).all())
            by_p = hot * (g * (1 - p_t) ** (g - 1) * p_t.log() - (1 - p_t) ** g / p_t).detach()
            what = "Its gradient has the wrong sign" if turned else "Its gradient is not that of the focal loss"
            fix = "Return the gradient." if turned else "Compare it with torch.autograd.grad of the loss."
            held = [((1 - p_t) ** power * (p - hot)).detach() for power in gammas if power]
            if any(_in_proportion(got, gradient, classes) is not None for gradient in held):
                what = "Its gradient leaves out that (1 - p_t) ** gamma changes too"
                fix = "k = (1 - p_t) ** gamma - gamma * p_t * (1 - p_t) ** (gamma - 1) * np.log(p_t), "
                fix += "with p_t of shape (N, 1); the gradient is k * (p - onehot), not divided by N."
            if torch.allclose(got, by_p, rtol=1e-3):
                what, fix = (
                    "Its gradient is by the probability, not by the scores",
                    "For each row return slope * p_t * (onehot - p), with slope the number that it gives the target.",
                )
            told = f"{example}, gamma {g:g}: the gradient is {numbers(got[0])}, expected {numbers(expected[0])}"
            wrong = wrong or (OBJECTIVE, None, [what, fix, told])
    return wrong
