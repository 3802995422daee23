"""Rude to its caller: errors, messages and lost digits."""

from torch import nn

from .catalogue import bug
from .parts import cross_entropy, focus, reduced


@bug(
    exposed_by="runs_with_defaults",
    title="reduction= in the wrong parentheses",
    source="threads about the code of yatengLG/Focal-Loss-Pytorch",
    symptom="TypeError: forward() got an unexpected keyword argument 'reduction'.",
    hides="It does not hide; it shows that nobody ran the code.",
    fix='nn.CrossEntropyLoss(reduction="none")(input, target).',
    mend={"CrossEntropyLoss()": 'CrossEntropyLoss(reduction="none")', ', reduction="none"': ""},
    runs=False,
)
def reduction_in_the_wrong_call(input, target, gamma=2.0):
    ce = nn.CrossEntropyLoss()(input, target, reduction="none")  # an argument of the constructor
    return (focus(ce, gamma) * ce).mean()


@bug(
    exposed_by="prints_nothing",
    title="A message for every loss that is built",
    source="the code of yatengLG/Focal-Loss-Pytorch, and its many copies",
    symptom="Logs full of one line; a loss built in the loop prints every step.",
    hides="Numbers are right.",
    fix="extra_repr() says it to whoever asks.",
    mend={'        print(f"Focal loss, gamma = {gamma}")\n': ""},
)
class PrintsEveryTime(nn.Module):
    def __init__(self, gamma=2.0, reduction="mean"):
        super().__init__()
        print(f"Focal loss, gamma = {gamma}")  # once for each model, fold and worker
        self.gamma, self.reduction = gamma, reduction

    def forward(self, input, target):
        ce = cross_entropy(input, target)
        return reduced(focus(ce, self.gamma) * ce, self.reduction)


@bug(
    exposed_by="keeps_float64",
    title="float64 comes back as float32",
    source="tianzhi0549/FCOS#121 (2019), its .float() for half precision",
    symptom="gradcheck fails, and scientific code loses half its digits.",
    hides="Training is in float32.",
    fix="Write input.to(torch.promote_types(input.dtype, torch.float32)) for input.float(), and target.to(input) for a "
    "target.float().",
    mend={"float()": "to(torch.promote_types(input.dtype, torch.float32))"},
)
def float32_inside(input, target, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input.float(), target)  # float64 comes back with half its digits
    return reduced(focus(ce, gamma) * ce, reduction)
