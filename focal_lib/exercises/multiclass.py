"""What an exercise on a multiclass loss needs: a right loss, its diagnosis, what evidence looks like, inputs."""

import inspect
import math
import random

import torch

from ..diagnosis import diagnose
from ..diagnosis.cases import make_cases
from ..losses import FocalLoss, focal_loss

__all__ = ["Multiclass"]

# Of the hidden batches: shape, gamma from and to, weights, the largest spread of the logits. Every second one is
# float32; a gamma below 1 wants float64 and no certain examples, where the textbook's formula is no number.
BATCHES = [
    ((64, 12), (1, 5), "any", 25),
    ((40, 7), (1, 5), "any", 25),
    ((17, 4), (0.5, 1), "any", 3),
    ((33, 9), (1, 5), "any", 25),
    ((24, 3), (1, 5), "any", 25),
    ((48, 11), (1, 5), "any", 25),
    ((9, 5), (0.02, 0.5), "any", 3),
    ((2, 3, 3, 4), (1, 5), "any", 25),
    ((3, 6, 2, 5), (1, 5), "any", 25),
    ((14, 4), (5, 10), "large", 25),
    ((12, 5), (0, 0), "shares", 3),
    ((16, 3), (1, 1), "shares", 25),
    ((10, 6), (1, 5), "ones", 3),
    ((4, 3, 3), (1, 5), "shares", 25),
    ((15, 4), (2, 2), "any", 3000),
    ((100, 4), (2, 5), "large", 3),
    ((1, 2), (1, 5), "shares", 3),
    ((20, 30), (1, 5), "any", 3),
]


class Multiclass:
    """Class numbers as labels, one weight for each class. The same methods as :class:`~.binary.Binary`."""

    logits, labels = "[[0.5, 1.5], ...]", "[1, ...]"
    one_example, one_label = torch.zeros(1, 2), torch.tensor([0])
    some_alpha = torch.tensor([1.0, 4.0])
    both_means = True  # the mean of weighted losses may divide by their number, or by the weights

    def right(self, loss):
        """A right loss of the same form as this one."""
        return FocalLoss if inspect.isclass(loss) else focal_loss

    def diagnose(self, loss, seed=0):
        """A :class:`~focal_lib.diagnosis.report.Diagnosis`."""
        return diagnose(loss, seed=seed)

    def inputs(self):
        """A few small inputs."""
        for case in make_cases(dtype=torch.float32)[2:]:
            yield {"logits": case.input, "labels": case.target, "alpha": case.alpha}

    def hidden(self, seed):
        """Inputs that nobody can know without the seed: tensors and settings of an ordinary training, and its tails."""
        draw = random.Random(seed)
        for number, (shape, (least, most), kind, widest) in enumerate(BATCHES):
            n, c, *rest = shape
            n = draw.randint((n + 1) // 2, n)
            dtype = (torch.float64, torch.float32)[number % 2]
            spread = [draw.choice((1, 3, 3, widest)) for _ in range(n * math.prod(rest))]
            spread[-1] = widest  # or one batch in a few dozen would have no tails
            limit = max(100.0, 3.0 * widest)
            rows = [[max(-limit, min(limit, draw.gauss(0, s))) for _ in range(c)] for s in spread]
            labels = torch.tensor([draw.randrange(c) for _ in rows])
            logits = torch.tensor(rows, dtype=dtype)
            if rest:
                logits, labels = logits.reshape(n, *rest, c).movedim(-1, 1), labels.reshape(n, *rest)
            weights = _weights(kind, c, draw)
            labels.flatten()[0] = max(range(c), key=weights.__getitem__)
            yield {
                "logits": logits,
                "labels": labels,
                "alpha": torch.tensor(weights, dtype=dtype),
                "gamma": draw.uniform(least, most) if least < most else float(least),
                "ignore_index": draw.choice((-100, 255)),
            }

    def ignoring(self, case):
        """The case with some of its labels ignored; all else is as before."""
        labels = case["labels"].clone().flatten()
        labels[1::4] = case["ignore_index"]
        return case | {"labels": labels.reshape(case["labels"].shape)}

    def read_labels(self, labels, given):
        """Labels as class numbers; ValueError if they are none."""
        if labels.is_floating_point():
            raise ValueError(f"Labels are class numbers, such as 0 and 1; got {given!r}.")
        return labels.to(torch.int64)

    def read_alpha(self, alpha, classes):
        """One weight per class; ValueError if it is not that."""
        weights = torch.as_tensor(alpha, dtype=torch.float32)
        if weights.shape != (classes,):
            got = f"one number, {float(weights):g}" if weights.ndim == 0 else f"shape {tuple(weights.shape)}"
            wanted = f"alpha is a list with one weight per class, here {classes}"
            raise ValueError(f"{wanted}; got {got}. A right loss refuses this input.")
        if not (weights.min() >= 0 and weights.max() <= 100):
            raise ValueError(f"Weights lie between 0 and 100; got {weights.tolist()}.")
        return weights

    def check_shapes(self, logits, labels, ignore_index):
        """ValueError unless the labels belong to the logits."""
        if logits.ndim < 2 or labels.shape != logits.shape[:1] + logits.shape[2:]:
            wanted = "(N, C)" if logits.ndim < 2 else str(tuple(logits.shape[:1] + logits.shape[2:]))
            if logits.ndim < 2:
                raise ValueError(f"logits have one row per example, shape {wanted}; got shape {tuple(logits.shape)}.")
            raise ValueError(
                f"labels must have shape {wanted} for logits of shape {tuple(logits.shape)}; got {tuple(labels.shape)}."
            )
        counted = labels[labels != ignore_index]
        if counted.numel() and not (counted.min() >= 0 and counted.max() < logits.shape[1]):
            raise ValueError(
                f"A right loss refuses this input: labels go from 0 to {logits.shape[1] - 1} for {logits.shape[1]} "
                f"classes; got {labels.tolist()}."
            )


def _weights(kind, classes, draw):
    """One weight for each class, as people set them."""
    if kind == "ones":
        return [1.0] * classes
    if kind == "shares":  # of one
        parts = [draw.uniform(0.1, 1) for _ in range(classes)]
        return [part / sum(parts) for part in parts]
    weights = [draw.uniform(0, 3) for _ in range(classes)]
    weights[: 2 if kind == "large" else 3] = (100.0, 30.0) if kind == "large" else (0.0, 0.03, 7.5)
    draw.shuffle(weights)
    return weights
