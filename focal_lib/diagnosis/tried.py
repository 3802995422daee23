"""What more is tried than the properties: rows of chosen p_t, other settings, targets of -100, a number as alpha."""

import contextlib
import math

import torch
import torch.nn.functional as F

from .cases import numbers, rows_of
from .forms import PLAIN
from .relatives import each_alone, gives, measured

__all__ = [
    *("costs_by_p_t", "failing_setting", "formula_of_p_t", "of_ignored_targets", "of_one_number"),
    *("setting_of_the_focal_loss", "weights_beside_the_loss"),
]

POINTS = (0.1, 0.3, 0.5, 0.7, 0.9)
RIGHT = "Write loss = (1 - p_t) ** gamma * -log(p_t), p_t being the probability of the target."


def _by_p_t(adapter, gamma=None):
    """(target, share of the largest other class) of each line of costs ``(lines, POINTS)``, those of single rows."""
    c = adapter.only_classes or 3
    kinds, lines = [(k, share) for share in ((0.5, 0.9) if c > 2 else (1.0,)) for k in range(min(c, 3))], []
    for k, share in kinds:
        others = [share] + [(1 - share) / max(c - 2, 1)] * (c - 2)
        for p in POINTS:
            row = [math.log((1 - p) * other) for other in others]
            row.insert(k, math.log(p))
            lines.append(adapter(adapter.tensor([row]), adapter.labels([k]), gamma=gamma).detach().sum())
    return kinds, torch.stack(lines).to(adapter.tensor(0.0)).reshape(len(kinds), len(POINTS))


def _of_p_t_alone(costs):
    return (costs - costs[:1]).abs().max() <= 1e-3 * costs.abs().max()


def costs_by_p_t(adapter):
    """What single rows cost beside the focal loss, in a sentence; or that rows of one p_t cost differently.

    None if it is what they cost by the focal loss.
    """
    kinds, costs = _by_p_t(adapter)
    if not _of_p_t_alone(costs):
        other = int((costs - costs[:1]).abs().amax(1).argmax())
        point = int((costs[other] - costs[0]).abs().argmax())
        pair = f"{costs[0, point].item():.4g} and {costs[other, point].item():.4g}"
        by = f"for targets {kinds[0][0]} and {kinds[other][0]}"
        if kinds[other][0] == kinds[0][0]:
            by = f"where the largest other class has {kinds[0][1]:.0%} and {kinds[other][1]:.0%} of the rest"
        return f"Two rows with p_t = {POINTS[point]:g} cost {pair}, {by}: it depends on more than p_t."
    p = adapter.tensor([0.1, 0.5, 0.9])
    right = (1 - p) ** adapter.gammas[0] * -p.log()
    ours = costs[0, ::2]
    if torch.allclose(ours, right, rtol=1e-3):
        return None
    return f"Rows with p_t = 0.1, 0.5, 0.9 cost {numbers(ours, 3)[1:-1]}; by the focal loss, {numbers(right, 3)[1:-1]}."


def _powers(costs):
    """(factor, a, b, c) of factor * p_t ** a * (1 - p_t) ** b * (-log p_t) ** c that these costs are; None if none."""
    if not (costs > 0).all():
        return None
    lines = [
        (math.log(p), math.log(1 - p), math.log(-math.log(p)), math.log(v))
        for p, v in zip(POINTS, costs.tolist(), strict=True)
    ]
    for c in (1, 0, 2, 3):
        (u1, v1, w1), (u2, v2, w2) = (
            (there[0] - here[0], there[1] - here[1], (there[3] - c * there[2]) - (here[3] - c * here[2]))
            for here, there in ((lines[0], lines[2]), (lines[2], lines[4]))
        )
        below = u1 * v2 - u2 * v1
        a, b = (w1 * v2 - w2 * v1) / below, (u1 * w2 - u2 * w1) / below
        starts = [cost - a * u - b * v - c * w for u, v, w, cost in lines]
        if max(starts) - min(starts) < 1e-4:
            return math.exp(starts[0]), a, b, c
    return None


def _power(base, here, there):
    """``base`` to an exponent that is ``here`` at gamma 2, and ``there`` at gamma 3, in words."""
    slope = there - here
    rest = here - 2 * slope
    parts = [f"{'' if abs(slope - 1) < 1e-3 else f'{slope:.3g} * '}gamma"] * (abs(slope) > 1e-3)
    parts += [f"{rest:.3g}"] * (abs(rest) > 1e-3)
    exponent = " + ".join(parts).replace("+ -", "- ")
    if exponent in ("", "1"):
        return base * bool(exponent)
    return f"{base} ** {exponent if len(parts) == 1 and '*' not in exponent else f'({exponent})'}"


def formula_of_p_t(adapter):
    """What it is, the fix, an example and the formula of a product of powers of p_t, 1 - p_t and -log p_t."""
    found, gamma = measured(adapter), adapter.gammas[0]
    gammas = (2.0, 3.0) if "gamma" in adapter.settable else (None, None)
    costs = [_by_p_t(adapter, g)[1] for g in gammas]
    if found is None or not all(map(_of_p_t_alone, costs)):
        return None
    here, there = (_powers(c[0]) for c in costs)
    if here is None or there is None or abs(here[0] - there[0]) > 1e-3 * here[0]:
        return None
    focal = (0, gamma, 1, 0, gamma + (gammas[1] is not None), 1)
    if max(abs(ours - right) for ours, right in zip((*here[1:], *there[1:]), focal, strict=True)) < 1e-3:
        return None  # times a number, the focal loss

    def formula(input, target, gamma):
        nll = F.cross_entropy(input, target, reduction="none")
        a, b, c = (e + (gamma - 2) * (t - e) for e, t in zip(here[1:], there[1:], strict=True))
        return here[0] * (-nll * a).exp() * (-torch.expm1(-nll)) ** b * nll**c

    x, hot, alone, *_ = found
    rows = formula(x, hot.argmax(1), gamma)
    if not torch.allclose(alone, rows.detach(), rtol=1e-3) or not gives(found, rows.mean()):
        return None
    bases = ("p_t", "(1 - p_t)", "-log(p_t)" if here[3] == 1 else "(-log(p_t))")
    terms = map(_power, bases, here[1:], there[1:])
    product = [f"{here[0]:.3g}"] * (abs(here[0] - 1) > 1e-3) + [term for term in terms if term]
    what = f"Its loss of a row is {' * '.join(product)}, and not (1 - p_t) ** gamma * -log(p_t)"
    return what, RIGHT, costs_by_p_t(adapter), formula


def setting_of_the_focal_loss(adapter):
    """(argument, value, the adapter with it) of a number left at its default that, at 0 or 1, gives the focal loss."""
    for name, default in adapter.left.items():
        if not isinstance(default, (int, float)):
            continue
        for value in (not default,) if isinstance(default, bool) else (0, 1):
            other = adapter.with_setting(name, type(default)(value))
            if value != default and (found := measured(other)):
                rows = rows_of(other, found[0], found[1].argmax(1))
                if torch.allclose(found[2], rows.detach(), rtol=1e-4) and gives(found, rows.mean()):
                    return name, value, other
    return None


def failing_setting(adapter, words):
    """(argument, error) of a number in these words that another loss takes from an argument, and fails with at 0."""
    for name, default in adapter.left.items():
        if type(default) in (int, float) and default and f"{default:g}" in words.replace(",", " ").split():
            try:
                adapter.with_setting(name, type(default)(0))(*adapter._batch())
            except Exception as error:
                return name, type(error).__name__
    return None


def weights_beside_the_loss(adapter):
    """(what it is, the fix, an example) of a loss whose class weights do more than to multiply a row's loss."""
    x, hot, *_ = measured(adapter)
    x, target, alpha = x.detach(), hot.argmax(1), adapter.tensor([2.0, 3.0, 5.0, 4.0])[: hot.shape[1]]
    if not adapter.takes_weights or adapter.alpha_is_numeric or len(alpha) != hot.shape[1]:
        return None
    one, got = (each_alone(adapter, x, target, weights) for weights in (torch.ones_like(alpha), alpha))
    by_class = (got / one).reshape(-1, len(alpha))
    if torch.allclose(by_class, by_class[:1].expand_as(by_class), rtol=1e-3):
        return None
    k = int((by_class - by_class[:1]).abs().amax(0).argmax())
    low, high = by_class[:, k].min(), by_class[:, k].max()
    what = "A class weight does more than to multiply the loss: it is inside p_t, or in one term of several"
    example = f"a weight of {alpha[k].item():g} multiplies the loss of rows of class {k} by {low:.3g} to {high:.3g}"
    return what, "Take p_t and all terms without weights, and multiply by alpha[target] last.", example


def of_one_number(adapter):
    """What a single number means as alpha, in words, where it weighs two classes; nothing where it does not."""
    with contextlib.suppress(Exception):
        quarter = (adapter.singles(2, alpha=0.25) / adapter.singles(2)).mean(1)
        if torch.allclose(quarter, adapter.tensor([0.25, 0.75]), rtol=1e-3):
            return [
                "A number as alpha weighs class 0 by it and class 1 by 1 - alpha; in the paper alpha is for class 1."
            ]
    return []


def of_ignored_targets(adapter):
    """What becomes of targets of -100, which F.cross_entropy leaves out, in words; nothing where it refuses them."""
    input, target = adapter._batch()
    kept = target != target[0]
    if adapter.form.target is not PLAIN.target:
        return []  # no indices are handed over
    with contextlib.suppress(Exception):
        got = adapter(input, torch.where(kept, target, torch.full_like(target, -100))).detach()
        alone = adapter(input[kept], target[kept]).detach()
        if torch.allclose(got, alone, rtol=1e-4):
            return ["It leaves out targets of -100, as F.cross_entropy does."]
        if torch.allclose(got, alone * kept.sum() / len(kept), rtol=1e-4):
            return ["Targets of -100 cost nothing, and count in its mean: divide by the number of the others."]
    return []
