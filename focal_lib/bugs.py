"""The bug catalogue: focal losses that run, train, and are wrong.

Each faulty loss is our own short reproduction of a fault seen in public code. It takes the usual argument names
(``input, target, alpha, gamma, reduction``), but only those that its original had. Chapter 06 shows each one at work.
"""

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

__all__ = ["CATALOGUE", "LOOKALIKES", "Bug", "Lookalike"]


@dataclass(frozen=True)
class Bug:
    """One faulty variant: what it is, where such code was seen, and how to find and mend it."""

    id: str
    title: str
    source: str  # where such code was seen
    loss: Callable  # the faulty loss: a function, or a Module class
    symptom: str  # what a user would report
    hides: str  # why training does not show it
    exposed_by: str  # the property that shows it at least cost, by its name in focal_lib.properties
    fix: str
    one_hot: bool = False  # the loss wants float targets of the logits' shape

    def build(self, alpha=None, gamma=2.0):
        """The faulty loss as a criterion: a callable ``(input, target) -> loss``, its reduction the default one.

        Args:
            alpha: None, or a tensor ``(C,)``. Passed on if this bug has a weight per class; a bug with one alpha
                for all classes keeps its own number, and a bug without alpha has none.
            gamma: passed on if this bug has a gamma.

        The criterion takes logits ``(N, C)`` and int64 class indices ``(N)``, whatever the original wanted. It is
        an ``nn.Module`` where the original was one, else a function.
        """
        parameters = inspect.signature(self.loss).parameters
        arguments = {"gamma": gamma} if "gamma" in parameters else {}
        if alpha is not None and "alpha" in parameters and parameters["alpha"].default is None:
            arguments["alpha"] = alpha
        if inspect.isclass(self.loss):
            return self.loss(**arguments)
        if self.one_hot:
            return lambda input, target: self.loss(input, F.one_hot(target, input.shape[1]).to(input), **arguments)
        return functools.partial(self.loss, **arguments)


@dataclass(frozen=True)
class Lookalike:
    """Code that looks guilty and is innocent."""

    id: str
    title: str
    source: str
    loss: Callable
    why: str


def mean_before_pt(input, target, gamma=2.0):
    ce = F.cross_entropy(input, target)  # the default reduction is the mean: one number for the whole batch
    p_t = torch.exp(-ce)
    return (1 - p_t) ** gamma * ce


def reduce_flag_without_effect(input, target, gamma=2.0, reduce=True):
    ce = F.cross_entropy(input, target)
    loss = (1 - torch.exp(-ce)) ** gamma * ce
    return loss.mean() if reduce else loss  # a single number either way


def scalar_alpha(input, target, alpha=0.25, gamma=2.0, reduction="mean"):
    ce = F.cross_entropy(input, target, reduction="none")
    loss = alpha * (1 - torch.exp(-ce)) ** gamma * ce  # the same factor for every class
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]


def weight_inside_cross_entropy(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = F.cross_entropy(input, target, weight=alpha, reduction="none")  # alpha_t * -log p_t
    p_t = torch.exp(-ce)  # so this is p_t ** alpha_t, which is no probability of the model
    loss = (1 - p_t) ** gamma * ce
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]


def binary_scalar_alpha(input, target, alpha=0.25, gamma=2.0, reduction="mean"):
    bce = F.binary_cross_entropy_with_logits(input, target, reduction="none")
    loss = alpha * (1 - torch.exp(-bce)) ** gamma * bce  # negatives should get 1 - alpha
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]


class AlphaNoneCrashes(nn.Module):
    def __init__(self, alpha=None, gamma=2.0):
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma

    def forward(self, input, target):
        ce = F.cross_entropy(input, target, reduction="none")
        loss = (1 - torch.exp(-ce)) ** self.gamma * ce
        return (self.alpha[target] * loss).mean()  # None[target]


class AlphaStaysBehind(nn.Module):
    def __init__(self, alpha=None, gamma=2.0):
        super().__init__()
        self.alpha = alpha  # a plain attribute: .to(device) and state_dict() do not see it
        self.gamma = gamma

    def forward(self, input, target):
        ce = F.cross_entropy(input, target, reduction="none")
        loss = (1 - torch.exp(-ce)) ** self.gamma * ce
        return loss.mean() if self.alpha is None else (self.alpha[target] * loss).mean()


def log_probabilities_as_logits(input, target, gamma=2.0, reduction="mean"):
    log_p = F.log_softmax(input, dim=1)  # a LogSoftmax head ...
    ce = F.cross_entropy(log_p, target, reduction="none")  # ... whose output is softmaxed again, to no effect
    loss = (1 - torch.exp(-ce)) ** gamma * ce
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]


CATALOGUE = {
    bug.id: bug
    for bug in [
        Bug(
            id="mean_before_pt",
            title="One p_t for the whole batch",
            source="001: a question on multiclass focal loss for a four-class BERT",
            loss=mean_before_pt,
            symptom="Hard examples are not favoured; training is cross-entropy that slows down as it succeeds.",
            hides="The loss falls, and at gamma = 0 it equals cross-entropy exactly.",
            exposed_by="batch_is_mean_of_singles",
            fix='Compute the cross-entropy with reduction="none" and reduce last.',
        ),
        Bug(
            id="reduce_flag_without_effect",
            title="reduce=False returns a single number",
            source="001: a question on multiclass focal loss for a four-class BERT",
            loss=reduce_flag_without_effect,
            symptom="Asking for the loss of each example gives one number.",
            hides="Training calls the default, reduce=True, and a scalar broadcasts against anything.",
            exposed_by="none_has_target_shape",
            fix='Compute the cross-entropy with reduction="none"; reduce only when asked to.',
        ),
        Bug(
            id="scalar_alpha",
            title="One alpha for all classes",
            source="001 and 002: alpha=1 and alpha=0.25 as one constant",
            loss=scalar_alpha,
            symptom="Changing alpha does not change the trained model.",
            hides="A constant factor is a learning rate under SGD and cancels under Adam.",
            exposed_by="alpha_scales_its_class",
            fix="One weight per class, looked up by the target: alpha[target].",
        ),
        Bug(
            id="weight_inside_cross_entropy",
            title="Class weights inside the exponent",
            source="001: the question whether weights may go inside CrossEntropyLoss",
            loss=weight_inside_cross_entropy,
            symptom="A weight of 4 acts like far more than 4 on examples that the model already gets right.",
            hides="Without weights, and at gamma = 0, it is correct.",
            exposed_by="alpha_scales_its_class",
            fix="Take p_t from the unweighted cross-entropy; multiply by alpha[target] afterwards.",
        ),
        Bug(
            id="binary_scalar_alpha",
            title="The same alpha for positives and negatives",
            source="002: BCE with alpha=0.25",
            loss=binary_scalar_alpha,
            symptom="Positives weigh as much as negatives, whatever alpha is; gamma = 0 gives a quarter of BCE.",
            hides="A constant factor is a learning rate under SGD and cancels under Adam.",
            exposed_by="gamma_zero_is_cross_entropy",
            fix="alpha * target + (1 - alpha) * (1 - target).",
            one_hot=True,
        ),
        Bug(
            id="alpha_none_crashes",
            title="The default alpha=None crashes",
            source="003: class weights with focal loss on make_classification",
            loss=AlphaNoneCrashes,
            symptom="TypeError: 'NoneType' object is not subscriptable, on the first call.",
            hides="The article always passes weights.",
            exposed_by="runs_with_defaults",
            fix="Skip the weights when alpha is None.",
        ),
        Bug(
            id="alpha_stays_behind",
            title="Alpha stays behind when the module moves",
            source="003: class weights with focal loss on make_classification",
            loss=AlphaStaysBehind,
            symptom="It runs on the CPU and fails on the GPU; a saved model forgets its weights.",
            hides="The article trains on the CPU and saves nothing.",
            exposed_by="device_is_kept",
            fix='self.register_buffer("alpha", alpha).',
        ),
    ]
}

LOOKALIKES = {
    lookalike.id: lookalike
    for lookalike in [
        Lookalike(
            id="log_probabilities_as_logits",
            title="Log-probabilities into cross-entropy",
            source="001: a model that ends in LogSoftmax",
            loss=log_probabilities_as_logits,
            why="log_softmax leaves log-probabilities as they are: their exponentials already sum to 1.",
        ),
    ]
}
