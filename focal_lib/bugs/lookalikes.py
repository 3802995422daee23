"""Code that looks guilty and is innocent."""

import torch
import torch.nn.functional as F

from .catalogue import lookalike
from .parts import cross_entropy, focus, pick, reduced


@lookalike(
    title="Log-probabilities into cross-entropy",
    source="001: a model that ends in LogSoftmax; sauradip/STALE#17 (2023, asked and withdrawn)",
    why="log_softmax leaves log-probabilities as they are: their exponentials already sum to 1.",
)
def log_probabilities_as_logits(input, target, gamma=2.0, reduction="mean"):
    log_p = F.log_softmax(input, dim=1)  # a LogSoftmax head ...
    ce = cross_entropy(log_p, target)  # ... whose output is softmaxed again, to no effect
    return reduced(focus(ce, gamma) * ce, reduction)


@lookalike(
    title="Right sums under wrong names",
    source="001: BCE_loss for a cross-entropy, and pt for 1 - p_t in an answer",
    why="A name changes no number. It misleads the next reader, so rename it.",
)
def misnamed(input, target, gamma=2.0, reduction="mean"):
    BCE_loss = cross_entropy(input, target)  # a cross-entropy under a wrong name
    pt = focus(BCE_loss, 1.0)  # 1 - p_t under a wrong name ...
    return reduced(pt**gamma * BCE_loss, reduction)  # ... used rightly


@lookalike(
    title="The mean divides by the sum of the weights",
    source="F.cross_entropy(weight=...) divides like this; TensorFlow and Keras divide by N",
    why="Two conventions. With this one a batch of one forgets its weight.",
)
def divided_by_the_weights(input, target, alpha=None, gamma=2.0, reduction="mean"):
    ce = cross_entropy(input, target)
    weights = pick(alpha, target, input) * torch.ones_like(ce)
    loss = weights * focus(ce, gamma) * ce
    return loss.sum() / weights.sum() if reduction == "mean" else reduced(loss, reduction)


@lookalike(
    title="It returns the sum",
    source="detection code, which then divides by the number of objects",
    why="A sum is a sum as long as nobody calls it a mean. The learning rate depends on the batch size.",
)
def always_summed(input, target, alpha=None, gamma=2.0):
    ce = cross_entropy(input, target)
    return (pick(alpha, target, input) * focus(ce, gamma) * ce).sum()
