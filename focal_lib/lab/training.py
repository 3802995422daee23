"""Train the example's small network with any loss, one run at a time."""

import math
import threading
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import nn

from .._checks import check_choice

__all__ = [
    "OPTIMIZERS",
    "Run",
    "available_devices",
    "best_device",
    "make_model",
    "train",
    "training_steps",
]

OPTIMIZERS = {
    "adam": partial(torch.optim.Adam, lr=0.001),  # torch's defaults, as in the article
    "sgd": partial(torch.optim.SGD, lr=0.1),
}
_SEEDING = threading.Lock()  # torch's generator is shared by all threads: one network at a time draws its weights


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
    with _SEEDING, torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, classes))


def training_steps(model, criterion, x, y, epochs=100, optimizer="adam", learning_rate=None):
    """Full-batch training, one update per iteration: yields the loss before each update; stopping early is a break.

    ``optimizer`` is "adam" or "sgd"; ``learning_rate`` None takes 0.001 for Adam and 0.1 for SGD.

    Raises:
        ValueError: fewer than one epoch, an unknown optimizer.
        FloatingPointError: the loss is no longer finite; the message names the epoch.
    """
    check_epochs(epochs)
    check_choice(optimizer, OPTIMIZERS, "optimizer")
    chosen = {} if learning_rate is None else {"lr": learning_rate}
    updater = OPTIMIZERS[optimizer](model.parameters(), **chosen)
    for epoch in range(epochs):
        updater.zero_grad()
        loss = criterion(model(x), y)
        value = loss.item()
        if not math.isfinite(value):
            raise FloatingPointError(f"the loss became {value} at epoch {epoch}; training stopped there.")
        loss.backward()
        updater.step()
        yield value


def train(criterion, example, seed=0, epochs=100, device=None, optimizer="adam"):
    """Train the example's network from the weights of ``seed`` and return the :class:`Run`.

    Args:
        criterion: ``criterion(logits, target) -> scalar``; a Module is moved to the device.
        example: :class:`focal_lib.lab.data.Example`.
        seed: decides the initial weights; nothing else is random.
        epochs: number of full-batch updates.
        device: 'cpu', 'cuda', 'mps'; None takes :func:`best_device`.
        optimizer: 'adam' (learning rate 0.001) or 'sgd' (0.1).

    Raises:
        ValueError: unknown or absent device, fewer than one epoch, an unknown optimizer.
        FloatingPointError: the loss is no longer finite.

    Explained in chapter 05.
    """
    device = check_device(device)
    if isinstance(criterion, nn.Module):
        criterion = criterion.to(device)
    run = Run(make_model(seed).to(device))
    x, y = example.x_train.to(device), example.y_train.to(device)
    run.losses.extend(training_steps(run.model, criterion, x, y, epochs, optimizer))
    return run


def check_epochs(epochs):
    if epochs < 1:
        raise ValueError(f"epochs must be at least 1, got {epochs}.")


def check_device(device):
    if device is None:
        return best_device()
    if str(device).split(":")[0] not in available_devices():
        raise ValueError(
            f"device must be one of {', '.join(available_devices())} on this machine, got {str(device)!r}."
        )
    return device
