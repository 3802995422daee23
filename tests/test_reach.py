"""Losses that are no torch function of logits and targets, and what is said of those that cannot be tested."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from focal_lib import diagnose, focal_loss
from focal_lib.diagnosis import through


def slope(p, hot, gamma):
    p_t = (p * hot).sum(1, keepdims=True)
    return ((1 - p_t) ** gamma - gamma * p_t * (1 - p_t) ** (gamma - 1) * np.log(p_t)) * (p - hot)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def flat_scores(preds, data, gamma=2.0):
    """A LightGBM objective: all scores of class 0 first."""
    y = data.get_label().astype(int)
    z = preds.reshape(len(y), -1, order="F")
    p = softmax(z)
    return slope(p, np.eye(z.shape[1])[y], gamma).ravel("F"), (p * (1 - p)).ravel("F")


def table_of_scores(y_true, y_pred, gamma=1.5):
    p = softmax(y_pred)
    return slope(p, np.eye(p.shape[1])[y_true], gamma), p * (1 - p)


def one_margin(preds, data, alpha=0.25, gamma=2.0):
    """A binary one with the paper's alpha."""
    y, p = data.get_label(), 1 / (1 + np.exp(-preds))
    p = np.stack([1 - p, p], 1)
    hot = np.stack([1 - y, y], 1)
    return (alpha * y + (1 - alpha) * (1 - y)) * slope(p, hot, gamma)[:, 1], np.ones_like(y)


def scores_taken_for_probabilities(y_true, y_pred, gamma=2.0):
    hot = np.eye(y_pred.shape[1])[y_true]
    return (1 - (y_pred * hot).sum(1, keepdims=True)) ** gamma * (y_pred - hot), np.ones_like(y_pred)


@pytest.mark.parametrize(
    ("loss", "words"),
    [(flat_scores, "gamma 2."), (table_of_scores, "gamma 1.5."), (one_margin, "times [0.75, 0.25] for the classes")],
)
def test_an_objective_of_a_booster_is_judged_by_its_gradient(loss, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "right"
    assert diagnosis.headline.endswith("The one property that can be tested of it holds: its gradient.")
    assert words in diagnosis.conventions[0]


def test_a_wrong_objective_is_faulty():
    diagnosis = diagnose(scores_taken_for_probabilities)
    assert diagnosis.verdict == "faulty"
    assert "the gradient is [-0.125, 0, -0.375], expected" in diagnosis.violations["gradient_has_the_closed_form"]


class Lightning(nn.Module):
    def __init__(self, mean_first=False):
        super().__init__()
        self.net, self.mean_first = nn.Linear(4, 3), mean_first

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        ce = F.cross_entropy(self(x), y, reduction="mean" if self.mean_first else "none")
        loss = (-torch.expm1(-ce.clamp_min(1e-30))) ** 2 * ce
        self.log("train_loss", loss.mean())
        return {"loss": loss.mean()}


def test_a_training_step_is_called_with_logits_for_its_batch():
    assert diagnose(Lightning).verdict == "right"
    faulty = diagnose(Lightning(mean_first=True))
    assert faulty.verdict == "faulty" and faulty.suspects == ["mean_before_pt"]


def of_another_framework(logits, labels):
    """A loss and its gradient in numpy, as jax.value_and_grad gives them."""
    p, rows = softmax(logits), len(labels)
    hot = np.eye(p.shape[1])[labels]
    p_t = (p * hot).sum(1)
    return np.mean(-((1 - p_t) ** 2) * np.log(p_t)), slope(p, hot, 2.0) / rows


def test_a_loss_of_another_framework_goes_through():
    diagnosis = diagnose(through(of_another_framework))
    assert diagnosis.verdict in ("right", "fragile"), diagnosis
    assert diagnose(through(lambda x, y: (of_another_framework(x, y)[0], of_another_framework(-x, y)[1]))).verdict == (
        "faulty"
    )


def numpy_only(y_true, y_prob):
    return np.mean(-np.log(y_prob[np.arange(len(y_true)), y_true]), axis=0)


def cuda_only(input, target):
    raise RuntimeError("Found no NVIDIA driver on your system")


@pytest.mark.parametrize(
    ("loss", "words"),
    [(cuda_only, "It asks for a GPU that is not here: make its tensors with device=input.device.")],
)
def test_what_cannot_be_tested_is_told_with_the_line_that_helps(loss, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "could not test" and words in diagnosis.headline


def classes_last(logits, target, gamma=2.0):
    log_pt = logits.log_softmax(-1).gather(-1, target[..., None])[..., 0]
    return ((-torch.expm1(log_pt.clamp_max(-1e-30))) ** gamma * -log_pt).mean()


def without_effect(input, target, gamma=2.0, label_smoothing=0.1):
    return focal_loss(input, target, gamma=gamma)


@pytest.mark.parametrize(
    ("loss", "words"),
    [(classes_last, "(N, H, W, C)"), (without_effect, "argument label_smoothing changed nothing")],
)
def test_is_told(loss, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "right", diagnosis
    assert words in " ".join(diagnosis.conventions)


def key_points(pred, gt):
    positive = gt.eq(1).to(pred)
    rows = positive * (1 - pred) ** 2 * pred.log() + (1 - positive) * pred**2 * (1 - pred).log()
    return -rows.sum() / positive.sum().clamp_min(1)


def test_a_loss_of_key_points_is_another_loss():
    diagnosis = diagnose(key_points)
    assert diagnosis.verdict == "another loss" and "number of positives" in diagnosis.headline


class WarmUp(nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma, self.step = gamma, 0

    def forward(self, input, target):
        self.step += 1
        return focal_loss(input, target, gamma=self.gamma * min(1.0, self.step / 100))


def test_a_memory_is_told_before_what_follows_from_it():
    diagnosis = diagnose(WarmUp)
    assert diagnosis.verdict == "faulty" and diagnosis.suspects == []
    assert "The same call gives the same number" in diagnosis.headline


def test_a_lost_sign_is_told_first():
    diagnosis = diagnose(lambda input, target, gamma=2.0: -focal_loss(input, target, gamma=gamma))
    assert "first of all: Focal loss is at least 0" in diagnosis.headline


def test_right_in_float32_and_wrong_in_half_is_fragile():
    def coarse(input, target, gamma=2.0):
        loss = focal_loss(input, target, gamma=gamma)
        return loss * 1.5 if input.dtype == torch.float16 else loss

    diagnosis = diagnose(coarse)
    assert diagnosis.verdict == "fragile" and "torch.float16" in diagnosis.violations["is_finite_in_half_precision"]


def test_a_table_of_classes_by_classes_does_not_fill_the_memory():
    sizes = []

    def with_eye(input, target, gamma=2.0):
        sizes.append(input.shape[1])
        hot = torch.eye(input.shape[1], dtype=input.dtype)[target]
        ce = -(input.log_softmax(1) * hot).sum(1)
        return ((-torch.expm1(-ce.clamp_min(1e-30))) ** gamma * ce).mean()

    assert "is_right_at_every_size" not in diagnose(with_eye).violations
    assert max(sizes) < 5000
