"""Losses that are no focal loss, recognised by their numbers: known relatives, and mistakes of yes-or-no questions."""

import torch
import torch.nn.functional as F

from .adapter import as_number
from .cases import numbers, rows_of
from .forms import logit
from .probing import exponent_of

__all__ = ["mistake_in_the_weights", "mistake_of", "relative_of"]


def _focus(p_t, loss, gamma):
    return (1 - p_t) ** gamma * loss


def _yes_or_no(p, y, gamma, alpha=None):
    p_t = p * y + (1 - p) * (1 - y)
    weight = 1.0 if alpha is None else alpha * y + (1 - alpha) * (1 - y)
    return (weight * _focus(p_t, -p_t.log(), gamma)).sum(1)


def _references(hot, x, gamma, numbers):
    """(words, loss of each row) of every relative; ``numbers`` are the loss's own settings."""
    log_p = F.log_softmax(x, 1)
    nll, p_t = -(log_p * hot).sum(1), (log_p.exp() * hot).sum(1)
    yield "cross-entropy, without a focus", nll
    for t in dict.fromkeys([*numbers, 2.0, 0.5, 0.1, 0.07, 1.5, 3.0, 4.0, 5.0, 10.0]):
        if t > 0 and t != 1:
            nll_t = -(F.log_softmax(x / t, 1) * hot).sum(1)
            yield f"the focal loss of logits divided by {t:g}, a temperature", _focus((-nll_t).exp(), nll_t, gamma)
    for s in dict.fromkeys([*numbers, 0.1, 0.05, 0.2, 0.01]):
        if 0 < s < 1:
            smooth = (1 - s) * nll - s * log_p.mean(1)
            words = f"a label-smoothed focal loss, smoothing {s:g}"
            yield words, _focus(p_t, smooth, gamma)
            y = hot * (1 - s) + s / x.shape[1]
            yield words, -(y * (1 - log_p.exp()) ** gamma * log_p).sum(1)
            for soft in (hot * (1 - s) + 0.5 * s, y):
                for alpha in (None, *numbers):
                    p = x.sigmoid()
                    q = soft * p + (1 - soft) * (1 - p)
                    weight = 1.0 if alpha is None else alpha * soft + (1 - alpha) * (1 - soft)
                    bce = -(soft * p.log() + (1 - soft) * (1 - p).log())
                    yield f"{words}, one yes-or-no question for each class", (weight * _focus(q, bce, gamma)).sum(1)
    for alpha in (None, *dict.fromkeys([*numbers, 0.25, 0.75])):
        if alpha is None or 0 < alpha < 1:
            sides = "" if alpha is None else f", {alpha:g} for yes and {1 - alpha:g} for no"
            yield (
                f"a sigmoid focal loss: one yes-or-no question for each class{sides}",
                (_yes_or_no(x.sigmoid(), hot, gamma, alpha)),
            )
            yield (
                f"a softmax with one yes-or-no term for each class{sides}",
                (_yes_or_no(log_p.exp(), hot, gamma, alpha)),
            )


def _mistakes(logits, yes, gamma, settings):
    """(what it is, the fix, loss of each row) of mistakes in yes-or-no questions; logits and answers ``(N, K)``.

    ``settings`` are the loss's own numbers: one may be an alpha for the yeses.
    """
    p = logits.sigmoid()
    p_t = p * yes + (1 - p) * (1 - yes)
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
    for alpha in (None, *dict.fromkeys([*settings, 0.25, 0.75])):
        weight = 1.0 if alpha is None else alpha * yes + (1 - alpha) * (1 - yes)
        for words, fix, factor in entries:
            yield words, fix, (weight * factor * -p_t.log()).sum(1)
        words, fix = "Sigmoid twice", "Hand the logits, not the probabilities, to binary_cross_entropy_with_logits."
        yield words, fix, (weight * (-torch.expm1(-twice)) ** gamma * twice).sum(1)


def mistake_of(adapter):
    """(what it is, the fix, an example) of a loss that is a known mistake of yes-or-no questions; else None.

    It must give that mistake's numbers and gradient, up to a factor.
    """
    found = _measured(adapter)
    if found is None:
        return None
    x, hot, alone, batch, slope = found
    logits, yes = (x, hot) if adapter.only_classes is None else (logit(x)[:, None], hot[:, 1:])
    if x.shape[1] != 2 and adapter.only_classes is not None:
        return None
    for words, fix, expected in _mistakes(logits, yes, adapter.gammas[0], _own_numbers(adapter)):
        ratio = alone.sum() / expected.detach().sum()
        (right,) = torch.autograd.grad(ratio * expected.mean(), x, retain_graph=True)
        if all(
            torch.allclose(a, b.detach(), rtol=1e-3, atol=1e-6)
            for a, b in ((alone, ratio * expected), (batch, ratio * expected.mean()), (slope, right))
        ):
            right = _yes_or_no(logits.sigmoid(), yes, adapter.gammas[0]).detach() * ratio
            i = int((alone - right).abs().argmax())
            example = f"logits {numbers(x[i : i + 1].detach(), 3)}, target [{int(hot[i].argmax())}]"
            return words, fix, f"{example}: got {numbers(alone[i], 4)}, with p_t it is {numbers(right[i], 4)}"
    return None


def mistake_in_the_weights(adapter):
    """(what it is, the fix) of a loss that takes other weights than those of the targets; None if it is no such."""
    if not adapter.takes_weights or adapter.raises or (found := _measured(adapter)) is None:
        return None
    x, hot, *_ = found
    x, target, alpha = x.detach(), hot.argmax(1), adapter.tensor([2.0, 3.0, 5.0, 4.0])[: hot.shape[1]]
    if len(alpha) != hot.shape[1]:
        return None
    try:
        one, got = (
            torch.stack([adapter(x[i : i + 1], target[i : i + 1], alpha=a).sum() for i in range(len(x))]).detach()
            for a in (torch.ones_like(alpha), alpha)
        )
    except Exception:
        return None
    all_alike = torch.ones_like(one)
    for words, weights in (
        ("It takes the weight of the class that is predicted, not of the target", alpha[x.argmax(1)]),
        ("It takes the first class's weight for every class", alpha[0] * all_alike),
        ("It takes the last class's weight for every class", alpha[-1] * all_alike),
        ("It takes the mean of the weights for every class", alpha.mean() * all_alike),
        ("It divides by the weights", 1 / alpha[target]),
        ("It takes the square roots of the weights", alpha[target].sqrt()),
    ):
        if torch.allclose((got / one).to(weights), weights, rtol=1e-3) and not torch.allclose(got, one):
            return words, "Multiply each loss by alpha[target]."
    return None


def _key_points(adapter):
    """Whether it divides the sum by the number of positives, as detectors of key points do."""
    x = adapter.tensor([[0, 1], [1, 0], [0, 2], [1, 1], [-1, 1], [0, 0], [2, 1], [0, -1]])
    for positives in (2, 5):
        target = (torch.arange(8, device=adapter.device) < positives).long()
        try:
            got = adapter(x, target).detach()
        except Exception:
            return None
        right = rows_of(adapter, x, target).sum() / positives
        if got.numel() != 1 or not torch.allclose(got.to(x.dtype), right, rtol=1e-3):
            return None
    return "the focal loss of key points: a sum, divided by the number of positives"


def _own_numbers(adapter):
    return [float(v) for v in adapter.numbers_inside() if 0 < v <= 100]


def _measured(adapter):
    """(logits (12, C), one-hot targets, loss of each row alone, of all, gradient), or None where it fails."""
    c = adapter.only_classes or 3
    generator = torch.Generator().manual_seed(0)
    x = (torch.rand(12, c, generator=generator, dtype=torch.float64) * 6 - 3).to(adapter.device, adapter.dtype)
    x.requires_grad_()
    target = (torch.arange(12) % c).to(adapter.device)
    alone = adapter.runs_without_alpha and adapter.default_classes in (None, c)

    def mean(run, input, target):
        value = adapter.as_mean(as_number(run(input, target), adapter.dtype), target)
        return value.mean()  # with the alpha that it has by default

    try:
        run = adapter.criterion(c, gamma=adapter.known_gamma) if alone else adapter
        alone = torch.stack([mean(run, x[i : i + 1], target[i : i + 1]) for i in range(12)]).detach()
        batch = mean(run, x, target)
        (slope,) = torch.autograd.grad(batch, x)
    except Exception:
        return None
    # Some come back as float32.
    return x, F.one_hot(target, c).to(x), alone.to(x.dtype), batch.detach().to(x.dtype), slope.to(x.dtype)


def relative_of(adapter):
    """Which relative a loss is, in words to follow "It is"; None if it is none that is known here.

    It must give a relative's numbers for single examples of three classes, up to one weight for each class, and their
    mean for a batch.
    """
    if adapter.error is None and adapter.only_classes == 2:
        return _key_points(adapter)
    if adapter.error is not None or adapter.only_classes not in (None, 3):
        return None
    if (found := _measured(adapter)) is None:
        return None
    x, hot, alone, batch, slope = found
    target = hot.argmax(1)
    for words, expected in _references(hot, x, adapter.gammas[0], _own_numbers(adapter)):
        ratio = (alone / expected.detach()).reshape(4, 3)
        if torch.allclose(ratio, ratio[:1].expand(4, 3), rtol=1e-3, atol=0) and (ratio > 0).all():
            weighted = (ratio[0][target] * expected).mean()
            same = torch.allclose(ratio[0], ratio[0, :1].expand(3), rtol=1e-3)
            (right,) = torch.autograd.grad(weighted, x, retain_graph=True)
            if torch.allclose(batch, weighted.detach(), rtol=1e-3) and torch.allclose(
                slope, right, rtol=1e-2, atol=1e-4
            ):
                return words if same else f"{words}, with class weights built in"
    x = x.detach()
    if adapter.takes_weights and (words := _rescaled(adapter, x, target)):
        return words
    if "gamma" in adapter.settable and (words := _other_gamma(adapter)):
        return words
    nll = F.cross_entropy(x, target, reduction="none")
    powers = (alone / nll).log() / (-torch.expm1(-nll)).log()
    if not powers.isfinite().all():
        return None
    halves = [round(2 * power) for power in powers.tolist()]
    kinds = sorted({half / 2 for half in halves})
    if (2 * powers - torch.tensor(halves).to(powers)).abs().max() > 0.01:
        return None
    if 2 <= len(kinds) <= 4 and all(0 <= k < 20 for k in kinds) and torch.allclose(batch, alone.mean(), rtol=1e-3):
        return f"a focal loss whose gamma depends on p_t: {' or '.join(f'{k:g}' for k in kinds)}"
    return None


def _other_gamma(adapter):
    """Whether its gamma is a multiple of the focal loss's."""
    try:
        found = [exponent_of(adapter.singles(3, gamma=gamma)) for gamma in (1.0, 2.0, 3.0)]
    except Exception:
        return None
    if None in found or found[0] < 0.01 or abs(found[0] - 1) < 0.01:
        return None
    if any(abs(exponent - found[0] * gamma) > 0.01 for exponent, gamma in zip(found, (1, 2, 3), strict=True)):
        return None
    return f"a focal loss whose exponent is {found[0]:.3g} times the gamma that it is given"


def _rescaled(adapter, x, target):
    """Whether weights are brought to another sum before they are used."""
    alpha = adapter.tensor([1.0, 2.0, 5.0])
    try:
        got = adapter(x, target, alpha=alpha).detach().to(x.dtype)
    except Exception:
        return None
    right = (alpha[target] * rows_of(adapter, x, target)).mean()
    for total, words in ((3.0, "the number of classes"), (1.0, "1"), (1.6, "")):
        if torch.allclose(got, right * total / 8, rtol=1e-3):
            how = "divided by their largest" if total == 1.6 else f"scaled to sum to {words}"
            return f"a focal loss whose class weights are {how}"
    return None
