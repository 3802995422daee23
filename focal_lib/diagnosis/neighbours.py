"""Losses in which an example's cost depends on its neighbours in the batch, recognised by their numbers.

Each function returns what it is, the fix and an example, or None.
"""

import copy
from dataclasses import replace

import torch
import torch.nn.functional as F

from ..bugs import CATALOGUE
from .cases import numbers, rows_of
from .formulas import focused, given
from .relatives import gives, measured, own_numbers, shares_of

__all__ = ["gamma_of_the_batch", "mixes_rows", "own_scale", "softmax_over_the_batch", "weights_from_the_batch"]


def softmax_over_the_batch(adapter):
    """Whether the softmax runs over the rows: what is added to a class in all rows changes nothing, and should."""
    x, hot, *_ = measured(adapter)
    x, target = x.detach(), hot.argmax(1)
    steps = torch.arange(len(x)).to(x)[:, None] / 4
    value, by_class, by_row = (adapter(rows, target).detach() for rows in (x, x + steps[: x.shape[1]].t(), x + steps))
    if not torch.allclose(value, by_class, rtol=1e-4) or torch.allclose(value, by_row, rtol=1e-2):
        return None
    single, moved = (adapter(rows, target[:1]).detach() for rows in (x[:1], 2 * x[:1] + steps[:1]))
    if own_scale(adapter) or not torch.allclose(single, moved, rtol=1e-3, atol=1e-9):
        return None  # of one row, a softmax over the rows is 1
    what = "Its softmax is over the rows of the batch, not over the classes"
    example = f"a single row costs {numbers(adapter(x[:1], target[:1]).detach(), 4)}, whatever its logits are"
    return what, "softmax(dim=1): the axis of the classes.", example


def own_scale(adapter):
    """Whether the logits are divided by their own size: multiplied by 3, they cost the same."""
    x, hot, _alone, batch, _slope = measured(adapter)
    x, target, some = x.detach(), hot.argmax(1), torch.arange(8, device=x.device)
    if not torch.allclose(adapter(3 * x, target).detach().to(batch), batch, rtol=1e-3):
        return None
    if torch.allclose(adapter(x.flip(1), target).detach().to(batch), batch, rtol=1e-2):
        return None  # it does not look at them
    by_row = torch.where(some % 2 == 0, 3.0, 1.0).to(x)[:, None]
    few, more = (adapter(x[:8] * by, target[:8]).detach() for by in (1.0, by_row))
    of = "row's" if torch.allclose(few, more, rtol=1e-3) else "batch's"
    what = f"It divides the logits by the {of} own size (norm, spread or range), so a surer model costs no less"
    fix = "Hand cross_entropy the logits as they are. Where the size is divided out on purpose, say so."
    return what, fix, f"{len(x)} rows cost {numbers(batch, 4)}, and the same with all logits multiplied by 3"


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


def weights_from_the_batch(adapter):
    """Whether the classes' weights change with the targets of the batch, and with nothing else."""
    for many in (False, True) if adapter.one_hot else (False,):
        seen = _weights_in_two_batches(adapter, many)
        if seen and not torch.allclose(seen[0][1], seen[1][1], rtol=1e-3):
            what = "It takes its weights from the batch, so what an example costs depends on its neighbours"
            fix = "Count once, over the whole training set, and hand the weights over."
            told = " and ".join(f"{numbers(weights, 3)} for counts {counts}" for counts, weights in seen)
            return what, fix, f"in two batches the classes weigh {told}"
    return None


def gamma_of_the_batch(adapter):
    """Whether its exponent comes from the batch: rows alone have one gamma each, all together another."""
    x, hot, alone, batch, _slope = found = measured(adapter)
    nll = F.cross_entropy(x, hot.argmax(1), reduction="none")
    powers = ((alone / nll).log() / (-torch.expm1(-nll)).log()).detach()
    low, high = adapter.tensor(0.0), adapter.tensor(20.0)
    for _ in range(60):  # by halving: the loss falls as gamma rises
        middle = (low + high) / 2
        more = focused((-nll).exp(), nll, middle).mean() > batch
        low, high = (middle, high) if more else (low, middle)
    if abs(low - adapter.gammas[0]) < 0.02:
        return None  # that is its argument; something else is a little off
    if not gives(found, focused((-nll).exp(), nll, low).mean()) or torch.allclose(powers, low.expand_as(powers), 1e-3):
        return None
    kinds = " or ".join(f"{k:g}" for k in sorted({round(power, 2) for power in powers.tolist()})[:3])
    example = f"a row alone has gamma {kinds}, {len(x)} rows together {low.item():.3g}"
    return "Its gamma comes from the batch, not from its argument", "Use the argument in the exponent.", example


def _mean_of_yes_and_no(adapter):
    """Whether each answer's factor is multiplied by the mean cross-entropy of all, where questions are yes or no."""
    x, hot, alone, *_ = found = measured(adapter)
    yes, logits = (hot[:, 1:], x[:, 1:] - x[:, :1]) if adapter.only_classes == 2 else (hot, x)
    bce = F.binary_cross_entropy_with_logits(logits, yes, reduction="none")
    factor = (-torch.expm1(-bce)) ** adapter.gammas[0]
    for alpha in (None, *dict.fromkeys(a for a in [*own_numbers(adapter), 0.25, 0.75] if a < 1)):
        factors = factor if alpha is None else given(alpha, yes) * factor
        times = (alone / (factors.mean(1) * bce.mean(1))).detach()
        same = torch.allclose(times, times[:1].expand_as(times), rtol=1e-3)
        if same and gives(found, times[0] * factors.mean() * bce.mean()):
            return f"{len(x)} rows that cost {alone.mean():.4g} on average, each alone, cost {found[3]:.4g}"
    return None


def _one_p_t_of_yes_and_no(adapter):
    """Whether yes-or-no questions have one p_t for the whole batch, taken from their mean or from their sum."""
    x, hot, alone, *_ = found = measured(adapter)
    gamma, bce = adapter.gammas[0], F.binary_cross_entropy_with_logits(x, hot, reduction="none")
    for one in (torch.mean, torch.sum):
        rows = torch.stack([one(row) for row in bce])
        each, together = focused((-rows).exp(), rows, gamma), focused((-one(bce)).exp(), one(bce), gamma)
        times = (alone / each).detach()
        same = torch.allclose(times, times[:1].expand_as(times), rtol=1e-3)
        if same and any(gives(found, times[0] * together / n) for n in (1, len(x))):
            return f"{alone.mean():.4g} on average, each alone, cost {found[3]:.4g}"
    return None


def mixes_rows(adapter):
    """Whether rows are mixed before the product, or it depends on neighbours in a way of which no more is known."""
    x, hot, alone, batch, slope = found = measured(adapter)
    gamma, target = adapter.gammas[0], hot.argmax(1)
    nll = F.cross_entropy(x, target, reduction="none")
    focal, mean, none = (
        focused((-nll).exp(), nll, gamma),
        nll.mean(),
        'Take cross_entropy(reduction="none"), reduce last.',
    )
    one_p_t = CATALOGUE["mean_before_pt"].title
    if costs := _one_p_t_of_yes_and_no(adapter):
        return one_p_t, none, f"{len(x)} rows that cost {costs}"
    if example := _mean_of_yes_and_no(adapter):
        words = "It multiplies the factors (1 - p_t) ** gamma by the mean cross-entropy of the batch"
        return words, 'Take the loss of each answer, with reduction="none", and reduce last.', example
    table = ", as a table of factors (N, 1) times losses (N,) does"
    ours, theirs = shares_of(alone, focal, nll)
    both = ours * focused((-mean).exp(), mean, gamma) + theirs * mean
    if ours > 1e-3 and theirs > 1e-3 and gives(found, both):
        words = f"{one_p_t}, and {theirs:.3g} times cross-entropy added to {ours:.3g} times the focal loss"
        return words, none, f"{len(x)} rows that cost {alone.mean():.4g} on average, each alone, cost {batch:.4g}"
    example = f"{len(x)} rows that cost {numbers(alone.mean(), 4)} on average, each alone, cost {numbers(batch, 4)}"
    for rows, what in ((nll, "cross-entropy"), (focal, "the focal loss")):
        times = (alone.sum() / rows.sum()).detach()
        if times > 0 and torch.allclose(alone, times * rows.detach(), rtol=1e-3):
            product = focused((-nll).exp(), times, gamma).mean() * mean
            of_one = focused((-mean).exp(), times * mean, gamma)
            for words, total in (
                (
                    f"It multiplies the factors (1 - p_t) ** gamma by the mean cross-entropy of the batch{table}",
                    product,
                ),
                (one_p_t, of_one),
                (f"{one_p_t}, divided by the number of rows", of_one / len(x)),
            ):
                if rows is focal and gives(found, total):
                    return words, none, example
            (right,) = torch.autograd.grad(rows.mean(), x)
            if torch.allclose(slope / slope.abs().sum(), right / right.abs().sum(), rtol=1e-2, atol=1e-6):
                return None  # it is only divided otherwise
            words = f"Alone, an example costs {what}; in a batch it depends on its neighbours"
            return words, "Let each row's loss depend on that row alone, and take the mean last.", example
    return None
