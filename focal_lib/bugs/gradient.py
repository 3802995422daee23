"""Dead or poisoned gradients: the value is right where one looks, the gradient is not."""

import torch
import torch.nn.functional as F

from .catalogue import SOURCE_3, bug
from .parts import cross_entropy, focus, reduced


@bug(
    exposed_by="is_finite_for_small_gamma",
    title="NaN gradients below gamma = 1",
    source=f"{SOURCE_3}; liuyuisanai/Focal-Loss#11 (2017), kornia/kornia#918 (2021), fizyr/keras-retinanet#706 (2018)",
    symptom="Training with gamma = 0.5 runs for a while, then every weight is NaN.",
    hides="It needs one example so certain that p_t rounds to 1, and gamma = 2 never shows it.",
    fix="Write -torch.expm1(-ce.clamp_min(torch.finfo(ce.dtype).tiny)) for 1 - p_t, in a backward of your "
    "own too, where ce is -log p_t without weights or smoothing.",
    mend={
        "p_t = torch.exp(-ce)": "tiny = torch.finfo(ce.dtype).eps ** 2",
        "(1 - p_t) ** gamma": "(-torch.expm1(-ce.clamp_min(tiny))) ** gamma",
    },
)
def nan_below_gamma_one(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    p_t = torch.exp(-ce)
    return reduced((1 - p_t) ** gamma * ce, reduction)  # for gamma < 1, the slope of 0 ** gamma is infinite


@bug(
    exposed_by="gradient_is_full_when_wrong_by_100",
    title="Clamping kills the gradient of the worst mistakes",
    source="NVIDIA/retinanet-examples#93 (2019), fudannlp16/focal-loss#4 (2018)",
    symptom="Confident mistakes, wrong labels for one, are never corrected.",
    hides="Only examples with p_t beyond the clamp are dead; with few classes and a low clamp most batches have none.",
    fix="Write F.log_softmax(input, 1) for the log of a clamped softmax; where gamma is below 1, clamp 1 - p_t alone.",
    mend={
        "p_t = torch.exp(-cross_entropy(input, target)).clamp(1e-7, 1 - 1e-7)": "ce = cross_entropy(input, target)",
        "(1 - p_t) ** gamma * -torch.log(p_t)": "focus(ce, gamma) * ce",
    },
)
def clamped_probability(input, target, gamma=2.0, reduction="mean"):
    p_t = torch.exp(-cross_entropy(input, target)).clamp(1e-7, 1 - 1e-7)  # outside the limits the slope is 0
    return reduced((1 - p_t) ** gamma * -torch.log(p_t), reduction)


@bug(
    exposed_by="is_finite_at_extreme_logits",
    title="log of softmax in two steps",
    source="yatengLG/Focal-Loss-Pytorch#7 (2020)",
    symptom="inf, then NaN, when an example is very wrong.",
    hides="Early in training logits are small.",
    fix="Write F.log_softmax(input, 1) for softmax(1).log(), or take F.cross_entropy.",
    mend={"p_t =": "log_p_t =", "softmax(1)": "log_softmax(1)", "torch.log(p_t)": "log_p_t"},
)
def log_of_softmax(input, target, gamma=2.0, reduction="mean"):
    p_t = input.softmax(1).movedim(1, -1).gather(-1, target[..., None])[..., 0]
    ce = -torch.log(p_t)  # once p_t has rounded to 0, log 0
    return reduced(focus(ce, gamma) * ce, reduction)


@bug(
    exposed_by="is_finite_in_half_precision",
    title="An epsilon that half precision rounds to 0",
    source="the epsilon that achaiah/pywick#53 (2022) asks about; its loss in half precision is shown here only",
    symptom="Finite in float32; inf or NaN under float16.",
    hides="In float32 only the worst mistakes show it: they get almost no gradient.",
    fix="F.log_softmax(input.float(), 1) needs no epsilon and computes in float32.",
    mend={"-torch.log(torch.exp(-": "", ") + 1e-8)": ""},
)
def epsilon_lost_in_half(input, target, gamma=2.0, reduction="mean"):
    ce = -torch.log(torch.exp(-cross_entropy(input, target)) + 1e-8)  # in float16, 1e-8 is 0
    return reduced(focus(ce, gamma) * ce, reduction)


@bug(
    exposed_by="gradient_is_the_slope",
    title="p_t cut out of the gradient",
    source="clcarwin/sphereface_pytorch#24 (2018), openpifpaf/openpifpaf#244 (2020)",
    symptom="Values are right, steps too small: with gamma = 2 the true gradient is 1.09 times as long at p_t = 0.01, "
    "2.99 times at 0.99.",
    hides="The loss itself is exact. Some do this on purpose; then it should say so.",
    fix="No .detach(), .data or torch.no_grad() on the way to p_t; then see that gamma = 0.5 has a finite gradient.",
    mend={".detach()": ""},
)
def detached_focus(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    return reduced(focus(ce, gamma).detach() * ce, reduction)  # a constant, as far as the gradient knows


@bug(
    exposed_by="is_finite_at_extreme_logits",
    title="A modulator that overflows",
    source="richardaecn/class-balanced-loss#1 (2019), whose formula others copied",
    symptom="NaN gradients once an example is certain.",
    hides="For gamma > 0 values stay finite and right.",
    fix="Write -torch.expm1(-ce) for 1 - p_t: it needs no odds.",
    mend={
        "    odds = torch.exp(-ce) / (1 - torch.exp(-ce))\n": "",
        "torch.exp(-gamma * torch.log1p(odds))": "focus(ce, gamma)",
    },
)
def overflowing_focus(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    odds = torch.exp(-ce) / (1 - torch.exp(-ce))  # p_t / (1 - p_t) grows without limit
    return reduced(torch.exp(-gamma * torch.log1p(odds)) * ce, reduction)


class GradientOfProbability(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, target, gamma):
        p_t = torch.exp(-cross_entropy(input, target))
        ctx.save_for_backward(p_t, target)
        ctx.gamma, ctx.classes = gamma, input.shape[1]
        return -((1 - p_t) ** gamma) * torch.log(p_t)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        p_t, target = ctx.saved_tensors
        slope = ctx.gamma * (1 - p_t) ** (ctx.gamma - 1) * torch.log(p_t) - (1 - p_t) ** ctx.gamma / p_t
        return F.one_hot(target, ctx.classes) * (grad * slope)[:, None], None, None  # p_t's, not the logits'


@bug(
    exposed_by="gradient_is_the_slope",
    title="The gradient of p handed over as the logit's",
    source="lightgbm-org/LightGBM#2052 (2019), rahowa/catboost_focal_loss#2 (2023)",
    symptom="A hand-written gradient pushes the true class only, and confident mistakes get enormous steps.",
    hides="Its sign is right.",
    fix="The chain rule: times p_t (onehot - p), or leave it to autograd.",
    mend={
        "p_t = torch.exp(-cross_entropy(input, target))": "ce = cross_entropy(input, target)",
        "(p_t, target)": "(ce, target, input.softmax(1))",
        "-((1 - p_t) ** gamma) * torch.log(p_t)": "focus(ce, gamma) * ce",
        "p_t, target =": "ce, target, p =",
        "ctx.gamma * (1 - p_t) ** (ctx.gamma - 1) * torch.log(p_t) - (1 - p_t) ** ctx.gamma / p_t": (
            "ctx.gamma * torch.exp(-ce) * focus(ce, ctx.gamma - 1) * ce + focus(ce, ctx.gamma)"
        ),
        "F.one_hot(target, ctx.classes) *": "(p - F.one_hot(target, ctx.classes)) *",
    },
    batched=False,
)
def gradient_of_probability(input, target, gamma=2.0, reduction="mean"):
    return reduced(GradientOfProbability.apply(input, target, gamma), reduction)


@bug(
    exposed_by="masked_class_is_absent",
    title="A masked class turns the loss to NaN",
    source="HeyLynne/FocalLoss_for_multiclass#4 (2023), by its one-hot product",
    symptom="NaN as soon as a class is masked with -inf.",
    hides="Most models mask nothing.",
    fix="Take log_p.gather(1, target[:, None])[:, 0] first, and compute with that and alpha[target] alone.",
    mend={
        "    onehot = F.one_hot(target, input.shape[1]).to(input.dtype)\n": "",
        "(onehot * F.log_softmax(input, dim=1)).sum(1)": "F.log_softmax(input, dim=1).gather(1, target[:, None])[:, 0]",
    },
)
def masked_class_poisons(input, target, gamma=2.0, reduction="mean"):
    onehot = F.one_hot(target, input.shape[1]).to(input.dtype)
    ce = -(onehot * F.log_softmax(input, dim=1)).sum(1)  # 0 * -inf is nan
    return reduced(focus(ce, gamma) * ce, reduction)
