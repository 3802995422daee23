"""Mistakes in how a loss takes its arguments, recognised by their numbers: what it is, the fix, an example."""

import torch

from ..bugs import CATALOGUE
from .cases import numbers
from .forms import OF_TRAINER
from .formulas import given, yes_or_no
from .probing import exponent_of
from .relatives import each_alone, measured

__all__ = ["default_crashes", "fixed_gamma", "mistake_in_the_arguments", "never_reduces", "two_sides"]

INSIDE = CATALOGUE["weight_inside_cross_entropy"].title, CATALOGUE["weight_inside_cross_entropy"].fix
WEIGHTS = ("alpha_scales_its_class", "batch_is_mean_of_singles", "is_the_same_for_renamed_classes")
REDUCED = ("sum_is_n_times_the_mean", "none_has_the_targets_shape")
BY_TARGET = "Multiply each loss by alpha[target]."
OF_COUNTS = (
    "Its weights grow with the counts, so the rarest class weighs least",
    "Divide by each class's count, or by its effective number (1 - beta ** count) / (1 - beta).",
)
OF_ONE_SIDE = "With the alpha that it has by default, one side costs nothing", "Make 0.25 or None the default of alpha."
OF_LABELS = (
    "It mixes the labels of a row: right for one label, wrong for several",
    'Keep one loss for each label, reduction="none", until each has its factor (1 - p_t) ** gamma.',
)
OF_TWICE = (
    f"It divides the mean by {OF_TRAINER}, and so divides twice",
    f"Divide the sum: loss.sum() / {OF_TRAINER}.",
)
OF_POSITIVES = (
    "It divides by the number of positives, and a batch may have none",
    "Divide by targets.sum().clamp(min=1).",
)
WITHOUT_POSITIVES = (
    *("runs_with_defaults", "gradient_is_the_slope", "is_finite_at_extreme_logits", "is_finite_for_small_gamma"),
    *("is_finite_in_half_precision", "second_derivative_is_right_or_refused"),
)
BY_REDUCTION = "Return the mean, the sum or each row's loss, as asked for."


def default_crashes(adapter):
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


def two_sides(adapter):
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


def never_reduces(adapter):
    """Whether it returns a loss for each row when it is asked for their mean."""
    x, hot, *_ = measured(adapter)
    if "mean" not in adapter.reductions:
        return None
    value = adapter(x.detach(), hot.argmax(1)).detach()
    if value.numel() != len(x):
        return None
    what = "It returns one loss for each target, whatever its argument for the reduction says"
    return (
        what,
        BY_REDUCTION,
        f"the mean of {len(x)} rows: {len(x)} numbers",
    )


def fixed_gamma(adapter):
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


def mistake_in_the_arguments(adapter, open):
    """(what it is, the fix, what follows) of a loss that takes weights or the reduction wrongly; None if it is no such.

    ``open`` are the broken promises whose cause is not known.
    """
    for name, is_so, words in (
        ("default_is_unweighted", adapter.grows_with_counts, OF_COUNTS),
        ("default_is_unweighted", adapter.silent_side, OF_ONE_SIDE),
        ("is_right_at_every_size", adapter.labels_off, OF_LABELS),
        ("batch_is_mean_of_singles", adapter.divides_twice, OF_TWICE),
    ):
        if name in open and is_so:
            return *words, [name]
    if adapter.error is None and WITHOUT_POSITIVES[0] in open:
        input, target = adapter._batch()
        if adapter(input, target).isfinite().all() and not adapter(input, 0 * target).isfinite().all():
            return *OF_POSITIVES, [*WITHOUT_POSITIVES]
    if adapter.raises or (found := measured(adapter)) is None:
        return None
    if "sum_is_n_times_the_mean" in open and (example := _one_reduction(adapter, found)):
        what = "Its argument for the reduction changes nothing"
        return what, BY_REDUCTION, example, [*REDUCED]
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
    try:
        one, got = (each_alone(adapter, x, target, weights) for weights in (torch.ones_like(alpha), alpha))
        batch = adapter(x, target, alpha=alpha).sum().detach().to(alpha)
    except Exception:
        return None
    by_place = alpha[torch.arange(len(x), device=target.device) % len(alpha)]
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
