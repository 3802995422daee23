"""Dense detection in miniature: find one small ring or square in a noisy image, one vector of logits for every cell.

An image of 64 × 64 pixels has 32 × 32 cells, and its object belongs to exactly one of them. Chapter 09 uses this file.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from sklearn.metrics import average_precision_score
from torch import nn
from tqdm.auto import tqdm

from ..losses import sigmoid_focal_loss

__all__ = [
    "Scenes",
    "average_precision",
    "dense_loss",
    "detect",
    "hard_example_loss",
    "make_detector",
    "make_scenes",
    "train_detector",
]

CLASSES = ("ring", "square")
STRIDE = 2  # pixels per cell, in both directions


@dataclass(frozen=True)
class Scenes:
    """``images`` float32 (N, 1, S, S); ``targets`` and ``counted`` (N, 2, S/2, S/2): yes/no for each cell and class.

    ``targets`` is 1 at the cell that holds the centre of the object. ``counted`` is 0 at the eight cells around it:
    whether they are hits is a matter of taste, so no loss and no score asks.
    """

    images: torch.Tensor
    targets: torch.Tensor
    counted: torch.Tensor


def make_scenes(count, seed, size=64):
    """``count`` images with one object each: a ring or a square, among broken rings, broken squares, lines and blobs.

    Size, place, angle, thickness and brightness (lighter or darker than the surroundings) vary; every pixel is noisy.

    Explained in chapter 09.
    """
    if count < 1 or size < 32 or size % STRIDE:
        raise ValueError(f"count must be at least 1 and size an even number >= 32, got {count} and {size}.")
    g = torch.Generator().manual_seed(seed)

    def uniform(low, high, *shape):
        return low + (high - low) * torch.rand(*shape, generator=g)

    pixels = torch.arange(size) + 0.5
    slope = uniform(-0.4, 0.4, 2, count, 1, 1)
    images = slope[0] * pixels / size + slope[1] * pixels[:, None] / size
    images += 0.15 * torch.randn(count, size, size, generator=g)
    kind = torch.randint(len(CLASSES), (count,), generator=g)
    centre = uniform(10, size - 10, 2, count)
    clutter = 4
    for k in range(clutter + 1):  # the last one is the object
        is_object = k == clutter
        place = centre if is_object else uniform(0, size, 2, count)
        x, y = pixels - place[0, :, None, None], pixels[:, None] - place[1, :, None, None]
        angle = uniform(0, 2 * math.pi, count, 1, 1)
        u, v = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
        radius, width = uniform(4, 7, count, 1, 1), uniform(0.8, 1.4, count, 1, 1)
        ring, square = torch.hypot(u, v) - radius, torch.maximum(u.abs(), v.abs()) - radius
        line = torch.hypot(u, (v.abs() - radius).clamp_min(0))
        blob = torch.hypot(u, v) * 0.3
        shape = kind if is_object else torch.randint(4, (count,), generator=g)
        distance = torch.stack([ring, square, line, blob])[shape, torch.arange(count)]
        ink = torch.exp(-((distance / width) ** 2))
        if not is_object:  # a ring or square that misses a sector is no object
            missing = torch.atan2(v, u).abs() < uniform(0.5, 1.2, count, 1, 1)
            ink = ink * ~(missing & (shape < 2)[:, None, None])
        sign = torch.randint(2, (count, 1, 1), generator=g) * 2 - 1
        images += sign * uniform(0.5, 1.1, count, 1, 1) * ink

    cells = size // STRIDE
    column, row = (centre / STRIDE).long()
    targets = torch.zeros(count, len(CLASSES), cells, cells)
    targets[torch.arange(count), kind, row, column] = 1
    near = F.max_pool2d(targets.amax(1, keepdim=True), 3, stride=1, padding=1)
    counted = (1 - near).expand_as(targets).clone()
    counted[torch.arange(count), :, row, column] = 1
    return Scenes(images[:, None], targets, counted)


def make_detector(seed, prior=0.01, width=16):
    """A convolutional network from images (N, 1, S, S) to logits (N, 2, S/2, S/2).

    Args:
        seed: decides the initial weights; torch's own generator is left as it was.
        prior: the probability that the new network gives to every cell, set through the bias of its last layer:
            ``-log((1 - prior) / prior)``. Section 4.1 of the paper takes 0.01; 0.5 is no prior at all.
        width: channels of each layer.
    """
    if not 0 < prior < 1:
        raise ValueError(f"prior must lie strictly between 0 and 1, got {prior}.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = [nn.Conv2d(1, width, 3, stride=STRIDE, padding=1), nn.LeakyReLU(0.1)]
        for dilation in (1, 2, 4):
            layers += [nn.Conv2d(width, width, 3, padding=dilation, dilation=dilation), nn.LeakyReLU(0.1)]
        last = nn.Conv2d(width, len(CLASSES), 1)
        nn.init.normal_(last.weight, std=0.01)
        nn.init.constant_(last.bias, -math.log((1 - prior) / prior))
        return nn.Sequential(*layers, last).to(memory_format=torch.channels_last)  # a sixth faster on a CPU


def dense_loss(logits, targets, counted, alpha=0.25, gamma=2.0):
    """Sigmoid focal loss summed over all counted cells, divided by the number of objects, as in the paper.

    ``gamma=0`` with ``alpha=None`` is cross-entropy, with a number it is balanced cross-entropy.
    """
    loss = sigmoid_focal_loss(logits, targets, alpha, gamma, reduction="none") * counted
    return loss.sum() / targets.sum().clamp_min(1)


def hard_example_loss(logits, targets, counted, negatives=3):
    """Online hard-example mining: cross-entropy on each object and the ``negatives`` worst other answers for it."""
    loss = F.binary_cross_entropy_with_logits(logits, targets, reduction="none") * counted
    is_object = targets == 1
    objects = max(int(is_object.sum()), 1)
    hardest = loss[~is_object].topk(negatives * objects).values
    return (loss[is_object].sum() + hardest.sum()) / objects


def train_detector(model, criterion, scenes, *, steps=300, learning_rate=1e-2, seed=0):
    """Train in place with Adam on random batches of 8 images; returns the loss of every step.

    Args:
        model: from :func:`make_detector`; the batches move to its device.
        criterion: ``criterion(logits, targets, counted) -> scalar``.
        scenes: :class:`Scenes`.
        steps: number of updates.
        learning_rate: the highest of a one-cycle schedule.
        seed: decides the batches.

    Raises:
        ValueError: fewer than one step.
        FloatingPointError: the loss is no longer finite.
    """
    if steps < 1:
        raise ValueError(f"steps must be at least 1, got {steps}.")
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate, total_steps=steps)
    losses = []
    for step in tqdm(range(steps), unit="step"):
        batch = torch.randint(len(scenes.images), (8,), generator=generator)
        images, targets, counted = (t[batch].to(device) for t in (scenes.images, scenes.targets, scenes.counted))
        loss = criterion(model(images), targets, counted)
        if not loss.isfinite():
            raise FloatingPointError(f"the loss became {loss.item()} at step {step}; training stopped there.")
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    return losses


def detect(model, images):
    """Logits of shape (N, 2, S/2, S/2), on the CPU."""
    device = next(model.parameters()).device
    with torch.no_grad():
        return torch.cat([model(part.to(device)).cpu() for part in images.split(64)])


def average_precision(logits, scenes):
    """Mean over both classes of the area under precision against recall, a number in [0, 1].

    A detection is a cell whose logit is the largest within two cells. It is right if the object of its class lies in
    that cell or in one of the eight around it. Objects that no detection reaches count as not found.
    """
    logits = logits.double()
    logits = logits - 1e-9 * torch.arange(logits[0, 0].numel()).view(logits.shape[2:])  # of equal cells, the first
    peak = F.max_pool2d(logits, 5, stride=1, padding=2) == logits
    near = F.max_pool2d(scenes.targets, 3, stride=1, padding=1) == 1
    result = []
    for c in range(len(CLASSES)):
        right, score = near[:, c][peak[:, c]], logits[:, c][peak[:, c]]
        found = near[:, c] & peak[:, c]
        objects = int(scenes.targets[:, c].sum())
        # scikit-learn's recall is relative to the objects that were found; the factor makes it relative to all.
        share = int(found.sum()) / objects
        result.append(share * average_precision_score(right, score) if share else 0.0)
    return sum(result) / len(result)
