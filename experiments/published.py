"""Diagnose published focal losses and store the verdicts in focal_lib/results/published.csv.

Run it in an environment that holds the packages of PUBLISHED (torch alone of them is needed by this project), with
this project on the path. A package that is not installed is an error, so that the table never shrinks unseen.

Each adapter is the plain way to call that loss with our arguments: logits, class indices, one weight per class.
"""

import argparse
import csv
import importlib
import importlib.metadata
import importlib.util
import os
import sys
import types
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import torch
import torch.nn.functional as F
from tqdm import tqdm

from focal_lib import diagnose

OUT = Path(__file__).parent.parent / "focal_lib" / "results" / "published.csv"


def module(name):
    """Import a module of a package without running the package's __init__, which may want a GPU build or OpenCV."""
    parts = name.split(".")
    top = Path(importlib.util.find_spec(parts[0]).submodule_search_locations[0])
    for depth in range(1, len(parts)):
        package = types.ModuleType(".".join(parts[:depth]))
        package.__path__ = [str(top.joinpath(*parts[1:depth]))]
        sys.modules.setdefault(package.__name__, package)
    return importlib.import_module(name)


def onehot(input, target):
    return F.one_hot(target, input.shape[1]).movedim(-1, 1).to(input.dtype)


def kornia():
    from kornia.losses import focal_loss

    def loss(input, target, alpha=None, gamma=2.0, reduction="mean", ignore_index=-100):
        return focal_loss(input, target, None, gamma, reduction, alpha, ignore_index)

    return loss


def monai():
    from monai.losses import FocalLoss

    def loss(input, target, alpha=None, gamma=2.0, reduction="mean", ignore_index=None):
        criterion = FocalLoss(
            to_onehot_y=True,
            use_softmax=True,
            gamma=gamma,
            weight=alpha,
            reduction=reduction,
            ignore_index=ignore_index,
        )
        return criterion(input, target[:, None])

    return loss


def fastai():
    from fastai.losses import FocalLoss

    return lambda input, target, alpha=None, gamma=2.0, reduction="mean": FocalLoss(gamma, alpha, reduction)(
        input, target
    )


def tsai():
    FocalLoss = module("tsai.losses").FocalLoss
    return lambda input, target, alpha=None, gamma=2.0, reduction="mean": FocalLoss(alpha, gamma, reduction)(
        input, target
    )


def pytorch_toolbelt():
    utils = types.ModuleType("pytorch_toolbelt.utils")
    utils.pytorch_toolbelt_deprecated = lambda *_, **__: lambda function: function
    sys.modules.setdefault("pytorch_toolbelt.utils", utils)
    CrossEntropyFocalLoss = module("pytorch_toolbelt.losses.focal").CrossEntropyFocalLoss

    def loss(input, target, alpha=None, gamma=2.0, reduction="mean", ignore_index=-100):
        return CrossEntropyFocalLoss(gamma, reduction, class_weights=alpha, ignore_index=ignore_index)(input, target)

    return loss


def focal_loss_torch():
    from focal_loss.focal_loss import FocalLoss

    def loss(input, target, alpha=None, gamma=2.0, reduction="mean", ignore_index=-100):
        return FocalLoss(gamma, alpha, reduction, ignore_index)(input.movedim(1, -1).softmax(-1), target)

    return loss


def keras():
    from keras.losses import CategoricalFocalCrossentropy

    def loss(input, target, alpha=1.0, gamma=2.0, reduction="mean"):
        criterion = CategoricalFocalCrossentropy(
            alpha=alpha if isinstance(alpha, float) else alpha.tolist(),
            gamma=gamma,
            from_logits=True,
            reduction={"none": None, "sum": "sum", "mean": "sum_over_batch_size"}[reduction],
            dtype=str(input.dtype).removeprefix("torch."),
            axis=1,
        )
        return criterion(onehot(input, target), input)

    return loss


def segmentation_models_pytorch():
    FocalLoss = module("segmentation_models_pytorch.losses.focal").FocalLoss

    def loss(input, target, alpha=None, gamma=2.0, reduction="mean", ignore_index=None):
        criterion = FocalLoss(
            "multiclass", gamma=gamma, reduction=reduction, ignore_index=ignore_index, class_weights=alpha
        )
        return criterion(input, target)

    return loss


def catalyst():
    from catalyst.contrib.losses import FocalLossMultiClass

    def loss(input, target, gamma=2.0, reduction="mean", ignore_index=None):
        return FocalLossMultiClass(ignore=ignore_index, gamma=gamma, alpha=None, reduction=reduction)(input, target)

    return loss


def balanced_loss():
    from balanced_loss import Loss

    return lambda input, target, gamma=2.0: Loss("focal_loss", fl_gamma=gamma)(input, target)


def fvcore():
    from fvcore.nn import sigmoid_focal_loss

    def loss(input, target, gamma=2.0, reduction="mean"):
        return sigmoid_focal_loss(input, onehot(input, target), -1, gamma, reduction)

    return loss


def super_gradients():
    FocalLoss = module("super_gradients.training.losses.focal_loss").FocalLoss

    def loss(input, target, gamma=2.0, reduction="mean"):
        bce = torch.nn.BCEWithLogitsLoss(reduction=reduction)
        return FocalLoss(bce, gamma, alpha=0.5)(input, onehot(input, target)) * 2  # alpha 0.5 halves every loss

    return loss


def summed_over_classes(loss):
    """For a loss whose reduction='none' is a table (N, C, ...): sum over the classes, then reduce as we do."""

    def summed(input, target, alpha=None, gamma=2.0, reduction="mean", ignore_index=-100):
        rows = loss(input, target, alpha, gamma, "none", ignore_index).sum(1)
        counted = (target != ignore_index).sum()
        return {"none": rows, "sum": rows.sum(), "mean": rows.sum() / counted}[reduction]

    return summed


SIGMOID = (
    "The paper's sigmoid form: right for detection and multilabel data, another loss where one class of C is right."
)
TABLE = "All that remains when its table (N, C) is summed over the classes first."
# (distribution, loss, adapter, a fair word on what the properties show)
PUBLISHED = [
    (
        "fastai",
        "FocalLoss",
        fastai,
        "Documented: weights go through F.cross_entropy's weight, and so into p_t. Unweighted values are exact.",
    ),
    ("tsai", "FocalLoss", tsai, "Made for (N, C); it does not refuse images, and they come out wrong."),
    (
        "kornia",
        "focal_loss",
        kornia,
        "Documented: 'mean' divides by N · C, and ignored labels stay in the mean. Its NaN for gamma < 1 is mended.",
    ),
    ("kornia", "focal_loss, summed over classes", lambda: summed_over_classes(kornia()), TABLE),
    (
        "monai",
        "FocalLoss(use_softmax=True)",
        monai,
        "Documented: 'mean' divides by N · C; float32 inside. Not documented: for (N, C) input 'sum' returns the mean.",
    ),
    ("monai", "FocalLoss(use_softmax=True), summed over classes", lambda: summed_over_classes(monai()), TABLE),
    (
        "keras",
        "CategoricalFocalCrossentropy (torch backend)",
        keras,
        "Clips p_t at 1e-7, as Keras does everywhere: the worst mistakes get no gradient. Values are exact.",
    ),
    (
        "focal-loss-torch",
        "FocalLoss",
        focal_loss_torch,
        "Takes probabilities, so what softmax has rounded away is lost before it starts. Values are exact.",
    ),
    (
        "pytorch-toolbelt",
        "CrossEntropyFocalLoss",
        pytorch_toolbelt,
        "Softmax in the modulator, sigmoid cross-entropy beside it: a loss of its own.",
    ),
    ("segmentation-models-pytorch", "FocalLoss('multiclass')", segmentation_models_pytorch, SIGMOID),
    ("catalyst", "FocalLossMultiClass", catalyst, SIGMOID),
    ("balanced-loss", "Loss('focal_loss')", balanced_loss, SIGMOID),
    ("fvcore", "sigmoid_focal_loss on one-hot targets", fvcore, SIGMOID),
    ("super-gradients", "FocalLoss on one-hot targets", super_gradients, SIGMOID),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verbose", action="store_true", help="print the full reports")
    arguments = parser.parse_args()
    rows = []
    for distribution, name, adapter, word in tqdm(PUBLISHED, "packages"):
        diagnosis = diagnose(adapter())
        if arguments.verbose:
            print(f"\n=== {distribution} {name}\n{diagnosis}")
        rows.append(
            {
                "package": distribution,
                "version": importlib.metadata.version(distribution),
                "loss": name,
                "verdict": diagnosis.verdict,
                "violations": " ¦ ".join(f"{name}: {example}" for name, example in diagnosis.violations.items()),
                "suspects": " ".join(diagnosis.suspects),
                "conventions": " ".join(diagnosis.conventions),
                "untested": " ".join(diagnosis.untested),
                "word": word,
            }
        )
    OUT.parent.mkdir(exist_ok=True)
    with OUT.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    print(f"Wrote {OUT}: {len(rows)} losses, torch {torch.__version__}.")


if __name__ == "__main__":
    main()
