"""Weights in the wrong place: in the exponent, twice, reversed, forgotten, or left on another device."""

import torch.nn.functional as F
from torch import nn

from .catalogue import SOURCE_1, SOURCE_3, bug
from .parts import cross_entropy, focus, pick, reduced


@bug(
    exposed_by="alpha_scales_its_class",
    title="Class weights inside the exponent",
    source=(
        f"the question in {SOURCE_1}; gokulprasadthekkel/pytorch-multi-class-focal-loss#1 (2021), "
        "a review of pytorch/vision#7760 (2023)"
    ),
    symptom="With gamma = 2 a weight of 4 acts as 4.9 at p_t = 0.1, as 14 at 0.5 and as 47 at 0.9.",
    hides="Without weights, and at gamma = 0, it is correct.",
    fix="Take p_t from the unweighted cross-entropy ce: alpha[target] * (1 - torch.exp(-ce)) ** gamma * ce.",
    mend={"weight=alpha, ": "", "focus(ce, gamma) * ce": "pick(alpha, target, input) * focus(ce, gamma) * ce"},
)
def weight_inside_cross_entropy(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = F.cross_entropy(input, target, weight=alpha, reduction="none")  # alpha_t * -log p_t
    return reduced(focus(ce, gamma) * ce, reduction)  # so p_t became p_t ** alpha_t, no probability of the model


@bug(
    exposed_by="alpha_scales_its_class",
    title="Class weights applied twice",
    source="mathiaszinnen/focal_loss_torch#13 (2023)",
    symptom="Rare classes take over: a weight of 4 acts as 16.",
    hides="Minority recall rises, which is what the weights were for.",
    fix="Weight once: cross-entropy without weights, then alpha[target]; alpha ** 2 there keeps what you have tuned.",
    mend={
        '    weighted_ce = F.cross_entropy(input, target, weight=alpha, reduction="none")\n': "",
        "weighted_ce, reduction)": "ce, reduction)",
    },
)
def weight_applied_twice(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    weighted_ce = F.cross_entropy(input, target, weight=alpha, reduction="none")
    return reduced(pick(alpha, target, input) * focus(ce, gamma) * weighted_ce, reduction)  # and alpha once more


@bug(
    exposed_by="alpha_scales_its_class",
    title="Weights in reversed order",
    source="unsky/focal-loss#9 (2017), yatengLG/Focal-Loss-Pytorch#4 (2020), clcarwin/focal_loss_pytorch#10 (2020)",
    symptom="Minority recall falls after weights were added.",
    hides="The loss falls as it should, and accuracy stays high: the common class got the weight.",
    fix="alpha[k] belongs to class k: look it up by the target's own index.",
    mend={"    alpha = None if alpha is None else alpha.flip(0)\n": ""},
)
def alpha_reversed(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    alpha = None if alpha is None else alpha.flip(0)  # [background, object] against [object, background]
    return reduced(pick(alpha, target, input) * focus(ce, gamma) * ce, reduction)


@bug(
    exposed_by="alpha_scales_its_class",
    title="Weights accepted and never used",
    source="tensorflow/tensorflow#61519 (2023: a switch, off by default), maozezhong/focal_loss_multi_class#3 (2019)",
    symptom="alpha of 0.25, 10 and 100 give one and the same loss.",
    hides="It is a correct unweighted focal loss.",
    fix="Multiply by alpha[target], or refuse the argument.",
    mend={
        "pick(alpha, target, input)": "weights = pick(alpha, target, input)",
        "focus(ce, gamma) * ce": "weights * focus(ce, gamma) * ce",
    },
)
def alpha_unused(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    pick(alpha, target, input)  # the weights are looked up, and then forgotten
    return reduced(focus(ce, gamma) * ce, reduction)


@bug(
    exposed_by="gives_the_golden_numbers",
    title="alpha and gamma swapped",
    source="qubvel/segmentation_models#258 (2019)",
    symptom="gamma scales the whole loss; alpha decides how much easy examples count.",
    hides="With alpha = 1 it is a focal loss with gamma 1, times gamma.",
    fix="Pass them by name.",
    mend={", gamma = gamma,": " ="},
)
def alpha_and_gamma_swapped(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    alpha, gamma = gamma, pick(alpha, target, input)  # passed on by position, in the wrong order
    return reduced(alpha * focus(ce, gamma) * ce, reduction)


@bug(
    exposed_by="is_stateless",
    title="Weights overwritten by the first batch",
    source="yatengLG/Focal-Loss-Pytorch#5 and #9 (2020)",
    symptom="The second call weighs by the first batch's labels; an index error comes late or never.",
    hides="The first call is right, and after some calls all weights are the same.",
    fix="A local variable: alpha = self.alpha[target].",
    mend={"self.alpha = self": "alpha = self", "self.alpha * focus": "alpha * focus"},
    batched=False,
)
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


@bug(
    exposed_by="wrong_alpha_length_is_refused",
    title="A weight too many goes unnoticed",
    source=SOURCE_3,
    symptom="After a class was dropped from the data, every class behind it has its neighbour's weight.",
    hides="Indexing by the target finds a number, only not the right one.",
    fix='if alpha is not None and len(alpha) != input.shape[1]: raise ValueError("one weight for each class, please").',
    mend={"alpha[target]": "pick(alpha, target, input)"},
)
def alpha_length_unchecked(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    loss = focus(ce, gamma) * ce
    return reduced(loss if alpha is None else alpha[target] * loss, reduction)  # too long an alpha fits as well


@bug(
    exposed_by="runs_with_defaults",
    title="The default alpha=None crashes",
    source=SOURCE_3,
    symptom="TypeError: 'NoneType' object is not subscriptable, on the first call.",
    hides="Whoever always passes weights never sees it.",
    fix="Skip the weights when alpha is None.",
    mend={"self.alpha[target]": "pick(self.alpha, target, input)"},
)
class AlphaNoneCrashes(nn.Module):
    def __init__(self, alpha=None, gamma=2.0):
        super().__init__()
        self.register_buffer("alpha", alpha)
        self.gamma = gamma

    def forward(self, input, target):
        ce = cross_entropy(input, target)
        return (self.alpha[target] * focus(ce, self.gamma) * ce).mean()  # None[target]


@bug(
    exposed_by="weights_follow_the_module",
    title="Alpha stays behind when the module moves",
    source=f"{SOURCE_3}; yatengLG/Focal-Loss-Pytorch#17 (2023)",
    symptom="It runs on the CPU and fails on the GPU; a saved model forgets its weights.",
    hides="On a CPU nothing moves, and who saves no model misses no weights.",
    fix='In __init__, write self.register_buffer("alpha", alpha) for self.alpha = alpha; make a list a tensor first.',
    mend={"self.alpha = alpha": 'self.register_buffer("alpha", alpha)'},
)
class AlphaStaysBehind(nn.Module):
    def __init__(self, alpha=None, gamma=2.0):
        super().__init__()
        self.alpha = alpha  # a plain attribute: .to(device) and state_dict() do not see it
        self.gamma = gamma

    def forward(self, input, target):
        ce = cross_entropy(input, target)
        return (pick(self.alpha, target, input) * focus(ce, self.gamma) * ce).mean()
