"""The arguments that people's losses take: found, given what they want, and no fault where they are only unusual."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from focal_lib import diagnose


def rows(logits, target, gamma=2.0):
    ce = F.cross_entropy(logits, target, reduction="none")
    return (-torch.expm1(-ce.clamp_min(1e-30))) ** gamma * ce


def answers(logits, yes, gamma=2.0):
    bce = F.binary_cross_entropy_with_logits(logits, yes, reduction="none")
    return (-torch.expm1(-bce.clamp_min(1e-30))) ** gamma * bce


# --- right losses, which once were faulty, another loss or could not be tested ---------------------------------------


def sides(scores, yes, alpha=None, gamma=2.0):
    """One alpha for yes and 1 - alpha for no, and none by default."""
    weight = 1.0 if alpha is None else alpha * yes + (1 - alpha) * (1 - yes)
    return (weight * answers(scores, yes, gamma)).mean()


def asked_by_a_word(logits, target, gamma=2.0, size_average="mean"):
    loss = rows(logits, target, gamma)
    return {"mean": loss.mean(), "sum": loss.sum()}.get(size_average, loss)


def class_one_of_two(logits, target, alpha=0.75, gamma=2.0):
    return (torch.where(target == 1, alpha, 1 - alpha) * rows(logits, target, gamma)).mean()


class WithMask(nn.Module):
    def __init__(self, gamma: float = 2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, scores, labels, mask):
        loss = torch.where(mask, answers(scores, labels, self.gamma), 0.0)
        return loss.sum() / mask.sum().clamp(min=1)


def with_weights_of_rows(logits, target, sample_weights, gamma=2.0):
    return (sample_weights * rows(logits, target, gamma)).mean()


class WithPosWeight(nn.Module):
    def __init__(self, pos_weight, gamma):
        super().__init__()
        self.register_buffer("pos_weight", pos_weight)
        self.gamma = gamma

    def forward(self, scores, yes):
        weight = 1 + (self.pos_weight - 1) * yes
        return (weight * answers(scores, yes, self.gamma)).mean()


def made_of_settings(gamma):
    def loss(logits, target):
        return rows(logits, target, gamma).mean()

    return loss


class FiveLast(nn.Module):
    """Classes last, and five of them; a softmax over another axis has one class, and a loss of 0."""

    def __init__(self, gamma=2.0, alpha_weights=(1.0, 2.0, 3.0, 4.0, 5.0)):
        super().__init__()
        self.gamma = gamma
        self.register_buffer("table", torch.tensor(alpha_weights))

    def forward(self, logits, target):
        log_p = F.log_softmax(logits, dim=-1)
        log_pt = (log_p * F.one_hot(target, 5)).sum(-1)
        return -(self.table[target] * (-torch.expm1(log_pt.clamp_max(-1e-30))) ** self.gamma * log_pt).mean()


class Uncalled:
    """A class with a forward, and no module."""

    def __init__(self, gamma=2.0):
        self.gamma = gamma

    def forward(self, logits, target):
        return rows(logits, target, self.gamma).mean()


@pytest.mark.parametrize(
    "loss",
    [
        *(sides, asked_by_a_word, class_one_of_two, WithMask, with_weights_of_rows, WithPosWeight),
        *(made_of_settings, FiveLast, Uncalled),
    ],
)
def test_a_right_loss_is_right_whatever_its_arguments_are(loss):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "right", diagnosis


def test_arguments_of_two_sides_are_told():
    assert "alpha is the weight of class 1" in str(diagnose(sides))
    assert "its alpha weights class 1 against all others" in str(diagnose(class_one_of_two))


# --- fragile ones ----------------------------------------------------------------------------------------------------


def mean_or_else_sum(logits, target, gamma=2.0, reduction="mean"):
    loss = rows(logits, target, gamma)
    return loss.mean() if reduction == "mean" else loss.sum()


def rows_in_a_column(logits, target, gamma=2.0, reduction="mean"):
    loss = rows(logits, target, gamma)[:, None]
    return {"mean": loss.mean(), "sum": loss.sum()}.get(reduction, loss)


def mean_whatever_is_asked(logits, target, gamma=2.0, reduction="mean"):
    return rows(logits, target, gamma).mean()


@pytest.mark.parametrize(
    ("loss", "verdict"),
    [(mean_or_else_sum, "fragile"), (rows_in_a_column, "fragile"), (mean_whatever_is_asked, "faulty")],
)
def test_losses_of_rows_may_be_missing_but_not_wrong(loss, verdict):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == verdict and "none_has_the_targets_shape" in diagnosis.violations, diagnosis


def squeezes(chances, yes, gamma=2.0):
    loss = F.binary_cross_entropy(chances.squeeze(), yes, reduction="none")
    return ((1 - torch.exp(-loss)) ** gamma * loss).mean()


def test_a_loss_that_fails_for_one_row_is_tested_on_more():
    diagnosis = diagnose(squeezes)
    assert diagnosis.verdict == "fragile", diagnosis
    assert "a batch of one: it raised ValueError" in diagnosis.violations["is_right_at_every_size"]


def squeezes_and_forgets(chances, yes, gamma=2.0):
    return F.binary_cross_entropy(chances.squeeze(), yes, reduction="none").mean() * gamma


def test_what_fails_for_one_row_and_is_wrong_on_more_is_not_called_right():
    assert diagnose(squeezes_and_forgets).verdict not in ("right", "fragile")


def a_number_for_a_column(logits, target, alpha=1.0, gamma=2.0):
    return (alpha * rows(logits, target, gamma)[:, None]).mean()


def test_a_number_is_not_weights_because_a_table_of_them_can_be_multiplied():
    diagnosis = diagnose(a_number_for_a_column)
    assert diagnosis.verdict == "fragile" and diagnosis.suspects[0] == "scalar_alpha", diagnosis


# --- faulty, and what is told first ----------------------------------------------------------------------------------


def alpha_must_be_given(scores, yes, alpha=None, gamma=2.0):
    return (alpha * answers(scores, yes, gamma)).mean()


def test_an_alpha_that_is_needed_is_no_memory():
    diagnosis = diagnose(alpha_must_be_given)
    assert diagnosis.verdict not in ("right", "fragile") and "is_stateless" not in diagnosis.violations, diagnosis
    assert "TypeError" in diagnosis.violations["runs_with_defaults"]


def slope(scores, labels, alpha, gamma, constant):
    p = 1 / (1 + np.exp(-scores))
    p_t, weight = np.where(labels == 1, p, 1 - p), np.where(labels == 1, alpha, 1 - alpha)
    focus = (1 - p_t) ** gamma
    by_focus = 1 if constant else 1 - gamma * p_t * np.log(p_t) / (1 - p_t)
    return weight * focus * by_focus * (p - labels), weight * focus * p * (1 - p)


def objective_of(alpha=0.25, gamma=2.0, constant=False):
    def objective(labels, scores):
        return slope(scores, labels, alpha, gamma, constant)

    return objective


def hurried(alpha, gamma):
    return objective_of(alpha, gamma, constant=True)


def test_an_objective_that_a_function_makes_is_judged_by_its_gradient():
    diagnosis = diagnose(objective_of)
    assert diagnosis.verdict == "right" and "an objective for a booster" in str(diagnosis), diagnosis


@pytest.mark.parametrize("loss", [hurried, objective_of(gamma=1.0, constant=True)])
def test_a_focus_taken_for_a_constant_is_told(loss):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "faulty" and "leaves out that (1 - p_t) ** gamma changes" in diagnosis.headline


def in_words(gamma=2.0, alpha=0.25):
    return "focal"


def test_settings_alone_are_no_loss():
    diagnosis = diagnose(in_words)
    assert diagnosis.verdict == "could not test", diagnosis
    assert "it takes settings alone" in diagnosis.headline and "diagnose(in_words(...))" in diagnosis.headline


def counted(logits, labels, num_items_in_batch=None, gamma=2.0):
    loss = rows(logits, labels, gamma)
    return loss.mean() if num_items_in_batch is None else loss.sum() / num_items_in_batch


def counts_what_is_kept(logits, labels, num_items_in_batch, gamma=2.0, ignore_index=-100):
    ce = F.cross_entropy(logits, labels, reduction="none", ignore_index=ignore_index)
    return ((-torch.expm1(-ce.clamp_min(1e-30))) ** gamma * ce).sum() / num_items_in_batch


def averages_what_is_kept(logits, labels, avg_factor, gamma=2.0, ignore_index=-100):
    return counts_what_is_kept(logits, labels, avg_factor, gamma, ignore_index)


def twice(logits, labels, num_items_in_batch=None, gamma=2.0):
    return rows(logits, labels, gamma).mean() / (num_items_in_batch or 1)


def twice_always(logits, labels, num_items_in_batch, gamma=2.0):
    return rows(logits, labels, gamma).mean() / num_items_in_batch


@pytest.mark.parametrize("loss", [counted, counts_what_is_kept, averages_what_is_kept])
def test_a_sum_over_the_number_of_targets_that_is_told_is_the_mean(loss):
    assert diagnose(loss).verdict == "right"


@pytest.mark.parametrize("loss", [twice, twice_always])
def test_a_mean_over_the_number_of_targets_divides_twice(loss):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "faulty"
    assert diagnosis.mistake[0] == "It divides the mean by num_items_in_batch, and so divides twice"


class CountsAsClasses(nn.Module):
    def __init__(self, class_num, gamma=2.0):
        super().__init__()
        counts = torch.tensor(class_num)
        self.weights, self.gamma = counts.mean() / counts, gamma

    def forward(self, x, t):
        return (self.weights.to(x)[t] * rows(x, t, self.gamma)).mean()


def counts_as_list(logits, target, img_num_list, gamma=2.0):
    weights = torch.tensor([sum(img_num_list) / n / len(img_num_list) for n in img_num_list])
    return (weights.to(logits)[target] * rows(logits, target, gamma)).mean()


def counts_as_tensor(logits, target, freq, gamma=2.0):
    return ((freq.sum() / freq)[target] * rows(logits, target, gamma)).mean()


def grows(logits, target, cls_freq, gamma=2.0):
    return (torch.tensor(cls_freq).to(logits)[target] * rows(logits, target, gamma)).mean()


def weights_by_another_name(logits, target, cw, gamma=2.0):
    return (cw.to(logits)[target] * rows(logits, target, gamma)).mean()


class InsideByAnotherName(nn.Module):
    def __init__(self, cw, gamma=2.0):
        super().__init__()
        self.cw, self.gamma = torch.tensor(cw), gamma

    def forward(self, x, t):
        ce = F.cross_entropy(x, t, weight=self.cw.to(x), reduction="none")
        return (-torch.expm1(-ce.clamp_min(1e-30))).pow(self.gamma).mul(ce).mean()


class NoClasses(nn.Module):
    def __init__(self, num_classes, gamma=2.0):
        raise RuntimeError(f"{num_classes} classes are none")


@pytest.mark.parametrize("loss", [CountsAsClasses, counts_as_list, counts_as_tensor])
def test_counts_of_the_classes_are_found_under_any_name_and_in_any_form(loss):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "right" and "It weights the classes inside, by [" in str(diagnosis)


def test_what_grows_with_the_counts_is_a_fault_only_where_the_name_says_counts():
    assert diagnose(grows).mistake[0] == "Its weights grow with the counts, so the rarest class weighs least"
    assert not {"alpha_scales_its_class", "default_is_unweighted"} & {*diagnose(weights_by_another_name).violations}
    assert "alpha_scales_its_class" not in diagnose(weights_by_another_name).untested


@pytest.mark.parametrize(("loss", "said"), [(InsideByAnotherName, "your own cw"), (NoClasses, "3 classes are none")])
def test_what_no_filler_fits_is_not_blamed_for_the_fillers(loss, said):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "could not test" and said in str(diagnosis)
