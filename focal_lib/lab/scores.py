"""What a classifier is worth on data it has not seen, and how far its probabilities can be believed."""

import numpy as np
from sklearn import metrics

__all__ = ["evaluate", "reliability"]


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
