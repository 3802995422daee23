"""diagnose(): causes that are in no catalogue, what a loss does to its caller's settings, and rare forms."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from focal_lib import diagnose, focal_loss
from focal_lib.bugs import CATALOGUE
from focal_lib.diagnosis.suspects import _bug_result_of


def rows(input, target, gamma=2.0):
    return focal_loss(input, target, gamma=gamma, reduction="none")


def bce(logits, yes):
    return F.binary_cross_entropy_with_logits(logits, yes.to(logits), reduction="none")


# --- causes that are in no catalogue -------------------------------------------------------------------------------


def p_for_p_t(logits, targets, alpha=0.25, gamma=2.0):
    targets = targets.to(logits)
    side = alpha * targets + (1 - alpha) * (1 - targets)
    return (side * (1 - logits.sigmoid()) ** gamma * bce(logits, targets)).mean()


def p_for_p_t_in_one_column(logits, targets, gamma=2.0):
    if logits.shape[1:] != (1,):
        raise ValueError("one column, please")
    return ((1 - logits.sigmoid()) ** gamma * bce(logits, targets)).mean()


def yeses_only(logits, targets, gamma=2.0):
    p = logits.sigmoid()
    return -(targets * (1 - p) ** gamma * p.log()).mean()


def sigmoid_twice(logits, targets, gamma=2.0):
    ce = bce(logits.sigmoid(), targets)
    return ((1 - torch.exp(-ce)) ** gamma * ce).mean()


def weight_of_the_guess(input, target, alpha=None, gamma=2.0):
    loss = rows(input, target, gamma)
    return loss.mean() if alpha is None else (alpha[input.argmax(1)] * loss).mean()


def first_weight(input, target, alpha=None, gamma=2.0):
    loss = rows(input, target, gamma)
    return loss.mean() if alpha is None else (alpha[0] * loss).mean()


def a_number_for_weights(input, target, alpha=1.0, gamma=2.0):
    return (alpha[target] * rows(input, target, gamma)).mean()


def detached_with_weights_of_its_own(input, target, gamma=2.0):
    ce, weights = F.cross_entropy(input, target, reduction="none"), torch.tensor([1.0, 2.0, 4.0]).to(input)
    return (weights[target] * (1 - torch.exp(-ce.detach())) ** gamma * ce).mean()


def exp_of_plus_ce(preds, targets, gamma=2.0):
    ce = F.cross_entropy(preds, targets, reduction="none")
    return ((1 - torch.exp(ce)) ** gamma * ce).mean()


def softmax_before_cross_entropy(x, y, gamma=2.0):
    p = F.softmax(x, 1)
    p_t = p.gather(1, y[:, None])[:, 0]
    return ((1 - p_t) ** gamma * F.cross_entropy(p, y, reduction="none")).mean()


class TokensWithoutThePad(nn.Module):
    def __init__(self, gamma=2.0, ignore_index=0):
        super().__init__()
        self.gamma, self.ignore_index = gamma, ignore_index

    def forward(self, logits, labels):
        ce = F.cross_entropy(logits, labels, ignore_index=self.ignore_index, reduction="none")
        return ((1 - torch.exp(-ce)) ** self.gamma * ce).mean()


def labels_from_one(logits, labels, gamma=2.0):
    return rows(logits, (labels - 1).clamp(min=0), gamma).mean()


def eps_in_both(x, y, gamma=2.0, eps=1e-3):
    p = x.softmax(1).gather(1, y[:, None])[:, 0]
    return (-((1 - p + eps) ** gamma) * (p + eps).log()).mean()


def mean_bce_times_each_factor(outputs, targets, gamma=2.0, alpha=0.25):
    p_t = targets * outputs + (1 - targets) * (1 - outputs)
    side = targets * alpha + (1 - targets) * (1 - alpha)
    return (side * (1 - p_t) ** gamma * F.binary_cross_entropy(outputs, targets)).mean()


def of_unit_logits(x, y, gamma=2.0, t=0.5):
    return rows(F.normalize(x, dim=1) / t, y, gamma).mean()


def range_of_the_batch(x, y, gamma=2.0):
    return rows((x - x.min()) / (x.max() - x.min() + 1e-8), y, gamma).mean()


def spread_of_the_batch(x, y, gamma=2.0):
    return rows((x - x.mean(0)) / (x.std(0) + 1e-5), y, gamma).mean()


def by_the_first_logit(x, y, gamma=2.0):
    first = (y == 0).to(x)
    p_t = first * x[:, 0].sigmoid() + (1 - first) * (1 - x[:, 0].sigmoid())
    return (-((1 - p_t) ** gamma) * p_t.log()).mean()


def log_of_one_more(x, y, gamma=2.0):
    p = x.softmax(1).gather(1, y[:, None])[:, 0]
    return (-((1 - p) ** gamma) * torch.log1p(p)).mean()


def ce_for_p_t(x, y, gamma=2.0):
    ce = F.cross_entropy(x, y, reduction="none")
    return ((1 - ce) ** gamma * ce).mean()


def ce_for_p_t_at_least_0(x, y, gamma=2.0):
    ce = F.cross_entropy(x, y, reduction="none")
    return ((1 - ce).clamp(min=0) ** gamma * ce).mean()


def of_turned_logits(x, y, gamma=2.0):
    return rows(-x, y, gamma).mean()


def in_half(x, y, gamma=2.0):
    return rows(x.half(), y, gamma).mean().float()


def p_t_less_1(x, y, gamma=2.0):
    p = x.softmax(1).gather(1, y[:, None])[:, 0]
    return (-((p - 1) ** gamma) * p.log()).mean()


class WholeGamma(nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = int(gamma)

    def forward(self, x, y):
        return rows(x, y, self.gamma).mean()


@pytest.mark.parametrize(
    ("loss", "cause"),
    [
        (by_the_first_logit, "It never looks at the logits of class 1 and 2"),
        (log_of_one_more, "It takes log(1 + p_t) where log(p_t) was meant"),
        (ce_for_p_t, "It takes 1 - ce where 1 - p_t was meant"),
        (ce_for_p_t_at_least_0, "It takes 1 - ce, no less than 0, where 1 - p_t was meant"),
        (of_turned_logits, "It turns the sign of the logits"),
        (in_half, "It computes in float16 inside"),
        (p_t_less_1, "It takes (p_t - 1) ** gamma where (1 - p_t) ** gamma was meant"),
        (WholeGamma, "It takes gamma as a whole number, without its decimals"),
        (mean_bce_times_each_factor, "It multiplies the factors (1 - p_t) ** gamma by the mean cross-entropy"),
        (of_unit_logits, "It divides the logits by the row's own size"),
        (range_of_the_batch, "It divides the logits by the batch's own size"),
        (spread_of_the_batch, "It divides the logits by the batch's own size"),
        (TokensWithoutThePad, "Targets of class 0 (ignore_index is 0 by default) cost nothing, and count"),
        (labels_from_one, "It takes class 1 for 0 and 2 for 1: its targets are shifted or renamed"),
        (eps_in_both, "It adds 0.001 to 1 - p_t, and to p_t before the logarithm"),
        (exp_of_plus_ce, "It takes exp(ce) for p_t, ce being -log(p_t): the minus is missing"),
        (softmax_before_cross_entropy, "Its cross-entropy takes a second softmax: it is handed probabilities"),
        (a_number_for_weights, "Its default alpha, 1, crashes: it wants a weight for each class"),
        (detached_with_weights_of_its_own, "p_t cut out of the gradient"),
        (p_for_p_t, "It focuses by p where p_t was meant"),
        (p_for_p_t_in_one_column, "It focuses by p where p_t was meant"),
        (yeses_only, "A no costs nothing"),
        (sigmoid_twice, "Sigmoid twice"),
        (weight_of_the_guess, "It takes the weight of the class that is predicted"),
        (first_weight, "It takes the first class's weight for every class"),
    ],
)
def test_the_cause_is_told_and_no_other(loss, cause):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "faulty", diagnosis
    assert diagnosis.headline.startswith(f"{loss.__name__}: faulty. {cause}")
    assert not [id for id in diagnosis.suspects if "wrong" in {diagnosis.levels[n] for n in diagnosis.explained[id]}]
    (what, lines, fix), *_ = diagnosis.causes()
    assert what.startswith(cause) and lines[0].startswith("Shown by: ") and fix
    assert "None of the known bugs" not in str(diagnosis)


def one_p_t_and_mean_of_the_weights(input, target, alpha=None, gamma=2.0, reduce=True):
    ce = F.cross_entropy(input, target)
    loss = (1 if alpha is None else alpha) * (1 - torch.exp(-ce)) ** gamma * ce
    return torch.mean(loss) if reduce else loss


def test_what_explains_more_comes_first():
    """A bug of the catalogue breaks most of the promises here, the weights' mean one more."""
    diagnosis = diagnose(one_p_t_and_mean_of_the_weights)
    first, *rest = [what for what, _lines, _fix in diagnosis.causes()]
    assert first.startswith("One p_t for the whole batch") and "One p_t for the whole batch" in diagnosis.headline
    assert "It takes the mean of the weights for every class" in rest


def sum_over_the_weights(input, target, alpha=None, gamma=2.0, reduction="mean"):
    weight = torch.ones_like(input[0]) if alpha is None else alpha
    loss = weight[target] * rows(input, target, gamma)
    return {"none": loss, "mean": loss.mean(), "sum": loss.sum() / weight[target].sum()}[reduction]


def test_numbers_that_agree_once_name_no_bug():
    diagnosis = diagnose(sum_over_the_weights)  # on one row as if the weights were not used
    assert diagnosis.verdict == "faulty" and "alpha_unused" not in diagnosis.suspects


# --- the caller's settings -----------------------------------------------------------------------------------------


def seeds(input, target, gamma=2.0):
    torch.manual_seed(0)
    return focal_loss(input, target, gamma=gamma)


def turns_gradients_off(input, target, gamma=2.0):
    loss = focal_loss(input, target, gamma=gamma)
    torch.set_grad_enabled(False)
    return loss


def looks_for_anomalies(input, target, gamma=2.0):
    torch.autograd.set_detect_anomaly(True)
    return focal_loss(input, target, gamma=gamma)


@pytest.mark.parametrize(
    ("loss", "verdict", "words"),
    [
        (seeds, "right", "it resets the random numbers of torch"),
        (turns_gradients_off, "faulty", "grad mode was True before the call and is False after it"),
        (looks_for_anomalies, "right", "anomaly detection was False"),
    ],
)
def test_settings_are_the_callers(loss, verdict, words):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == verdict, diagnosis
    assert words in diagnosis.violations["inputs_are_unchanged"]
    assert torch.is_grad_enabled() and not torch.is_anomaly_enabled()
    assert torch.equal(torch.rand(3), expected)


def test_what_a_backward_pass_prints_is_a_remark(capsys):
    def says_its_gradient(input, target, gamma=2.0):
        if input.requires_grad:
            input.register_hook(print)
        return focal_loss(input, target, gamma=gamma)

    assert list(diagnose(says_its_gradient).violations) == ["prints_nothing"]
    assert capsys.readouterr().out == ""


def test_a_cut_graph_is_told():
    def copies(input, target, gamma=2.0):
        return focal_loss(torch.tensor(input.tolist(), requires_grad=True), target, gamma=gamma)

    assert "the gradient does not reach the logits" in diagnose(copies).violations["runs_with_defaults"]


# --- forms ---------------------------------------------------------------------------------------------------------


def weights_of_two(input, target, alpha=(0.25, 0.75), gamma=2.0, reduction="mean"):
    loss = input.new_tensor(alpha)[target] * rows(input, target, gamma)
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]


def maps_with_classes_last(input, target, gamma=2.0):
    n, h, w, c = input.shape
    return focal_loss(input.reshape(n * h * w, c), target.reshape(-1), gamma=gamma)


def by_the_difference(input, target, gamma=2.0):
    margin = torch.where(target == 1, input[:, 1] - input[:, 0], input[:, 0] - input[:, 1])
    ce = F.softplus(-margin)
    return ((-torch.expm1(-ce.clamp_min(1e-30))) ** gamma * ce).mean()


class ByName(nn.Module):
    def __init__(self, *, gamma=2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, *, logits, labels):
        return focal_loss(logits, labels, gamma=self.gamma)


def weights_of_rows(input, target, weight=None, gamma=2.0):
    loss = rows(input, target, gamma)
    return (loss if weight is None else loss * weight).mean()


class Rows(torch.autograd.Function):
    """For logits (N, C) and no others."""

    @staticmethod
    def forward(ctx, input, target):
        ctx.save_for_backward(input, target)
        return focal_loss(input, target, reduction="none")

    @staticmethod
    def backward(ctx, grad):
        input, target = ctx.saved_tensors
        p = input.softmax(1)
        p_t = p.gather(1, target[:, None])
        p = p.clone()
        p[torch.arange(len(target)), target] -= 1
        return grad[:, None] * ((1 - p_t) ** 2 - 2 * p_t * (1 - p_t) * p_t.log()) * p, None


def own_backward(input, target, reduction="mean"):
    loss = Rows.apply(input, target)
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


@pytest.mark.parametrize(
    ("loss", "verdicts"),
    [
        (weights_of_two, {"right"}),
        (maps_with_classes_last, {"right"}),
        (by_the_difference, {"right"}),
        (ByName, {"right"}),
        (weights_of_rows, {"right"}),
        (own_backward, {"right", "fragile"}),
    ],
)
def test_a_right_loss_in_a_rare_form_is_not_faulty(loss, verdicts):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict in verdicts, diagnosis


def test_one_alpha_for_all_is_fragile_where_it_is_1_by_default():
    def scaled(input, target, alpha=1, gamma=2.0):
        return (alpha * rows(input, target, gamma)).mean()

    diagnosis = diagnose(scaled)
    assert diagnosis.verdict == "fragile" and diagnosis.suspects[0] == "scalar_alpha"


def test_a_loss_that_turns_gradients_off_spoils_no_later_diagnosis():
    _bug_result_of.cache_clear()
    diagnose(turns_gradients_off)
    assert diagnose(CATALOGUE["scalar_alpha"].loss).suspects[0] == "scalar_alpha"


# --- losses that raise ---------------------------------------------------------------------------------------------


class OnAGpuOnly(nn.Module):
    def __init__(self, alpha=(0.2, 0.3, 0.5), gamma=2.0):
        super().__init__()
        raise AssertionError("Torch not compiled with CUDA enabled")

    def forward(self, input, target):
        return focal_loss(input, target)


def test_a_class_that_cannot_be_built_could_not_be_tested():
    assert diagnose(OnAGpuOnly).verdict == "could not test"


def for_three_classes(input, target, alpha=None, gamma=2.0):
    if input.shape[1] > 3:
        raise ValueError("three classes, please")
    return focal_loss(input, target, alpha=alpha, gamma=gamma)


def for_gamma_two(input, target, gamma=2.0):
    if gamma != 2:
        raise ValueError("gamma is 2 here")
    return focal_loss(input, target)


def test_a_refusal_is_no_sign_of_another_form():
    """Each would run on probabilities too, and be wrong there."""
    diagnosis = diagnose(for_three_classes)
    assert diagnosis.verdict == "right" and "It takes 3 classes only." in diagnosis.conventions, diagnosis
    diagnosis = diagnose(for_gamma_two)
    assert not diagnosis.suspects and "gamma is 2 here" in diagnosis.violations["gamma_zero_is_cross_entropy"]
