"""Losses that are no focal loss, recognised by their numbers: known relatives."""

import contextlib
import copy
import functools
import itertools

import torch
import torch.nn.functional as F

from .adapter import as_number
from .cases import numbers, rows_of
from .forms import MAPS, Form, softmax
from .formulas import focused, nll_of, references, terms, yes_or_no
from .probing import exponent_of

__all__ = ["each_alone", "first_kind", "gives", "left_out", "measured", "own_numbers", "relative_of", "shares_of"]


def own_numbers(adapter):
    """The numbers that the loss has as its own settings, where each could be a smoothing, an alpha or a temperature."""
    return [float(v) for v in adapter.numbers_inside() if 0 < v <= 100]


def measured(adapter, spread=3):
    """(logits (12, C) up to ``spread``, one-hot targets, loss of each row alone, of all, gradient), or None."""
    c = adapter.only_classes or 3
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(12, c, generator=generator, dtype=torch.float64) * 2 - 1).to(adapter.device, adapter.dtype)
    x = x * spread
    x.requires_grad_()
    target = (torch.arange(12) % c).to(adapter.device)
    alone = adapter.runs_without_alpha and adapter.default_classes in (None, c)

    def mean(run, input, target):
        value = adapter.as_mean(as_number(run(input, target), adapter.dtype), target)
        return value.mean()  # with the alpha that it has by default

    try:
        asked = "mean" if "mean" in adapter.reductions else None  # some sum by default
        run = adapter.criterion(c, gamma=adapter.known_gamma, reduction=asked) if alone else adapter
        if adapter.needs_alpha:  # a number, if it takes one: of an alpha for two sides, 1 would leave one out
            with contextlib.suppress(Exception):
                adapter(x[:1], target[:1], alpha=0.25)
                run = functools.partial(adapter, alpha=0.25)
        alone = torch.stack([mean(run, x[i : i + 1], target[i : i + 1]) for i in range(12)]).detach()
        batch = mean(run, x, target)
        (slope,) = torch.autograd.grad(batch, x)
    except Exception:
        return None
    # Some come back as float32.
    return x, F.one_hot(target, c).to(x), alone.to(x.dtype), batch.detach().to(x.dtype), slope.to(x.dtype)


def each_alone(adapter, x, target, alpha):
    """The loss ``(N,)`` of each row by itself, with these weights of the classes."""
    rows = [adapter(x[i : i + 1], target[i : i + 1], alpha=alpha).sum() for i in range(len(x))]
    return torch.stack(rows).detach().to(x)


def _per_positive(adapter):
    """Whether it divides the sum by the number of targets that are not class 0, as detectors do."""
    c = adapter.only_classes or 3
    x = adapter.tensor([[0, 1, 0], [1, 0, 2], [0, 2, 1], [1, 1, 0], [-1, 1, 0], [0, 0, 1], [2, 1, 0], [0, -1, 1]])
    x = x[:, :c].requires_grad_()
    for positives in (2, 5):
        target = torch.arange(8, device=adapter.device)
        target = (target < positives).long() * (1 + target % (c - 1))
        got, hot = adapter(x, target), F.one_hot(target, c).to(x)
        (slope,) = torch.autograd.grad(got, x)
        rows = [rows_of(adapter, x, target)]
        for first, alpha in itertools.product((0, 1), (None, 1.0, *own_numbers(adapter))):
            rows.append(yes_or_no(x[:, first:].sigmoid(), hot[:, first:], adapter.gammas[0], alpha))
        found = x, hot, rows, got.detach().to(x.dtype), slope.to(x.dtype)
        if not any(gives(found, row.sum() / positives) for row in rows):
            return None
    if c == 2:
        return "the focal loss of key points: a sum, divided by the number of positives"
    return "the focal loss of detectors: a sum, divided by the number of targets other than class 0"


def _by_p(adapter, x, target, squash, part):
    """The gradient by the probabilities of all but ``part`` times the focal loss, a row each."""
    input = x.detach().clone().requires_grad_()
    rows = rows_of(adapter, input, target)
    if squash is torch.sigmoid and adapter.one_hot:  # a mean over the table
        hot = F.one_hot(target, x.shape[1]).to(x)
        rows = yes_or_no(input.sigmoid(), hot, adapter.gammas[0]) / x.shape[1]
    value = adapter(input, target).mean() - part * rows.mean()
    (slope,) = torch.autograd.grad(value, input)
    p = squash(x)
    if squash is torch.sigmoid:
        return slope / (p * (1 - p))
    return slope / p - (slope / p)[:, :1]  # a softmax leaves a constant open


def left_out(adapter):
    """(the classes whose targets cost nothing, in words; whether they count in its mean), or None without such."""
    x, hot, alone, *_ = found = measured(adapter)
    c, target = hot.shape[1], hot.argmax(1)
    nothing = ((alone == 0) | alone.isnan()).reshape(-1, c).all(0)
    if adapter.only_classes == 2 or not nothing.any():  # of a yes and a no, half of the loss is missing
        return None
    rows, kept = rows_of(adapter, x, target), ~nothing[target]
    weights = torch.where(kept, alone / rows.detach(), 0.0)
    if not torch.allclose(weights, weights[:c].repeat(len(x) // c), rtol=1e-3):
        return None
    classes = " and ".join(str(k) for k in range(c) if nothing[k])
    names = [name for name, value in adapter.left.items() if type(value) is int and str(value) == classes]
    names += [adapter.names["ignore_index"]] if "ignore_index" in adapter.settable and len(classes) == 1 else []
    words = f"targets of class {classes}{f' ({names[0]} is {classes} by default)' if names else ''}"
    for count, counted in ((kept.sum(), False), (len(x), True)):
        if gives(found, torch.where(kept, weights * rows, 0.0).sum() / count):
            return words, counted
    return None


def _without_a_class(adapter):
    """Whether targets of a class are left out, of the mean too."""
    words, counted = left_out(adapter)
    return None if counted else f"a focal loss that leaves out {words}"


def _overlap(adapter):
    """Whether it depends on the batch's sums of probabilities alone, as losses of overlaps do.

    Then rows of one target have one gradient by their probabilities, and other rows decide which; or it is linear.
    """
    c = adapter.only_classes or 3
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(9, c, generator=generator, dtype=torch.float64) * 4 - 2).to(adapter.device, adapter.dtype)
    target = (torch.arange(9) % c).to(adapter.device)
    other = x.clone()
    other[c:] += adapter.tensor(range(c))
    if adapter.form.input is MAPS.input:  # the rows as the pixels of one image
        adapter = copy.copy(adapter)
        adapter.form = Form("", lambda x: x.t()[None, :, None], lambda t, x: t[None, None])
    parts = dict.fromkeys([0, 1, 0.5, *own_numbers(adapter)])
    for part, squash in itertools.product(parts, (softmax, torch.sigmoid)):
        here, there = (_by_p(adapter, rows, target, squash, part) for rows in (x, other))
        first, hot = here[:c], F.one_hot(target[:c], c).to(x)
        if torch.allclose(here, first[target], rtol=1e-3, atol=1e-5) and first.abs().max() > 1e-4:
            words = "a loss of overlaps, as Dice and Tversky are: one quotient of sums over the batch"
            if torch.allclose(first, there[:c], rtol=1e-2):
                if not torch.allclose(first, first[1, 1] * (hot - hot[:, :1]), rtol=1e-3, atol=1e-5):
                    continue
                words = "the mean of 1 - p_t, as Dice is over all classes at once"
            return f"{words}, added to a focal loss" if part else words
    return None


def first_kind(adapter, *kinds):
    """The words of the first of these kinds that the loss is; None if it is none, or fails where it is tried."""
    for kind in kinds:
        with contextlib.suppress(Exception):
            if words := kind(adapter):
                return words
    return None


def _known(adapter):
    """Whether it gives a relative's numbers for single examples of three classes, up to one weight for each class, and
    their mean for a batch."""
    x, hot, alone, *_ = found = measured(adapter)
    if alone.abs().min() < 1e-9:  # too sure for digits to be left, as with a temperature of 0.07
        x, hot, alone, *_ = found = measured(adapter, 0.3)
    target, plain = hot.argmax(1), rows_of(adapter, x, hot.argmax(1)).detach()
    if torch.allclose(alone, plain, rtol=1e-3, atol=0):
        return None  # one by one they are focal losses, with the weights that it has inside
    for words, expected in references(hot, x, adapter.gammas[0], own_numbers(adapter)):
        if torch.allclose(expected.detach() / expected.detach().sum(), plain / plain.sum(), rtol=1e-3):
            continue  # with such a setting it is the focal loss: a smoothing of 1e-7, for one
        ratio = (alone / expected.detach()).reshape(4, 3)
        if torch.allclose(ratio, ratio[:1].expand(4, 3), rtol=1e-3, atol=0) and (ratio > 0).all():
            weighted = (ratio[0][target] * expected).mean()
            same = torch.allclose(ratio[0], ratio[0, :1].expand(3), rtol=1e-3)
            if gives(found, weighted):
                return words if same else f"{words}, with class weights built in"
    return None


def _rescaled(adapter):
    """Whether weights are brought to another sum before they are used."""
    if not adapter.takes_weights or adapter.divides_by_weights:  # that divides too, by the targets' weights
        return None
    x, hot, *_ = measured(adapter)
    x, target, alpha = x.detach(), hot.argmax(1), adapter.tensor([1.0, 2.0, 5.0])
    got = adapter(x, target, alpha=alpha).detach().to(x.dtype)
    right = (alpha[target] * rows_of(adapter, x, target)).mean()
    for total, words in ((3.0, "the number of classes"), (1.0, "1"), (1.6, "")):
        if torch.allclose(got, right * total / 8, rtol=1e-3):
            how = "divided by their largest" if total == 1.6 else f"scaled to sum to {words}"
            return f"a focal loss whose class weights are {how}"
    return None


def _other_gamma(adapter):
    """Whether its gamma is a multiple of the focal loss's."""
    found = [exponent_of(adapter.singles(3, gamma=gamma)) for gamma in (1.0, 2.0, 3.0)]
    if None in found or found[0] < 0.01 or abs(found[0] - 1) < 0.01:
        return None
    if any(abs(exponent - found[0] * gamma) > 0.01 for exponent, gamma in zip(found, (1, 2, 3), strict=True)):
        return None
    return f"a focal loss whose exponent is {found[0]:.3g} times the gamma that it is given"


def _alpha_is_the_exponent(adapter):
    """Whether its alpha is the exponent and its targets may be heights of peaks, as of key points in heat maps."""
    x, hot, *_ = measured(adapter)
    x, target, tried = x.detach(), hot.argmax(1), copy.copy(adapter)
    for alpha in (1.0, 3.0):
        if adapter.names.get("alpha") == "alpha":
            settings = {"alpha": alpha}
        elif isinstance(adapter.left.get("alpha"), (int, float)):
            settings, tried.required = {}, adapter.required | {"alpha": alpha}
        else:
            return None
        got = torch.stack([tried(x[i : i + 1], target[i : i + 1], **settings).sum() for i in range(len(x))])
        if adapter.only_classes is None:
            right = yes_or_no(x.sigmoid(), hot, alpha)
        else:
            right = yes_or_no(x.softmax(1)[:, 1:], hot[:, 1:], alpha)
        if not torch.allclose(got / got.sum(), (right / right.sum()).to(got), rtol=1e-3):
            return None
    return "the focal loss of heat maps, as CornerNet's: its alpha is the exponent, and it weights no class"


def _of_many_gammas(adapter):
    """Whether it has several gammas, for ranges of p_t or for classes."""
    x, hot, alone, batch, _slope = measured(adapter)
    nll = F.cross_entropy(x.detach(), hot.argmax(1), reduction="none")
    focus, factor = (-torch.expm1(-nll)).log().reshape(-1, hot.shape[1]), (alone / nll).log().reshape(-1, hot.shape[1])
    if not torch.allclose(batch, alone.mean(), rtol=1e-3):
        return None
    away = focus - focus.mean(0)
    by_class = (away * factor).sum(0) / (away * away).sum(0)  # the slopes of lines, a weight is where they start
    start = factor - by_class * focus
    if torch.allclose(start, start[:1].expand_as(start), rtol=0, atol=5e-3) and by_class.max() - by_class.min() > 0.01:
        each = f"a focal loss with a gamma for each class: {numbers(by_class, 3)[1:-1]}"
        return each if start.abs().max() < 0.01 else f"{each}, and weights, {numbers(start[0].exp(), 3)[1:-1]}"
    powers = factor / focus
    if not torch.allclose(powers, (2 * powers).round() / 2, rtol=0, atol=5e-3):
        return None
    kinds = sorted({round(2 * power) / 2 for power in powers.flatten().tolist()})
    if not 2 <= len(kinds) <= 4 or not 0 <= kinds[0] <= kinds[-1] < 20:
        return None
    return f"a focal loss whose gamma depends on p_t: {_ranges(adapter, hot.shape[1])}"


def _ranges(adapter, classes):
    """The gammas of single rows and the p_t at which they change, in words."""

    def power(p):
        row = adapter.tensor([[p] + [(1 - p) / (classes - 1)] * (classes - 1)])
        loss, p_t = adapter(row.log(), adapter.labels([0])).detach().sum(), row[0, 0]
        return round(2 * ((loss / -p_t.log()).log() / (1 - p_t).log()).item()) / 2

    words, rises, grid = [], [], [0.01 + 0.02 * k for k in range(50)]
    for low, high in itertools.pairwise(grid):
        if (below := power(low)) != power(high):
            for _ in range(20):
                middle = (low + high) / 2
                low, high = (middle, high) if power(middle) == below else (low, middle)
            words.append(f"{below:g} below {high:.3g}")
            rises += [f"{high:.3g}"] * (power(high) < below)
    asked = " (the gamma asked for)" if "gamma" in adapter.settable and power(grid[-1]) == 2 else ""
    jumps = "the loss drops there"
    if rises:
        jumps = f"at {' and '.join(rises)} the loss jumps up, so a surer row costs more"
    return f"{', '.join(words)}, else {power(grid[-1]):g}{asked}; {jumps}"


def gives(found, total):
    """Whether ``total`` is the loss of the batch that was measured, its gradient too."""
    x, _, _, batch, slope = found
    (right,) = torch.autograd.grad(total, x, retain_graph=True)
    return torch.allclose(batch, total.detach(), rtol=1e-3) and torch.allclose(slope, right, rtol=1e-2, atol=1e-5)


def _with_another_term(adapter):
    """Whether it is the focal loss and another term, added up: two numbers fit all single examples."""
    x, hot, alone, *_ = found = measured(adapter)
    gamma = adapter.gammas[0]
    for first, second, focal, other in terms(x, hot, gamma, own_numbers(adapter)):
        ours, theirs = shares_of(alone, focal, other)
        rows = ours * focal + theirs * other
        same = torch.allclose(alone, rows.detach(), rtol=1e-3, atol=1e-5)
        if abs(theirs) < 2e-3:  # as where targets are clamped: then what is left is that term
            rest = alone - ours * focal.detach()
            same = abs(ours - 1) < 1e-2 and torch.allclose(rest, theirs * other.detach(), rtol=1e-2, atol=0)
        if same and ours > 1e-3 and abs(theirs) > 1e-9 and gives(found, rows.mean()):
            first = first if abs(ours - 1) < 1e-3 else f"{ours:.3g} times {first}"
            return f"{first}, {'plus' if theirs > 0 else 'less'} {abs(theirs):.3g} times {second}"
    return None


def shares_of(alone, first, second):
    """The two numbers by which two terms add up to the losses of rows, as well as they can."""
    ff, fs, ss = (first * first).sum(), (first * second).sum(), (second * second).sum()
    f, s = (first * alone).sum(), (second * alone).sum()
    return [(a / (ff * ss - fs * fs)).item() for a in (ss * f - fs * s, ff * s - fs * f)]


def _of_the_batch(adapter):
    """Whether the focal losses of rows are put together in another way than by their mean."""
    x, hot, alone, *_ = found = measured(adapter)
    nll = -(x.log_softmax(1) * hot).sum(1)
    factor = (1 - (-nll).exp()) ** adapter.gammas[0]
    rows, total = factor * nll, factor.sum()
    if torch.allclose(alone, nll.detach(), rtol=1e-3) and any(
        gives(found, rows.sum() / t) for t in (total, total.detach())
    ):
        return "the focal loss divided by the sum of its factors (1 - p_t) ** gamma: a weighted cross-entropy"
    if torch.allclose(alone, rows.detach(), rtol=1e-4):
        for k in range(1, len(rows)):
            if gives(found, rows.sort().values[-k:].mean()):
                return f"the focal loss of the hardest examples only: {k} of {len(rows)}"
    return None


def _fitted(x, hot, odds):
    """(factors, terms) of each class's logit that give these odds against the target, by Gauss's and Newton's steps."""
    c, log_odds = x.shape[1], odds.log()
    found = torch.cat([torch.ones_like(x[0]), torch.zeros_like(x[0])])

    def off(found):
        moved = x * found[:c] + found[c:]
        target = (moved * hot).sum(1)
        return moved.masked_fill(hot.bool(), -torch.inf).logsumexp(1) - target - log_odds

    for _ in range(20):
        slopes = torch.autograd.functional.jacobian(off, found)
        found = found - torch.linalg.pinv(slopes, rtol=1e-6) @ off(found)
    return found[:c], found[c:] - found[c:].mean()


def _moved_logits(adapter):
    """Whether the logits are changed first: the target's by a margin, or each class's by a term or a factor."""
    x, hot, alone, *_ = found = measured(adapter)
    gamma, target, c = adapter.gammas[0], hot.argmax(1), hot.shape[1]
    odds = nll_of(alone, gamma).expm1().detach()  # of all other classes together against the target
    dearest = alone.reshape(-1, c).argmax(0) * c + torch.arange(c, device=x.device)  # of each class
    if not (alone[dearest] > 0).all():
        return None  # no margin makes every target of a class cost nothing
    for s in dict.fromkeys([1.0, *own_numbers(adapter)]):
        less = (odds / F.cross_entropy(s * x, target, reduction="none").expm1()).log().detach()[dearest] / s
        words = f"with a margin: {numbers(less, 3)} is taken off the target's logit, by class"
        rows = _rows_of_logits(s * (x - hot * less), target, gamma)
        same = less.abs().max() > 1e-2 and torch.allclose(alone, rows.detach(), rtol=1e-3, atol=1e-6)
        if same and gives(found, rows.mean()):
            return f"a focal loss {words}" if s == 1 else f"a focal loss {words}; all are then multiplied by {s:g}"
    times, plus = _fitted(x.detach(), hot, odds)
    for by, to, words in (
        (torch.ones_like(times), plus, f"to which {numbers(plus, 3)} was added, as logit adjustment does"),
        (times, torch.zeros_like(plus), f"multiplied by {numbers(times, 3)}, a factor for each class"),
    ):
        rows, changed = _rows_of_logits(x * by + to, target, gamma), max((by - 1).abs().max(), to.abs().max())
        same = by.min() > 0 and changed > 1e-2 and torch.allclose(alone, rows.detach(), rtol=1e-3)
        if same and gives(found, rows.mean()):
            return f"a focal loss of logits {words}"
    return None


def _rows_of_logits(x, target, gamma):
    nll = F.cross_entropy(x, target, reduction="none")
    return focused((-nll).exp(), nll, gamma)


def relative_of(adapter):
    """Which relative a loss is, in words to follow "It is"; None if it is none that is known here."""
    if adapter.error is not None:
        return None
    several = (
        _without_a_class,
        _of_many_gammas,
        _per_positive,
        _with_another_term,
        _of_the_batch,
        _moved_logits,
        _overlap,
    )
    return first_kind(adapter, _alpha_is_the_exponent, _known, _rescaled, _other_gamma, *several)
