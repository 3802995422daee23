"""diagnose(): what depends on the batch beyond a mean of rows, and one alpha for two sides, each named."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from focal_lib import diagnose, focal_loss


def rows(input, target, gamma=2.0):
    return focal_loss(input, target, gamma=gamma, reduction="none")


# --- overlaps ------------------------------------------------------------------------------------------------------


def tversky(p, hot, miss=0.5, alarm=0.5, smooth=1.0):
    hit = (p * hot).sum(0)
    return (hit + smooth) / (hit + miss * ((1 - p) * hot).sum(0) + alarm * (p * (1 - hot)).sum(0) + smooth)


def dice(logits, target):
    return 1 - tversky(logits.softmax(1), F.one_hot(target, logits.shape[1])).mean()


class FocalTversky(nn.Module):
    def __init__(self, alpha=0.7, beta=0.3, gamma=0.75):
        super().__init__()
        self.alpha, self.beta, self.gamma = alpha, beta, gamma

    def forward(self, inputs, targets):
        p, hot = inputs.sigmoid().view(-1), targets.view(-1)
        return (1 - tversky(p, hot, self.alpha, self.beta)) ** self.gamma


def dice_of_images(logits, masks):
    n, c, _h, _w = logits.shape
    hot = F.one_hot(masks, c).movedim(-1, 1).reshape(n, c, -1)
    return (1 - tversky(logits.softmax(1).reshape(n, c, -1).movedim(2, 0), hot.movedim(2, 0))).mean()


def dice_and_focal(logits, target, gamma=2.0):
    return dice(logits, target) + focal_loss(logits, target, gamma=gamma)


def dice_and_less_focal(logits, target, gamma=2.0, focal_weight=0.3):
    return (1 - focal_weight) * dice(logits, target) + focal_weight * focal_loss(logits, target, gamma=gamma)


def dice_and_yes_or_no(logits, yes, gamma=2.0, alpha=0.8):
    bce = F.binary_cross_entropy_with_logits(logits, yes, reduction="none")
    overlap = 2 * (logits.sigmoid() * yes).sum() / (logits.sigmoid().sum() + yes.sum())
    return (alpha * (1 - torch.exp(-bce)) ** gamma * bce).mean() + 1 - overlap


@pytest.mark.parametrize(
    "loss", [dice, FocalTversky, dice_of_images, dice_and_focal, dice_and_less_focal, dice_and_yes_or_no]
)
def test_a_loss_of_overlaps_is_another_loss(loss):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "another loss", diagnosis
    assert "a loss of overlaps, as Dice and Tversky are" in diagnosis.relative
    assert ("added to a focal loss" in diagnosis.relative) == loss.__name__.startswith("dice_and_")


def dice_of_all_and_focal(logits, target, gamma=2.0, part=0.5):
    """All classes in one quotient: the sum of the probabilities is the number of rows, and what is left is linear."""
    p, hot = logits.softmax(1), F.one_hot(target, logits.shape[1])
    return part * focal_loss(logits, target, gamma=gamma) + (1 - part) * (1 - 2 * (p * hot).sum() / (p + hot).sum())


def test_dice_of_all_classes_at_once_is_a_mean_of_errors():
    diagnosis = diagnose(dice_of_all_and_focal)
    words = "the mean of 1 - p_t, as Dice is over all classes at once, added to a focal loss"
    assert (diagnosis.verdict, diagnosis.relative) == ("another loss", words), diagnosis


def squared_errors(input, target):
    """The gradient by p_t differs from row to row."""
    return (1 - input.softmax(1).gather(1, target[:, None])).square().mean()


def test_a_mean_of_rows_is_no_overlap():
    diagnosis = diagnose(squared_errors)
    assert diagnosis.verdict == "faulty" and diagnosis.relative is None, diagnosis


# --- numbers from the batch's targets ------------------------------------------------------------------------------


def by_frequency(input, target, gamma=2.0):
    counts = target.bincount(minlength=input.shape[1]).clamp(min=1).to(input)
    return ((len(target) / counts)[target] * rows(input, target, gamma)).mean()


def effective_number(input, target, gamma=2.0, beta=0.999):
    counts = target.bincount(minlength=input.shape[1])
    weights = ((1 - beta) / (1 - beta**counts)).nan_to_num(posinf=0.0).to(input)
    return ((weights / weights.sum() * input.shape[1])[target] * rows(input, target, gamma)).mean()


def yeses_against_noes(logits, targets, gamma=2.0):
    targets = targets.to(logits)
    share = targets.mean()
    ce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (torch.where(targets == 1, 1 - share, share) * (1 - torch.exp(-ce)) ** gamma * ce).mean()


@pytest.mark.parametrize("loss", [by_frequency, effective_number, yeses_against_noes])
def test_weights_from_the_batch_are_the_cause(loss):
    diagnosis = diagnose(loss)
    assert diagnosis.headline.startswith(f"{loss.__name__}: faulty. It takes its weights from the batch"), diagnosis
    assert "counts [" in diagnosis.mistake[2]


def per_object(input, target, gamma=2.0):
    return rows(input, target, gamma).sum() / (target > 0).sum().clamp(min=1)


def test_a_sum_per_object_is_that_of_detectors():
    diagnosis = diagnose(per_object)
    assert diagnosis.verdict == "another loss" and "the focal loss of detectors" in diagnosis.relative, diagnosis


class FromCounts(nn.Module):
    """The look-alike: counted once, outside."""

    def __init__(self, samples_per_cls, gamma=2.0):
        super().__init__()
        weights = 1 / torch.tensor(samples_per_cls)
        self.register_buffer("weights", weights / weights.sum() * len(weights))
        self.gamma = gamma

    def forward(self, input, target):
        return (self.weights.to(input)[target] * rows(input, target, self.gamma)).mean()


def test_weights_from_the_training_set_are_right():
    assert diagnose(FromCounts).verdict in ("right", "fragile")


# --- one alpha, two sides ------------------------------------------------------------------------------------------


def all_but_class_0(input, target, alpha=0.25, gamma=2.0):
    return (torch.where(target > 0, alpha, 1 - alpha) * rows(input, target, gamma)).mean()


def class_0(input, target, alpha=0.25, gamma=2.0):
    return (torch.where(target == 0, alpha, 1 - alpha) * rows(input, target, gamma)).mean()


@pytest.mark.parametrize("loss", [all_but_class_0, class_0])
def test_one_alpha_for_two_sides_of_many_classes(loss):
    diagnosis = diagnose(loss)
    assert diagnosis.headline.startswith(f"{loss.__name__}: faulty. Its alpha has two sides"), diagnosis


def two_sides_of_two(input, target, alpha=0.25, gamma=2.0):
    """The look-alike: for two classes it is the paper's alpha."""
    if input.shape[1] != 2:
        raise ValueError("two classes, please")
    return all_but_class_0(input, target, alpha, gamma)


def test_two_sides_of_two_classes_are_right():
    diagnosis = diagnose(two_sides_of_two)
    assert diagnosis.verdict in ("right", "fragile"), diagnosis
    assert "Its alpha is the weight of class 1, and 1 - alpha that of class 0." in diagnosis.conventions


def sides_swapped(logits, targets, alpha=0.25, gamma=2.0):
    targets = targets.to(logits)
    ce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (((1 - alpha) * targets + alpha * (1 - targets)) * (1 - torch.exp(-ce)) ** gamma * ce).mean()


def test_alpha_for_the_other_side_is_told():
    diagnosis = diagnose(sides_swapped)
    assert diagnosis.verdict == "another loss" and "alpha for class 0 and 1 - alpha for class 1" in diagnosis.relative


# --- weights and softmax in the wrong place -------------------------------------------------------------------------


class WeightsInside(nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.ce = nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 5.0]), reduction="none")
        self.gamma = gamma

    def forward(self, input, target):
        ce = self.ce(input.float(), target)
        return ((1 - torch.exp(-ce)) ** self.gamma * ce).mean()


class PosWeightInside(nn.Module):
    def __init__(self, pos_weight=3.0, gamma=2.0):
        super().__init__()
        self.pos_weight, self.gamma = torch.tensor(pos_weight), gamma

    def forward(self, logits, targets):
        ce = F.binary_cross_entropy_with_logits(
            logits, targets.to(logits), pos_weight=self.pos_weight, reduction="none"
        )
        return ((1 - torch.exp(-ce)) ** self.gamma * ce).mean()


def by_place(input, target, alpha=None, gamma=2.0):
    alpha = torch.ones(input.shape[1]) if alpha is None else alpha
    return (alpha[torch.arange(len(target)) % len(alpha)] * rows(input, target, gamma)).mean()


def over_the_rows(input, target, gamma=2.0):
    p = input.softmax(0).gather(1, target[:, None])
    return (-((1 - p) ** gamma) * p.log()).mean()


def gamma_of_its_own(input, target, alpha=None, gamma=2.0):
    return focal_loss(input, target, alpha, gamma=2.0)


@pytest.mark.parametrize(
    ("loss", "cause"),
    [
        (WeightsInside, "Its weights, [1, 2, 5] for the classes, are inside p_t"),
        (PosWeightInside, "The weight of a yes is inside p_t"),
        (by_place, "It takes the weights by the place of a row in the batch"),
        (over_the_rows, "Its softmax is over the rows of the batch"),
        (gamma_of_its_own, "Its gamma is not used: the exponent is 2"),
    ],
)
def test_the_cause_opens_the_report(loss, cause):
    diagnosis = diagnose(loss)
    assert diagnosis.headline.startswith(f"{loss.__name__}: faulty. {cause}"), diagnosis


def for_each_class(input, target):
    return ((1 - torch.exp(-(ce := rows(input, target, 0.0)))) ** torch.tensor([1.0, 2.0, 3.0])[target] * ce).mean()


def test_a_gamma_for_each_class_is_told_from_one_for_ranges_of_p_t():
    assert diagnose(for_each_class).relative == "a focal loss with a gamma for each class: 1, 2, 3"


# --- verdicts that were unfair --------------------------------------------------------------------------------------


def one_logit(logits, targets, alpha=1.0, gamma=2.0):
    """It comes back as float32; one alpha for both answers, 1 by default."""
    if logits.dim() != 1:
        raise ValueError("one logit, please")
    ce = F.binary_cross_entropy_with_logits(logits.float(), targets.float(), reduction="none")
    return (alpha * (1 - torch.exp(-ce)) ** gamma * ce).mean()


def test_a_result_in_float32_does_not_end_the_search_for_the_form():
    assert diagnose(one_logit).verdict in ("right", "fragile")


def both_answers(logits, targets, alpha=0.25, gamma=2.0):
    """It takes alpha for weights of rows in one form; in another that must be forgotten."""
    ce = F.binary_cross_entropy_with_logits(logits, targets.float(), reduction="none")
    return (alpha * (1 - torch.exp(-ce)) ** gamma * ce).mean()


def test_what_was_tried_in_one_form_is_forgotten_in_the_next():
    diagnosis = diagnose(both_answers)
    assert diagnosis.verdict == "faulty" and diagnosis.suspects[0] == "binary_scalar_alpha"
    assert "it has no argument for alpha" not in diagnosis.untested.values()


def idle_factor(logits, targets, alpha=1, gamma=2.0):
    ce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    return (alpha * (1 - torch.exp(-ce)) ** gamma * ce).mean()


def test_a_factor_that_is_1_does_not_make_a_sigmoid_loss_faulty():
    diagnosis = diagnose(idle_factor)
    assert diagnosis.verdict == "another loss" and "its alpha scales both answers" in diagnosis.relative, diagnosis


def another_without_gradients(input, target, gamma=2.0):
    return focal_loss(input, target, gamma=gamma if torch.is_grad_enabled() else 0.0)


def test_a_loss_that_asks_for_grad_mode_is_not_said_to_ask_for_eval():
    diagnosis = diagnose(another_without_gradients)
    assert diagnosis.verdict == "faulty" and not diagnosis.suspects
    assert "under no_grad" in diagnosis.violations["modes_change_nothing"]


def ignored_as_class_0(input, target, alpha=None, gamma=2.0, ignore_index=-100):
    return focal_loss(input, torch.where(target == ignore_index, 0, target), alpha, gamma)


def test_weights_do_not_hide_the_cause_of_ignored_rows():
    assert diagnose(ignored_as_class_0).suspects[0] == "ignored_rows_as_class_zero"


class Forgets(torch.autograd.Function):
    @staticmethod
    def forward(ctx, rows):
        return rows.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad * (torch.arange(len(grad)) < 1024)


def beyond_a_block(input, target, gamma=2.0):
    ce = F.cross_entropy(input, target, reduction="none")
    return Forgets.apply((1 - torch.exp(-ce)) ** gamma * ce).mean()


def test_a_size_is_told_before_an_extreme():
    diagnosis = diagnose(beyond_a_block)
    assert diagnosis.verdict == "fragile" and "any number of rows" in diagnosis.headline, diagnosis
    assert "1025 rows" in diagnosis.violations["is_right_at_every_size"]


def test_a_complex_number_is_no_loss():
    """It was "right": nothing but its defaults could be called, and nothing was broken there."""
    diagnosis = diagnose(lambda input, target: focal_loss(input, target) * 1j)
    assert diagnosis.verdict == "could not test" and "complex numbers" in diagnosis.headline, diagnosis


def mean_of_the_classes_means(x, y, gamma=2.0):
    loss = rows(x, y, gamma)
    return torch.stack([loss[y == c].mean() for c in y.unique()]).mean()


def test_a_mean_of_the_classes_means_is_no_mean_of_the_rows():
    diagnosis = diagnose(mean_of_the_classes_means)
    assert diagnosis.verdict == "faulty" and diagnosis.levels["batch_is_mean_of_singles"] == "wrong", diagnosis


def targets_with_a_floor(x, y, gamma=2.0):
    soft, log_p = F.one_hot(y, x.shape[1]).to(x).clamp(1e-5, 1 - 1e-5), x.log_softmax(1)
    return -(soft * (1 - log_p.exp()).clamp_min(1e-30) ** gamma * log_p).sum(1).mean()


def test_a_little_off_is_no_gamma_from_the_batch():
    assert "gamma comes from the batch" not in str(diagnose(targets_with_a_floor))
