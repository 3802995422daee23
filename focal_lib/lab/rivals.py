"""What focal loss competes with: losses, weights and repairs afterwards, and problems to compare them on."""

from functools import partial

import torch
import torch.nn.functional as F
from sklearn.datasets import make_classification

from .._checks import check_choice
from ..losses import focal_loss
from .data import Example

__all__ = ["Problem", "class_counts", "class_weights", "criterion", "make_problem", "mirror_loss", "shifted"]

WEIGHTS = ("1/n", "1/sqrt n", "effective number")
LOSSES = (
    "cross-entropy", "adjusted in the loss", "weights 1/n", "weights 1/sqrt n", "effective number", "sampler",
    "smoothing", "focal", "focal, weights 1/n", "mirror",
)  # fmt: skip


class Problem(Example):
    """An Example whose labelled examples are in two parts: ``x_train, y_train`` to learn from, and ``x_held, y_held``
    to choose a threshold or a temperature on. Noise is in the labels of both, never in those of the test set."""

    def __init__(self, parts):
        for name, (x, y) in parts.items():
            object.__setattr__(self, f"x_{name}", torch.as_tensor(x, dtype=torch.float32))
            object.__setattr__(self, f"y_{name}", torch.as_tensor(y, dtype=torch.int64))


def class_counts(n, classes, prevalence, least=2, name="n"):
    """How many examples each class gets, commonest first, falling by the same factor from class to class.

    With two classes ``prevalence`` is the share of class 1. With more, the rarest and the commonest class are in the
    same proportion to each other, prevalence : 1 - prevalence. No class gets fewer than ``least``. ``name`` is what a
    message calls the number of examples.

    Raises:
        ValueError: a prevalence outside (0, 0.5], fewer than two classes, more classes than examples allow.

    Explained in chapter 10.
    """
    if not 0 < prevalence <= 0.5:
        raise ValueError(f"prevalence must be above 0 and at most 0.5, got {prevalence}.")
    if classes < 2 or n < least * classes:
        raise ValueError(f"{classes} classes of at least {least} examples do not fit into {name} = {n} examples.")
    fall = (prevalence / (1 - prevalence)) ** (1 / (classes - 1))
    shares = torch.tensor([fall**k for k in range(classes)], dtype=torch.float64)
    counts = (n * shares / shares.sum()).round().long().clamp(min=least)
    counts[0] = n - counts[1:].sum()
    if counts[0] < least:
        raise ValueError(
            f"the commonest of {classes} classes would be left with {counts[0].item()} of {name} = {n} examples; "
            f"expected at least {least}: give more examples or a larger prevalence."
        )
    return counts.tolist()


def make_problem(seed, *, classes=2, prevalence=0.2, n=600, overlap="small", noise=0.0, test=1000):
    """A fresh problem: ``n`` examples to learn from, n / 2 held out for choices, and ``test`` more to be scored on.

    Ten features, of which six carry the class and two repeat them (``make_classification``). The prevalence thins the
    classes and does not move them. Noise takes a share of the labels and shuffles them among their examples, so
    that each class keeps its count; the test set's labels are clean.

    Args:
        seed: draws the problem, its examples, and the noise.
        overlap: "small" or "large" (the clusters' distance is 1, or a half).
        noise: share of labels that are shuffled, 0 to 1.

    Raises:
        ValueError: see :func:`class_counts`; an unknown overlap, a noise outside [0, 1], more than 64 classes.

    Explained in chapter 10.
    """
    check_choice(overlap, ("small", "large"), "overlap")
    if classes > 64:  # a corner each of a cube of six dimensions
        raise ValueError(f"make_problem has room for at most 64 classes, got {classes}.")
    sizes = {"train": (n, "n"), "held": (n // 2, "n // 2"), "test": (test, "test")}
    counts = {part: class_counts(size, classes, prevalence, name=name) for part, (size, name) in sizes.items()}
    most = sum(part[0] for part in counts.values())
    x, y = make_classification(
        n_samples=classes * most + 10 * classes,  # the clusters' sizes are rounded
        n_features=10,
        n_informative=6,
        n_redundant=2,
        n_classes=classes,
        n_clusters_per_class=2 if classes == 2 else 1,
        class_sep={"small": 1.0, "large": 0.5}[overlap],
        flip_y=0,
        random_state=seed,
    )
    return deal(torch.as_tensor(x), torch.as_tensor(y), counts, noise, seed)


def deal(x, y, counts, noise, seed):
    """Cut labelled data into the parts of a :class:`Problem`, each with its counts of every class, and add noise.

    Raises:
        ValueError: a noise outside [0, 1], features that are not finite, counts for another number of classes than the
            labels have, or for more examples.
    """
    if not 0 <= noise <= 1:
        raise ValueError(f"noise must be a share between 0 and 1, got {noise}.")
    if not x.isfinite().all():
        row, column = (~x.isfinite()).nonzero()[0].tolist()
        raise ValueError(
            f"x must hold finite features, got {x[row, column].item()} in example {row}, feature {column}."
        )
    generator = torch.Generator().manual_seed(seed)
    rows = [r[torch.randperm(len(r), generator=generator)] for r in ((y == k).nonzero()[:, 0] for k in y.unique())]
    parts = {}
    for part, wanted in counts.items():
        if len(wanted) != len(rows):
            raise ValueError(f"each part needs one count for each of the {len(rows)} classes, got {wanted}.")
        taken = torch.cat([rows[k][:count] for k, count in enumerate(wanted)])
        if len(taken) < sum(wanted):
            raise ValueError(f"the data has too few examples for the counts {wanted} of the {part} part.")
        rows = [left[count:] for left, count in zip(rows, wanted, strict=True)]
        labels = y[taken].clone()
        if part != "test":
            moved = torch.randperm(len(labels), generator=generator)[: round(noise * len(labels))]
            labels[moved] = labels[moved[torch.randperm(len(moved), generator=generator)]]
        parts[part] = x[taken], labels
    return Problem(parts)


def class_weights(counts, kind="1/n", beta=0.999):
    """One weight a class from the classes' counts, with the average 1 over the examples.

    "1/n"; "1/sqrt n"; "effective number", (1 - beta) / (1 - beta**n), which is 1/n for small counts and levels out for
    large ones (Cui et al. 2019, arXiv 1901.05555).

    Raises:
        ValueError: an unknown kind, a class without examples, a beta outside [0, 1).

    Explained in chapter 10.
    """
    check_choice(kind, WEIGHTS, "kind")
    counts = torch.as_tensor(counts, dtype=torch.float64)
    if not (counts > 0).all():
        raise ValueError(f"each class needs at least one example, got counts {counts.long().tolist()}.")
    if not 0 <= beta < 1:
        raise ValueError(f"beta must be in [0, 1), got {beta}.")
    weights = {"1/n": 1 / counts, "1/sqrt n": counts**-0.5, "effective number": (1 - beta) / (1 - beta**counts)}[kind]
    return (weights * counts.sum() / (weights * counts).sum()).float()


def shifted(logits, counts, strength=1.0):
    """Logit adjustment afterwards: subtract ``strength`` times the log share of each class in the training set.

    Raises:
        ValueError: counts that are not above 0, or not one for each class of the logits.

    Source: Menon et al. 2021, arXiv 2007.07314. Explained in chapter 10.
    """
    counts = torch.as_tensor(counts, dtype=logits.dtype)
    if counts.shape != logits.shape[-1:] or not (counts > 0).all():
        raise ValueError(
            f"logit adjustment needs counts above 0, one for each of the {logits.shape[-1]} classes, "
            f"got {counts.long().tolist()}."
        )
    return logits - strength * (counts / counts.sum()).log()


def mirror_loss(input, target):
    """Cross-entropy of each example, weighted by its own p_t, as a constant: what is known already counts most.

    Its gradient is that of 1 - p_t. Explained in chapter 10.
    """
    ce = F.cross_entropy(input, target, reduction="none")
    return (-ce.detach()).exp() * ce


def adjusted_loss(input, target, counts):
    """Logit adjustment in the loss: cross-entropy of each example, on logits raised by the log share of their class.

    Source: Menon et al. 2021, arXiv 2007.07314. Explained in chapter 10.
    """
    return F.cross_entropy(shifted(input, counts, -1.0), target, reduction="none")


def criterion(name, counts, gamma=2.0, smoothing=0.1):
    """The loss of that name, as :func:`focal_lib.lab.sweep.sweep` takes it: a name, or the loss of each example.

    Args:
        name: one of "cross-entropy", "adjusted in the loss", "weights 1/n", "weights 1/sqrt n", "effective number",
            "sampler", "smoothing", "focal", "focal, weights 1/n", "mirror".
        counts: the number of training examples of each class.
        gamma: of the two focal losses. smoothing: how much of each label is spread over all classes.

    Raises:
        ValueError: an unknown name, a class without examples.

    Explained in chapter 10.
    """
    check_choice(name, LOSSES, "name")
    weighted = {kind: partial(F.cross_entropy, weight=class_weights(counts, kind)) for kind in WEIGHTS}
    return {
        "cross-entropy": "cross_entropy",
        "adjusted in the loss": partial(adjusted_loss, counts=counts),
        "weights 1/n": partial(weighted["1/n"], reduction="none"),
        "weights 1/sqrt n": partial(weighted["1/sqrt n"], reduction="none"),
        "effective number": partial(weighted["effective number"], reduction="none"),
        "sampler": "sampler",
        "smoothing": partial(F.cross_entropy, label_smoothing=smoothing, reduction="none"),
        "focal": partial(focal_loss, gamma=gamma, reduction="none"),
        "focal, weights 1/n": partial(focal_loss, alpha=class_weights(counts), gamma=gamma, reduction="none"),
        "mirror": mirror_loss,
    }[name]
