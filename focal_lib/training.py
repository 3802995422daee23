"""Train the example's small network with any loss, and measure it on data it has not seen."""

import math
from dataclasses import dataclass, field

import torch
from sklearn import metrics
from torch import nn

__all__ = ["Run", "available_devices", "best_device", "evaluate", "make_model", "train", "training_steps"]


@dataclass
class Run:
    """One trained model; ``losses[e]`` is the training loss before update number e."""

    model: nn.Module
    losses: list = field(default_factory=list)

    def logits(self, x):
        """Logits of shape (N, C) for features of shape (N, 20), on the CPU."""
        device = next(self.model.parameters()).device
        with torch.no_grad():
            return self.model(x.to(device)).cpu()


def available_devices():
    """The devices of this machine, best first: 'cuda', 'mps', 'cpu'."""
    return ["cuda"] * torch.cuda.is_available() + ["mps"] * torch.backends.mps.is_available() + ["cpu"]


def best_device():
    """'cuda' where there is one, else 'mps', else 'cpu'."""
    return available_devices()[0]


def make_model(seed, features=20, hidden=64, classes=2):
    """The 20-64-2 network with ReLU. The seed decides its initial weights and leaves torch's generator as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def training_steps(model, criterion, x, y, epochs=100, learning_rate=1e-3):
    """Full-batch Adam, one update per iteration: yields the loss before each update, so stopping early is a break.

    Raises:
        ValueError: fewer than one epoch.
        FloatingPointError: the loss is no longer finite; the message names the epoch.
    """
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}.")
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    for epoch in range(epochs):
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss became {value} at epoch {epoch}; training stopped there.")
        loss.backward()
        optimizer.step()
        yield value


def train(criterion, example, seed=0, epochs=100, device=None):
    """Train the example's network from the weights of ``seed`` and return the :class:`Run`.

    Args:
        criterion: ``criterion(logits, target) -> scalar``; a Module is moved to the device.
        example: :class:`focal_lib.data.Example`.
        seed: decides the initial weights; nothing else is random.
        epochs: number of full-batch Adam updates (learning rate 0.001).
        device: 'cpu', 'cuda', 'mps'; None takes :func:`best_device`.

    Raises:
        ValueError: unknown or absent device, fewer than one epoch.
        FloatingPointError: the loss is no longer finite.

    Explained in chapter 05.
    """
    device = _check_device(device)
    if isinstance(criterion, nn.Module):
        criterion = criterion.to(device)
    run = Run(make_model(seed).to(device))
    x, y = example.x_train.to(device), example.y_train.to(device)
    run.losses.extend(training_steps(run.model, criterion, x, y, epochs))
    return run


def _check_device(device):
    if device is None:
        return best_device()
    if str(device).split(":")[0] not in available_devices():
        raise ValueError(
            f"device must be one of {', '.join(available_devices())} on this machine, got {str(device)!r}."
        )
    return device


def evaluate(logits, target):
    """Scores of held-out logits of shape (N, 2): a dict of floats, computed by scikit-learn.

    Class 1 is the minority. ``accuracy``; ``balanced_accuracy``, the mean of both recalls; ``macro_f1``;
    ``minority_recall``; ``minority_precision``, 0 when class 1 is never predicted; ``roc_auc`` and ``pr_auc``
    (average precision) of the class-1 score; ``brier``, the mean squared error of the class-1 probability.

    Raises:
        ValueError: target lacks one of the two classes, so recall is undefined.
    """
    if set(target.unique().tolist()) != {0, 1}:
        raise ValueError(f"target must hold both classes 0 and 1, got {sorted(target.unique().tolist())}.")
    y, predicted, p1 = target.numpy(), logits.argmax(dim=1).numpy(), logits.double().softmax(dim=1)[:, 1].numpy()
    scores = {
        "accuracy": metrics.accuracy_score(y, predicted),
        "balanced_accuracy": metrics.balanced_accuracy_score(y, predicted),
        "macro_f1": metrics.f1_score(y, predicted, average="macro"),
        "minority_recall": metrics.recall_score(y, predicted),
        "minority_precision": metrics.precision_score(y, predicted, zero_division=0),
        "roc_auc": metrics.roc_auc_score(y, p1),
        "pr_auc": metrics.average_precision_score(y, p1),
        "brier": metrics.brier_score_loss(y, p1),
    }
    return {name: float(score) for name, score in scores.items()}
