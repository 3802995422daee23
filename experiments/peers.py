"""The published multiclass focal losses that speed.py compares, each behind ``loss(input, target)`` with a mean.

Packages that are not installed are left out; two formulas that are usually copied, not installed, are written here.
"""

import importlib.util
import os
import sys
import types

import torch.nn.functional as F

GAMMA = 2.0
# These make dense one-hot copies or visit every class in a loop: with 32 000 classes they need many GB or hours.
NOT_FOR_MANY_CLASSES = ("kornia, weighted", "MONAI", "Keras", "segmentation-models-pytorch", "one-hot sigmoid formula")


def peers(alpha):
    """Name -> loss(input, target), for ``alpha`` a tensor (C,) or None, where the peer can weight classes at all."""
    makers = {
        "kornia": _kornia,
        "monai": _monai,
        "keras": _keras,
        "segmentation_models_pytorch": _segmentation_models,
    }
    found = {"rows masked first": _rows_masked_first(alpha), "one-hot sigmoid formula": _one_hot_sigmoid}
    for package, make in makers.items():
        if importlib.util.find_spec(package):
            found |= make(alpha)
    return found


def _rows_masked_first(alpha):
    """The recipe of the multiclass repository most people copy: select rows, log-softmax, NLL, pick p_t."""

    def loss(input, target):
        if input.ndim > 2:
            input, target = input.movedim(1, -1).flatten(0, -2), target.flatten()
        kept = target != -100
        input, target = input[kept], target[kept]
        log_p = input.log_softmax(dim=1)
        ce = F.nll_loss(log_p, target, alpha, reduction="none")
        log_pt = log_p.gather(1, target.unsqueeze(1)).squeeze(1)
        return ((1 - log_pt.exp()) ** GAMMA * ce).mean()

    return loss


def _one_hot_sigmoid(input, target):
    """The vision library's formula: every class a yes/no question, one alpha for all. It is another loss."""
    positive = F.one_hot(target, input.shape[1]).movedim(-1, 1).to(input.dtype)
    p = input.sigmoid()
    ce = F.binary_cross_entropy_with_logits(input, positive, reduction="none")
    p_t = p * positive + (1 - p) * (1 - positive)
    return ((0.25 * positive + 0.75 * (1 - positive)) * (1 - p_t) ** GAMMA * ce).mean()


def _kornia(alpha):
    from kornia.losses import focal_loss

    def loss(weight):
        return lambda input, target: focal_loss(input, target, None, GAMMA, "mean", weight)

    return {"kornia": loss(None)} if alpha is None else {"kornia": loss(None), "kornia, weighted": loss(alpha)}


def _monai(alpha):
    from monai.losses import FocalLoss

    loss = FocalLoss(to_onehot_y=True, use_softmax=True, gamma=GAMMA, weight=alpha)
    return {"MONAI": lambda input, target: loss(input, target.unsqueeze(1))}


def _keras(alpha):
    os.environ["KERAS_BACKEND"] = "torch"
    import keras

    weights = 1.0 if alpha is None else alpha.tolist()

    def loss(input, target):
        # Classes last, where Keras expects them. It is asked for the CPU by the device of its input.
        one_hot = F.one_hot(target, input.shape[1]).to(input.dtype)
        logits = input.movedim(1, -1)
        return keras.losses.CategoricalFocalCrossentropy(weights, GAMMA, from_logits=True)(one_hot, logits)

    return {"Keras": loss}


def _segmentation_models(alpha):
    # The package imports an image library first; of its losses alone, nothing but torch and numpy is needed.
    name = "segmentation_models_pytorch"
    if name not in sys.modules:
        spec = importlib.util.find_spec(name)
        sys.modules[name] = package = types.ModuleType(name)
        package.__spec__, package.__path__ = spec, spec.submodule_search_locations
    from segmentation_models_pytorch.losses import FocalLoss

    weights = None if alpha is None else alpha.tolist()
    return {"segmentation-models-pytorch": FocalLoss("multiclass", gamma=GAMMA, class_weights=weights)}


def versions():
    """What is installed, for the description of the run."""
    from importlib.metadata import PackageNotFoundError, version

    found = {}
    for package in ("torch", "kornia", "monai", "keras", "segmentation-models-pytorch"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
