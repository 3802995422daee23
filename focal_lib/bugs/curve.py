"""The wrong curve: the value is not (1 - p_t)^gamma times -log p_t."""

import torch
import torch.nn.functional as F

from .catalogue import SCALE, SOURCE_1, SOURCE_2, bug
from .parts import cross_entropy, focus, reduced


@bug(
    exposed_by="default_is_unweighted",
    title="A sigmoid with the same alpha for positives and negatives",
    source=f"{SOURCE_2}; liuyuisanai/Focal-Loss#4 (2017), mkocabas/focal-loss-keras#6 (2018)",
    symptom="Positives weigh as much as negatives, whatever alpha is; gamma = 0 gives a quarter of BCE.",
    hides=SCALE,
    fix="alpha * target + (1 - alpha) * (1 - target); where one of C classes is right, a softmax besides.",
    mend={"alpha *": "(alpha * target + (1 - alpha) * (1 - target)) *"},
    one_hot=True,
)
def binary_scalar_alpha(input, target, alpha=0.25, gamma=2.0, reduction="mean"):
    bce = F.binary_cross_entropy_with_logits(input, target, reduction="none")
    return reduced(alpha * focus(bce, gamma) * bce, reduction)  # negatives should get 1 - alpha


@bug(
    exposed_by="is_shift_invariant",
    title="C yes-or-no questions for a one-of-C problem",
    source=f"an answer to {SOURCE_1}; pytorch/vision#3250 (2021), asked and recommended",
    symptom="Probabilities do not sum to 1; adding a constant to all logits changes the loss.",
    hides="The largest logit is still the right one, so accuracy looks fine. For multilabel data it is right.",
    fix="Softmax cross-entropy where exactly one class is right.",
    mend={
        "    yes_or_no = F.one_hot(target, input.shape[1]).to(input.dtype)\n": "",
        "bce = F.binary_cross_entropy_with_logits": "ce = F.cross_entropy",
        "yes_or_no, reduction": "target, reduction",
        "(focus(bce, gamma) * bce).sum(1)": "focus(ce, gamma) * ce",
    },
)
def one_against_all(input, target, gamma=2.0, reduction="mean"):
    yes_or_no = F.one_hot(target, input.shape[1]).to(input.dtype)
    bce = F.binary_cross_entropy_with_logits(input, yes_or_no, reduction="none")
    return reduced((focus(bce, gamma) * bce).sum(1), reduction)  # C separate questions instead of one


@bug(
    exposed_by="is_shift_invariant",
    title="C yes-or-no questions, averaged",
    source=f"{SOURCE_2}, taken to C classes; qubvel-org/segmentation_models.pytorch#671 (2022)",
    symptom="As with C questions; and with many classes, the easy noes thin out the mean.",
    hides="As with C questions. For multilabel data it is right.",
    fix="Softmax cross-entropy where exactly one class is right.",
    mend={
        "    yes_or_no = F.one_hot(target, input.shape[1]).to(input.dtype)\n": "",
        "bce = F.binary_cross_entropy_with_logits": "ce = F.cross_entropy",
        "yes_or_no, reduction": "target, reduction",
        "focus(bce, gamma) * bce": "focus(ce, gamma) * ce",
    },
)
def one_against_all_averaged(input, target, gamma=2.0, reduction="mean"):
    yes_or_no = F.one_hot(target, input.shape[1]).to(input.dtype)
    bce = F.binary_cross_entropy_with_logits(input, yes_or_no, reduction="none")
    return reduced(focus(bce, gamma) * bce, reduction)  # ... and the mean over N * C answers


@bug(
    exposed_by="gamma_zero_is_cross_entropy",
    title="* where ** was meant",
    source="fudannlp16/focal-loss#6 (2018)",
    symptom="At gamma = 0 the loss is 0; a larger gamma only scales it.",
    hides="It is gamma times a focal loss with gamma 1.",
    fix="(1 - p_t) ** gamma; where gamma may be below 1, see nan_below_gamma_one as well.",
    mend={"* gamma": "** gamma"},
)
def product_instead_of_power(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    return reduced(focus(ce, 1.0) * gamma * ce, reduction)  # * where ** was meant


@bug(
    exposed_by="ratio_falls_as_p_t_rises",
    title="p_t where 1 - p_t was meant",
    source="yqyao/SSD_Pytorch#32 (2019)",
    symptom="What the model gets wrong hardly counts, or is pushed the wrong way; rare classes are given up.",
    hides="The loss falls quickly, and accuracy stays near the common class's share. This one shows: recall collapses.",
    fix="(1 - p_t) ** gamma; where gamma may be below 1, see nan_below_gamma_one as well.",
    mend={"torch.exp(-ce) ** gamma": "focus(ce, gamma)"},
)
def easy_side_kept(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    return reduced(torch.exp(-ce) ** gamma * ce, reduction)  # p_t where 1 - p_t was meant


@bug(
    exposed_by="lies_between_zero_and_cross_entropy",
    title="log p used as if it were p",
    source="DingKe/pytorch_workplace#1 (2017)",
    symptom="The loss is larger than cross-entropy, and hard examples explode.",
    hides="It falls as p_t rises, so training works: it is an over-aggressive hard-example miner.",
    fix="p_t = exp(log_p_t).",
    mend={"(1 - log_p_t) ** gamma": "focus(-log_p_t, gamma)"},
)
def log_p_taken_for_p(input, target, gamma=2.0, reduction="mean"):
    log_p_t = -cross_entropy(input, target)
    return reduced((1 - log_p_t) ** gamma * -log_p_t, reduction)  # the name says it


@bug(
    exposed_by="gives_the_golden_numbers",
    title="The logarithm of the cross-entropy",
    source="c0nn3r/RetinaNet#8 (2017)",
    symptom="Losses can be negative, where cross-entropy exceeds 1; wrong predictions are rewarded without limit.",
    hides="Hardly: it is unrelated to focal loss, and at gamma = 2 every step goes the wrong way.",
    fix="cross_entropy is -log p_t already: p_t = exp(-ce).",
    mend={"    log_ce = torch.log(ce)\n": "", "-((1 - ce) ** gamma) * log_ce": "focus(ce, gamma) * ce"},
)
def log_of_cross_entropy(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    log_ce = torch.log(ce)  # ce is -log p_t already
    return reduced(-((1 - ce) ** gamma) * log_ce, reduction)


@bug(
    exposed_by="perfect_prediction_costs_nothing",
    title="Softmax twice",
    source="qubvel-org/segmentation_models.pytorch#1263 (2025), matterport/Mask_RCNN#427 (2018, asked and denied)",
    symptom="The loss stays high for perfect predictions: with 4 classes cross-entropy cannot go below 0.744.",
    hides="The order of the classes is kept; training is slow, and may never leave the commonest class.",
    fix="Give cross_entropy the logits (or log-probabilities), never probabilities.",
    mend={".softmax(1)": ""},
)
def softmax_twice(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input.softmax(1), target)  # cross_entropy takes the softmax of this once more
    return reduced(focus(ce, gamma) * ce, reduction)


@bug(
    exposed_by="gives_the_golden_numbers",
    title="Label smoothing inside p_t",
    source="keras-team/keras-cv#672, keras-team/keras-cv#1086, Hsuxu/Loss_ToolBox-PyTorch#4",
    symptom="The focus never falls to 0: certain examples go on costing, and gamma does less than it says.",
    hides="The smoothed loss looks right, and with a smoothing of 0 it is.",
    fix="Do not smooth. Or take p_t from the unsmoothed cross-entropy: then it is another loss, with smoothing.",
    mend={"focus(ce,": "focus(cross_entropy(input, target),"},
)
def smoothing_inside_p_t(input, target, gamma=2.0, label_smoothing=0.1, reduction="mean"):
    ce = F.cross_entropy(input, target, reduction="none", label_smoothing=label_smoothing)
    return reduced(focus(ce, gamma) * ce, reduction)  # exp(-ce) is no probability of the model any more
