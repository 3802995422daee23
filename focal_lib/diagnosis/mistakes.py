"""Mistakes that are no single bug of the catalogue, recognised by their numbers: what it is, the fix, an example."""

import itertools

import torch
import torch.nn.functional as F

from ..bugs import CATALOGUE
from .cases import numbers, rows_of
from .forms import logit, softmax
from .formulas import focused, given, nll_of, yes_or_no
from .neighbours import mixes_rows, softmax_over_the_batch, weights_from_the_batch
from .probing import exponent_of
from .relatives import first_kind, measured, own_numbers

__all__ = ["mistake_in_the_arguments", "mistake_of"]

_SMOOTHED = CATALOGUE["smoothing_inside_p_t"].title, CATALOGUE["smoothing_inside_p_t"].fix
INSIDE = CATALOGUE["weight_inside_cross_entropy"].title, CATALOGUE["weight_inside_cross_entropy"].fix
WEIGHTS = ("alpha_scales_its_class", "batch_is_mean_of_singles", "is_the_same_for_renamed_classes")
REDUCED = ("sum_is_n_times_the_mean", "none_has_the_targets_shape")
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
        for s in (s for s in settings if 0 < s < 1):
            bce = (yes * s / 2 + (1 - yes) * (1 - s / 2)) * -(1 - p).log()
            bce = bce + (yes * (1 - s / 2) + (1 - yes) * s / 2) * -p.log()
            yield *_SMOOTHED, (weight * (-torch.expm1(-bce)) ** gamma * bce).sum(1)
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
    gamma, own = adapter.gammas[0], own_numbers(adapter)
    for squash in (torch.sigmoid, *([softmax] if logits is x else [])):
        right = yes_or_no(squash(logits), yes, gamma).detach()

        def mistakes(x, hot, gamma, squash=squash):
            logits, yes = (x, hot) if adapter.only_classes is None else (logit(x)[:, None], hot[:, 1:])
            for entry in _mistakes(squash(logits), yes, gamma, own):
                if squash is not softmax or not entry[0].startswith("A no costs"):  # of a softmax: the focal loss
                    yield entry

        if mistake := _the_same(found, mistakes, right, gamma):
            return mistake
    return None


def _the_same(found, mistakes, right, gamma):
    """The first of ``mistakes(x, hot, gamma)`` that gives these numbers, up to a factor; ``right`` are the right rows.

    Its last part is the formula: a function of (logits, class indices, gamma) for the loss of each row.
    """
    x, hot, alone, batch, slope = found
    for place, (words, fix, expected) in enumerate(mistakes(x, hot, gamma)):
        ratio, part = alone.sum() / expected.detach().sum(), expected.detach() / expected.detach().sum()
        if expected.sum() > 0 and torch.allclose(part, right / right.sum(), rtol=1e-3):
            continue  # here it is no other than the right one
        (along,) = torch.autograd.grad(ratio * expected.mean(), x, retain_graph=True)
        if ratio > 0 and all(
            torch.allclose(a, b.detach(), rtol=1e-3, atol=1e-6)
            for a, b in ((alone, ratio * expected), (batch, ratio * expected.mean()), (slope, along))
        ):
            right = right * ratio
            i = int((alone - right).abs().argmax())
            example = f"logits {numbers(x[i : i + 1].detach(), 3)}, target [{int(hot[i].argmax())}]"

            def formula(input, target, gamma, place=place, ratio=ratio):
                entries = mistakes(input, F.one_hot(target, input.shape[1]).to(input), gamma)
                return ratio * next(itertools.islice(entries, place, None))[2]

            return words, fix, f"{example}: got {numbers(alone[i], 4)}, with p_t it is {numbers(right[i], 4)}", formula
    return None


def _formulas(x, hot, gamma, own, floor):
    """(what it is, the fix, loss of each row) of formulas with a part that is another.

    ``own`` are the loss's own numbers, ``floor`` is the least p_t that it seems to know.
    """
    log_p = x.log_softmax(1)
    nll = -(log_p * hot).sum(1)
    p_t, right = (-nll).exp(), "(1 - p_t) ** gamma * -log(p_t)."
    yield "The minus before the logarithm is missing", right, -focused(p_t, nll, gamma)
    yield "It takes 1 - p_t ** gamma: the parenthesis ends too late", right, (1 - p_t**gamma) * nll
    yield "The power is of the whole product, with the cross-entropy in it", right, ((1 - p_t) * nll) ** gamma
    yield "It focuses on what is right already: p_t where 1 - p_t was meant", right, focused(1 - p_t, nll, gamma)
    yield "It takes log(1 - p_t) where log(p_t) was meant", right, focused(p_t, -(1 - p_t).log(), gamma)
    yield (
        "It focuses by the largest probability, where that of the target was meant",
        "Take p_t at the target: softmax(1).gather(1, target[:, None]).",
        focused(x.softmax(1).amax(1), nll, gamma),
    )
    yield (
        "It focuses by the sigmoid of the target's logit, where the softmax was meant",
        "p_t = exp(-cross_entropy).",
        focused((x * hot).sum(1).sigmoid(), nll, gamma),
    )
    for s in (s for s in own if 0 < s < 1):
        for soft in (hot * (1 - s) + s / x.shape[1], hot * (1 - s) + (1 - hot) * s / (x.shape[1] - 1)):
            smooth = -(soft * log_p).sum(1)
            yield *_SMOOTHED, focused((-smooth).exp(), smooth, gamma)
    if floor:
        never = "Take log p_t from log_softmax: it needs no floor."
        low, both, more = p_t.clamp(min=floor), p_t.clamp(floor, 1 - floor), p_t + floor
        yield f"It clamps p_t at {floor:.3g}: below, nothing is learned", never, focused(both, -both.log(), gamma)
        yield f"It clamps p_t at {floor:.3g}: below, nothing is learned", never, focused(low, -low.log(), gamma)
        yield f"It clamps p_t at {floor:.3g}: below, nothing is learned", never, focused(p_t, -low.log(), gamma)
        yield f"It adds {floor:.3g} to p_t before the logarithm", never, focused(more, -more.log(), gamma)
        yield f"It adds {floor:.3g} to p_t before the logarithm", never, focused(p_t, -more.log(), gamma)


def _of_the_formula(adapter):
    """Whether a part of the formula is another: its numbers are those of single rows."""
    found, gamma, c = measured(adapter), adapter.gammas[0], adapter.only_classes or 3
    if torch.allclose(found[2], rows_of(adapter, found[0], found[1].argmax(1)).detach(), rtol=1e-5):
        found = measured(adapter, spread=8)  # some p_t below what it seems to know
    x, hot, alone, *_ = found
    right, wrong_by_50 = rows_of(adapter, x, hot.argmax(1)).detach(), adapter.tensor([[50.0] + [0.0] * (c - 1)])
    floor = (-nll_of(adapter(wrong_by_50, adapter.labels([1])).detach().reshape(1).to(x), gamma)).exp().item()
    short = float(f"{floor:.1g}")  # what was written, where this comes close
    floor = (short if abs(floor - short) < 0.01 * short else float(f"{floor:.3g}")) if 1e-6 < floor < 0.2 else 0.0
    if torch.allclose(alone, right, rtol=1e-6):
        return None
    return _the_same(found, lambda x, hot, gamma: _formulas(x, hot, gamma, own_numbers(adapter), floor), right, gamma)


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


def _rounds_inside(adapter):
    """Whether logits are brought to fewer digits: rounded beforehand, they give the very same numbers."""
    x, hot, alone, *_ = measured(adapter)
    target, right = hot.argmax(1), rows_of(adapter, x, hot.argmax(1)).detach()
    for dtype in (torch.bfloat16, torch.float16):
        rounded = x.detach().to(dtype).to(x)
        same = [
            torch.equal(adapter(rounded[i : i + 1], target[i : i + 1]).detach().to(x).sum(), alone[i])
            for i in range(12)
        ]
        if all(same) and torch.allclose(alone, right, rtol=0.1):
            name, i = str(dtype).removeprefix("torch."), int((alone - right).abs().argmax())
            example = f"logits {numbers(x[i : i + 1].detach())}, target [{int(target[i])}]: got {numbers(alone[i])}"
            what = f"It computes in {name} inside, whatever the dtype of the logits"
            return what, "Compute in float32 at least.", f"{example}, expected {numbers(right[i])}"
    return None


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
        softmax_over_the_batch,
        weights_from_the_batch,
        mixes_rows,
        _rounds_inside,
    )
    return first_kind(adapter, _of_yes_and_no, *(() if explained else kinds))


def mistake_in_the_arguments(adapter, open):
    """(what it is, the fix, what follows) of a loss that takes weights or the reduction wrongly; None if it is no such.

    ``open`` are the broken promises whose cause is not known.
    """
    if adapter.raises or (found := measured(adapter)) is None:
        return None
    if "sum_is_n_times_the_mean" in open and (example := _one_reduction(adapter, found)):
        what = "Its argument for the reduction changes nothing"
        return what, "Return the mean, the sum or each row's loss, as asked for.", example, [*REDUCED]
    if WEIGHTS[0] in open and adapter.takes_weights and (words := _wrong_weights(adapter, found)):
        fix = INSIDE[1] if words == INSIDE[0] else BY_TARGET
        return words, fix, [*WEIGHTS]
    return None


def _one_reduction(adapter, found):
    """An example in which sum, mean and none are one number; None if they are not."""
    x, hot, *_ = found
    asked = [r for r in ("none", "mean", "sum") if r in adapter.reductions]
    got = [adapter(x.detach(), hot.argmax(1), reduction=r) for r in asked]
    if len(got) < 2 or not all(value.numel() == 1 and torch.equal(value, got[0]) for value in got):
        return None
    return f"{len(x)} rows cost {numbers(got[0].detach().reshape(()), 4)}, whether {', '.join(asked)} is asked for"


def _wrong_weights(adapter, found):
    """Which weights it takes, other than those of the targets, in words."""
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
        return "It takes the weights by the place of a row in the batch, not by its target"
    p, hot, gamma = x.sigmoid(), hot[order], adapter.gammas[0]
    bce = -given(p, hot).log()
    inside = ((-torch.expm1(-alpha * bce)) ** gamma * alpha * bce).sum(1) / yes_or_no(p, hot, gamma)
    all_alike, own = torch.ones_like(one), alpha[target]
    if torch.allclose(got - one, own, rtol=1e-3) or torch.allclose(got - one, own - 1, rtol=1e-3, atol=1e-9):
        return "It adds the weights to the losses"
    for words, weights in (
        ("It takes the weight of the class that is predicted, not of the target", alpha[x.argmax(1)]),
        ("It takes the first class's weight for every class", alpha[0] * all_alike),
        ("It takes the last class's weight for every class", alpha[-1] * all_alike),
        ("It takes the mean of the weights for every class", alpha.mean() * all_alike),
        ("It divides by the weights", 1 / alpha[target]),
        (INSIDE[0], inside),
        ("It takes the square roots of the weights", alpha[target].sqrt()),
    ):
        if torch.allclose(got / one, weights, rtol=1e-3) and not torch.allclose(got, one):
            return words
    return None
