"""What a classifier is worth on data it has not seen, and how far its probabilities can be believed."""

import numpy as np
import torch
import torch.nn.functional as F
from sklearn import metrics

from .calibration import calibration_slope, check_labels

__all__ = ["evaluate", "reliability", "score_runs"]


def evaluate(logits, target, threshold=0.5):
    """Scores of held-out logits of shape (N, 2): a dict of floats, computed by scikit-learn.

    Class 1 is the minority; it is predicted where its probability exceeds ``threshold``. ``accuracy``;
    ``balanced_accuracy``, the mean of both recalls; ``macro_f1``; ``minority_recall``; ``minority_precision``, 0 when
    class 1 is never predicted; ``roc_auc`` and ``pr_auc`` (average precision) of the class-1 score; ``brier``, the
    mean squared error of the class-1 probability; ``ece``, its expected calibration error
    (see :func:`focal_lib.lab.scores.reliability`).

    Raises:
        ValueError: target lacks one of the two classes, so recall is undefined.
    """
    if set(target.unique().tolist()) != {0, 1}:
        raise ValueError(f"target must hold both classes 0 and 1, got {sorted(target.unique().tolist())}.")
    y, p1 = target.numpy(), logits.double().softmax(dim=1)[:, 1].numpy()
    predicted = p1 > threshold
    count, confidence, observed = reliability(p1, y)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(y, predicted, zero_division=0)
    scores = {
        "accuracy": metrics.accuracy_score(y, predicted),
        "balanced_accuracy": recall.mean(),
        "macro_f1": f1.mean(),
        "minority_recall": recall[1],
        "minority_precision": precision[1],
        "roc_auc": metrics.roc_auc_score(y, p1),
        "pr_auc": metrics.average_precision_score(y, p1),
        "brier": metrics.brier_score_loss(y, p1),
        "ece": np.nansum(count * abs(confidence - observed)) / count.sum(),
    }
    return {name: float(score) for name, score in scores.items()}


def reliability(p1, target, bins=10):
    """Predicted against observed: group the examples by predicted probability, in bins of equal width.

    Args:
        p1: NumPy array of class-1 probabilities, any shape.
        target: 0 or 1, same shape.

    Returns:
        (count, predicted, observed), arrays of length ``bins``: number of examples, mean probability and share of
        class 1; nan in an empty bin. Their distance, averaged over the examples, is the expected calibration error.

    Source: Guo et al. 2017, arXiv 1706.04599. Explained in chapter 05.
    """
    index = np.minimum((np.ravel(p1) * bins).astype(int), bins - 1)
    count = np.bincount(index, minlength=bins)
    with np.errstate(invalid="ignore"):  # 0 / 0 in an empty bin
        predicted = np.bincount(index, np.ravel(p1), bins) / count
        observed = np.bincount(index, np.ravel(target), bins) / count
    return count, predicted, observed


def score_runs(p, target, answers=None, only=None):
    """Scores of many runs at once: a dict of float64 tensors of shape (runs,).

    ``balanced_accuracy``; ``macro_f1``; ``auc``, the mean of each class against the rest;
    ``brier``, the squared error of the probabilities, summed over the classes and halved, which for two classes is
    that of class 1; ``slope``, see :func:`focal_lib.lab.calibration.calibration_slope`; ``slope_miss``, the size of its
    natural logarithm: 0 is right, and twice or half the right slope count alike.

    Args:
        p: probabilities of shape (runs, N, C). target: int64 labels of shape (runs, N), each class in each run.
        answers: int64 answers of shape (runs, N); None takes the likeliest class.
        only: names of the scores to compute; None computes all.

    Raises:
        ValueError: a probability that is not finite, a label outside [0, C), a run whose labels lack a class.

    Explained in chapter 10.
    """
    check_labels(target, p.shape)
    p, one_hot = p.double(), F.one_hot(target, p.shape[-1]).double()
    count = one_hot.sum(1)
    if not p.isfinite().all() or not (count > 0).all():
        raise ValueError("each run needs finite probabilities and examples of each class.")
    said = F.one_hot(p.argmax(-1) if answers is None else answers, p.shape[-1]).double()
    hits = (said * one_hot).sum(1)
    ways = {
        "balanced_accuracy": lambda: (hits / count).mean(-1),
        "macro_f1": lambda: (2 * hits / (said.sum(1) + count)).mean(-1),
        "auc": lambda: _auc(p, one_hot),
        "brier": lambda: (p - one_hot).square().sum(-1).mean(-1) / 2,
        "slope": lambda: calibration_slope(p, target),
        "slope_miss": lambda: calibration_slope(p, target).log().abs(),
    }
    return {name: ways[name]() for name in (ways if only is None else only)}


def _auc(p, one_hot):
    """Mean over the classes of the area under the ROC curve, (runs,), from ranks; ties count half."""
    order = p.argsort(1)
    ordered, hit = p.gather(1, order), one_hot.gather(1, order)
    place = torch.arange(1.0, p.shape[1] + 1, dtype=torch.float64)[:, None].expand_as(ordered)
    new = F.pad(ordered.diff(dim=1) != 0, (0, 0, 1, 0), value=True)
    group = new.cumsum(1) - 1
    total, size = (torch.zeros_like(ordered).scatter_add_(1, group, one) for one in (place, torch.ones_like(place)))
    rank = (total / size.clamp(min=1)).gather(1, group)
    positive, n = one_hot.sum(1), p.shape[1]
    return (((rank * hit).sum(1) - positive * (positive + 1) / 2) / (positive * (n - positive))).mean(-1)
