"""Kinds of losses that the judge had not been shown: right ones in unusual clothes, wrong ones that run quietly."""

from enum import StrEnum

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from focal_lib import diagnose, focal_loss


def rows(logits, target, gamma=2.0):
    return focal_loss(logits, target, gamma=gamma, reduction="none")


class Reduction(StrEnum):
    MEAN, SUM = "mean", "sum"


def without_none(logits, target, gamma=2.0, reduction="mean"):
    return getattr(rows(logits, target, gamma), Reduction(reduction).value)()


def classes_last(y_true, y_pred, gamma=2.0):
    return -(y_true * (1 - y_pred) ** gamma * y_pred.clamp(1e-12).log()).sum(-1).mean()


def padded(logits, target, gamma=2.0, pad_id=-1):
    kept = target != pad_id
    return rows(logits[kept], target[kept], gamma).sum() / kept.sum().clamp_min(1)


class Wrapper(nn.Module):
    def __init__(self, loss_fcn, gamma=2.0):
        super().__init__()
        loss_fcn.reduction, self.loss_fcn, self.gamma = "none", loss_fcn, gamma

    def forward(self, input, target):
        ce = self.loss_fcn(input, target)
        return ((-torch.expm1(-ce.clamp_min(1e-30))) ** self.gamma * ce).mean()


def column_of_targets(probs, target, gamma=2.0):
    p = probs.gather(1, target)
    return ((1 - p) ** gamma * -p.clamp_min(1e-30).log()).mean()


def two_probabilities(probs, labels, gamma=2.0):
    no, yes = probs[:, 0], probs[:, 1]
    return -(no**gamma * labels * yes.log() + yes**gamma * (1 - labels) * no.log()).mean()


def a_column_each(pred, target, alpha=0.25, gamma=2.0, reduction="sum"):
    """Losses (N, 1) of logits (N, 1) and targets (N, 1): these are the targets' shape."""
    if target.dim() == 1:
        target = F.one_hot(target.long(), pred.shape[-1]).to(pred)
    bce = F.binary_cross_entropy_with_logits(pred, target, reduction="none")
    focus = (-torch.expm1(-bce.clamp_min(1e-30))) ** gamma
    loss = (alpha * target + (1 - alpha) * (1 - target)) * focus * bce
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]


def by_boxes(inputs, targets, num_boxes, gamma=2.0):
    bce = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    return ((-torch.expm1(-bce.clamp_min(1e-30))) ** gamma * bce).mean(1).sum() / num_boxes


def many_labels(logits, labels, gamma=2.0):
    bce = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return ((-torch.expm1(-bce.clamp_min(1e-30))) ** gamma * bce).sum(1).mean()


def by_positives(labels, logits, alpha, gamma):
    bce = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return (alpha * (-torch.expm1(-bce.clamp_min(1e-30))) ** gamma * bce).sum() / labels.sum()


@pytest.mark.parametrize(
    ("loss", "verdict", "words"),
    [
        (by_positives, "another loss", "a sigmoid focal loss"),
        (without_none, "right", "it cannot be asked for reduction 'none'"),
        (classes_last, "fragile", "float16"),  # 1e-12 is 0 there
        (padded, "right", ""),
        (Wrapper, "right", "CrossEntropyLoss(), filled in"),
        (column_of_targets, "fragile", "targets (N, 1)"),
        (two_probabilities, "fragile", "two probabilities for two classes"),
        (a_column_each, "right", "targets (N, 1)"),
        (by_boxes, "right", ""),
        (many_labels, "right", "many labels (N, K), added up for each row"),
    ],
)
def test_a_right_loss_in_unusual_clothes_is_not_faulty(loss, verdict, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == verdict and words in str(diagnosis), diagnosis


def of_two_columns(logits, target, gamma=2.0):
    return rows(logits[:, :2], target.clamp(max=1), gamma).mean()


def of_two_columns_only(logits, target, gamma=2.0):
    if logits.shape[1] != 2:
        raise ValueError("two classes, please")
    return of_two_columns(logits, target, gamma)


def targets_and_a_millionth(input, target, gamma=2.0):
    log_p, hot = F.log_softmax(input, 1), F.one_hot(target, input.shape[1]) + 1e-6
    return ((1 - log_p.exp()) ** gamma * -log_p * hot).mean()


@pytest.mark.parametrize(("loss", "ignores"), [(of_two_columns, True), (of_two_columns_only, False)])
def test_a_loss_of_two_classes_that_ignores_a_third_is_told(loss, ignores):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "right"
    told = "Handed three classes, it ignores the third column, and raises no error." in diagnosis.conventions
    assert told == ignores


def by_positives_of_one_column(logits, labels, gamma=2.0):
    if logits.dim() > 1:
        raise ValueError("(N,) expected")
    return many_labels(logits[:, None], labels[:, None], gamma) * len(labels) / labels.sum()


def padded_in_the_mean(logits, target, gamma=2.0, pad_id=-1):
    kept = target != pad_id
    return (rows(logits, target.where(kept, 0), gamma) * kept).mean()


def over_the_height(logits, labels, gamma=2.0):
    if logits.dim() != 4:
        raise ValueError("expected (B, H, W, C)")
    log_p = logits.log_softmax(1).gather(-1, labels[..., None])
    return ((1 - log_p.exp()) ** gamma * -log_p).mean()


def sorted_as_text(logits, target, alpha=None, gamma=2.0):
    loss = rows(logits, target, gamma)
    if alpha is None:
        return loss.mean()
    return (torch.tensor([alpha[k] for k in sorted(alpha, key=str)]).to(loss)[target] * loss).mean()


def counts_upside_down(logits, labels, samples_per_cls, beta=0.999, gamma=2.0):
    number = 1 - beta ** torch.tensor(samples_per_cls)
    return ((number / number.mean()).to(logits)[labels] * rows(logits, labels, gamma)).mean()


def one_p_for_a_row(logits, labels, gamma=2.0):
    bce = F.binary_cross_entropy_with_logits(logits, labels, reduction="none").mean(1)
    return ((-torch.expm1(-bce.clamp_min(1e-30))) ** gamma * bce).mean()


def silent_noes(p, y, alpha=1, gamma=2.0):
    p_t = torch.where(y == 1, p, 1 - p)
    return (torch.where(y == 1, alpha, 1 - alpha) * (1 - p_t) ** gamma * -p_t.log()).mean()


def padded_to_a_power_of_two(logits, target, gamma=2.0):
    c = logits.shape[1]
    return rows(F.pad(logits, (0, (1 << (c - 1).bit_length()) - c)), target, gamma).mean()


def drawn_from_large_batches(logits, target, gamma=2.0):
    some = torch.randperm(len(target))[:256] if len(target) > 256 else slice(None)
    return rows(logits[some], target[some], gamma).mean()


class Kept(torch.autograd.Function):
    """Its gradient is made beside its value: nothing leads from it back to the logits."""

    @staticmethod
    def forward(ctx, logits, target, gamma):
        p, hot = logits.softmax(1), F.one_hot(target, logits.shape[1])
        p_t = (p * hot).sum(1, keepdim=True)
        k = (1 - p_t) ** gamma - gamma * p_t * (1 - p_t) ** (gamma - 1) * p_t.log()
        ctx.slope = k * (p - hot)
        return rows(logits, target, gamma)

    @staticmethod
    def backward(ctx, grad):
        return grad[:, None] * ctx.slope, None, None


class Refuses(Kept):
    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return Kept.backward(ctx, grad)


def constant_slope(logits, target, gamma=2.0):
    return Kept.apply(logits, target, gamma).mean()


def refuses_in_words(logits, target, gamma=2.0):
    return Refuses.apply(logits, target, gamma).mean()


@pytest.mark.parametrize(
    ("loss", "verdict", "words"),
    [
        (targets_and_a_millionth, "faulty", "The mean divides by N · C"),
        (by_positives_of_one_column, "faulty", "It divides by the number of positives, and a batch may have none"),
        (padded_in_the_mean, "faulty", "Ignored rows stay in the mean"),
        (over_the_height, "faulty", "label maps (N, H, W, C)"),
        (sorted_as_text, "faulty", "of class 10"),
        (counts_upside_down, "faulty", "Its weights grow with the counts"),
        (one_p_for_a_row, "faulty", "It mixes the labels of a row"),
        (silent_noes, "faulty", "a no costs 0"),
        (padded_to_a_power_of_two, "faulty", "Right with 2 and 4 classes, wrong with 3"),
        (drawn_from_large_batches, "fragile", "it draws at random"),
        (constant_slope, "fragile", "is missing, without an error"),
        (refuses_in_words, "fragile", "it refuses a second derivative"),  # for its closed form at extremes
    ],
)
def test_a_quiet_fault_is_found_and_told(loss, verdict, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == verdict and words in str(diagnosis), diagnosis
