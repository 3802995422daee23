"""Published focal losses behind one signature: the verdicts (published.py) and the timings (benchmarks) use these.

Each function here is the plain way to build that loss with our arguments; what it returns takes logits ``(N, C, ...)``
and class indices. An argument that a loss does not have is not in its function's signature.
"""

import functools
import importlib
import importlib.metadata
import importlib.util
import os
import sys
import types
from pathlib import Path

import torch
import torch.nn.functional as F

__all__ = ["LIBRARIES", "timed", "versions"]

os.environ["KERAS_BACKEND"] = "torch"  # read when keras is imported


@functools.cache
def module(name):
    """Import a module of a package without running the package's __init__, which may want a GPU build or OpenCV."""
    parts = name.split(".")
    top = Path(importlib.util.find_spec(parts[0]).submodule_search_locations[0])
    for depth in range(1, len(parts)):
        name_of_package = ".".join(parts[:depth])
        package = types.ModuleType(name_of_package)
        package.__path__ = [str(top.joinpath(*parts[1:depth]))]
        package.__spec__ = importlib.util.spec_from_loader(name_of_package, None)  # find_spec asks for it
        sys.modules.setdefault(package.__name__, package)
    return importlib.import_module(name)


def onehot(input, target):
    return F.one_hot(target, input.shape[1]).movedim(-1, 1).to(input.dtype)


def kornia(alpha=None, gamma=2.0, reduction="mean", ignore_index=-100):
    from kornia.losses import focal_loss

    return lambda input, target: focal_loss(input, target, None, gamma, reduction, alpha, ignore_index)


def monai(alpha=None, gamma=2.0, reduction="mean", ignore_index=None):
    from monai.losses import FocalLoss

    settings = {"gamma": gamma, "weight": alpha, "reduction": reduction, "ignore_index": ignore_index}
    criterion = FocalLoss(to_onehot_y=True, use_softmax=True, **settings)
    return lambda input, target: criterion(input, target[:, None])


def fastai(alpha=None, gamma=2.0, reduction="mean"):
    from fastai.losses import FocalLoss

    return FocalLoss(gamma, alpha, reduction)


def tsai(alpha=None, gamma=2.0, reduction="mean"):
    return module("tsai.losses").FocalLoss(alpha, gamma, reduction)


def pytorch_toolbelt(alpha=None, gamma=2.0, reduction="mean", ignore_index=-100):
    utils = types.ModuleType("pytorch_toolbelt.utils")
    utils.pytorch_toolbelt_deprecated = lambda *_, **__: lambda function: function
    sys.modules.setdefault("pytorch_toolbelt.utils", utils)
    CrossEntropyFocalLoss = module("pytorch_toolbelt.losses.focal").CrossEntropyFocalLoss
    return CrossEntropyFocalLoss(gamma, reduction, class_weights=alpha, ignore_index=ignore_index)


def focal_loss_torch(alpha=None, gamma=2.0, reduction="mean", ignore_index=-100):
    from focal_loss.focal_loss import FocalLoss

    criterion = FocalLoss(gamma, alpha, reduction, ignore_index)
    return lambda input, target: criterion(input.movedim(1, -1).softmax(-1), target)


def keras(alpha=None, gamma=2.0, reduction="mean"):
    from keras.losses import CategoricalFocalCrossentropy

    weights = 1.0 if alpha is None else alpha.tolist()
    how = {"none": None, "sum": "sum", "mean": "sum_over_batch_size"}[reduction]

    def loss(input, target):
        # Keras casts to a type named beforehand, and wants the classes last.
        dtype = str(input.dtype).removeprefix("torch.")
        criterion = CategoricalFocalCrossentropy(weights, gamma, from_logits=True, reduction=how, dtype=dtype)
        return criterion(F.one_hot(target, input.shape[1]).to(input.dtype), input.movedim(1, -1))

    return loss


def segmentation_models_pytorch(alpha=None, gamma=2.0, reduction="mean", ignore_index=None):
    FocalLoss = module("segmentation_models_pytorch.losses.focal").FocalLoss
    settings = {"gamma": gamma, "reduction": reduction, "ignore_index": ignore_index, "class_weights": alpha}
    return FocalLoss("multiclass", **settings)


def catalyst(gamma=2.0, reduction="mean", ignore_index=None):
    from catalyst.contrib.losses import FocalLossMultiClass

    return FocalLossMultiClass(ignore=ignore_index, gamma=gamma, alpha=None, reduction=reduction)


def balanced_loss(gamma=2.0):
    from balanced_loss import Loss

    return Loss("focal_loss", fl_gamma=gamma)


def fvcore(gamma=2.0, reduction="mean"):
    from fvcore.nn import sigmoid_focal_loss

    return lambda input, target: sigmoid_focal_loss(input, onehot(input, target), -1, gamma, reduction)


def super_gradients(gamma=2.0, reduction="mean"):
    FocalLoss = module("super_gradients.training.losses.focal_loss").FocalLoss
    criterion = FocalLoss(torch.nn.BCEWithLogitsLoss(reduction=reduction), gamma, alpha=0.5)
    return lambda input, target: 2 * criterion(input, onehot(input, target))  # alpha 0.5 halves every loss


def summed_over_classes(make):
    """For a loss whose reduction='none' is a table (N, C, ...): sum over the classes, then reduce as we do."""

    def build(alpha=None, gamma=2.0, reduction="mean", ignore_index=-100):
        def loss(input, target):
            rows = make(alpha, gamma, "none", ignore_index)(input, target).sum(1)
            counted = (target != ignore_index).sum()
            return {"none": rows, "sum": rows.sum(), "mean": rows.sum() / counted}[reduction]

        return loss

    return build


def rows_masked_first(alpha=None, gamma=2.0):
    """The recipe of a multiclass repository that is often copied: select rows, log-softmax, NLL, pick p_t."""

    def loss(input, target):
        if input.ndim > 2:
            input, target = input.movedim(1, -1).flatten(0, -2), target.flatten()
        kept = target != -100
        input, target = input[kept], target[kept]
        log_p = input.log_softmax(dim=1)
        ce = F.nll_loss(log_p, target, alpha, reduction="none")
        log_pt = log_p.gather(1, target.unsqueeze(1)).squeeze(1)
        return ((1 - log_pt.exp()) ** gamma * ce).mean()

    return loss


def one_hot_sigmoid(gamma=2.0):
    """The vision library's formula: every class a yes/no question, one alpha for all. It is another loss."""

    def loss(input, target):
        positive = onehot(input, target)
        p = input.sigmoid()
        ce = F.binary_cross_entropy_with_logits(input, positive, reduction="none")
        p_t = p * positive + (1 - p) * (1 - positive)
        return ((0.25 * positive + 0.75 * (1 - positive)) * (1 - p_t) ** gamma * ce).mean()

    return loss


# The libraries that are timed: name -> (importable package, distribution, how to build its loss).
LIBRARIES = {
    "kornia": ("kornia", "kornia", kornia),
    "MONAI": ("monai", "monai", monai),
    "Keras": ("keras", "keras", keras),
    "segmentation-models-pytorch": (
        "segmentation_models_pytorch",
        "segmentation-models-pytorch",
        segmentation_models_pytorch,
    ),
}
# These make dense one-hot copies or visit every class in a loop: with 32 000 classes they need many GB or hours.
NOT_FOR_MANY_CLASSES = ("kornia, weighted", "MONAI", "Keras", "segmentation-models-pytorch", "one-hot sigmoid formula")


def timed(alpha):
    """What the benchmark times: name -> loss(input, target), the mean, gamma 2; ``alpha`` a tensor (C,) or None.

    Libraries that are not installed are left out; two formulas that are copied rather than installed are ours.
    """
    found = {"rows masked first": rows_masked_first(alpha), "one-hot sigmoid formula": one_hot_sigmoid()}
    for name, (package, _, make) in LIBRARIES.items():
        if importlib.util.find_spec(package):
            found[name] = make(None if name == "kornia" else alpha)
            if name == "kornia" and alpha is not None:  # far slower with weights than without: both are shown
                found["kornia, weighted"] = make(alpha)
    return found


def versions():
    """What is installed, for the description of the run."""
    found = {}
    for package in ("torch", *(distribution for _, distribution, _ in LIBRARIES.values())):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found
