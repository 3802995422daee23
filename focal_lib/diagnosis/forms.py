"""The names under which people's losses take their arguments, and the forms in which they want logits and targets."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["FORMS", "NAMES", "Form", "column", "logit", "one_hot"]

NAMES = {
    "alpha": (
        *("alpha", "class_weights", "class_weight", "cls_weights", "weights", "weight", "alphas", "alpha_weights"),
    ),
    "gamma": ("gamma", "focal_gamma", "focusing_param", "focusing", "gama", "focus"),
    "reduction": ("reduction",),
    "size_average": ("size_average",),
    "reduce": ("reduce",),
    "ignore_index": ("ignore_index", "ignore_label", "ignore_lb", "ignore_lbl", "ignore_idx", "ignore_value"),
    "classes": (
        *("num_classes", "n_classes", "class_num", "num_class", "nb_classes", "num_labels", "no_of_classes"),
        *("n_class", "nclass", "nclasses", "C", "output_dim", "n_labels", "number_of_classes", "out_features"),
        *("num_label", "nClass", "numClasses", "num_cls", "cls_num"),
    ),
}
OF_TRAINER = "num_items_in_batch"  # how many targets count, by which a trainer wants the sum divided
OF_SETTINGS = "it takes settings alone, and returns no loss of logits and targets"
TARGET_NAMES = {"target", "targets", "label", "labels", "y", "y_true", "gt", "true", "ground_truth", "trues"}
INPUT_NAMES = {
    *("input", "inputs", "logits", "logit", "pred", "preds", "prediction", "predictions", "output", "outputs"),
    *("x", "y_pred", "y_hat", "scores"),
}
REDUCTIONS = {  # which argument, set to what, asks for which reduction
    "reduction": {"none": "none", "sum": "sum", "mean": "mean"},
    "size_average": {"sum": False, "mean": True},
    "reduce": {"none": False, "mean": True},
}
REQUIRED = {  # what to pass for other arguments without a default, by name
    **dict.fromkeys(("fromlogits", "from_logits", "logits"), True),
    **dict.fromkeys(("eps", "epsilon"), 1e-12),
    **dict.fromkeys(("epoch", "cur_epoch", "current_epoch"), 1),
    **dict.fromkeys(("label_smoothing", "smoothing", "smooth"), 0.0),
    **dict.fromkeys(("mask", "masks", "attention_mask", "valid_mask", "weight_mask"), "ones"),
    **dict.fromkeys(("sample_weight", "sample_weights", "pixel_weight", "pixel_weights"), "ones"),
    **dict.fromkeys(("samples_per_cls", "cls_num_list", "class_counts", "counts"), "counts"),
    **{"loss_type": "focal", "device": "cpu", "temperature": 1.0, "beta": 0.999},
    **dict.fromkeys(("num_boxes", "num_pos", "num_positives", "avg_factor", "normalizer", "num_instances"), "rows"),
    OF_TRAINER: "rows",
    "pos_weight": "one",
}
BASES = (nn.CrossEntropyLoss, nn.BCEWithLogitsLoss)  # the loss that a wrapper focuses
# What is tried for an argument without a default that no name explains; in words, where it is not itself:
FILLERS = (None, "ones", 1.0, -100, "counts", "count_tensor", *BASES)
FILLED = {"ones": "1 for each row", "counts": "a list of counts", "count_tensor": "a tensor of counts"}
FILLED |= {base: f"{base.__name__}()" for base in BASES}


@dataclass(frozen=True)
class Form:
    """A way to hand logits ``(N, C)`` and class indices ``(N)`` to a loss that wants them otherwise."""

    words: str  # what the loss takes, to follow "It takes"
    input: Callable = lambda x: x
    target: Callable = lambda t, x: t
    classes: int | None = None  # the only number of classes


def one_hot(target, input):
    """Class indices ``(N, ...)`` as float targets of the logits' shape and dtype, ``(N, C, ...)``."""
    return F.one_hot(target, input.shape[1]).movedim(-1, 1).to(input.dtype)


def logit(x):
    """The one logit that a sigmoid wants, of the two that a softmax wants."""
    return x[:, 1] - x[:, 0]


def column(x):
    """Logits ``(N, 2)`` as one logit a row, ``(N, 1)``: that of class 1 against class 0."""
    return logit(x)[:, None]


def _one_more(x):
    return torch.cat([x, x[:1]])[None]


def _yes(t, x):
    return t.to(x.dtype)


def _of_four(t):
    return t[:, None, None].expand(-1, 2, 2)


def _yes_column(t, x):
    return _yes(t, x)[:, None]


softmax, _log_softmax = partial(F.softmax, dim=1), partial(F.log_softmax, dim=1)
PLAIN = Form("")
ONE_HOT = Form("one-hot targets", target=one_hot)
MAPS = Form("label maps (N, C, H, W) only", lambda x: x[:, :, None, None], lambda t, x: t[:, None, None])
MAPS_LAST = Form("label maps (N, H, W, C) only", lambda x: x[:, None, None], lambda t, x: t[:, None, None])
# Which dimension is taken for the classes does not show in a map of one pixel: here every row is four.
WIDE_MAPS = Form(MAPS.words, lambda x: x[:, :, None, None].expand(-1, -1, 2, 2), lambda t, x: _of_four(t))
WIDE_MAPS_LAST = Form(MAPS_LAST.words, lambda x: x[:, None, None].expand(-1, 2, 2, -1), lambda t, x: _of_four(t))
TABLE = Form("probabilities and one-hot targets", softmax, one_hot)
ONE_LOGIT = Form("one logit (N,) for two classes", logit, _yes, 2)
COLUMNS = Form("one logit (N, 1) for two classes, targets (N, 1)", column, _yes_column, 2)
COLUMN = Form("one logit (N, 1) for two classes, targets (N,)", column, _yes, 2)
BALANCED = Form("two classes: of more, its alpha weights class 1 against all others", classes=2)
FORMS = (  # the usual ones first
    PLAIN,
    ONE_HOT,
    Form("log-probabilities", _log_softmax),
    Form("probabilities", softmax),
    TABLE,
    Form("log-probabilities and one-hot targets", _log_softmax, one_hot),
    ONE_LOGIT,
    COLUMNS,
    Form("one probability (N,) for two classes", lambda x: logit(x).sigmoid(), _yes, 2),
    Form("one probability (N, 1) for two classes", lambda x: column(x).sigmoid(), _yes_column, 2),
    MAPS,
    MAPS_LAST,
    Form("sequences (N, T, C) only", lambda x: x[:, None], lambda t, x: t[:, None]),
    Form("sequences (N, C, T) only", lambda x: x[:, :, None], lambda t, x: t[:, None]),
    Form("sequences (N, T, C), each row for the next target", _one_more, lambda t, x: torch.cat([t[:1], t])[None]),
    Form("targets (N, 1)", target=lambda t, x: t[:, None]),
    Form("probabilities, targets (N, 1)", softmax, lambda t, x: t[:, None]),
    Form("two classes only", classes=2),
    Form("two probabilities for two classes", softmax, classes=2),
    Form("an object with .logits", lambda x: SimpleNamespace(logits=x)),
    COLUMN,
    BALANCED,
    WIDE_MAPS,
    WIDE_MAPS_LAST,
)
ALPHAS = {  # the forms in which weights are taken
    "tensor": lambda w: w,
    "list": lambda w: [float(x) for x in w],
    "dict": lambda w: {k: float(x) for k, x in enumerate(w)},
    "column": lambda w: w[:, None],
}
