"""The loss seen from one example: its value and its gradient against p_t. The library's own loss computes both."""

import torch

from ..losses import focal_loss

__all__ = ["curve", "minimiser", "per_example"]


def curve(p_t, gamma=2.0, loss=focal_loss):
    """Loss of a single example, and its gradient with respect to the true class's logit, at each p_t.

    Args:
        p_t: float64 tensor of probabilities strictly between 0 and 1, any length.
        gamma: focusing parameter.
        loss: a function with ``gamma`` and ``reduction="none"``.

    Returns:
        (values, gradients), each of p_t's shape. With two classes the gradient of cross-entropy is ``-(1 - p_t)``.

    Explained in chapter 02.
    """
    logits = torch.stack([torch.logit(p_t), torch.zeros_like(p_t)], dim=1).requires_grad_()
    values = loss(logits, torch.zeros(len(p_t), dtype=torch.int64), gamma=gamma, reduction="none")
    (gradients,) = torch.autograd.grad(values.sum(), logits)
    return values.detach(), gradients[:, 0]


def per_example(logits, target, alpha=None, gamma=2.0):
    """What each example of a batch adds to the summed loss and to its gradient.

    Returns:
        (p_t, loss, gradient_size), three tensors of shape ``(N,)``; the gradient size is the Euclidean norm of the
        derivative with respect to that example's logits.

    Explained in chapters 01 and 02.
    """
    logits = logits.detach().double().requires_grad_()
    p_t = logits.softmax(dim=1).gather(1, target[:, None]).squeeze(1)
    loss = focal_loss(logits, target, alpha, gamma, reduction="none")
    (gradient,) = torch.autograd.grad(loss.sum(), logits)
    return p_t.detach(), loss.detach(), gradient.norm(dim=1)


def minimiser(posterior, alpha=None, gamma=2.0):
    """The probability of class 1 that an unlimited model learns, where its true probability is ``posterior``.

    It minimises the expected focal loss, found here on a grid of logits, to within 0.0005.

    Args:
        posterior: float64 tensor of probabilities of class 1, any length.
        alpha: None or class weights of shape ``(2,)``.
        gamma: focusing parameter.

    Explained in chapters 03 and 05.
    """
    logit = torch.linspace(-12, 12, 24_001, dtype=torch.float64)
    input = torch.stack([torch.zeros_like(logit), logit], dim=1)
    if_0, if_1 = (focal_loss(input, torch.full(logit.shape, label), alpha, gamma, reduction="none") for label in (0, 1))
    risk = (1 - posterior[:, None]) * if_0 + posterior[:, None] * if_1
    return logit[risk.argmin(dim=1)].sigmoid()
