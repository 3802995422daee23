"""Mistakes that are no single bug of the catalogue, recognised by their numbers: what it is, the fix, an example."""

import itertools

import torch
import torch.nn.functional as F

from ..bugs import CATALOGUE
from .arguments import default_crashes, fixed_gamma, never_reduces, two_sides
from .cases import numbers, rows_of
from .focus import deaf_focus, deaf_to_classes, turned_base, whole_gammas
from .forms import PLAIN, column, logit, softmax
from .formulas import focused, given, nll_of, smoothed_targets, yes_or_no
from .neighbours import gamma_of_the_batch, mixes_rows, own_scale, softmax_over_the_batch, weights_from_the_batch
from .relatives import first_kind, gives, left_out, measured, own_numbers, shares_of

__all__ = ["mistake_of"]

_SMOOTHED = CATALOGUE["smoothing_inside_p_t"].title, CATALOGUE["smoothing_inside_p_t"].fix
_TWO_KINDS = "Its factor is of a softmax, its cross-entropy of sigmoids"


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
            if logits is x and squash is not softmax:
                factor, bce = (1 - given(softmax(x), yes)) ** gamma, -given(x.sigmoid(), yes).log()
                yield _TWO_KINDS, "Take p_t and the cross-entropy of one kind.", (factor * bce).sum(1)
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
            example = f"logits {numbers(x[i : i + 1].detach(), 5)}, target [{int(hot[i].argmax())}]"

            def formula(input, target, gamma, place=place, ratio=ratio):
                entries = mistakes(input, F.one_hot(target, input.shape[1]).to(input), gamma)
                return ratio * next(itertools.islice(entries, place, None))[2]

            return (
                words,
                fix,
                f"{example}: got {numbers(alone[i], 4)}, the right loss is {numbers(right[i], 4)}",
                formula,
            )
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
    yield (
        "It takes exp(ce) for p_t, ce being -log(p_t): the minus is missing",
        "p_t = exp(-ce).",
        focused(1 / p_t, nll, gamma),
    )
    again = F.cross_entropy(log_p.exp(), hot.argmax(1), reduction="none")
    yield (
        "Its cross-entropy takes a second softmax: it is handed probabilities",
        "Hand cross_entropy the logits.",
        focused(p_t, again, gamma),
    )
    yield "It takes log(1 - p_t) where log(p_t) was meant", right, focused(p_t, -(1 - p_t).log(), gamma)
    yield "It takes log(1 + p_t) where log(p_t) was meant", right, -focused(p_t, p_t.log1p(), gamma)
    yield (
        "It takes 1 - ce where 1 - p_t was meant, ce being -log(p_t)",
        "p_t = exp(-ce).",
        focused(nll, nll, gamma),
    )
    yield "It takes 1 - ce, no less than 0, where 1 - p_t was meant", "p_t = exp(-ce).", (1 - nll).relu() ** gamma * nll
    turned = F.cross_entropy(-x, hot.argmax(1), reduction="none")
    yield (
        "It turns the sign of the logits, so the target should be least likely",
        "Hand cross_entropy the logits as they are.",
        focused((-turned).exp(), turned, gamma),
    )
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
        for words, soft in smoothed_targets(hot, s):
            smooth = -(soft * log_p).sum(1)
            what = _SMOOTHED[0] if words.endswith("target") else f"{_SMOOTHED[0]}: {words}"  # the first is torch's
            yield what, _SMOOTHED[1], focused((-smooth).exp(), smooth, gamma)
    if floor:
        never = "Take log p_t from log_softmax: it needs no floor."
        low, both, more = p_t.clamp(min=floor), p_t.clamp(floor, 1 - floor), p_t + floor
        yield f"It clamps p_t at {floor:.3g}: below, nothing is learned", never, focused(both, -both.log(), gamma)
        yield f"It clamps p_t at {floor:.3g}: below, nothing is learned", never, focused(low, -low.log(), gamma)
        yield f"It clamps p_t at {floor:.3g}: below, nothing is learned", never, focused(p_t, -low.log(), gamma)
        yield f"It adds {floor:.3g} to p_t before the logarithm", never, focused(more, -more.log(), gamma)
        yield f"It adds {floor:.3g} to p_t before the logarithm", never, focused(p_t, -more.log(), gamma)
        words = f"It adds {floor:.3g} to 1 - p_t, and to p_t before the logarithm"
        yield words, never, focused(p_t - floor, -more.log(), gamma)


def _of_the_formula(adapter):
    """Whether a part of the formula is another: its numbers are those of single rows."""
    found, gamma, c = measured(adapter), adapter.gammas[0], adapter.only_classes or 3
    if torch.allclose(found[2], rows_of(adapter, found[0], found[1].argmax(1)).detach(), rtol=1e-5):
        found = measured(adapter, spread=8)  # some p_t below what it seems to know
    x, hot, alone, *_ = found
    right, wrong_by_50 = rows_of(adapter, x, hot.argmax(1)).detach(), adapter.tensor([[50.0] + [0.0] * (c - 1)])
    floor = (-nll_of(adapter(wrong_by_50, adapter.labels([1])).detach().reshape(1).to(x), gamma)).exp().item()
    short = float(f"{floor:.1g}")  # what was written, where this comes close
    short = short if abs(floor - short) < 0.01 * short else float(f"{floor:.3g}")
    short = next((own for own in own_numbers(adapter) if abs(floor - own) < 0.05 * own), short)
    floor = short if 1e-6 < floor < 0.2 else 0.0
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
    x, hot, alone, _batch, slope = found = measured(adapter)
    gamma, bug = adapter.gammas[0], CATALOGUE["detached_focus"]

    def partly(nll):
        return (-torch.expm1(-nll.detach())) ** gamma * nll

    of_one = partly(-(x.log_softmax(1) * hot).sum(1))
    weights = (alone / of_one.detach()).reshape(-1, hot.shape[1])[0]  # one for each class
    of_many = partly(-given(x.sigmoid(), hot).log())
    yes, no = (of_many * hot).sum(1), (of_many * (1 - hot)).sum(1)
    ours, theirs = shares_of(alone, yes.detach(), no.detach())
    for rows in (weights[hot.argmax(1)] * of_one, ours * yes + theirs * no):
        if gamma and torch.allclose(alone, rows.detach(), rtol=1e-3) and gives(found, rows.mean()):
            of_row = f"logits {numbers(x[:1].detach(), 3)}, target [0]"
            example = f"{of_row}: the gradient is {numbers(len(x) * slope[:1], 3)}"
            return bug.title, bug.fix, f"{example}, that of the loss of this value is another"
    return None


def _left_out_and_counted(adapter):
    """Whether targets of a class cost nothing, and are in the number by which the mean divides."""
    words, counted = left_out(adapter)
    if not counted:
        return None
    x, hot, alone, batch, _slope = measured(adapter)
    example = f"{len(x)} rows, {int(hot[0].sum()) * len(x) // hot.shape[1]} of each class, cost {numbers(batch, 4)}"
    return (
        f"{words[0].upper()}{words[1:]} cost nothing, and count in its mean",
        "Divide by the number of the others; to leave out no class, let -100 be the index that is ignored.",
        f"{example}; one by one, the first {hot.shape[1]} cost {numbers(alone[: hot.shape[1]], 4)}",
    )


def _another_target(adapter):
    """Whether each target is taken for another class, as where labels are shifted."""
    x, hot, alone, *_ = found = measured(adapter)
    c, taken = hot.shape[1], []
    every = focused(x.softmax(1), -x.log_softmax(1), adapter.gammas[0])
    for k in range(c):
        same = [j for j in range(c) if torch.allclose(every[k::c, j].detach(), alone[k::c], rtol=1e-3)]
        if len(same) != 1:
            return None
        taken += same
    target = hot.argmax(1)
    if taken == list(range(c)) or not gives(found, every[range(len(x)), target.new_tensor(taken)[target]].mean()):
        return None
    told = " and ".join(f"{k} for {j}" for k, j in enumerate(taken) if k != j)
    i = next(k for k, j in enumerate(taken) if k != j)
    example = f"logits {numbers(x[i : i + 1].detach(), 3)}, target [{i}]: got {numbers(alone[i], 4)}"
    return (
        f"It takes class {told}: its targets are shifted or renamed",
        "Take the targets as they are: class indices from 0 to C - 1.",
        f"{example}, expected {numbers(every[i, i].detach(), 4)}",
    )


def _clamps_logits(adapter):
    """Whether the logits are clamped: clamped beforehand as well, they give the very same numbers."""
    if adapter.form.input not in (PLAIN.input, logit, column):
        return None
    c, ends = adapter.only_classes or 3, []
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(24, c, generator=generator, dtype=torch.float64) * 300 - 150).to(adapter.device, adapter.dtype)
    if adapter.form.input is not PLAIN.input:
        x = x * adapter.tensor([0.0, 1.0])  # what it is handed is the second column
    target = x.argmin(1)  # all are wrong, so each logit has a say
    full = adapter(x, target).detach()
    for side in (-1, 1):
        low, high = 0.0, 150.0  # by halving: the least clamp that changes nothing
        for _ in range(30):
            middle = (low + high) / 2
            clamped = (side * x).clamp(max=middle) * side
            low, high = (low, middle) if torch.equal(adapter(clamped, target).detach(), full) else (middle, high)
        ends.append(side * round(high, 3) + 0.0)
    low, high = ends
    if low == high:
        return None  # all logits as large as these cost the same
    # A clamp of p gives an odd number here, and that of BCELoss is at 100.
    if not full.isfinite() or max(-low, high) > 99 or any(abs(end - round(end, 1)) > 1e-3 for end in ends):
        return None
    what = f"It clamps the logits to [{low:g}, {high:g}]: beyond, nothing is learned"
    example = f"logits of {high + 5:g} cost what {high:g} costs, and {low - 5:g} what {low:g} costs"
    return what, "Hand cross_entropy the logits as they are: it needs no clamp.", example


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
        default_crashes,
        two_sides,
        never_reduces,
        fixed_gamma,
        _of_the_backward,
        _left_out_and_counted,
        _another_target,
        _detached,
        deaf_focus,
        deaf_to_classes,
        turned_base,
        whole_gammas,
        _clamps_logits,
        _of_the_formula,
        _weights_inside,
        own_scale,
        softmax_over_the_batch,
        _rounds_inside,
        weights_from_the_batch,
        gamma_of_the_batch,
        mixes_rows,
    )
    return first_kind(adapter, _of_yes_and_no, *(() if explained else kinds))
