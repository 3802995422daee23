"""A backward pass of one's own: the loss is right, and deaf to what its caller does with it."""

import torch
import torch.nn.functional as F
from torch import nn

from .catalogue import bug
from .parts import cross_entropy, focus, reduced


def row_gradients(input, target, gamma):
    """The gradient of each row's focal loss, in closed form."""
    ce = cross_entropy(input, target)
    p, p_t = input.softmax(1), torch.exp(-ce)
    k = focus(ce, gamma) + gamma * p_t * focus(ce, gamma - 1) * ce
    return k[:, None] * (p - F.one_hot(target, input.shape[1]).to(p.dtype))


class DeafToUpstream(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, target, gamma):
        ctx.save_for_backward(row_gradients(input, target, gamma) / len(input))
        ce = cross_entropy(input, target)
        return (focus(ce, gamma) * ce).mean()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return ctx.saved_tensors[0], None, None  # times grad, what follows the loss


@bug(
    exposed_by="scales_with_what_follows",
    title="What follows the loss is ignored",
    source="chainer/chainer#1175 (2016), SeanNaren/warp-ctc#170, pytorch/pytorch#21961 (2019)",
    symptom="A weight in front of the loss changes nothing. A gradient scaler leaves a 65536th of its gradient: it "
    "divides in the end by what it multiplied the loss with.",
    hides="loss.backward() alone hands over a 1.",
    fix="In backward, return its argument times the derivative: grad * slope, where the derivative was saved as slope; "
    'grad[:, None] * slope under reduction="none".',
    mend={"ctx.saved_tensors[0]": "grad * ctx.saved_tensors[0]"},
    batched=False,
)
def upstream_ignored(input, target, gamma=2.0):
    return DeafToUpstream.apply(input, target, gamma)


class FirstRowForAll(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, target, gamma):
        ctx.save_for_backward(row_gradients(input, target, gamma))
        ce = cross_entropy(input, target)
        return focus(ce, gamma) * ce

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return grad[0] * ctx.saved_tensors[0], None, None  # the first row's, for all rows


@bug(
    exposed_by="each_row_has_its_own_scale",
    title="The first row's upstream gradient, for all rows",
    source="linkedin/Liger-Kernel#968, linkedin/Liger-Kernel#1298, NVIDIA-NeMo/Automodel#3853, paiml/aprender#2182",
    symptom="With reduction='none' and a mask or weights outside, a batch trains by the weight of its first row.",
    hides="The mean and the sum hand every row the same number.",
    fix="In backward, write grad[:, None] for grad[0], so that each row has its own.",
    mend={"grad[0]": "grad[:, None]"},
    batched=False,
)
def first_rows_upstream(input, target, gamma=2.0, reduction="mean"):
    return reduced(FirstRowForAll.apply(input, target, gamma), reduction)


class ScalesWhatItSaved(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, target, gamma):
        ctx.slope = row_gradients(input, target, gamma)
        ce = cross_entropy(input, target)
        return focus(ce, gamma) * ce

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        ctx.slope *= grad[:, None]  # in place, to save memory: the next pass finds it scaled
        return ctx.slope, None, None


@bug(
    exposed_by="one_graph_serves_twice",
    title="A saved gradient scaled in place",
    source="unslothai/unsloth#5002 (2026), Dao-AILab/quack#209 (2026)",
    symptom="The second backward pass through a graph is wrong: gradient penalties, two optimizers, two losses.",
    hides="Most training goes through each graph once.",
    fix="grad * saved makes a new tensor; or refuse the second pass.",
    mend={"ctx.slope *=": "slope = ctx.slope *", "return ctx.slope": "return slope"},
    batched=False,
)
def saved_gradient_scaled(input, target, gamma=2.0, reduction="mean"):
    return reduced(ScalesWhatItSaved.apply(input, target, gamma), reduction)


class ValueOfCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx, input, target, gamma):
        ctx.save_for_backward(row_gradients(input, target, gamma))
        return cross_entropy(input, target)  # (1 - p_t) ** gamma is only in the gradient

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        return grad[:, None] * ctx.saved_tensors[0], None, None


@bug(
    exposed_by="gradient_is_the_slope",
    title="gamma in the gradient, not in the value",
    source="davisking/dlib#2552 (2022)",
    symptom="Training is right and every printed loss is cross-entropy: curves and early stopping mislead.",
    hides="The value is not what trains.",
    fix="Compute the value by the same formula, and let autograd differentiate it.",
    mend={
        "return cross_entropy(input, target)": "ce = cross_entropy(input, target)\n        return focus(ce, gamma) * ce"
    },
    batched=False,
)
def value_without_focus(input, target, gamma=2.0, reduction="mean"):
    return reduced(ValueOfCrossEntropy.apply(input, target, gamma), reduction)


@bug(
    exposed_by="is_right_at_every_size",
    title="Means of blocks, added up",
    source="NVIDIA-NeMo/Automodel#3804 (2026), verl-project/verl#2899, verl-project/verl#5349",
    symptom="The loss is right in every small test, and twice or 128 times too large in training.",
    hides="Up to one block of rows, nothing is added up.",
    fix="Sum inside the blocks, divide once at the end.",
    mend={"mean()": "sum()", "return total": "return total / target.numel()"},
    batched=False,
)
def means_of_blocks(input, target, gamma=2.0):
    total = 0
    for rows, labels in zip(input.split(32), target.split(32), strict=True):  # 32 rows at a time, to save memory
        ce = cross_entropy(rows, labels)
        total = total + (focus(ce, gamma) * ce).mean()
    return total


@bug(
    exposed_by="memory_layout_changes_nothing",
    title="Strides ignored",
    source="NVIDIA/TransformerEngine#2734 (2026), flagos-ai/Torch-FL#171 (2026), unslothai/unsloth#10713 (2026)",
    symptom="Silently wrong after .t() or .transpose(), right after .contiguous().",
    hides="A test makes its logits afresh, and fresh logits are contiguous.",
    fix="input.contiguous() first, or use the strides.",
    mend={
        "    if input.ndim == 2 and 0 < input.stride(0) < input.stride(1):\n"
        "        input = input.t().reshape(input.shape)\n": ""
    },
    batched=False,
)
def strides_ignored(input, target, gamma=2.0, reduction="mean"):
    if input.ndim == 2 and 0 < input.stride(0) < input.stride(1):
        input = input.t().reshape(input.shape)  # transposed: the numbers as they lie in memory, taken for rows
    ce = cross_entropy(input, target)
    return reduced(focus(ce, gamma) * ce, reduction)


@bug(
    exposed_by="modes_change_nothing",
    title="Another loss in eval()",
    source="inferno-pytorch/inferno#110 (2018), where smoothing is for training only",
    symptom="The validation loss is larger than the training loss from the first epoch on.",
    hides="Training never calls eval(), and validation never compares.",
    fix="One formula for both modes; report cross-entropy beside it under its own name.",
    mend={
        "        if not self.training:\n            return reduced(ce, self.reduction)\n": "",
    },
    batched=False,
)
class FocusOnlyInTraining(nn.Module):
    def __init__(self, gamma=2.0, reduction="mean"):
        super().__init__()
        self.gamma, self.reduction = gamma, reduction

    def forward(self, input, target):
        ce = cross_entropy(input, target)
        if not self.training:
            return reduced(ce, self.reduction)  # plain cross-entropy once the model is in eval()
        return reduced(focus(ce, self.gamma) * ce, self.reduction)
