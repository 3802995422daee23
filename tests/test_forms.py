"""The forms in which people write focal losses: tried before a fault is called, and told."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from focal_lib import diagnose, focal_loss


def focused(ce, gamma=2.0):
    return (-torch.expm1(-ce.clamp_min(1e-30))) ** gamma * ce


def probabilities(probs, target, gamma=2.0):
    p = probs.gather(1, target[:, None])[:, 0].clamp(1e-7, 1 - 1e-7)
    return -((1 - p) ** gamma * p.log()).mean()


def log_probabilities(log_probs, target, gamma=2.0):
    return focused(F.nll_loss(log_probs, target, reduction="none"), gamma).mean()


def one_logit(logits, targets, alpha=0.25, gamma=2.0):
    bce = F.binary_cross_entropy_with_logits(logits, targets.to(logits.dtype), reduction="none")
    return ((alpha * targets + (1 - alpha) * (1 - targets)) * focused(bce, gamma)).mean()


def maps_only(inputs, target, gamma=2.0):
    _n, c, _h, _w = inputs.shape
    return focal_loss(inputs.permute(0, 2, 3, 1).reshape(-1, c), target.reshape(-1), gamma=gamma)


def labels_required(output, target, num_labels, gamma=2.0):
    assert output.shape[1] == num_labels
    return focal_loss(output, target, gamma=gamma)


def another_name(output, target, sharpness=2.0):
    return focal_loss(output, target, gamma=sharpness)


def weights_as_list(input, target, alpha=None, gamma=2.0):
    if alpha is not None and not isinstance(alpha, list):
        raise TypeError("a list, please")
    return focal_loss(input, target, None if alpha is None else torch.tensor(alpha).to(input), gamma)


def loss_and_more(input, target, gamma=2.0):
    return focal_loss(input, target, gamma=gamma), {"rows": len(target)}


def weights_inside(input, target, gamma=2.0):
    return (torch.tensor([1.0, 2.0, 4.0])[target] * focal_loss(input, target, gamma=gamma, reduction="none")).mean()


def compute_loss(model, inputs, return_outputs=False):
    labels = inputs.pop("labels")
    out = model(**inputs)
    return (focal_loss(out.logits, labels), out) if return_outputs else focal_loss(out["logits"], labels)


def in_a_loop(loop, pred, target, gamma=2.0):
    return focal_loss(pred, target, gamma=gamma)


def a_weight_for_each_row(logits, yes, w, gamma=2.0):
    return (w * focused(F.binary_cross_entropy_with_logits(logits, yes, reduction="none"), gamma)).mean()


def five_classes_last(logits, targets, gamma=2.0, costs=(1.0, 3.0, 6.0, 15.0, 35.0)):
    hot, log_p = F.one_hot(targets, 5), logits.log_softmax(-1)
    log_p_t = (hot * log_p).sum(-1)
    return ((torch.tensor(costs).to(logits) * hot).sum(-1) * focused(-log_p_t, gamma)).mean()


def yes_weighted(logits, targets, alpha=None, gamma=2.0):
    loss = focused(F.binary_cross_entropy_with_logits(logits, targets.to(logits), reduction="none"), gamma)
    return (loss if alpha is None else (alpha * targets + (1 - alpha) * (1 - targets)) * loss).mean()


def factory(gamma=2.0):
    return lambda logits, targets: focal_loss(logits, targets, gamma=gamma)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (probabilities, "It takes probabilities."),
        (log_probabilities, ""),  # log-probabilities as logits fit as well
        (one_logit, "alpha is the weight of class 1"),
        (maps_only, "label maps"),
        (labels_required, ""),
        (another_name, ""),
        (weights_as_list, "as a list"),
        (loss_and_more, ""),
        (weights_inside, "by [1, 2, 4]"),
        (compute_loss, "Its gamma is 2."),
        (in_a_loop, ""),
        (a_weight_for_each_row, "one logit (N,)"),
        (five_classes_last, "by [1, 3, 6, 15, 35]"),
        (yes_weighted, "alpha is the weight of class 1"),
        (factory, ""),
        (lambda input, target: 3 * focal_loss(input, target, gamma=1.0), "3 times the focal loss"),
    ],
)
def test_right_in_its_own_form(loss, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "right", diagnosis
    assert words in " ".join(diagnosis.conventions)


def times_a_number(logits, targets, scale, gamma=2.0):
    return focal_loss(logits, targets, gamma=gamma) * math.fsum([scale])


def test_what_was_filled_in_is_told():
    assert diagnose(a_weight_for_each_row).left == ["w = 1 for each row, filled in"]
    assert diagnose(in_a_loop).left == ["loop = None"]
    assert diagnose(times_a_number).left == ["scale = 1.0, filled in (another value changes the loss)"]


class OneNumber(nn.Module):
    def __init__(self, alpha=0.25, gamma=2.0):
        super().__init__()
        self.alpha, self.gamma = alpha, gamma

    def forward(self, logits, target):
        hot = F.one_hot(target, logits.shape[1])
        return (
            (self.alpha * hot).sum(1) * focused(F.cross_entropy(logits, target, reduction="none"), self.gamma)
        ).mean()


def test_a_number_is_no_weight_that_stays_behind():
    """A tensor happens to pass through code for one number."""
    diagnosis = diagnose(OneNumber)
    assert diagnosis.verdict == "right", diagnosis
    assert diagnosis.untested["weights_follow_the_module"] == "its alpha is a number, which is on no device"


class Temperature(nn.Module):
    def __init__(self, gamma=2.0, temperature=2.0):
        super().__init__()
        self.gamma, self.temperature = gamma, temperature

    def forward(self, logits, target):
        return focal_loss(logits / self.temperature, target, gamma=self.gamma)


def sums_to_classes(input, target, alpha=None, gamma=2.0):
    return focal_loss(input, target, None if alpha is None else alpha / alpha.sum() * len(alpha), gamma)


@pytest.mark.parametrize(
    ("loss", "words"), [(Temperature, "divided by 2"), (sums_to_classes, "sum to the number of classes")]
)
def test_another_loss_is_named(loss, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "another loss", diagnosis
    assert words in diagnosis.headline


def test_a_wrong_loss_is_faulty_in_whatever_form():
    def list_only(input, target, alpha=None, gamma=2.0):
        if alpha is not None and not isinstance(alpha, list):
            raise TypeError("a list, please")
        return focused(F.cross_entropy(input, target), gamma)

    diagnosis = diagnose(list_only)
    assert diagnosis.verdict == "faulty"
    assert "mean_before_pt" in diagnosis.suspects


def test_a_size_at_which_it_breaks_is_found_by_halving():
    def stops_at_1030(input, target, gamma=2.0):
        loss = focal_loss(input, target, gamma=gamma, reduction="none")
        return loss.mean() if len(loss) <= 1030 else loss[:1030].sum() / len(loss)

    diagnosis = diagnose(stops_at_1030)
    assert diagnosis.verdict == "fragile"
    assert "1031 rows" in diagnosis.violations["is_right_at_every_size"]


class WeightsRequired(nn.Module):
    def __init__(self, alpha, gamma=2.0):
        super().__init__()
        self.alpha, self.gamma = alpha, gamma

    def forward(self, input, target):
        return focal_loss(input, target, alpha=torch.as_tensor(self.alpha).to(input), gamma=self.gamma)


def rows_only(input, target, gamma=2.0):
    """Right for logits (N, C), of which alone it is told; softmax and sum are over the last dimension."""
    ce = -(F.one_hot(target, input.shape[1]).to(input) * input.log_softmax(-1)).sum(-1)
    return focused(ce, gamma).mean()


def test_weights_may_be_required():
    assert diagnose(WeightsRequired).verdict == "right"


def test_a_gamma_of_its_own_scale_is_another_loss():
    diagnosis = diagnose(lambda input, target, gamma=4.0: focal_loss(input, target, gamma=gamma / 2))
    assert diagnosis.verdict == "another loss" and "0.5 times the gamma" in diagnosis.headline


def weights_in_the_mean_only(input, target, alpha=None, gamma=2.0, reduction="mean"):
    return focal_loss(input, target, alpha if reduction == "mean" else None, gamma, reduction=reduction)


def ignored_rows_in_the_weighted_mean(input, target, alpha=None, gamma=2.0, ignore_index=-100):
    rows = focal_loss(input, target, alpha, gamma, ignore_index=ignore_index, reduction="none")
    return rows.mean() if alpha is not None else rows.sum() / (target != ignore_index).sum()


class FirstTargetsKept(nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma, self.kept = gamma, None

    def forward(self, input, target):
        if self.kept is None or len(self.kept) != len(target):
            self.kept = target.clone()
        return focal_loss(input, self.kept, gamma=self.gamma)


@pytest.mark.parametrize(
    ("loss", "broken"),
    [
        (weights_in_the_mean_only, "alpha_scales_its_class"),
        (ignored_rows_in_the_weighted_mean, "ignored_rows_are_dropped"),
        (FirstTargetsKept, "is_stateless"),
    ],
)
def test_a_fault_that_one_setting_hides_is_found(loss, broken):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "faulty"
    assert broken in diagnosis.violations


def test_a_loss_for_rows_alone_is_not_faulty_for_label_maps():
    assert diagnose(rows_only).verdict != "faulty"


def probabilities_of_key_points(p, targets, gamma=2.0):
    p_t = p * targets + (1 - p) * (1 - targets)
    return -((1 - p_t) ** gamma * p_t.clamp(min=1e-8).log()).sum() / targets.sum()


def test_what_costs_less_than_nothing_for_logits_is_handed_probabilities():
    diagnosis = diagnose(probabilities_of_key_points)
    assert diagnosis.verdict == "another loss" and "one yes-or-no term for each class" in diagnosis.headline
    assert "It takes probabilities and one-hot targets." in diagnosis.conventions
