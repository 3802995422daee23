"""What a loss does with one input, and how that differs from what a right loss does, in words."""

import inspect

import torch
from torch import nn

from ..diagnosis.adapter import NAMES, parameters_of
from ..diagnosis.cases import numbers

__all__ = ["CLOSE", "difference_of", "outcome_of", "say", "scale_of", "where_they_differ"]

DIGITS = 4  # of a result in float32
CLOSE = 1e-4  # relative, on batches as in training: below what half precision takes from a weight, above float32's own
TOLD = {
    "the loss": "This loss gives {}; a right loss gives {}.",
    "the gradient": "The gradient of this loss is {}; that of a right loss is {}.",
    "the labels afterwards": "After this loss the labels are {}; after a right loss they are {}.",
}
SETTINGS = ("alpha", "gamma", "reduction", "ignore_index")


def buildable(loss):
    """An instance's class, where it can be built from our settings alone; else the loss as it is."""
    if not isinstance(loss, nn.Module):
        return loss
    known = {name for ours in SETTINGS for name in NAMES[ours]}
    parameters = parameters_of(type(loss))
    return type(loss) if parameters and {p.name for p in parameters} <= known else loss


def entry_of(kind):
    """What of a class is called with logits and labels: its ``forward``, or ``__call__``; None without either."""
    return next((getattr(kind, name) for name in ("forward", "__call__") if name in dir(kind)), None)


def names_of(loss):
    """What a loss takes: ``{our name: its name}`` of alpha, gamma, reduction and ignore_index, built or called."""
    places = [loss, entry_of(loss) or loss] if inspect.isclass(loss) else [getattr(loss, "forward", loss)]
    theirs = {p.name for place in places for p in parameters_of(place)}
    return {ours: name for ours in SETTINGS for name in reversed(NAMES[ours]) if name in theirs}


def outcome_of(loss, case):
    """What a loss does with an input: its value, gradient and the labels afterwards; or an error, as text."""
    names = names_of(loss)
    settings = {names.get(n, n): v for n, v in case.items() if n not in ("logits", "labels", "device")}
    device = case.get("device", "cpu")
    logits = case["logits"].clone().to(device).requires_grad_()
    labels = case["labels"].clone().to(device)
    try:
        if inspect.isclass(loss):
            at_call = {p.name for p in parameters_of(entry_of(loss))[1:]}
            built = {n: v for n, v in settings.items() if n not in at_call}
            settings = {n: v for n, v in settings.items() if n in at_call}
            loss = loss(**built)
            loss = loss.to(device) if isinstance(loss, nn.Module) else loss
        value = loss(logits, labels, **settings)
        (slope,) = torch.autograd.grad(value.sum(), logits)
    except Exception as error:
        text = str(error).strip().split("\n")[0]
        return f"{type(error).__name__}: {text}".rstrip(".!: ")
    return {"the loss": value.detach(), "the gradient": slope, "the labels afterwards": labels}


def scale_of(case):
    """Of rounding, which grows with the weights and never proves anything."""
    return max(1.0, float(torch.as_tensor(case.get("alpha", 1.0)).max()))


def difference_of(ours, right, scale=1.0, rtol=1e-3):
    """In words, what differs between two outcomes; None if nothing does. ``scale``: as :func:`scale_of` gives it."""
    if isinstance(ours, str) or isinstance(right, str):
        return None if ours == right else f"This code: {say(ours)}. A right loss: {say(right)}."
    for what in ours:
        a, b = ours[what], right[what]
        if a.shape != b.shape:
            return f"Here {what} has shape {tuple(a.shape)}; a right loss gives shape {tuple(b.shape)}."
        near = {"rtol": rtol, "atol": 1e-5 * scale, "equal_nan": True}
        if not a.is_meta and not torch.allclose(a, b.to(a.dtype), **near):
            return TOLD[what].format(numbers(a, DIGITS), numbers(b, DIGITS))
    return None


def differ_a_little(ours, right):
    """True where two losses that :func:`difference_of` lets pass differ in their leading digits all the same."""
    a, b = ours["the loss"], right["the loss"]
    return not (a.is_meta or torch.allclose(a, b.to(a.dtype), rtol=1e-3, atol=0))


def say(outcome):
    """An outcome in words: the error, the shape or the loss."""
    if isinstance(outcome, str):
        return outcome
    value = outcome["the loss"]
    return f"a result of shape {tuple(value.shape)}" if value.is_meta else f"the loss {numbers(value, DIGITS)}"


def first_difference(ours, theirs, inputs):
    """In words, the first of these inputs on which two losses differ; None if they agree on all."""
    for case in inputs:
        outcomes = [outcome_of(loss, case) for loss in (ours, theirs)]
        if difference_of(*outcomes):
            setting = ", ".join(f"{n} {numbers(torch.as_tensor(v))}" for n, v in case.items() if v is not None)
            gives, here = map(say, outcomes)
            return f"For {setting} it gives {gives}, and the code in question {here}."
    return None


def where_they_differ(ours, right, case):
    """In words, the row on which two outcomes differ most, and all that was passed."""
    passed = ", ".join(f"{n} {_short(v)}" for n, v in case.items() if n not in ("logits", "labels"))
    shape, kind = tuple(case["logits"].shape), str(case["logits"].dtype).removeprefix("torch.")
    text = f"It differs from a right loss on a batch as in training, logits {kind} of shape {shape}, {passed}: "
    if isinstance(ours, str):
        return f"{text}{ours}."
    a, b = ours["the loss"], right["the loss"]
    if a.shape != b.shape:
        return f"{text}its result has shape {tuple(a.shape)}, that of a right loss {tuple(b.shape)}."
    if not a.ndim and not _agree(a, b):
        return f"{text}the loss is another: {say(ours)}, right is {float(b):.4g}."
    apart = (a - b).abs().nan_to_num(float("inf")).flatten()
    worst = int(apart.argmax())
    costs, right_costs = a.flatten()[worst], b.flatten()[worst]
    if _agree(costs, right_costs):
        return f"{text}the gradient is another."
    logits, label = case["logits"], case["labels"].flatten()[worst].item()
    row = (logits if logits.shape == a.shape else logits.movedim(1, -1)).reshape(apart.numel(), -1)[worst]
    told = f"the row {numbers(row, 3)} with label {label:g} costs {float(costs):.4g}"
    return f"{text}{told}, right is {float(right_costs):.4g}."


def _short(value):
    if isinstance(value, torch.Tensor):
        return numbers(value, 3)
    return f"{value:.3g}" if isinstance(value, float) else value


def _agree(ours, right):
    return abs(float(ours) - float(right)) <= CLOSE * abs(float(right)) + 1e-5
