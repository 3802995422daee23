"""diagnose(): losses that are the focal loss and something more, and formulas with one part that is another."""

import pytest
import torch
import torch.nn.functional as F

from focal_lib import diagnose


def parts(x, y):
    ce = F.cross_entropy(x, y, reduction="none")
    return ce, torch.exp(-ce)


def poly(x, y, epsilon=1.0, gamma=2.0):
    ce, p_t = parts(x, y)
    return ((1 - p_t) ** gamma * ce + epsilon * (1 - p_t) ** (gamma + 1)).mean()


def half_and_half(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    return (0.5 * (1 - p_t) ** gamma * ce + 0.5 * ce).mean()


def less_entropy(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    log_p = x.log_softmax(1)
    return ((1 - p_t) ** gamma * ce + 0.1 * (log_p.exp() * log_p).sum(1)).mean()


def normalised(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    factor = (1 - p_t) ** gamma
    return (factor * ce).sum() / factor.sum()


def hardest_half(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    loss = (1 - p_t) ** gamma * ce
    return loss.topk((len(loss) + 1) // 2)[0].mean()


def margin(x, y, gamma=2.0):
    less = torch.tensor([0.25, 0.5, 1.0]).to(x)
    ce, p_t = parts(x - F.one_hot(y, 3) * less, y)
    return ((1 - p_t) ** gamma * ce).mean()


def adjusted(x, y, gamma=2.0):
    ce, p_t = parts(x + torch.tensor([0.6, 0.3, 0.1]).log().to(x), y)
    return ((1 - p_t) ** gamma * ce).mean()


def asymmetric(x, y, gamma_neg=4, gamma_pos=1, clip=0.05):
    p, q = x.sigmoid(), (1 - x.sigmoid() + clip).clamp(max=1)
    return -(y * (1 - p) ** gamma_pos * p.log() + (1 - y) * (1 - q) ** gamma_neg * q.log()).sum()


def foreground(x, y, gamma=2.0, alpha=0.25):
    hot, x = F.one_hot(y, x.shape[1]).to(x)[:, 1:], x[:, 1:]
    bce = F.binary_cross_entropy_with_logits(x, hot, reduction="none")
    side = alpha * hot + (1 - alpha) * (1 - hot)
    return (side * (1 - torch.exp(-bce)) ** gamma * bce).sum() / max(1, (y > 0).sum().item())


def of_similarities(x, y, gamma=2.0, temperature=0.07):
    return focal(x / temperature, y, gamma)


def without_the_pad(x, y, gamma=2.0, pad=0):
    ce = F.cross_entropy(x, y, ignore_index=pad, reduction="none")
    return ((1 - torch.exp(-ce)) ** gamma * ce).sum() / (y != pad).sum().clamp(min=1)


def of_clamped_targets(low):
    def loss(x, y, gamma=2.0):
        soft, log_p = F.one_hot(y, x.shape[1]).to(x).clamp(low, 1 - low), x.log_softmax(1)
        return -(soft * (1 - log_p.exp()) ** gamma * log_p).sum(1).mean()

    return loss


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (of_clamped_targets(1e-5), "the focal loss, plus 1e-05 times the focal losses of the other classes, as"),
        (of_clamped_targets(1e-7), "the focal loss, plus 1e-07 times the focal losses of the other classes, as"),
        (of_similarities, "the focal loss of logits divided by 0.07, a temperature"),
        (without_the_pad, "a focal loss that leaves out targets of class 0 (pad is 0 by default)"),
        (poly, "the focal loss, plus 1 times (1 - p_t) ** 3, as in PolyLoss"),
        (half_and_half, "0.5 times the focal loss, plus 0.5 times cross-entropy"),
        (less_entropy, "the focal loss, less 0.1 times the entropy of the prediction"),
        (normalised, "the focal loss divided by the sum of its factors"),
        (hardest_half, "the focal loss of the hardest examples only: 6 of 12"),
        (margin, "a focal loss with a margin: [0.25, 0.5, 1] is taken off the target's logit"),
        (adjusted, "a focal loss of logits to which [0.828, 0.135, -0.963] was added"),
        (asymmetric, "an asymmetric focal loss: gamma 1 for yes and 4 for no, with a margin of 0.05"),
        (foreground, "the focal loss of detectors: a sum, divided by the number of targets"),
    ],
)
def test_a_relative_is_named(loss, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "another loss"
    assert words in diagnosis.headline


class Turned(torch.autograd.Function):
    @staticmethod
    def forward(ctx, value, times):
        ctx.times = times
        return value.clone()

    @staticmethod
    def backward(ctx, up):
        return ctx.times * up, None


def poly_uphill(x, y, gamma=2.0):
    return Turned.apply(poly(x, y, 1.0, gamma), -1.0)


def foreground_uphill(x, y, gamma=2.0):
    return Turned.apply(foreground(x, y, gamma), -1.0)


def focal(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    return ((1 - p_t) ** gamma * ce).mean()


def uphill(x, y, gamma=2.0):
    return Turned.apply(focal(x, y, gamma), -1.0)


def halved(x, y, gamma=2.0):
    return Turned.apply(focal(x, y, gamma), 0.5)


def parenthesis(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    return ((1 - p_t**gamma) * ce).mean()


def whole_power(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    return (((1 - p_t) * ce) ** gamma).mean()


def largest(x, y, gamma=2.0):
    ce, _ = parts(x, y)
    return ((1 - x.softmax(1).amax(1)) ** gamma * ce).mean()


def by_sigmoid(x, y, gamma=2.0):
    ce, _ = parts(x, y)
    return ((1 - x.gather(1, y[:, None])[:, 0].sigmoid()) ** gamma * ce).mean()


def added(x, y, alpha=None, gamma=2.0):
    ce, p_t = parts(x, y)
    loss = (1 - p_t) ** gamma * ce
    return (loss if alpha is None else loss + alpha[y]).mean()


def no_focuses_by_p(gamma=2.0, alpha=0.25):
    def loss(y_true, y_pred):
        yes, no = torch.where(y_true == 1, y_pred, 1.0), torch.where(y_true == 0, y_pred, 0.0)
        positive = alpha * (1 - yes) ** gamma * torch.log(yes + 1e-7)
        return -positive.mean() - ((1 - alpha) * (1 - no) ** gamma * torch.log(1 - no + 1e-7)).mean()

    return loss


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (poly_uphill, ""),
        (foreground_uphill, ""),
        (uphill, "Its gradient has the wrong sign."),
        (halved, "Its gradient is 0.5 times the slope of its value."),
        (parenthesis, "It takes 1 - p_t ** gamma: the parenthesis ends too late."),
        (whole_power, "The power is of the whole product, with the cross-entropy in it."),
        (largest, "It focuses by the largest probability, where that of the target was meant."),
        (by_sigmoid, "It focuses by the sigmoid of the target's logit, where the softmax was meant."),
        (added, "It adds the weights to the losses."),
        (no_focuses_by_p, "It focuses by p where p_t was meant"),
    ],
)
def test_a_mistake_is_told_and_never_a_relative(loss, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "faulty"
    assert words in diagnosis.headline


def test_a_relative_says_that_its_broken_promises_are_those_of_another_loss():
    text = str(diagnose(poly))
    assert "Of the focal loss's promises, this other loss breaks, as it must:" in text
    assert "If you want that loss, keep it" in text and "known bug" not in text


def test_a_promise_that_does_not_hold_is_quoted():
    said = str(diagnose(lambda x, y, gamma=2.0: focal(x, y, gamma) + 0.1))
    assert "promises, first: “At gamma = 0, focal loss is cross-entropy.”" in said
    assert "Breaks the promise: “At gamma = 0" in said


def test_what_cannot_be_called_is_told_the_line_that_calls_it():
    class TwoHeads(torch.nn.Module):
        def __init__(self, gamma=2.0):
            super().__init__()

        def forward(self, features, boxes, labels):
            raise NotImplementedError

    line = "from focal_lib import diagnose; print(diagnose(lambda input, target, gamma=2.0: "
    call = "TwoHeads(gamma=gamma)(features=input, boxes=input, labels=target))), with your own boxes in place of input."
    assert diagnose(TwoHeads).headline.endswith(line + call)


def test_a_block_s_last_size_opens_the_report():
    def loss(x, y, gamma=2.0):
        return focal(x[:1024], y[:1024], gamma)

    text = str(diagnose(loss))
    assert text.index("Wrong from a size on") < text.index("NaN gradients below gamma = 1")
    assert "1025 rows of 3 classes" in text
