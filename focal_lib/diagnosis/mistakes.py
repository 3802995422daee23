"""Mistakes that are no single bug of the catalogue, recognised by their numbers: what it is, the fix, an example."""

import copy
from dataclasses import replace

import torch
import torch.nn.functional as F

from ..bugs import CATALOGUE
from .cases import numbers, rows_of
from .forms import logit
from .probing import exponent_of
from .relatives import first_kind, focused, given, measured, nll_of, own_numbers, yes_or_no

__all__ = ["mistake_in_the_weights", "mistake_of"]

BY_TARGET = "Multiply each loss by alpha[target]."


def _mistakes(p, yes, gamma, settings):
    """(what it is, the fix, loss of each row) of mistakes in yes-or-no questions; probabilities, answers ``(N, K)``.

    ``settings`` are the loss's own numbers: one may be an alpha for the yeses.
    """
    p_t = given(p, yes)
    twice = F.binary_cross_entropy_with_logits(p, yes, reduction="none")
    right = "p_t = p * target + (1 - p) * (1 - target)"
    entries = (
        ("It focuses by p where p_t was meant, so a no counts least where it is most wrong", right, (1 - p) ** gamma),
        ("It focuses on what is right already: p_t where 1 - p_t was meant", "(1 - p_t) ** gamma.", p_t**gamma),
        (
            "A no costs nothing",
            "Add the other half, -(1 - target) * p ** gamma * log(1 - p).",
            yes * (1 - p_t) ** gamma,
        ),
    )
    for alpha in (None, *dict.fromkeys([*(s for s in settings if s < 1), 0.25, 0.75])):
        weight = 1.0 if alpha is None else given(alpha, yes)
        for words, fix, factor in entries:
            yield words, fix, (weight * factor * -p_t.log()).sum(1)
        words, fix = "Sigmoid twice", "Hand the logits, not the probabilities, to binary_cross_entropy_with_logits."
        yield words, fix, (weight * (-torch.expm1(-twice)) ** gamma * twice).sum(1)
    words, fix = (
        "The weight of a yes is inside p_t",
        "Take p_t from the unweighted loss, multiply by pos_weight afterwards.",
    )
    for weight in dict.fromkeys([*settings, 2.0, 3.0, 4.0, 5.0, 10.0]):
        bce = (1 + (weight - 1) * yes) * -p_t.log()
        yield words, fix, ((-torch.expm1(-bce)) ** gamma * bce).sum(1)


def _of_yes_and_no(adapter):
    """Whether it is a mistake of yes-or-no questions: it gives that mistake's numbers and gradient, up to a factor."""
    found = measured(adapter)
    if found is None:
        return None
    x, hot, *_ = found
    logits, yes = (x, hot) if adapter.only_classes is None else (logit(x)[:, None], hot[:, 1:])
    if x.shape[1] != 2 and adapter.only_classes is not None:
        return None
    for p in (logits.sigmoid(), *([x.softmax(1)] if logits is x else [])):
        right = yes_or_no(p, yes, adapter.gammas[0]).detach()
        mistakes = _mistakes(p, yes, adapter.gammas[0], own_numbers(adapter))
        if p.shape[1] > 1 and torch.allclose(
            p.sum(1), p.new_ones(len(p))
        ):  # of a softmax: the focal loss is that of the yeses
            mistakes = (entry for entry in mistakes if not entry[0].startswith("A no costs"))
        if mistake := _the_same(found, mistakes, right):
            return mistake
    return None


def _the_same(found, mistakes, right):
    """The first of the mistakes that gives these numbers, up to a factor; ``right`` are the right rows."""
    x, hot, alone, batch, slope = found
    for words, fix, expected in mistakes:
        ratio = alone.sum() / expected.detach().sum()
        (along,) = torch.autograd.grad(ratio * expected.mean(), x, retain_graph=True)
        if ratio > 0 and all(
            torch.allclose(a, b.detach(), rtol=1e-3, atol=1e-6)
            for a, b in ((alone, ratio * expected), (batch, ratio * expected.mean()), (slope, along))
        ):
            right = right * ratio
            i = int((alone - right).abs().argmax())
            example = f"logits {numbers(x[i : i + 1].detach(), 3)}, target [{int(hot[i].argmax())}]"
            return words, fix, f"{example}: got {numbers(alone[i], 4)}, with p_t it is {numbers(right[i], 4)}"
    return None


def _of_the_formula(adapter):
    """Whether a part of the formula is another: its numbers are those of single rows."""
    found, gamma = measured(adapter), adapter.gammas[0]
    x, hot, *_ = found
    nll = -(x.log_softmax(1) * hot).sum(1)
    p_t, right = (-nll).exp(), "(1 - p_t) ** gamma * -log(p_t)."
    mistakes = (
        ("The minus before the logarithm is missing", right, -focused(p_t, nll, gamma)),
        ("It takes 1 - p_t ** gamma: the parenthesis ends too late", right, (1 - p_t**gamma) * nll),
        ("The power is of the whole product, with the cross-entropy in it", right, ((1 - p_t) * nll) ** gamma),
        ("It focuses on what is right already: p_t where 1 - p_t was meant", right, focused(1 - p_t, nll, gamma)),
        ("It takes log(1 - p_t) where log(p_t) was meant", right, focused(p_t, -(1 - p_t).log(), gamma)),
        (
            "It focuses by the largest probability, where that of the target was meant",
            "Take p_t at the target: softmax(1).gather(1, target[:, None]).",
            focused(x.softmax(1).amax(1), nll, gamma),
        ),
        (
            "It focuses by the sigmoid of the target's logit, where the softmax was meant",
            "p_t = exp(-cross_entropy).",
            focused((x * hot).sum(1).sigmoid(), nll, gamma),
        ),
    )
    return _the_same(found, mistakes, focused(p_t, nll, gamma).detach())


def _of_the_backward(adapter):
    """Whether the value is right and the gradient a multiple of its slope, as of a backward pass of one's own."""
    x, hot, _alone, batch, slope = measured(adapter)
    rows = rows_of(adapter, x, hot.argmax(1))
    (right,) = torch.autograd.grad(rows.mean() * (batch / rows.detach().mean()), x)
    times = ((slope * right).sum() / (right * right).sum()).item()
    if not adapter.fits or abs(times - 1) < 1e-2 or not torch.allclose(slope, times * right, rtol=1e-3, atol=1e-7):
        return None
    what = "Its gradient is 0" if abs(times) < 1e-6 else f"Its gradient is {times:.3g} times the slope of its value"
    what = "Its gradient has the wrong sign" if abs(times + 1) < 1e-3 else what
    example = f"logits {numbers(x[:1].detach(), 3)}, target [0]: the gradient is {numbers(len(x) * slope[:1], 3)}"
    return (
        what,
        "backward returns grad_output times the derivative.",
        f"{example}, expected {numbers(len(x) * right[:1], 3)}",
    )


def _detached(adapter):
    """Whether the gradient leaves out that (1 - p_t) ** gamma depends on the logits, and the value is right."""
    x, hot, _alone, batch, slope = measured(adapter)
    nll, rows = -(x.log_softmax(1) * hot).sum(1), rows_of(adapter, x, hot.argmax(1)).detach()
    (part,) = torch.autograd.grad(((rows / nll).detach() * nll).mean() * (batch / rows.mean()), x)
    if not adapter.fits or not torch.allclose(slope, part, rtol=1e-3, atol=1e-7) or adapter.gammas[0] == 0:
        return None
    bug = CATALOGUE["detached_focus"]
    example = f"logits {numbers(x[:1].detach(), 3)}, target [0]: the gradient is {numbers(len(x) * slope[:1], 3)}"
    return bug.title, bug.fix, f"{example}, that of the loss of this value is another"


def _default_crashes(adapter):
    """Whether a number is the default of an alpha that is used as weights of classes."""
    if not (adapter.fits and adapter.alpha_is_numeric and adapter.takes_weights) or adapter.runs_without_alpha:
        return None
    crashes = {}
    for c in (2, 3):
        try:
            adapter.criterion(c)(adapter.tensor([[0.0] * c]), adapter.labels([c - 1]))
        except Exception as error:
            crashes[c] = f"{type(error).__name__}: {error}"
    only = "" if 2 in crashes else " with more than two classes"
    what = f"Its default alpha, {adapter.alpha_by_default:g}, crashes{only}: it wants a weight for each class"
    return (
        what,
        "alpha=None, and multiply by alpha[target] only where it is given.",
        f"without alpha it raised {crashes[3]}",
    )


def _two_sides(adapter):
    """Whether a number alpha weighs class 0 against all others."""
    if adapter.only_classes == 2 or "alpha" not in adapter.settable or not adapter.alpha_is_numeric:
        return None
    c, right = adapter.only_classes or 3, adapter.tensor([0.75, 0.5, 0.25])
    right = (1 - right) ** adapter.gammas[0] * -right.log()
    sides = []
    for alpha in (0.25, 0.6):
        weights = adapter.singles(c, alpha=alpha) / right
        for zero, rest in ((1 - alpha, alpha), (alpha, 1 - alpha)):
            expected = adapter.tensor([zero] + [rest] * (c - 1))[:, None].expand_as(weights)
            if torch.allclose(weights / weights.sum(), expected / expected.sum(), rtol=1e-3):
                sides.append((weights[0, 0].item(), weights[1, 0].item()))
    if len(sides) != 2:
        return None
    what = "Its alpha has two sides: one weight for class 0, another for all other classes alike"
    fix = "Give each class a weight of its own: alpha[target]."
    return what, fix, f"alpha 0.25 weights class 0 by {sides[0][0]:.4g} and every other class by {sides[0][1]:.4g}"


def _fixed_gamma(adapter):
    """Whether another gamma changes nothing."""
    if "gamma" not in adapter.settable:
        return None
    found = [exponent_of(adapter.singles(adapter.only_classes or 3, gamma=gamma)) for gamma in (1.0, 3.0)]
    if None in found or abs(found[0] - found[1]) > 1e-3 or found[0] < 1e-3:
        return None
    what = f"Its gamma is not used: the exponent is {found[0]:.3g}, whatever is asked for"
    return (
        what,
        "Use the argument in the exponent.",
        f"asked for gamma 1 and 3, it gives the losses of gamma {found[0]:.3g}",
    )


def _weights_inside(adapter):
    """Whether weights of its own are inside p_t: one weight w_k for each class, in (1 - p_t ** w_k) ** gamma."""
    x, hot, alone, *_ = measured(adapter)
    gamma, nll = adapter.gammas[0], -(x.detach().log_softmax(1) * hot).sum(1)
    by_class = (nll_of(alone, gamma) / nll).reshape(-1, hot.shape[1])
    w = by_class[0]
    if not 0.01 < w.min() <= w.max() < 100:
        return None
    if not torch.allclose(by_class, w.expand_as(by_class), rtol=1e-3) or torch.allclose(
        w, torch.ones_like(w), rtol=1e-3
    ):
        return None
    what = f"Its weights, {numbers(w, 3)} for the classes, are inside p_t, so p_t is no probability of the model"
    fix = "Take p_t from the unweighted cross-entropy, and multiply by the weight afterwards."
    k = int((w - 1).abs().argmax())
    example = f"logits {numbers(x[k : k + 1].detach(), 3)}, target [{k}]: got {numbers(alone[k], 4)}"
    right = w[k] * focused((-nll[k]).exp(), nll[k], gamma)
    return what, fix, f"{example}, weighted outside it is {numbers(right, 4)}"


def _over_the_batch(adapter):
    """Whether the softmax runs over the rows: what is added to a class in all rows changes nothing, and should."""
    x, hot, *_ = measured(adapter)
    x, target = x.detach(), hot.argmax(1)
    steps = torch.arange(len(x)).to(x)[:, None] / 4
    value, by_class, by_row = (adapter(rows, target).detach() for rows in (x, x + steps[: x.shape[1]].t(), x + steps))
    if not torch.allclose(value, by_class, rtol=1e-4) or torch.allclose(value, by_row, rtol=1e-2):
        return None
    what = "Its softmax is over the rows of the batch, not over the classes"
    example = f"a single row costs {numbers(adapter(x[:1], target[:1]).detach(), 4)}, whatever its logits are"
    return what, "softmax(dim=1): the axis of the classes.", example


def _weights_of_rows(adapter, x, target, hot, many):
    """The weight of each row's loss in the batch's mean ``(N,)``, or ``(N, C)`` of each yes or no; None without one."""
    input = x.detach().clone().requires_grad_()
    value = adapter(input, target).mean()
    p = given(input.sigmoid(), hot) if many else None
    rows = focused(p, -p.log(), adapter.gammas[0]) if many else rows_of(adapter, input, target)
    (slope,) = torch.autograd.grad(value, input)
    (right,) = torch.autograd.grad(rows.sum(), input)
    weights = slope.to(x.dtype) / right * len(x)
    if not many:
        if not torch.allclose(weights, weights[:, :1].expand_as(weights), rtol=1e-3):
            return None
        weights = weights[:, 0]
    total = (weights * rows.detach()).sum() / len(x)
    return weights if torch.allclose(value.detach().to(x.dtype), total, rtol=1e-3) else None


def _weights_in_two_batches(adapter, many):
    """The counts and weights of the classes, or of no and yes, in two batches; None where rows show no such weights."""
    c, n = adapter.only_classes or 3, 12
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(n, c, generator=generator, dtype=torch.float64) * 4 - 2).to(adapter.device, adapter.dtype)
    index, seen = torch.arange(n, device=adapter.device), []
    for rare in (4, 2):
        target, tried = (index <= rare).long() + (index < 1).long() * (c - 2), copy.copy(adapter)
        hot = F.one_hot(target, c).to(x)
        if many:  # another share of yeses
            hot[:, 0] = (index < rare).to(x)
            tried.form = replace(adapter.form, target=lambda t, x, hot=hot: hot)
        ours, other = (_weights_of_rows(tried, rows, target, hot, many) for rows in (x, x.flip(0)))
        if ours is None or other is None or not torch.allclose(ours, other, rtol=1e-3):
            return None  # the logits have a say as well
        kinds = hot.long() if many else target
        weights = [ours[kinds == k] for k in range(2 if many else c)]
        if not all(torch.allclose(w, w[:1].expand_as(w), rtol=1e-3) for w in weights):
            return None
        seen.append((kinds.flatten().bincount().tolist(), torch.stack([w[0] for w in weights])))
    return seen


def _weights_from_the_batch(adapter):
    """Whether the classes' weights change with the targets of the batch, and with nothing else."""
    for many in (False, True) if adapter.one_hot else (False,):
        seen = _weights_in_two_batches(adapter, many)
        if seen and not torch.allclose(seen[0][1], seen[1][1], rtol=1e-3):
            what = "It takes its weights from the batch, so what an example costs depends on its neighbours"
            fix = "Count once, over the whole training set, and hand the weights over."
            told = " and ".join(f"{numbers(weights, 3)} for counts {counts}" for counts, weights in seen)
            return what, fix, f"in two batches the classes weigh {told}"
    return None


def mistake_of(adapter, explained=False):
    """(what it is, the fix, an example) of a loss that makes a known mistake; None if it makes none of these.

    Where bugs of the catalogue explain it all, only a mistake of yes-or-no questions tells more.
    """
    if adapter.error is not None:
        return None
    kinds = (
        _default_crashes,
        _two_sides,
        _fixed_gamma,
        _of_the_backward,
        _detached,
        _of_the_formula,
        _weights_inside,
        _over_the_batch,
        _weights_from_the_batch,
    )
    return first_kind(adapter, _of_yes_and_no, *(() if explained else kinds))


def mistake_in_the_weights(adapter):
    """(what it is, the fix) of a loss that takes other weights than those of the targets; None if it is no such."""
    if not adapter.takes_weights or adapter.raises or (found := measured(adapter)) is None:
        return None
    x, hot, *_ = found
    x, target, alpha = x.detach(), hot.argmax(1), adapter.tensor([2.0, 3.0, 5.0, 4.0])[: hot.shape[1]]
    if len(alpha) != hot.shape[1]:
        return None
    order = torch.tensor([1, 2, 0, 5, 3, 4, 7, 8, 6, 11, 9, 10], device=target.device)
    x, target = x[order], target[order]
    ones, n = torch.ones_like(alpha), len(x)
    try:
        one, got = (
            torch.stack([adapter(x[i : i + 1], target[i : i + 1], alpha=a).sum() for i in range(n)]).detach()
            for a in (ones, alpha)
        )
        batch = adapter(x, target, alpha=alpha).sum().detach()
    except Exception:
        return None
    one, got, batch = one.to(alpha), got.to(alpha), batch.to(alpha)
    by_place = alpha[torch.arange(n, device=target.device) % len(alpha)]
    if torch.allclose(batch, (by_place * one).mean(), rtol=1e-3):
        return "It takes the weights by the place of a row in the batch, not by its target", BY_TARGET
    all_alike, own = torch.ones_like(one), alpha[target]
    if torch.allclose(got - one, own, rtol=1e-3) or torch.allclose(got - one, own - 1, rtol=1e-3, atol=1e-9):
        return "It adds the weights to the losses", BY_TARGET
    for words, weights in (
        ("It takes the weight of the class that is predicted, not of the target", alpha[x.argmax(1)]),
        ("It takes the first class's weight for every class", alpha[0] * all_alike),
        ("It takes the last class's weight for every class", alpha[-1] * all_alike),
        ("It takes the mean of the weights for every class", alpha.mean() * all_alike),
        ("It divides by the weights", 1 / alpha[target]),
        ("It takes the square roots of the weights", alpha[target].sqrt()),
    ):
        if torch.allclose(got / one, weights, rtol=1e-3) and not torch.allclose(got, one):
            return words, BY_TARGET
    return None
