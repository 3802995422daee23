"""The faulty losses of the bug catalogue: each has one fault, and is right otherwise.

They are our own short reproductions of faults seen in public code. ``bugs.py`` says where, what each one does, and
how to mend it; chapter 06 shows them at work. Arguments have their usual names, but only where the original had them.
"""

import torch
import torch.nn.functional as F
from torch import nn


def focus(ce, gamma):
    """(1 - p_t) ** gamma for ce = -log p_t, as in losses.py: without the fault of ``nan_below_gamma_one``."""
    return (-torch.expm1(-ce.clamp_min(torch.finfo(ce.dtype).eps ** 2))) ** gamma


def pick(alpha, target, input):
    """The weight of each target, or 1 without weights; without the fault of ``alpha_length_unchecked``."""
    if alpha is None:
        return 1.0
    if len(alpha) != input.shape[1]:
        raise ValueError(f"alpha must hold {input.shape[1]} weights, got {len(alpha)}.")
    return alpha[target]


def reduced(loss, reduction):
    return {"none": lambda: loss, "sum": loss.sum, "mean": loss.mean}[reduction]()


def cross_entropy(input, target):
    return F.cross_entropy(input, target, reduction="none")


# --- one number for all --------------------------------------------------------------------------------------------


def mean_before_pt(input, target, gamma=2.0):
    ce = F.cross_entropy(input, target)  # the default reduction is the mean: one number for the whole batch
    return focus(ce, gamma) * ce  # so p_t = exp(-ce) is one number too


def reduce_flag_without_effect(input, target, gamma=2.0, reduce=True):
    ce = F.cross_entropy(input, target)
    loss = focus(ce, gamma) * ce
    return loss.mean() if reduce else loss  # a single number either way


def weighted_mean_before_pt(input, target, alpha=None, gamma=2.0):
    ce = F.cross_entropy(input, target, weight=alpha)  # the weighted mean of the batch
    return focus(ce, gamma) * ce


def scalar_alpha(input, target, alpha=0.25, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    return reduced(alpha * focus(ce, gamma) * ce, reduction)  # the same factor for every class


def n_by_n(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    loss = focus(ce, gamma) * ce
    if alpha is not None:
        loss = pick(alpha, target, input).unsqueeze(1) * loss  # (N, 1) times (N,) is (N, N)
    return reduced(loss, reduction)


# --- weights in the wrong place ------------------------------------------------------------------------------------


def weight_inside_cross_entropy(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = F.cross_entropy(input, target, weight=alpha, reduction="none")  # alpha_t * -log p_t
    return reduced(focus(ce, gamma) * ce, reduction)  # so p_t became p_t ** alpha_t, no probability of the model


def weight_applied_twice(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    weighted_ce = F.cross_entropy(input, target, weight=alpha, reduction="none")
    return reduced(pick(alpha, target, input) * focus(ce, gamma) * weighted_ce, reduction)


def alpha_reversed(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    alpha = None if alpha is None else alpha.flip(0)  # [background, object] against [object, background]
    return reduced(pick(alpha, target, input) * focus(ce, gamma) * ce, reduction)


def alpha_unused(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    pick(alpha, target, input)  # the weights are looked up, and then forgotten
    return reduced(focus(ce, gamma) * ce, reduction)


def alpha_and_gamma_swapped(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    alpha, gamma = gamma, pick(alpha, target, input)  # passed on by position, in the wrong order
    return reduced(alpha * focus(ce, gamma) * ce, reduction)


class AlphaOverwritten(nn.Module):
    def __init__(self, alpha=None, gamma=2.0, reduction="mean"):
        super().__init__()
        self.register_buffer("alpha", alpha)
        self.gamma, self.reduction = gamma, reduction

    def forward(self, input, target):
        ce = cross_entropy(input, target)
        if self.alpha is None:
            return reduced(focus(ce, self.gamma) * ce, self.reduction)
        self.alpha = self.alpha[target]  # the next batch looks its weights up in this one
        return reduced(self.alpha * focus(ce, self.gamma) * ce, self.reduction)


def alpha_length_unchecked(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    loss = focus(ce, gamma) * ce
    return reduced(loss if alpha is None else alpha[target] * loss, reduction)  # too long an alpha fits as well


class AlphaNoneCrashes(nn.Module):
    def __init__(self, alpha=None, gamma=2.0):
        super().__init__()
        self.register_buffer("alpha", alpha)
        self.gamma = gamma

    def forward(self, input, target):
        ce = cross_entropy(input, target)
        return (self.alpha[target] * focus(ce, self.gamma) * ce).mean()  # None[target]


class AlphaStaysBehind(nn.Module):
    def __init__(self, alpha=None, gamma=2.0):
        super().__init__()
        self.alpha = alpha  # a plain attribute: .to(device) and state_dict() do not see it
        self.gamma = gamma

    def forward(self, input, target):
        ce = cross_entropy(input, target)
        return (pick(self.alpha, target, input) * focus(ce, self.gamma) * ce).mean()


# --- the wrong curve -----------------------------------------------------------------------------------------------


def binary_scalar_alpha(input, target, alpha=0.25, gamma=2.0, reduction="mean"):
    bce = F.binary_cross_entropy_with_logits(input, target, reduction="none")
    return reduced(alpha * focus(bce, gamma) * bce, reduction)  # negatives should get 1 - alpha


def one_against_all(input, target, gamma=2.0, reduction="mean"):
    yes_or_no = F.one_hot(target, input.shape[1]).to(input.dtype)
    bce = F.binary_cross_entropy_with_logits(input, yes_or_no, reduction="none")
    return reduced((focus(bce, gamma) * bce).sum(1), reduction)  # C separate questions instead of one


def one_against_all_averaged(input, target, gamma=2.0, reduction="mean"):
    yes_or_no = F.one_hot(target, input.shape[1]).to(input.dtype)
    bce = F.binary_cross_entropy_with_logits(input, yes_or_no, reduction="none")
    return reduced(focus(bce, gamma) * bce, reduction)  # ... and the mean over N * C answers


def product_instead_of_power(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    return reduced(focus(ce, 1.0) * gamma * ce, reduction)  # * where ** was meant


def easy_side_kept(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    return reduced(torch.exp(-ce) ** gamma * ce, reduction)  # p_t where 1 - p_t was meant


def log_p_taken_for_p(input, target, gamma=2.0, reduction="mean"):
    log_p_t = -cross_entropy(input, target)
    return reduced((1 - log_p_t) ** gamma * -log_p_t, reduction)  # the name says it


def log_of_cross_entropy(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    log_ce = torch.log(ce)  # ce is -log p_t already
    return reduced(-((1 - ce) ** gamma) * log_ce, reduction)


def softmax_twice(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input.softmax(1), target)  # cross_entropy takes the softmax of this once more
    return reduced(focus(ce, gamma) * ce, reduction)


# --- dead or poisoned gradients ------------------------------------------------------------------------------------


def nan_below_gamma_one(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    p_t = torch.exp(-ce)
    return reduced((1 - p_t) ** gamma * ce, reduction)  # for gamma < 1, the slope of 0 ** gamma is infinite


def clamped_probability(input, target, gamma=2.0, reduction="mean"):
    p_t = torch.exp(-cross_entropy(input, target)).clamp(1e-7, 1 - 1e-7)  # outside the limits the slope is 0
    return reduced((1 - p_t) ** gamma * -torch.log(p_t), reduction)


def log_of_softmax(input, target, gamma=2.0, reduction="mean"):
    p_t = input.softmax(1).movedim(1, -1).gather(-1, target[..., None])[..., 0]
    ce = -torch.log(p_t)  # once p_t has rounded to 0, log 0
    return reduced(focus(ce, gamma) * ce, reduction)


def epsilon_lost_in_half(input, target, gamma=2.0, reduction="mean"):
    ce = -torch.log(torch.exp(-cross_entropy(input, target)) + 1e-8)  # in float16, 1e-8 is 0
    return reduced(focus(ce, gamma) * ce, reduction)


def detached_focus(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    return reduced(focus(ce, gamma).detach() * ce, reduction)  # a constant, as far as the gradient knows


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
    def backward(ctx, grad):
        p_t, target = ctx.saved_tensors
        slope = ctx.gamma * (1 - p_t) ** (ctx.gamma - 1) * torch.log(p_t) - (1 - p_t) ** ctx.gamma / p_t
        return F.one_hot(target, ctx.classes) * (grad * slope)[:, None], None, None  # p_t's, not the logits'


def gradient_of_probability(input, target, gamma=2.0, reduction="mean"):
    return reduced(GradientOfProbability.apply(input, target, gamma), reduction)


def masked_class_poisons(input, target, gamma=2.0, reduction="mean"):
    onehot = F.one_hot(target, input.shape[1]).to(input.dtype)
    ce = -(onehot * F.log_softmax(input, dim=1)).sum(1)  # 0 * -inf is nan
    return reduced(focus(ce, gamma) * ce, reduction)


# --- the wrong average ---------------------------------------------------------------------------------------------


def ignored_rows_in_the_mean(input, target, gamma=2.0, ignore_index=-100, reduction="mean"):
    ce = F.cross_entropy(input, target, ignore_index=ignore_index, reduction="none")  # 0 where ignored
    return reduced(focus(ce, gamma) * ce, reduction)  # and these zeros are averaged in


def ignored_rows_as_class_zero(input, target, gamma=2.0, ignore_index=-100, reduction="mean"):
    ce = cross_entropy(input, target.where(target != ignore_index, 0))
    return reduced(focus(ce, gamma) * ce, reduction)


def labels_overwritten(input, target, gamma=2.0, ignore_index=-100, reduction="mean"):
    kept = target != ignore_index
    target[~kept] = 0  # in the caller's tensor: from now on these are labels of class 0
    ce = cross_entropy(input, target)[kept]
    return reduced(focus(ce, gamma) * ce, reduction)


def sum_called_mean(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    loss = focus(ce, gamma) * ce
    return loss if reduction == "none" else loss.sum()


def mean_over_classes(input, target, gamma=2.0, reduction="mean"):
    onehot = F.one_hot(target, input.shape[1]).to(input.dtype)
    ce = -onehot * F.log_softmax(input, dim=1)  # (N, C), all but one column 0
    return reduced(focus(ce, gamma) * ce, reduction)  # the mean divides by N * C


def class_axis_not_moved(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input.reshape(-1, input.shape[1]), target.reshape(-1))  # mixes classes and pixels
    return reduced(focus(ce, gamma) * ce, reduction)


# --- rude to its caller --------------------------------------------------------------------------------------------


def reduction_in_the_wrong_call(input, target, gamma=2.0):
    ce = nn.CrossEntropyLoss()(input, target, reduction="none")  # an argument of the constructor
    return (focus(ce, gamma) * ce).mean()


class PrintsEveryTime(nn.Module):
    def __init__(self, gamma=2.0, reduction="mean"):
        super().__init__()
        print(f"Focal loss, gamma = {gamma}")
        self.gamma, self.reduction = gamma, reduction

    def forward(self, input, target):
        ce = cross_entropy(input, target)
        return reduced(focus(ce, self.gamma) * ce, self.reduction)


def float32_inside(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input.float(), target)  # float64 comes back with half its digits
    return reduced(focus(ce, gamma) * ce, reduction)


# --- looks guilty, is innocent -------------------------------------------------------------------------------------


def log_probabilities_as_logits(input, target, gamma=2.0, reduction="mean"):
    log_p = F.log_softmax(input, dim=1)  # a LogSoftmax head ...
    ce = cross_entropy(log_p, target)  # ... whose output is softmaxed again, to no effect
    return reduced(focus(ce, gamma) * ce, reduction)


def misnamed(input, target, gamma=2.0, reduction="mean"):
    BCE_loss = cross_entropy(input, target)  # a cross-entropy under a wrong name
    pt = focus(BCE_loss, 1.0)  # 1 - p_t under a wrong name ...
    return reduced(pt**gamma * BCE_loss, reduction)  # ... used rightly


def divided_by_the_weights(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    weights = pick(alpha, target, input) * torch.ones_like(ce)
    loss = weights * focus(ce, gamma) * ce
    return loss.sum() / weights.sum() if reduction == "mean" else reduced(loss, reduction)


def always_summed(input, target, alpha=None, gamma=2.0):
    ce = cross_entropy(input, target)
    return (pick(alpha, target, input) * focus(ce, gamma) * ce).sum()
