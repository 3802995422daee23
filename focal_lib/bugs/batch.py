"""One number for all: the loss is reduced, or its weights are, before each example has had its say."""

import torch.nn.functional as F

from .catalogue import SCALE, SOURCE_1, bug
from .parts import cross_entropy, focus, pick, reduced


@bug(
    exposed_by="batch_is_mean_of_singles",
    title="One p_t for the whole batch",
    source=f"{SOURCE_1}; jfzhang95/pytorch-deeplab-xception#133 (2019), kaidic/LDAM-DRW#6 (2019)",
    symptom="Hard examples are not favoured: training is cross-entropy with a step that shrinks as it succeeds.",
    hides="The loss falls, and at gamma = 0 it equals cross-entropy exactly.",
    fix='Compute the cross-entropy with reduction="none", and take the mean last, over the rows that are not ignored.',
    mend={
        "F.cross_entropy(input, target)": 'F.cross_entropy(input, target, reduction="none")',
        "focus(ce, gamma) * ce": "(focus(ce, gamma) * ce).mean()",
    },
)
def mean_before_pt(input, target, gamma=2.0):
    ce = F.cross_entropy(input, target)  # the default reduction is the mean: one number for the whole batch
    return focus(ce, gamma) * ce  # so p_t = exp(-ce) is one number too


@bug(
    exposed_by="none_has_the_targets_shape",
    title="One p_t for the whole batch, and reduce=False returns a single number",
    source=SOURCE_1,
    symptom="Hard examples are not favoured; asking for the loss of each example gives one number.",
    hides="The loss falls, at gamma = 0 it equals cross-entropy, and training never asks for reduce=False.",
    fix='Compute the cross-entropy with reduction="none"; reduce only when asked to.',
    mend={"F.cross_entropy(input, target)": 'F.cross_entropy(input, target, reduction="none")'},
)
def reduce_flag_without_effect(input, target, gamma=2.0, reduce=True):
    ce = F.cross_entropy(input, target)
    loss = focus(ce, gamma) * ce
    return loss.mean() if reduce else loss  # a single number either way


@bug(
    exposed_by="batch_is_mean_of_singles",
    title="One p_t, of the weighted mean",
    source="jfzhang95/pytorch-deeplab-xception#133 (2019), gokulprasadthekkel/pytorch-multi-class-focal-loss#1 (2021)",
    symptom="As with one p_t for the batch; with batches of one, the class weights do nothing.",
    hides="The weights do reach cross-entropy, so rare classes are learned.",
    fix='Cross-entropy without weights and with reduction="none"; multiply by alpha[target] afterwards.',
    mend={
        "weight=alpha": 'reduction="none"',
        "focus(ce, gamma) * ce": "(pick(alpha, target, input) * focus(ce, gamma) * ce).mean()",
    },
)
def weighted_mean_before_pt(input, target, alpha=None, gamma=2.0):
    ce = F.cross_entropy(input, target, weight=alpha)  # the weighted mean of the batch
    return focus(ce, gamma) * ce


@bug(
    exposed_by="alpha_scales_its_class",
    title="One alpha for all classes",
    source=f"{SOURCE_1}; zimenglan-sysu-512/Focal-Loss#8 (2017), kornia/kornia#2371 (2023)",
    symptom="Changing alpha moves nothing between the classes.",
    hides=SCALE,
    fix="One weight per class, looked up by the target: alpha[target].",
    mend={"alpha=0.25": "alpha=None", "alpha *": "pick(alpha, target, input) *"},
)
def scalar_alpha(input, target, alpha=0.25, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    return reduced(alpha * focus(ce, gamma) * ce, reduction)  # the same factor for every class


@bug(
    exposed_by="none_has_the_targets_shape",
    title="Weights and losses of shapes (N, 1) and (N,): an N×N table",
    source="Hsuxu/Loss_ToolBox-PyTorch#8 (2019)",
    symptom="No class counts more than another; with the pixels of 35 images of 256 × 256, 19600 GiB are asked for.",
    hides="The mean of the table is mean(alpha[target]) · mean(loss), a plausible number that falls.",
    fix="Bring weights and losses to one shape, the target's: both (N,), without unsqueeze, view(-1, 1) or keepdim.",
    mend={".unsqueeze(1)": ""},
)
def n_by_n(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    loss = focus(ce, gamma) * ce
    if alpha is not None:
        loss = pick(alpha, target, input).unsqueeze(1) * loss  # (N, 1) times (N,) is (N, N)
    return reduced(loss, reduction)
