"""The numbers of the focal loss's relatives: what each gives for a row, with the words that name it."""

import itertools

import torch
import torch.nn.functional as F

from .cases import sides_of

__all__ = ["focused", "given", "nll_of", "references", "smoothed_targets", "terms", "yes_or_no"]


def focused(p_t, loss, gamma):
    """``loss`` times (1 - p_t) ** gamma; all of one shape."""
    return (1 - p_t) ** gamma * loss


def given(a, y):
    """``a`` where ``y`` is 1, 1 - a where it is 0: p_t of probabilities, and the weight of an alpha."""
    return a * y + (1 - a) * (1 - y)


def yes_or_no(p, y, gamma, alpha=None):
    """The focal loss ``(N,)`` of a yes-or-no question for each class, added up: probabilities, answers ``(N, C)``."""
    p_t = given(p, y)
    return ((1.0 if alpha is None else given(alpha, y)) * focused(p_t, -p_t.log(), gamma)).sum(1)


def nll_of(losses, gamma):
    """The cross-entropies ``(N)`` whose focal losses these are, found by halving on the scale of logarithms."""
    low, high = torch.full_like(losses, 1e-6), torch.full_like(losses, 1e3)
    for _ in range(60):
        middle = (low * high).sqrt()
        less = focused((-middle).exp(), middle, gamma) < losses
        low, high = torch.where(less, middle, low), torch.where(less, high, middle)
    return low


def references(hot, x, gamma, own):
    """(words, loss of each row) of every relative; ``own`` are the loss's own settings."""
    log_p = F.log_softmax(x, 1)
    nll = -(log_p * hot).sum(1)
    yield "cross-entropy, without a focus", nll
    yield from _with_another_focus(hot, x, gamma, own)
    for t in dict.fromkeys([*own, 2.0, 0.5, 0.1, 0.07, 1.5, 3.0, 4.0, 5.0, 10.0]):
        if t > 0 and t != 1:
            nll_t = -(F.log_softmax(x / t, 1) * hot).sum(1)
            yield f"the focal loss of logits divided by {t:g}, a temperature", focused((-nll_t).exp(), nll_t, gamma)
    for s in dict.fromkeys([*own, 0.1, 0.05, 0.2, 0.01]):
        if 0 < s < 1:
            yield from _smoothed(hot, x, gamma, own, s)
    for (yes, no), margin in itertools.product(itertools.permutations([*own, 0.0], 2), (0.0, *own)):
        if margin < 0.5 and max(yes, no) < 20:
            p, q = x.sigmoid(), (x.sigmoid() - margin).clamp(min=0)
            extra = f", with a margin of {margin:g}" if margin > 1e-4 else ""
            words = f"an asymmetric focal loss: gamma {yes:g} for yes and {no:g} for no{extra}"
            yield words, -(hot * (1 - p) ** yes * p.log() + (1 - hot) * q**no * (1 - q).log()).sum(1)
    for alpha in (None, *dict.fromkeys([*own, 0.25, 0.75])):
        if alpha is None or 0 < alpha < 1:
            sides = sides_of(alpha)
            yield (
                f"a sigmoid focal loss: one yes-or-no question for each class{sides}",
                (yes_or_no(x.sigmoid(), hot, gamma, alpha)),
            )
            later = torch.cat([hot[:, 1:], torch.zeros_like(hot[:, :1])], 1)
            words = f"a sigmoid focal loss whose class 0 has no logit, and class k has logit k - 1{sides}"
            yield words, yes_or_no(x.sigmoid(), later, gamma, alpha)
            if x.shape[1] > 2:  # of two classes it is twice the focal loss
                yield (
                    f"a softmax with one yes-or-no term for each class{sides}",
                    (yes_or_no(log_p.exp(), hot, gamma, alpha)),
                )


def smoothed_targets(hot, s):
    """(words, targets) of the two smoothings of one-hot targets that people write."""
    yield f"{s:g} / C for each class, {1 - s:g} more for the target", hot * (1 - s) + s / hot.shape[1]
    shared = s / (hot.shape[1] - 1)
    yield f"{1 - s:g} for the target, {s:g} / (C - 1) for each other class", hot * (1 - s) + (1 - hot) * shared


def _smoothed(hot, x, gamma, own, s):
    """(words, loss of each row) of the focal loss's relatives with targets smoothed by ``s``."""
    log_p = F.log_softmax(x, 1)
    p, words = log_p.exp(), f"a label-smoothed focal loss, smoothing {s:g}"
    p_t = (p * hot).sum(1)
    for shares, soft in smoothed_targets(hot, s):
        rows = -(soft * log_p).sum(1)
        yield f"{words}: {shares}, with (1 - p_t) ** gamma before the sum", focused(p_t, rows, gamma)
        inside = -(soft * (1 - p) ** gamma * log_p).sum(1)
        yield f"{words}: {shares}, with (1 - p_k) ** gamma inside the sum", inside
        mean = f"{words}: {shares}, with 1 less the mean of p by these shares, to the power gamma, before the sum"
        yield mean, focused((soft * p).sum(1), rows, gamma)
        for yes, no in itertools.product(dict.fromkeys([*own, gamma, 0.0]), repeat=2):
            factor = hot * (1 - p_t[:, None]) ** yes + (1 - hot) * p**no
            of_two = f"an asymmetric focal loss, gamma {yes:g} for the target and {no:g} for other classes"
            yield f"{of_two}, smoothing {s:g}: {shares}", -(soft * factor * log_p).sum(1)
    halved = f"{1 - 0.5 * s:g} for a yes, {0.5 * s:g} for a no", hot * (1 - s) + 0.5 * s
    for (shares, soft), alpha in itertools.product((halved, next(smoothed_targets(hot, s))), (None, *own)):
        bce = F.binary_cross_entropy_with_logits(x, soft, reduction="none")
        for asked in (soft, hot):
            weight = 1.0 if alpha is None else given(alpha, asked)
            rows = (weight * focused(given(x.sigmoid(), asked), bce, gamma)).sum(1)
            yield f"{words}: {shares}, one yes-or-no question for each class", rows


def _with_another_focus(hot, x, gamma, own):
    """(words, loss of each row) of relatives whose factor is another, by softmax or with a yes or no for each class."""
    yes, no = x.sigmoid(), 1 - x.sigmoid()
    for kind, p, bce in (
        ("", x.softmax(1), -x.log_softmax(1) * hot),
        (", one yes-or-no question for each class", yes, F.binary_cross_entropy_with_logits(x, hot, reduction="none")),
    ):
        p_t = given(p, hot)
        for t in dict.fromkeys([*own, 0.5]):
            if 0.01 < t < 1:
                words = f"the reduced focal loss, as cross-entropy below p_t = {t:g}{kind}"
                for by in (t, 1 - t):  # libraries divide by either: the second makes no jump at t
                    yield words, (torch.where(p_t < t, 1.0, (1 - p_t) / by) ** gamma * bce).sum(1)
    for a in dict.fromkeys([*own, 1.0, 0.75]):
        words = f"the varifocal loss of yes and no: -log p for a yes, -{a:g} p ** gamma * log(1 - p) for a no"
        yield words, -(hot * yes.log() + a * (1 - hot) * yes**gamma * no.log()).sum(1)
    if gamma:
        for b in dict.fromkeys([0.0, *own]):
            words = f"FL*, of the focal loss's own paper: cross-entropy at gamma * logit + {b:g}, divided by gamma"
            yield (
                f"{words}, of a softmax",
                F.cross_entropy(gamma * x + b * hot, hot.argmax(1), reduction="none") / gamma,
            )
            yield words, -F.logsigmoid(gamma * x * (2 * hot - 1) + b).sum(1) / gamma
    p = x.softmax(1)
    nll, p_t = -(x.log_softmax(1) * hot).sum(1), (p * hot).sum(1, keepdim=True)
    below = torch.where(p < p_t, p, 0.0).amax(1)
    yield "the dual focal loss: (1 - p_t + the largest p below p_t) ** gamma", (1 - p_t[:, 0] + below) ** gamma * nll
    away = (torch.arange(x.shape[1], device=x.device) - hot.argmax(1, keepdim=True)).abs().to(x)
    distances = away.gather(1, x.argmax(1, keepdim=True))[:, 0], (p * away).sum(1)
    for distance, of in zip(distances, ("the class that is predicted", "each class, weighted by its p"), strict=True):
        for all_of_it, by in ((1, ""), (x.shape[1] - 1, ", divided by C - 1")):
            words = f"an ordinal focal loss: times 1 + the distance of {of} from the target{by}"
            for factor in (1 + distance / all_of_it, 1 + distance.detach() / all_of_it):
                yield words, factor * focused(p_t[:, 0], nll, gamma)


def terms(x, hot, gamma, own):
    """(words of the first, of the second, the focal losses of rows, another term's) that may be added up."""
    log_p, poly = x.log_softmax(1), f"(1 - p_t) ** {gamma + 1:g}, as in PolyLoss"
    nll = -(log_p * hot).sum(1)
    p_t = (-nll).exp()
    for second, other in (
        ("cross-entropy", nll),
        (poly, (1 - p_t) ** (gamma + 1)),
        (f"(1 + p_t) ** {gamma:g} * cross-entropy, as in the cyclical focal loss", (1 + p_t) ** gamma * nll),
        (
            "the focal losses of the other classes, as smoothed or clamped targets add",
            -((1 - hot) * (1 - log_p.exp()) ** gamma * log_p).sum(1),
        ),
        ("the entropy of the prediction", -(log_p.exp() * log_p).sum(1)),
        ("the mean of -log p over the classes", -log_p.mean(1)),
        ("the square of logsumexp", x.logsumexp(1) ** 2),
        ("the mean square of the logits", (x**2).mean(1)),
    ):
        yield "the focal loss", second, focused(p_t, nll, gamma), other
    p_t = given(x.sigmoid(), hot)
    for alpha in (None, *dict.fromkeys(a for a in [*own, 0.25, 0.75] if a < 1)):
        first = f"a sigmoid focal loss, the mean of one yes-or-no question for each class{sides_of(alpha)}"
        focal = yes_or_no(x.sigmoid(), hot, gamma, alpha) / x.shape[1]
        yield first, "binary cross-entropy", focal, -p_t.log().mean(1)
        yield first, poly, focal, ((1 - p_t) ** (gamma + 1)).mean(1)
