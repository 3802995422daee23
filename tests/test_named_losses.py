"""diagnose(): relatives with another factor or other logits, and mistakes that round, clamp or mix rows, by name."""

import pytest
import torch
import torch.nn.functional as F

from focal_lib import diagnose


def parts(x, y):
    ce = F.cross_entropy(x, y, reduction="none")
    return ce, torch.exp(-ce)


def focal(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    return (1 - p_t) ** gamma * ce


def bce(x, y):
    return F.binary_cross_entropy_with_logits(x, y, reduction="none")


def star(x, y, gamma=2.0, beta=1.0):
    return -F.logsigmoid(gamma * x * (2 * y - 1) + beta).mean() / gamma


def star_of_a_softmax(x, y, gamma=2.0):
    return F.cross_entropy(gamma * x, y) / gamma


def varifocal(x, y, alpha=0.75, gamma=2.0):
    return (bce(x, y) * torch.where(y > 0, y, alpha * (x.sigmoid() - y).abs() ** gamma)).mean()


def reduced(x, y, threshold=0.25, gamma=2.0):
    ce, p_t = parts(x, y)
    return (torch.where(p_t < threshold, 1.0, ((1 - p_t) / threshold) ** gamma) * ce).mean()


def reduced_by_sigmoid(x, y, threshold=0.5, gamma=2.0):
    p_t = torch.exp(-bce(x, y))
    return (torch.where(p_t < threshold, 1.0, ((1 - p_t) / threshold) ** gamma) * bce(x, y)).mean()


def dual(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    p = x.softmax(1)
    return ((1 - p_t + (p * (p < p.gather(1, y[:, None]))).amax(1)) ** gamma * ce).mean()


def cyclical(x, y, gamma=2.0, share=0.25):
    ce, p_t = parts(x, y)
    return (share * focal(x, y, gamma) + (1 - share) * (1 + p_t) ** gamma * ce).mean()


def ordinal(x, y, gamma=2.0):
    return ((1 + (x.argmax(1) - y).abs() / (x.shape[1] - 1)) * focal(x, y, gamma)).mean()


def equalized(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    each = gamma + torch.linspace(0, 1, x.shape[1]).to(x)[y]
    return (each / gamma * (1 - p_t) ** each * ce).mean()


def scaled_margin(x, y, gamma=2.0, s=20.0):
    less = torch.tensor([0.5, 0.4, 0.3]).to(x)
    return focal(s * (x - F.one_hot(y, 3) * less), y, gamma).mean()


def factors_of_logits(x, y, gamma=2.0):
    return focal(x * torch.tensor([0.5, 1.0, 2.0]).to(x), y, gamma).mean()


def adjusted(x, y, gamma=2.0):
    return focal(x + torch.tensor([0.5, 0.3, 0.2])[: x.shape[1]].log().to(x), y, gamma).mean()


def plain_below(x, y, gamma=2.0):
    ce = F.cross_entropy(x, y, reduction="none")
    return (torch.where(torch.exp(-ce) < 0.3, 1.0, (1 - torch.exp(-ce)) ** gamma) * ce).mean()


def summed_by_default(x, y, gamma=2.0, size_average=False):
    ce, p_t = parts(x, y)
    loss = torch.where(p_t < 0.25, (1 - p_t) ** 5, (1 - p_t) ** gamma) * ce
    return loss.mean() if size_average else loss.sum()


def shares(x, y, s):
    return F.one_hot(y, x.shape[1]) * (1 - s) + (1 - F.one_hot(y, x.shape[1])) * s / (x.shape[1] - 1)


def smoothed_by_its_own_p(x, y, gamma=2.0, smoothing=0.1):
    log_p = x.log_softmax(1)
    return -(shares(x, y, smoothing) * (1 - log_p.exp()) ** gamma * log_p).sum(1).mean()


def smoothed_with_a_mean_of_p(x, y, gamma=2.0, epsilon=0.1):
    log_p, soft = x.log_softmax(1), shares(x, y, epsilon)
    return ((1 - (soft * log_p.exp()).sum(1)) ** gamma * -(soft * log_p).sum(1)).mean()


def one_gamma_for_both_sides(x, y, gamma=2.0, eps=0.1):
    log_p, hot = x.log_softmax(1), F.one_hot(y, x.shape[1])
    factor = torch.where(hot == 1, 1 - log_p.exp(), log_p.exp()) ** gamma
    return -((hot * (1 - eps) + eps / x.shape[1]) * factor * log_p).sum(1).mean()


def smoothed_outside(x, y, gamma=2.0, smoothing=0.1):
    _, p_t = parts(x, y)
    return ((1 - p_t) ** gamma * F.cross_entropy(x, y, label_smoothing=smoothing, reduction="none")).mean()


def clamped_targets(x, y, gamma=2.0, epsilon=0.1):
    log_p, hot = x.log_softmax(1), F.one_hot(y, x.shape[1]).to(x).clamp(min=epsilon)
    return -(hot * (1 - log_p.exp()) ** gamma * log_p).sum(1).mean()


def reduced_without_a_jump(x, y, threshold=0.25, gamma=2.0):
    ce, p_t = parts(x, y)
    return (torch.where(p_t < threshold, 1.0, ((1 - p_t) / (1 - threshold)) ** gamma) * ce).mean()


def with_bce(x, y, gamma=2.0, alpha=0.25):
    side = alpha * y + (1 - alpha) * (1 - y)
    return 0.5 * (side * focal_of_yes_and_no(x, y, gamma)).mean() + 0.5 * bce(x, y).mean()


def poly_of_yes_and_no(x, y, gamma=2.0):
    return (focal_of_yes_and_no(x, y, gamma) + (1 - torch.exp(-bce(x, y))) ** (gamma + 1)).mean()


class Sides(torch.nn.Module):
    def __init__(self, gamma, alpha):
        super().__init__()
        self.gamma, self.alpha = gamma, alpha

    def forward(self, x, y):
        y = F.one_hot(y, x.shape[1]).to(x)
        side = y * self.alpha + (1 - y) * (1 - self.alpha)
        return (side * focal_of_yes_and_no(x, y, self.gamma)).mean()


def heat_map(x, y, alpha=2.0, beta=4.0):
    p = x.sigmoid()
    yes, no = (y == 1) * (1 - p) ** alpha * F.logsigmoid(x), (1 - y) ** beta * p**alpha * F.logsigmoid(-x)
    return -(yes + no).sum() / (y == 1).sum()


def counted_from_1(x, y, gamma=2.0):
    return focal_of_yes_and_no(x, F.one_hot(y, x.shape[1] + 1)[:, 1:].to(x), gamma).mean()


def focal_of_yes_and_no(x, y, gamma):
    return (1 - torch.exp(-bce(x, y))) ** gamma * bce(x, y)


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (star, "FL*, of the focal loss's own paper: cross-entropy at gamma * logit + 1, divided by gamma."),
        (star_of_a_softmax, "FL*, of the focal loss's own paper: cross-entropy at gamma * logit + 0"),
        (varifocal, "the varifocal loss of yes and no: -log p for a yes, -0.75 p ** gamma * log(1 - p) for a no"),
        (reduced, "the reduced focal loss, as cross-entropy below p_t = 0.25."),
        (reduced_by_sigmoid, "the reduced focal loss, as cross-entropy below p_t = 0.5, one yes-or-no question"),
        (dual, "the dual focal loss: (1 - p_t + the largest p below p_t) ** gamma"),
        (cyclical, "0.25 times the focal loss, plus 0.75 times (1 + p_t) ** 2 * cross-entropy"),
        (ordinal, "an ordinal focal loss: times 1 + the distance of the class that is predicted from the target"),
        (equalized, "a focal loss with a gamma for each class: 2, 2.5, 3, and weights, 1, 1.25, 1.5"),
        (scaled_margin, "[0.5, 0.4, 0.3] is taken off the target's logit, by class; all are then multiplied by 20"),
        (factors_of_logits, "a focal loss of logits multiplied by [0.5, 1, 2], a factor for each class"),
        (adjusted, "a focal loss of logits to which [0.476, -0.0351, -0.441] was added"),
        (summed_by_default, "a focal loss whose gamma depends on p_t: 5 below 0.25, else 2 (the gamma asked for)"),
        (summed_by_default, "(the gamma asked for); at 0.25 the loss jumps up, so a surer row costs more."),
        (plain_below, "gamma depends on p_t: 0 below 0.3, else 2 (the gamma asked for); the loss drops there."),
        (
            smoothed_by_its_own_p,
            "0.9 for the target, 0.1 / (C - 1) for each other class, with (1 - p_k) ** gamma inside the sum.",
        ),
        (smoothed_with_a_mean_of_p, "0.1 / (C - 1) for each other class, with 1 less the mean of p by these shares"),
        (one_gamma_for_both_sides, "gamma 2 for the target and 2 for other classes, smoothing 0.1: 0.1 / C for each"),
        (smoothed_outside, "smoothing 0.1: 0.1 / C for each class, 0.9 more for the target, with (1 - p_t) ** gamma"),
        (
            clamped_targets,
            "the focal loss, plus 0.1 times the focal losses of the other classes, as smoothed or clamped targets add.",
        ),
        (reduced_without_a_jump, "the reduced focal loss, as cross-entropy below p_t = 0.25."),
        (with_bce, "0.5 times a sigmoid focal loss, the mean of one yes-or-no question for each class, 0.25 for yes"),
        (with_bce, "and 0.75 for no, plus 0.5 times binary cross-entropy."),
        (poly_of_yes_and_no, "question for each class, plus 1 times (1 - p_t) ** 3, as in PolyLoss."),
        (Sides, "a sigmoid focal loss: one yes-or-no question for each class"),
        (heat_map, "the focal loss of heat maps, as CornerNet's: its alpha is the exponent"),
        (counted_from_1, "a sigmoid focal loss whose class 0 has no logit, and class k has logit k - 1"),
    ],
)
def test_a_relative_is_named(loss, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "another loss", diagnosis
    assert words in diagnosis.headline


def clamped(x, y, gamma=2.0):
    p_t = x.softmax(1).gather(1, y[:, None])[:, 0].clamp(0.01, 0.99)
    return ((1 - p_t) ** gamma * -p_t.log()).mean()


def added_to_p_t(x, y, gamma=2.0):
    p_t = x.softmax(1).gather(1, y[:, None])[:, 0] + 1e-4
    return ((1 - p_t) ** gamma * -p_t.log()).mean()


def in_bfloat16(x, y, gamma=2.0):
    return focal(x.bfloat16(), y, gamma).mean().to(x.dtype)


def times_the_mean(x, y, gamma=2.0):
    _, p_t = parts(x, y)
    return ((1 - p_t) ** gamma * F.cross_entropy(x, y)).mean()


def one_p_t_over_n(x, y, gamma=2.0):
    ce = F.cross_entropy(x, y)
    return (1 - torch.exp(-ce)) ** gamma * ce / len(x)


def by_density(x, y, bins=10):
    """Cross-entropies, each divided by how many errors in the batch are about as large."""
    ce, p_t = parts(x, y)
    place = ((1 - p_t.detach()) * bins).long().clamp(max=bins - 1)
    counts = torch.bincount(place, minlength=bins)
    return (ce * len(ce) / counts[place]).mean() / (counts > 0).sum()


def smoothed_p_t(x, y, gamma=2.0, smoothing=0.1):
    return focal_of_yes_and_no(x, y * (1 - smoothing) + smoothing / 2, gamma).mean()


def gamma_by_accuracy(x, y, gamma=2.0):
    gamma = 3 - 2 * (x.argmax(1) == y).double().mean().item()
    return focal(x, y, gamma).mean()


def one_p_t_of_a_table(x, y, alpha=0.5, gamma=2.0):
    ce = F.binary_cross_entropy_with_logits(x, y)
    return alpha * (1 - torch.exp(-ce)) ** gamma * ce


def with_one_p_t(x, y, gamma=2.0):
    ce = F.cross_entropy(x, y)
    return ce + 0.5 * (1 - torch.exp(-ce)) ** gamma * ce


def never_reduced(x, y, gamma=2.0, reduction="mean"):
    return focal(x, y, gamma)


def no_target(x, y, gamma=2.0):
    log_p = x.log_softmax(1)
    return F.cross_entropy(x, y, label_smoothing=0.1) - ((1 - log_p.exp()) ** gamma * log_p).mean()


def clamped_logits(x, y, gamma=2.0):
    return focal(x.clamp(-1, 2), y, gamma).mean()


def softmax_and_sigmoid(x, y, gamma=2.0):
    p = x.softmax(1)
    return ((1 - p * y - (1 - p) * (1 - y)) ** gamma * bce(x, y)).sum(1).mean()


def cut_off(x, y, gamma=2.0, alpha=3):
    p = x.sigmoid().detach()
    return (y * (1 - p) ** gamma * bce(x, y) + alpha * (1 - y) * p**gamma * bce(x, y)).mean()


def shares_inside(x, y, gamma=2.0, smoothing=0.1):
    ce = -(shares(x, y, smoothing) * x.log_softmax(1)).sum(1)
    return ((1 - torch.exp(-ce)) ** gamma * ce).mean()


def deaf_to_reduction(x, y, alpha=1, gamma=2.0, reduction="mean"):
    return alpha * focal_of_yes_and_no(x, y, gamma).mean()


def weights_inside(x, y, weight=None, gamma=2.0):
    ce = F.binary_cross_entropy_with_logits(x, y, weight=weight, reduction="none")
    return ((1 - torch.exp(-ce)) ** gamma * ce).mean()


@pytest.mark.parametrize(
    ("loss", "words"),
    [
        (clamped, "It clamps p_t at 0.01"),
        (added_to_p_t, "It adds 0.0001 to p_t before the logarithm"),
        (in_bfloat16, "It computes in bfloat16 inside"),
        (times_the_mean, "It multiplies the factors (1 - p_t) ** gamma by the mean cross-entropy of the batch"),
        (one_p_t_over_n, "One p_t for the whole batch, divided by the number of rows"),
        (by_density, "Alone, an example costs cross-entropy; in a batch it depends on its neighbours"),
        (smoothed_p_t, "Label smoothing inside p_t"),
        (deaf_to_reduction, "Its argument for the reduction changes nothing; else it is a sigmoid focal loss"),
        (gamma_by_accuracy, "Its gamma comes from the batch, not from its argument"),
        (one_p_t_of_a_table, "One p_t for the whole batch."),
        (with_one_p_t, "One p_t for the whole batch, and 1 times cross-entropy added to 0.5 times the focal loss."),
        (never_reduced, "It returns one loss for each target, whatever its argument for the reduction says."),
        (no_target, "The part with gamma in it never looks at the target."),
        (clamped_logits, "It clamps the logits to [-1, 2]: beyond, nothing is learned."),
        (softmax_and_sigmoid, "Its factor is of a softmax, its cross-entropy of sigmoids."),
        (cut_off, "p_t cut out of the gradient; else it is a sigmoid focal loss: one yes-or-no question"),
        (shares_inside, "Label smoothing inside p_t: 0.9 for the target, 0.1 / (C - 1) for each other class."),
        (weights_inside, "Class weights inside the exponent; else it is a sigmoid focal loss"),
    ],
)
def test_a_mistake_is_named(loss, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "faulty", diagnosis
    assert diagnosis.headline.startswith(f"{loss.__name__}: faulty. {words}")


def tiny_floor(x, y, gamma=2.0, eps=1e-7, ignore_index=-100):
    hot, p = F.one_hot(y, x.shape[1]), x.softmax(1).clamp(eps, 1 - eps)
    return -(hot * (1 - p) ** gamma * p.log()).sum(1).mean()


def test_a_setting_too_small_to_see_makes_no_relative():
    diagnosis = diagnose(tiny_floor)  # as a smoothing it would give these numbers too
    assert diagnosis.relative is None and "Ignored targets" in str(diagnosis)


def divided_by_its_weights(x, y, weight=None, gamma=2.0, smoothing=0.0):
    log_p = x.log_softmax(1)
    return F.nll_loss((1 - log_p.exp()) ** gamma * log_p, y, weight=weight)


def test_a_mean_over_the_weights_is_no_rescaling_of_weights():
    diagnosis = diagnose(divided_by_its_weights)
    assert diagnosis.relative is None and "divides by the sum of the weights" in str(diagnosis)


def test_a_sum_of_right_losses_over_another_number_is_no_neighbourhood():
    assert "neighbours" not in str(diagnose(lambda x, y, gamma=2.0: focal(x, y, gamma).sum() / len(x) ** 2))


def one_p_t(logit, yes, gamma=2.0):
    ce = F.binary_cross_entropy_with_logits(logit, yes)
    return (1 - torch.exp(-ce)) ** gamma * ce


def by_sigmoid(x, y, gamma=2.0):
    ce, _ = parts(x, y)
    return ((1 - x.gather(1, y[:, None])[:, 0].sigmoid()) ** gamma * ce).mean()


@pytest.mark.parametrize(
    ("loss", "follows"),
    [
        (one_p_t, "takes_any_gamma"),  # of two classes: the bug is tried with two as well
        (by_sigmoid, "gradient_is_full_when_wrong_by_100"),  # fragile, and the same formula
    ],
)
def test_what_the_cause_gives_to_the_digit_stands_under_it(loss, follows):
    diagnosis = diagnose(loss)
    assert follows in diagnosis.violations
    assert follows not in diagnosis.unexplained


def test_a_setting_that_every_second_call_puts_back_is_seen():
    def loss(x, y, gamma=2.0):
        torch.set_default_dtype(torch.float64 if torch.get_default_dtype() == torch.float32 else torch.float32)
        return focal(x, y, gamma).mean()

    assert "the default dtype was" in diagnose(loss).violations["inputs_are_unchanged"]
