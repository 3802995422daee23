"""The wrong average: ignored rows, sums and class axes."""

import torch.nn.functional as F

from .catalogue import SCALE, bug
from .parts import cross_entropy, focus, reduced


@bug(
    exposed_by="ignored_rows_are_dropped",
    title="Ignored rows stay in the mean",
    source="named in PaddlePaddle/PaddleSeg#1899 (2022)",
    symptom="The loss shrinks as more of the image is ignored.",
    hides="Only its scale is wrong, and differently in every batch.",
    fix="Divide by the number of targets kept: loss.sum() / (target != ignore_index).sum().clamp_min(1).",
    mend={
        "return reduced(focus(ce, gamma) * ce, reduction)": "loss = focus(ce, gamma) * ce\n"
        "    kept = target != ignore_index\n"
        '    return loss.sum() / kept.sum() if reduction == "mean" else reduced(loss, reduction)',
    },
)
def ignored_rows_in_the_mean(input, target, gamma=2.0, ignore_index=-100, reduction="mean"):
    ce = F.cross_entropy(input, target, ignore_index=ignore_index, reduction="none")  # 0 where ignored
    return reduced(focus(ce, gamma) * ce, reduction)  # and these zeros are averaged in


@bug(
    exposed_by="ignored_rows_are_dropped",
    title="Ignored rows count as class 0",
    source="PaddlePaddle/PaddleSeg#1899 (2022)",
    symptom="Unlabelled pixels are learned as background.",
    hides="Background is frequent anyway.",
    fix="kept = target != ignore_index; target = target.where(kept, 0); (loss * kept).sum() / kept.sum().clamp_min(1).",
    mend={
        "ce = cross_entropy(input, target.where(target != ignore_index, 0))": "kept = target != ignore_index\n"
        "    ce = cross_entropy(input, target.where(kept, 0)) * kept",
        "return reduced(focus(ce, gamma) * ce, reduction)": "loss = focus(ce, gamma) * ce\n"
        '    return loss.sum() / kept.sum() if reduction == "mean" else reduced(loss, reduction)',
    },
)
def ignored_rows_as_class_zero(input, target, gamma=2.0, ignore_index=-100, reduction="mean"):
    ce = cross_entropy(input, target.where(target != ignore_index, 0))  # any label will do; its loss is counted
    return reduced(focus(ce, gamma) * ce, reduction)


@bug(
    exposed_by="inputs_are_unchanged",
    title="The caller's labels are overwritten",
    source="the same line in PaddleSeg's dice loss, and in ports of it",
    symptom="Where the same labels come again, ignored targets have turned into class 0.",
    hides="The first value is right: the damage is in the caller's tensor.",
    fix="target.where(kept, 0) makes a new tensor.",
    mend={"target[~kept] = 0": "labels = target.where(kept, 0)", "target)[kept]": "labels)[kept]"},
    batched=False,
)
def labels_overwritten(input, target, gamma=2.0, ignore_index=-100, reduction="mean"):
    kept = target != ignore_index
    target[~kept] = 0  # in the caller's tensor: from now on these are labels of class 0
    ce = cross_entropy(input, target)[kept]
    return reduced(focus(ce, gamma) * ce, reduction)


@bug(
    exposed_by="doubled_batch_keeps_the_mean",
    title="A sum called mean",
    source="hwei-hw/FocalLoss_Keras#5 (2018), umbertogriffo/focal-loss-keras#10 (2020)",
    symptom="The best learning rate changes with the batch size.",
    hides="Adam divides by the gradient's size.",
    fix="loss.mean().",
    mend={'loss if reduction == "none" else loss.sum()': "reduced(loss, reduction)"},
)
def sum_called_mean(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    loss = focus(ce, gamma) * ce
    return loss if reduction == "none" else loss.sum()  # for "mean" as well


@bug(
    exposed_by="gamma_zero_is_cross_entropy",
    title="The mean divides by N · C",
    source="itakurah/focal-loss-pytorch#6 (2026)",
    symptom="The loss is C times too small; reduction='none' gives a table.",
    hides=SCALE,
    fix="Sum over the classes before the mean.",
    mend={
        "    onehot = F.one_hot(target, input.shape[1]).to(input.dtype)\n": "",
        "-onehot * F.log_softmax(input, dim=1)": "cross_entropy(input, target)",
    },
)
def mean_over_classes(input, target, gamma=2.0, reduction="mean"):
    onehot = F.one_hot(target, input.shape[1]).to(input.dtype)
    ce = -onehot * F.log_softmax(input, dim=1)  # (N, C), all but one column 0
    return reduced(focus(ce, gamma) * ce, reduction)  # the mean divides by N * C


@bug(
    exposed_by="image_equals_its_rows",
    title="view(-1, C) mixes pixels and classes",
    source="MIC-DKFZ/nnUNet#705 (2021)",
    symptom="A segmentation network does not train at all.",
    hides="With (N, C) input it is right, and that is what tests use.",
    fix="cross_entropy takes (N, C, H, W) as it is; else movedim(1, -1) before the reshape.",
    mend={".reshape(-1, input.shape[1])": "", ".reshape(-1)": ""},
)
def class_axis_not_moved(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input.reshape(-1, input.shape[1]), target.reshape(-1))  # mixes classes and pixels
    return reduced(focus(ce, gamma) * ce, reduction)
