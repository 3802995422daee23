"""More honest styles, which all get the point, and more honest mistakes, none of which does."""

import functools

import pytest
import torch
import torch.nn.functional as F
from exercise_notebooks import STUDENT, focus, variables
from torch import nn

PLAIN = ("01_one_number", "06_suspicious_names", "08_certain", "13_in_company")
WEIGHTED = ("02_idle_alpha", "03_exponent", "07_the_table", "10_wrong_side", "11_two_at_once", "12_review")
BINARY = ("04_two_sides", "14_a_thousand_noes")


def reduced(loss, reduction):
    if reduction == "mean":
        return loss.mean()
    return loss.sum() if reduction == "sum" else loss


def exercise_of(slug):
    return variables(STUDENT[slug])["exercise"]


def right(x, y, gamma=2.0, reduction="mean"):
    log_p = x - torch.logsumexp(x, dim=1, keepdim=True)
    nll = -log_p.gather(1, y[:, None])[:, 0]
    return reduced(focus(nll, gamma) * nll, reduction)


def weighted(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    loss = right(logits, labels, gamma, "none")
    return reduced(loss if alpha is None else loss * alpha.take(labels), reduction)


def both_sides(logits, labels, alpha=0.25, gamma=2.0, reduction="mean"):
    side, weight = torch.where(labels == 1, logits, -logits), torch.where(labels == 1, alpha, 1 - alpha)
    return reduced(weight * torch.sigmoid(-side) ** gamma * F.softplus(-side), reduction)


def counted(logits, labels, gamma=2.0, ignore_index=-100, reduction="mean"):
    nll = F.cross_entropy(logits, labels, ignore_index=ignore_index, reduction="none")
    loss = focus(nll, gamma) * nll
    number = (labels != ignore_index).sum().clamp(min=1)
    return loss.sum() / number if reduction == "mean" else reduced(loss, reduction)


# --- right ---------------------------------------------------------------------------------------------------------


def a_small_number_added(logits: torch.Tensor, labels: torch.Tensor, gamma: float = 2, reduction: str = "mean"):
    nll = nn.CrossEntropyLoss(reduction="none")(logits, labels)
    loss = ((1 - torch.exp(-nll) + 1e-10) ** gamma) * nll
    return loss if reduction == "none" else getattr(loss, reduction)()


def in_float(logits, labels, gamma=2.0, reduction="mean"):
    return right(logits.float(), labels, gamma, reduction)


def keyword_only(logits, labels, *, gamma=2.0, reduction="mean"):
    return right(logits, labels, gamma, reduction)


def by_cases(logits, labels, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, reduction="none")
    sure = nll < 1e-7
    safe = torch.where(sure, torch.ones_like(nll), nll)
    return reduced(torch.where(sure, nll * 0 if gamma else nll, (1 - torch.exp(-safe)) ** gamma * safe), reduction)


class Called:
    def __call__(self, logits, labels, gamma=2.0, reduction="mean"):
        return right(logits, labels, gamma, reduction)


def any_name(logits, labels, **settings):
    return right(logits, labels, settings.get("gamma", 2.0), settings.get("reduction", "mean"))


def takes_out(logits, labels, **settings):
    gamma, reduction = settings.pop("gamma", 2.0), settings.pop("reduction", "mean")
    if settings:
        raise TypeError(f"unknown: {settings}")
    return right(logits, labels, gamma, reduction)


def anything(*args, **kwargs):
    return right(*args, **kwargs)


def one_name(logits, labels, gamma=2.0, **rest):
    return right(logits, labels, gamma, **rest)


def none_for_the_default(logits, labels, gamma=None, reduction=None):
    return right(logits, labels, 2.0 if gamma is None else gamma, reduction or "mean")


class NamedAtTheCall(nn.Module):
    def forward(self, logits, labels, **settings):
        return right(logits, labels, **settings)


class AnythingAtTheCall(nn.Module):
    def forward(self, *args, **kwargs):
        return right(*args, **kwargs)


class KeepsSettings(nn.Module):
    def __init__(self, **settings):
        super().__init__()
        self.settings = settings

    def forward(self, logits, labels):
        return right(logits, labels, **self.settings)


class NoModule:
    def __init__(self, gamma=2.0, reduction="mean"):
        self.gamma, self.reduction = gamma, reduction

    def __call__(self, logits, labels):
        return right(logits, labels, self.gamma, self.reduction)


def any_weights(logits, labels, **settings):
    return weighted(logits, labels, **settings)


def weights_by_another_name(logits, labels, weight=None, **settings):
    return weighted(logits, labels, weight, **settings)


class KeepsWeightsAndSettings(nn.Module):
    def __init__(self, **settings):
        super().__init__()
        self.register_buffer("alpha", settings.pop("alpha", None))
        self.settings = settings

    def forward(self, logits, labels):
        return weighted(logits, labels, self.alpha, **self.settings)


def a_list_of_weights(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    alpha = torch.as_tensor(logits.new_ones(logits.shape[1]) if alpha is None else alpha, dtype=logits.dtype)
    loss = right(logits, labels, gamma, "none")
    loss *= alpha[labels]
    return reduced(loss, reduction)


def one_hot(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    yes, log_p = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(logits), F.log_softmax(logits, 1)
    weights = yes if alpha is None else yes * alpha.reshape(1, -1, *[1] * (logits.ndim - 2))
    return reduced(-(weights * (1 - log_p.exp()).clamp_min(1e-12) ** gamma * log_p).sum(1), reduction)


def as_torchvision_writes_it(logits, labels, alpha=0.25, gamma=2.0, reduction="mean"):
    p, loss = torch.sigmoid(logits), F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    loss = loss * (1 - (p * labels + (1 - p) * (1 - labels))) ** gamma
    return reduced((alpha * labels + (1 - alpha) * (1 - labels)) * loss, reduction)


class MovesTheWeights(nn.Module):
    def __init__(self, alpha=None, gamma=2.0, reduction="mean"):
        super().__init__()
        self.alpha, self.gamma, self.reduction = alpha, gamma, reduction

    def forward(self, logits, labels):
        alpha = None if self.alpha is None else self.alpha.to(logits.device)
        return weighted(logits, labels, alpha, self.gamma, self.reduction)


class HoldsTwoLosses(nn.Module):
    def __init__(self, alpha=None, gamma=2.0, reduction="mean"):
        super().__init__()
        self.plain, self.weighted = nn.CrossEntropyLoss(reduction="none"), nn.CrossEntropyLoss(alpha, reduction="none")
        self.gamma, self.reduction = gamma, reduction

    def forward(self, logits, labels):
        factor = (1 - torch.exp(-self.plain(logits, labels))).clamp_min(1e-12) ** self.gamma
        return reduced(factor * self.weighted(logits, labels), self.reduction)


RIGHT = {
    PLAIN: [right, a_small_number_added, in_float, keyword_only, by_cases, Called(), functools.partial(right)],
    ("01_one_number",): [
        any_name,
        takes_out,
        anything,
        one_name,
        none_for_the_default,
        NamedAtTheCall,
        NamedAtTheCall(),
        AnythingAtTheCall,
        KeepsSettings,
        KeepsSettings(),
        NoModule,
    ],
    WEIGHTED: [weighted, a_list_of_weights, one_hot],
    ("03_exponent",): [any_weights, weights_by_another_name],
    BINARY: [both_sides, as_torchvision_writes_it],
    ("05_left_behind",): [MovesTheWeights, HoldsTwoLosses, KeepsWeightsAndSettings, KeepsWeightsAndSettings()],
    ("09_nobody_asked",): [counted],
}


# --- wrong ---------------------------------------------------------------------------------------------------------


def one_p_t(logits, labels, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, reduction="none")
    return reduced((1 - torch.exp(-nll.mean())) ** gamma * nll, reduction)


def sum_is_another(logits, labels, gamma=2.0, reduction="mean"):
    loss = right(logits, labels, gamma, "none")
    return loss.mean() * logits.shape[1] if reduction == "sum" else reduced(loss, reduction)


def inside_the_logarithm(logits, labels, gamma=2.0, reduction="mean"):
    p = logits.softmax(1).gather(1, labels[:, None])[:, 0]
    return reduced(-((1 - p) ** gamma) * torch.log(p + 1e-8), reduction)


def smoothed(logits, labels, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, reduction="none", label_smoothing=0.01)
    return reduced(focus(nll, gamma) * nll, reduction)


def a_little_warmer(logits, labels, gamma=2.0, reduction="mean"):
    return right(logits / 1.01, labels, gamma, reduction)


def another_gamma(logits, labels, gamma=1.0, reduction="mean"):
    return right(logits, labels, gamma, reduction)


def another_reduction(logits, labels, gamma=2.0, reduction="sum"):
    return right(logits, labels, gamma, reduction)


def capped(logits, labels, gamma=2.0, reduction="mean"):
    return reduced(right(logits, labels, gamma, "none").clamp(max=50), reduction)


def noisy(logits, labels, gamma=2.0, reduction="mean"):
    return right(logits, labels, gamma, reduction) * (1 + 0.01 * torch.rand(()))


def weights_to_one(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    return weighted(logits, labels, None if alpha is None else alpha / alpha.sum(), gamma, reduction)


def mean_over_classes(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    loss = weighted(logits, labels, alpha, gamma, "none")
    return loss.sum() / logits.shape[1] if reduction == "mean" else reduced(loss, reduction)


def weights_of_at_least_a_twentieth(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    return weighted(logits, labels, None if alpha is None else alpha.clamp(min=0.05), gamma, reduction)


def turned_round(logits, labels, alpha=0.25, gamma=2.0, reduction="mean"):
    return both_sides(logits, labels, 1 - alpha, gamma, reduction)


class WritesIntoItsWeights(MovesTheWeights):
    def forward(self, logits, labels):
        if self.alpha is not None:
            self.alpha /= self.alpha.sum()
        return super().forward(logits, labels)


def only_minus_100(logits, labels, gamma=2.0, ignore_index=-100, reduction="mean"):
    return counted(logits, labels, gamma, -100, reduction)


def another_ignore_index(logits, labels, gamma=2.0, ignore_index=-1, reduction="mean"):
    return counted(logits, labels, gamma, ignore_index, reduction)


def mean_of_what_costs(logits, labels, gamma=2.0, ignore_index=-100, reduction="mean"):
    loss = counted(logits, labels, gamma, ignore_index, "none")
    return loss.sum() / (loss > 1e-4).sum().clamp(min=1) if reduction == "mean" else reduced(loss, reduction)


def any_name_another_gamma(logits, labels, **settings):
    return right(logits, labels, settings.get("gamma", 1.0), settings.get("reduction", "mean"))


def by_name_only(**given):
    return right(given.pop("logits"), given.pop("labels"), **given)


def weights_unread(logits, labels, **settings):
    return weighted(logits, labels, None, settings.get("gamma", 2.0), settings.get("reduction", "mean"))


def wrong_where(condition, name):
    def fixed_loss(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
        loss = weighted(logits, labels, alpha, gamma, reduction)
        return loss * 1.5 if condition(logits, labels, alpha, gamma) else loss

    fixed_loss.__name__ = name
    return fixed_loss


def wrong_side_where(condition, name):
    def fixed_loss(logits, labels, alpha=0.25, gamma=2.0, reduction="mean"):
        loss = both_sides(logits, labels, alpha, gamma, reduction)
        return loss * 1.5 if condition(logits, labels, alpha, gamma) else loss

    fixed_loss.__name__ = name
    return fixed_loss


def given(alpha):
    return alpha is not None


RARELY_WRONG = [
    wrong_where(lambda x, y, alpha, gamma: gamma > 5, "gamma above 5"),
    wrong_where(lambda x, y, alpha, gamma: 0 < gamma < 0.5, "gamma below a half"),
    wrong_where(lambda x, y, alpha, gamma: gamma == 0 and given(alpha), "gamma 0 with weights"),
    wrong_where(lambda x, y, alpha, gamma: gamma == 1 and x.dtype == torch.float32, "gamma 1 in float32"),
    wrong_where(lambda x, y, alpha, gamma: x.ndim == 3, "label rows"),
    wrong_where(lambda x, y, alpha, gamma: x.shape[1] > 12, "more than 12 classes"),
    wrong_where(lambda x, y, alpha, gamma: given(alpha) and bool((alpha > 10).any()), "weights above 10"),
    wrong_where(lambda x, y, alpha, gamma: given(alpha) and bool((alpha == 1).all()), "all weights 1"),
    wrong_where(lambda x, y, alpha, gamma: given(alpha) and bool((alpha < 1).all()), "all weights below 1"),
    wrong_where(lambda x, y, alpha, gamma: bool((x.abs() > 200).any()), "logits above 200"),
]
RARELY_WRONG_SIDES = [
    wrong_side_where(lambda x, y, alpha, gamma: alpha in (0, 1), "alpha 0 or 1"),
    wrong_side_where(lambda x, y, alpha, gamma: 0 < alpha < 0.02, "a small alpha"),
    wrong_side_where(lambda x, y, alpha, gamma: 0 < gamma < 0.4, "gamma below 0.4"),
    wrong_side_where(lambda x, y, alpha, gamma: gamma > 5, "gamma above 5"),
    wrong_side_where(lambda x, y, alpha, gamma: x.numel() == 1, "one number"),
    wrong_side_where(lambda x, y, alpha, gamma: bool((y == 1).all()), "positives only"),
]

WRONG = {
    PLAIN: [
        one_p_t,
        sum_is_another,
        inside_the_logarithm,
        smoothed,
        a_little_warmer,
        another_gamma,
        another_reduction,
        capped,
        noisy,
    ],
    ("01_one_number",): [any_name_another_gamma],
    WEIGHTED: [weights_to_one, mean_over_classes, weights_of_at_least_a_twentieth],
    ("03_exponent",): [weights_unread, *RARELY_WRONG],
    BINARY: [turned_round, *RARELY_WRONG_SIDES],
    ("05_left_behind",): [WritesIntoItsWeights],
    ("09_nobody_asked",): [only_minus_100, another_ignore_index, mean_of_what_costs],
}


def each(cases):
    return [(slug, loss) for slugs, losses in cases.items() for slug in slugs for loss in losses]


def name(value):
    return value if isinstance(value, str) else getattr(value, "__name__", type(value).__name__)


@pytest.mark.parametrize(("slug", "loss"), each(RIGHT), ids=name)
def test_right(slug, loss):
    feedback = exercise_of(slug).check_fix(loss)
    assert feedback.ok, feedback


@pytest.mark.parametrize(("slug", "loss"), each(WRONG), ids=name)
def test_wrong(slug, loss):
    feedback = exercise_of(slug).check_fix(loss)
    assert not feedback.ok and feedback.sign != "○", feedback


def test_a_default_that_changed_is_named():
    text = exercise_of("01_one_number").check_fix(another_gamma).text
    assert text == (
        "Whoever calls this without gamma gets another loss than before: its default was 2.0 and is 1.0 now."
    )


def test_a_fix_that_takes_no_place_is_told_so():
    feedback = exercise_of("01_one_number").check_fix(by_name_only)
    assert not feedback.ok and "takes 0 positional arguments but 2 were given" in feedback.text, feedback
