"""The imbalanced two-class example of the book, and weights computed from class counts."""

from dataclasses import dataclass

import torch

__all__ = ["Example", "inverse_frequency", "load_example"]


@dataclass(frozen=True)
class Example:
    """Features are float32 of shape (N, features), 20 in the example; labels int64 of shape (N,)."""

    x_train: torch.Tensor
    y_train: torch.Tensor
    x_test: torch.Tensor
    y_test: torch.Tensor


def load_example(seed=42):
    """1 000 points with 20 features, 80 % of class 0 and 20 % of class 1, split 800 / 200.

    ``seed`` draws both the points and the split. 42 gives the data of the article that the book's training chapter
    re-examines: 632 and 168 training examples (``make_classification`` draws 1 % of the labels anew at random, so the
    shares are not exactly 80 and 20 %). Any other seed is a fresh sample of the same kind.

    Explained in chapter 01.
    """
    from sklearn.datasets import make_classification  # here, since the page that trains has no scikit-learn
    from sklearn.model_selection import train_test_split

    x, y = make_classification(
        n_samples=1000,
        n_features=20,
        n_informative=10,
        n_redundant=5,
        weights=[0.8, 0.2],
        random_state=seed,
    )
    x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, shuffle=True, random_state=seed)
    return Example(
        x_train=torch.tensor(x_train, dtype=torch.float32),
        y_train=torch.tensor(y_train, dtype=torch.int64),
        x_test=torch.tensor(x_test, dtype=torch.float32),
        y_test=torch.tensor(y_test, dtype=torch.int64),
    )


def inverse_frequency(target, classes=None):
    """Class weights N / count: a class seen in a quarter of the examples weighs 4.

    Args:
        target: int64 class indices, any shape, at least one.
        classes: number of classes; None takes the largest label plus one.

    Returns:
        float32 tensor of shape ``(classes,)``, on target's device. Its average over the examples is the number of
        classes, so weighted and unweighted mean losses are not comparable.

    Raises:
        ValueError: a class has no examples (its weight would be infinite), or a label is out of range.

    Explained in chapter 03.
    """
    if target.numel() == 0 or target.min() < 0 or (classes is not None and target.max() >= classes):
        raise ValueError(
            f"target must hold class labels in [0, {'C' if classes is None else classes}), "
            + ("got none." if target.numel() == 0 else f"got {target.min().item()} to {target.max().item()}.")
        )
    counts = torch.bincount(target.flatten(), minlength=classes or 0)
    missing = (counts == 0).nonzero().flatten().tolist()
    if missing:
        raise ValueError(
            f"class {missing[0]} has no examples, so its inverse frequency is infinite; "
            "merge it with another class, collect examples, or choose its weight by hand."
        )
    return target.numel() / counts.to(torch.float32)
