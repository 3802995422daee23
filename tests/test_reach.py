"""Losses that are no torch function of logits and targets, and what is said of those that cannot be tested."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from focal_lib import diagnose, focal_loss
from focal_lib.diagnosis import through


def slope(p, hot, gamma):
    p_t = (p * hot).sum(1, keepdims=True)
    return ((1 - p_t) ** gamma - gamma * p_t * (1 - p_t) ** (gamma - 1) * np.log(p_t)) * (p - hot)


def softmax(z):
    e = np.exp(z - z.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def flat_scores(preds, data, gamma=2.0):
    """A LightGBM objective: all scores of class 0 first."""
    y = data.get_label().astype(int)
    z = preds.reshape(len(y), -1, order="F")
    p = softmax(z)
    return slope(p, np.eye(z.shape[1])[y], gamma).ravel("F"), (p * (1 - p)).ravel("F")


def table_of_scores(y_true, y_pred, gamma=1.5):
    p = softmax(y_pred)
    return slope(p, np.eye(p.shape[1])[y_true], gamma), p * (1 - p)


def one_margin(preds, data, alpha=0.25, gamma=2.0):
    """A binary one with the paper's alpha."""
    y, p = data.get_label(), 1 / (1 + np.exp(-preds))
    p = np.stack([1 - p, p], 1)
    hot = np.stack([1 - y, y], 1)
    return (alpha * y + (1 - alpha) * (1 - y)) * slope(p, hot, gamma)[:, 1], np.ones_like(y)


def scores_taken_for_probabilities(y_true, y_pred, gamma=2.0):
    hot = np.eye(y_pred.shape[1])[y_true]
    return (1 - (y_pred * hot).sum(1, keepdims=True)) ** gamma * (y_pred - hot), np.ones_like(y_pred)


@pytest.mark.parametrize(
    ("loss", "words"),
    [(flat_scores, "gamma 2."), (table_of_scores, "gamma 1.5."), (one_margin, "times [0.75, 0.25] for the classes")],
)
def test_an_objective_of_a_booster_is_judged_by_its_gradient(loss, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "right"
    assert diagnosis.headline.endswith("The one property that can be tested of it holds: its gradient.")
    assert words in diagnosis.conventions[0]


def test_a_wrong_objective_is_faulty():
    diagnosis = diagnose(scores_taken_for_probabilities)
    assert diagnosis.verdict == "faulty"
    assert "the gradient is [-0.125, 0, -0.375], expected" in diagnosis.violations["gradient_has_the_closed_form"]


def without_defaults(y_true, y_pred, alpha, gamma):
    return one_margin(y_pred, SimpleNamespace(get_label=lambda: y_true), alpha, gamma)


def turned_without_defaults(preds, data, gamma):
    gradient, hessian = one_margin(preds, data, 0.5, gamma)
    return -gradient, hessian


def test_an_objective_is_called_with_an_alpha_and_gamma_where_it_has_no_defaults():
    assert "gamma 2, times [0.75, 0.25] for the classes" in diagnose(without_defaults).conventions[0]
    assert diagnose(turned_without_defaults).mistake[0] == "Its gradient has the wrong sign"
    assert "gamma 3" in diagnose(turned_without_defaults, gamma=3.0).violations["gradient_has_the_closed_form"]


class Lightning(nn.Module):
    def __init__(self, mean_first=False):
        super().__init__()
        self.net, self.mean_first = nn.Linear(4, 3), mean_first

    def forward(self, x):
        return self.net(x)

    def training_step(self, batch, batch_idx):
        x, y = batch
        ce = F.cross_entropy(self(x), y, reduction="mean" if self.mean_first else "none")
        loss = (-torch.expm1(-ce.clamp_min(1e-30))) ** 2 * ce
        self.log("train_loss", loss.mean())
        return {"loss": loss.mean()}


def test_a_training_step_is_called_with_logits_for_its_batch():
    assert diagnose(Lightning).verdict == "right"
    faulty = diagnose(Lightning(mean_first=True))
    assert faulty.verdict == "faulty" and faulty.suspects == ["mean_before_pt"]


def of_another_framework(logits, labels):
    """A loss and its gradient in numpy, as jax.value_and_grad gives them."""
    p, rows = softmax(logits), len(labels)
    hot = np.eye(p.shape[1])[labels]
    p_t = (p * hot).sum(1)
    return np.mean(-((1 - p_t) ** 2) * np.log(p_t)), slope(p, hot, 2.0) / rows


def test_a_loss_of_another_framework_goes_through():
    diagnosis = diagnose(through(of_another_framework))
    assert diagnosis.verdict in ("right", "fragile"), diagnosis
    assert diagnose(through(lambda x, y: (of_another_framework(x, y)[0], of_another_framework(-x, y)[1]))).verdict == (
        "faulty"
    )


def numpy_only(y_true, y_prob):
    return np.mean(-np.log(y_prob[np.arange(len(y_true)), y_true]), axis=0)


def cuda_only(input, target):
    raise RuntimeError("Found no NVIDIA driver on your system")


@pytest.mark.parametrize(
    ("loss", "words"),
    [(cuda_only, "It asks for a GPU that is not here: make its tensors with device=input.device.")],
)
def test_what_cannot_be_tested_is_told_with_the_line_that_helps(loss, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "could not test" and words in diagnosis.headline


def classes_last(logits, target, gamma=2.0):
    log_pt = logits.log_softmax(-1).gather(-1, target[..., None])[..., 0]
    return ((-torch.expm1(log_pt.clamp_max(-1e-30))) ** gamma * -log_pt).mean()


def without_effect(input, target, gamma=2.0, label_smoothing=0.1):
    return focal_loss(input, target, gamma=gamma)


@pytest.mark.parametrize(
    ("loss", "words"),
    [(classes_last, "(N, H, W, C)"), (without_effect, "label_smoothing = 0.1 (another value changed nothing)")],
)
def test_is_told(loss, words):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "right", diagnosis
    assert words in str(diagnosis)


def key_points(pred, gt):
    positive = gt.eq(1).to(pred)
    rows = positive * (1 - pred) ** 2 * pred.log() + (1 - positive) * pred**2 * (1 - pred).log()
    return -rows.sum() / positive.sum().clamp_min(1)


def test_a_loss_of_key_points_is_another_loss():
    diagnosis = diagnose(key_points)
    assert diagnosis.verdict == "another loss" and "number of positives" in diagnosis.headline


class WarmUp(nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma, self.step = gamma, 0

    def forward(self, input, target):
        self.step += 1
        return focal_loss(input, target, gamma=self.gamma * min(1.0, self.step / 100))


def test_a_memory_is_told_before_what_follows_from_it():
    diagnosis = diagnose(WarmUp)
    assert diagnosis.verdict == "faulty" and diagnosis.suspects == []
    assert "faulty. A call changes what the next one gives: the worst of its 6 faults." in diagnosis.headline


def test_a_lost_sign_is_told_first():
    diagnosis = diagnose(lambda input, target, gamma=2.0: -focal_loss(input, target, gamma=gamma))
    assert diagnosis.headline.endswith("The minus before the logarithm is missing.")


def test_right_in_float32_and_wrong_in_half_is_fragile():
    def coarse(input, target, gamma=2.0):
        loss = focal_loss(input, target, gamma=gamma)
        return loss * 1.5 if input.dtype == torch.float16 else loss

    diagnosis = diagnose(coarse)
    assert diagnosis.verdict == "fragile" and "torch.float16" in diagnosis.violations["is_finite_in_half_precision"]


def test_a_table_of_classes_by_classes_does_not_fill_the_memory():
    sizes = []

    def with_eye(input, target, gamma=2.0):
        sizes.append(input.shape[1])
        hot = torch.eye(input.shape[1], dtype=input.dtype)[target]
        ce = -(input.log_softmax(1) * hot).sum(1)
        return ((-torch.expm1(-ce.clamp_min(1e-30))) ** gamma * ce).mean()

    assert "is_right_at_every_size" not in diagnose(with_eye).violations
    assert max(sizes) < 5000


def uphill(preds, data, gamma=2.0):
    gradient, second = one_margin(preds, data, alpha=0.5, gamma=gamma)
    return -gradient, second


def hollow(preds, data, gamma=2.0):
    return one_margin(preds, data, gamma=gamma)[0], -np.ones_like(preds)


def by_differences(y_true, y_pred, alpha=0.25, gamma=2.0):
    """One that also runs on tensors, and whose first result is no loss."""

    def loss(x):
        p = 1 / (1 + np.exp(-x))
        p_t = y_true * p + (1 - y_true) * (1 - p)
        return -(alpha * y_true + (1 - alpha) * (1 - y_true)) * (1 - p_t) ** gamma * np.log(p_t)

    h = 1e-4
    up, here, down = loss(y_pred + h), loss(y_pred), loss(y_pred - h)
    return (up - down) / (2 * h), (up - 2 * here + down) / h**2


@pytest.mark.parametrize(
    ("loss", "what"), [(uphill, "gradient has the wrong sign"), (hollow, "Hessian is not positive")]
)
def test_an_objective_that_climbs_is_faulty(loss, what):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "faulty"
    assert what in diagnosis.headline


def test_an_objective_by_differences_is_right_and_its_hessian_too():
    diagnosis = diagnose(by_differences)
    assert diagnosis.verdict == "right"
    assert "gamma 2, times [0.75, 0.25]" in diagnosis.conventions[0]
    assert "Hessian is positive" not in diagnosis.conventions[0]


def test_a_value_computed_in_numpy_could_not_be_tested():
    def loss(y_pred, y_true):
        p = np.exp(np.asarray(y_pred)) / np.exp(np.asarray(y_pred)).sum(1, keepdims=True)
        p_t = p[np.arange(len(p)), np.asarray(y_true)]
        return float((-((1 - p_t) ** 2) * np.log(p_t)).mean())

    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "could not test"
    assert "because it computes in numpy" in diagnosis.headline


def next_token(model, inputs, return_outputs=False):
    logits, labels = model(**inputs)["logits"], inputs["labels"]
    ce = F.cross_entropy(logits[..., :-1, :].flatten(0, -2), labels[..., 1:].flatten(), reduction="none")
    return ((1 - torch.exp(-ce)) ** 2 * ce).mean()


def of_sequences(logits, labels, gamma=2.0):
    if logits.dim() != 3:
        raise ValueError("(N, T, C) expected")
    ce = F.cross_entropy(logits.movedim(-1, 1), labels, reduction="none")
    return ((1 - torch.exp(-ce)) ** gamma * ce).mean()


def of_sequences_wrong(logits, labels, gamma=2.0):
    if logits.dim() != 3:
        raise ValueError("(N, T, C) expected")
    ce = F.cross_entropy(logits.movedim(-1, 1), labels)
    return (1 - torch.exp(-ce)) ** gamma * ce


@pytest.mark.parametrize(
    ("loss", "form"),
    [(next_token, "sequences (N, T, C), each row for the next"), (of_sequences, "sequences (N, T, C) only")],
)
def test_losses_of_sequences_are_reached(loss, form):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict in ("right", "fragile")
    assert form in diagnosis.conventions[0]


def test_a_wrong_loss_of_sequences_is_faulty():
    assert diagnose(of_sequences_wrong).headline.startswith("of_sequences_wrong: faulty. One p_t for the whole batch")


def weight_of_each_row(pred, target, weight=None, gamma=2.0, alpha=0.25, reduction="mean"):
    """As in libraries for detectors: ``weight`` is no weight of classes."""
    p = pred.sigmoid()
    target = target.type_as(pred)
    focus = (alpha * target + (1 - alpha) * (1 - target)) * ((1 - p) * target + p * (1 - target)) ** gamma
    loss = F.binary_cross_entropy_with_logits(pred, target, reduction="none") * focus
    loss = loss if weight is None else loss * weight.view(-1, 1)
    return loss.mean() if reduction == "mean" else loss.sum() if reduction == "sum" else loss


def of_probabilities(gamma=2.0, alpha=0.25):
    """As in Keras: a closure, the paper's alpha, and a sum over all that an example has."""

    def loss(y_true, y_pred):
        y_pred = y_pred.clamp(1e-7, 1 - 1e-7)
        p_t = torch.where(y_true == 1, y_pred, 1 - y_pred)
        alpha_t = torch.where(y_true == 1, alpha * torch.ones_like(y_pred), 1 - alpha * torch.ones_like(y_pred))
        return (-alpha_t * (1 - p_t) ** gamma * p_t.log()).reshape(len(p_t), -1).sum(1).mean()

    return loss


@pytest.mark.parametrize("loss", [weight_of_each_row, of_probabilities])
def test_an_alpha_for_yes_against_no_is_found_beside_what_looks_like_weights(loss):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict in ("right", "fragile")
    assert any("two classes" in words for words in diagnosis.conventions)
    assert "Its alpha is the weight of class 1, and 1 - alpha that of class 0." in diagnosis.conventions
    assert "times the focal loss" not in str(diagnosis)
    assert ("after a softmax, that is another loss" in str(diagnosis)) == (loss is of_probabilities)


def test_a_sum_over_the_classes_is_of_a_table_and_not_of_one_probability_a_row():
    def loss(y_true, y_pred, gamma=2.0, alpha=0.25):
        p = y_pred.clamp(1e-7, 1 - 1e-7)
        yes = -alpha * y_true * (1 - p) ** gamma * p.log()
        no = -(1 - alpha) * (1 - y_true) * p**gamma * (1 - p).log()
        return (yes + no).sum(-1).mean()

    assert "a softmax with one yes-or-no term for each class, 0.25 for yes" in diagnose(loss).headline


def test_a_mean_over_a_table_of_logits_is_told_by_its_name():
    def loss(pred, target, gamma=2.0):
        p = pred.softmax(dim=1)  # of one column it is 1, and so the loss 0, whatever the reduction
        return -(target * (1 - p) ** gamma * p.log()).mean()

    assert diagnose(loss).suspects[0] == "mean_over_classes"


def test_a_mean_over_images_is_a_remark():
    def loss(x, y, gamma=2.0):
        ce = F.cross_entropy(x, y, reduction="none")
        return ((-torch.expm1(-ce.clamp_min(1e-30))) ** gamma * ce).reshape(len(x), -1).sum(1).mean()

    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "right"
    assert "adds up the pixels of an image" in diagnosis.violations["image_equals_its_rows"]


def test_two_numbers_are_no_objective():
    diagnosis = diagnose(lambda input, target: (1.0, 2.0))
    assert diagnosis.verdict == "faulty"
    assert "objective" not in str(diagnosis)


def thirteen_classes(input, target, gamma=2.0):
    hot = torch.zeros(len(target), 13).to(input)
    hot[range(len(target)), target] = 1
    log_p_t = (input.log_softmax(1) * hot).sum(1)
    return (-torch.expm1(log_p_t.clamp_max(-1e-30))) ** gamma @ -log_p_t / len(target)


def test_a_number_of_classes_is_read_from_the_error():
    diagnosis = diagnose(thirteen_classes)
    assert diagnosis.verdict == "right" and "It takes 13 classes only." in diagnosis.conventions, diagnosis


def asks_for_its_probabilities(logits, target, p):
    p_t = p.gather(1, target[:, None])[:, 0]
    return ((1 - p_t) ** 2 * F.cross_entropy(logits, target, reduction="none")).mean()


def test_what_only_nonsense_fills_is_not_judged():
    diagnosis = diagnose(asks_for_its_probabilities)
    assert diagnosis.verdict == "could not test" and "it cannot be called without p," in diagnosis.headline, diagnosis


def bent_at_zero(logits, yes, gamma=2.0):
    """Right but for a logit of 0, where relu and abs have no slope."""
    ce = torch.relu(logits) - logits * yes + torch.log1p(torch.exp(-logits.abs()))
    return ((-torch.expm1(-ce.clamp_min(1e-30))) ** gamma * ce).mean()


def test_a_slope_that_is_wrong_at_one_point_is_fragile():
    diagnosis = diagnose(bent_at_zero)
    assert diagnosis.verdict == "fragile" and "gradient_has_the_closed_form" in diagnosis.violations, diagnosis
    assert "two of them equal" in str(diagnosis)


def of_a_dataset(margin, data, gamma=2.0):
    """The gradient with (1 - p_t) ** gamma taken for a constant."""
    p, y = 1 / (1 + np.exp(-margin)), data.label
    p_t = y * p + (1 - y) * (1 - p)
    return (1 - p_t) ** gamma * (p - y), p * (1 - p)


def makes_one(gamma=2.0):
    return lambda y, margin: of_a_dataset(margin, SimpleNamespace(label=y), gamma)


@pytest.mark.parametrize("loss", [of_a_dataset, makes_one])
def test_an_objective_that_forgets_a_term_is_told_so(loss):
    diagnosis = diagnose(loss)
    assert "faulty. Its gradient leaves out that (1 - p_t) ** gamma changes too" in diagnosis.headline
    assert "It bites with" not in str(diagnosis)  # it is wrong for any logits


def sigmoids_of_four(y_true, y_pred):
    z, hot = torch.tensor(y_pred.reshape(-1, 4, order="F")).requires_grad_(), torch.eye(4)[y_true]
    ce = F.binary_cross_entropy_with_logits(z, hot.to(z), reduction="none")
    p = z.sigmoid().detach().numpy()
    (slope,) = torch.autograd.grad(((0.25 * hot + 0.75 * (1 - hot)) * (1 - torch.exp(-ce)) ** 2 * ce).sum(), z)
    return slope.numpy().flatten("F"), (p * (1 - p)).flatten("F")


def test_an_objective_of_sigmoids_is_another_loss():
    diagnosis = diagnose(sigmoids_of_four)
    assert diagnosis.verdict == "another loss" and "0.25 for yes and 0.75 for no, gamma 2" in diagnosis.headline


class ClassBalanced(nn.Module):
    def __init__(self, samples_per_cls, no_of_classes, beta=0.9999, gamma=2.0):
        super().__init__()
        weights = (1 - beta) / (1 - beta ** torch.tensor(samples_per_cls, dtype=torch.float64))
        self.weights, self.gamma = weights / weights.sum() * no_of_classes, gamma

    def forward(self, logits, labels):
        w, ce = self.weights.to(logits.device)[labels], F.cross_entropy(logits, labels, reduction="none")
        return (w * (-torch.expm1(-ce.clamp_min(1e-38))) ** self.gamma * ce).sum() / w.sum()


class Divided(nn.Module):
    def __init__(self, gamma=2.0, reduction="mean"):
        super().__init__()
        self.gamma, self.reduction = gamma, reduction
        self.register_buffer("w", torch.tensor([0.2, 0.5, 1.5]))

    def forward(self, x, y):
        w, ce = self.w.to(x)[y], F.cross_entropy(x, y, reduction="none")
        loss = w * (-torch.expm1(-ce.clamp_min(1e-38))) ** self.gamma * ce
        return {"none": loss, "sum": loss.sum(), "mean": loss.sum() / w.sum()}[self.reduction]


def divided_by_half(x, y, gamma=2.0):
    w, ce = torch.tensor([0.2, 0.5, 1.5]).to(x)[y], F.cross_entropy(x, y, reduction="none")
    return (w * (1 - torch.exp(-ce)) ** gamma * ce).sum() / (w.sum() + w[:1].sum())


@pytest.mark.parametrize("loss, weights", [(ClassBalanced, "[1.636, 0.8183, 0.5458]"), (Divided, "[0.2, 0.5, 1.5]")])
def test_weights_inside_by_whose_sum_the_mean_divides_are_no_fault(loss, weights):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "right", diagnosis
    assert f"It weights the classes inside, by {weights}." in diagnosis.conventions
    assert "Its mean divides by the sum of the weights, as F.cross_entropy(weight=...) does." in diagnosis.conventions


def test_three_classes_meet_the_extremes_too():
    def of_three(x, y, gamma=2.0):
        w, ce = torch.tensor([0.2, 0.5, 1.5]).to(x), F.cross_entropy(x, y, reduction="none")
        return (w[y] * (1 - torch.exp(-ce)) ** gamma * ce).mean()

    diagnosis = diagnose(of_three)
    assert diagnosis.suspects == ["nan_below_gamma_one"], diagnosis
    assert "[[50, 0, 0]]" in diagnosis.violations["is_finite_for_small_gamma"]
    assert "is_finite_in_half_precision" not in diagnosis.untested


def test_a_mean_divided_by_more_than_the_weights_is_faulty():
    assert diagnose(divided_by_half).verdict == "faulty"


def test_weights_for_three_classes_inside_are_judged_on_three():
    def inside_p_t(x, y, gamma=2.0):
        ce = F.cross_entropy(x, y, weight=torch.tensor([0.2, 0.5, 1.5]).to(x), reduction="none")
        return ((1 - torch.exp(-ce)) ** gamma * ce).mean()

    diagnosis = diagnose(inside_p_t)
    assert diagnosis.verdict == "faulty" and "raised" not in str(diagnosis.violations)


class LooksAtTheDevice(nn.Module):
    def __init__(self, alpha=None, gamma=2.0):
        super().__init__()
        self.alpha, self.gamma = alpha, gamma

    def elsewhere(self, x):
        return self.alpha.device != x.device

    def forward(self, x, y):
        loss = focal_loss(x, y, gamma=self.gamma, reduction="none")
        if self.alpha is None:
            return loss.mean()
        if len(self.alpha) != x.shape[1]:
            raise ValueError("one weight for each class, please")
        if self.elsewhere(x):
            self.alpha = self.alpha.to(x.device)
        return (self.alpha[y] * loss).mean()


class LooksAtTheType(LooksAtTheDevice):
    def elsewhere(self, x):
        return self.alpha.type() != x.type()


class AsksForAGpu(LooksAtTheDevice):
    def elsewhere(self, x):
        return x.is_cuda and not self.alpha.is_cuda


class NeverLooks(LooksAtTheDevice):
    def elsewhere(self, x):
        return False


@pytest.mark.parametrize(
    "loss, verdict", [(LooksAtTheDevice, "right"), (LooksAtTheType, "right"), (NeverLooks, "fragile")]
)
def test_weights_that_are_moved_when_they_are_elsewhere_do_not_stay_behind(loss, verdict):
    assert diagnose(loss).verdict == verdict


def test_what_moves_its_weights_by_is_cuda_is_neither_right_nor_faulty_there():
    diagnosis = diagnose(AsksForAGpu)
    assert "shows on a GPU alone" in diagnosis.untested["weights_follow_the_module"]


def always_summed(input, target, gamma=2.0, ignore_index=-100):
    ce = F.cross_entropy(input, target, ignore_index=ignore_index, reduction="none")
    return ((-torch.expm1(-ce.clamp_min(1e-38))) ** gamma * ce).sum()


def never_reduced(input, target, gamma=2.0, ignore_index=-100):
    ce = F.cross_entropy(input, target, ignore_index=ignore_index, reduction="none")
    return (-torch.expm1(-ce.clamp_min(1e-38))) ** gamma * ce


def sums_all(input, target, gamma=2.0, ignore_index=-100):
    return focal_loss(input, target.where(target != ignore_index, 0), gamma=gamma, reduction="sum")


@pytest.mark.parametrize("loss, verdict", [(always_summed, "right"), (never_reduced, "right"), (sums_all, "faulty")])
def test_who_does_not_take_the_mean_has_no_mean_that_ignored_rows_stay_in(loss, verdict):
    assert diagnose(loss).verdict == verdict


class Trainer:
    """As libraries have it: it asks for a model."""

    def __init__(self, model=None, args=None, **settings):
        if model is None:
            raise RuntimeError("`Trainer` requires either a `model` or `model_init` argument")
        self.model = model


class FocalTrainer(Trainer):
    def __init__(self, *args, gamma=2.0, alpha=None, **kwargs):
        super().__init__(*args, **kwargs)
        self.gamma, self.alpha = gamma, alpha

    def compute_loss(self, model, inputs, return_outputs=False, **kwargs):
        labels = inputs.pop("labels")
        outputs = model(**inputs)
        ce = F.cross_entropy(outputs.logits, labels, weight=self.alpha, reduction="none")
        loss = ((1 - torch.exp(-ce)) ** self.gamma * ce).mean()
        return (loss, outputs) if return_outputs else loss


def test_a_trainer_is_judged_without_a_model():
    before = Trainer.__init__
    diagnosis = diagnose(FocalTrainer)
    assert diagnosis.suspects[0] == "weight_inside_cross_entropy"
    assert "def focal_loss(logits, labels, *, alpha=None, gamma=2" in str(diagnosis)
    assert Trainer.__init__ is before
    with pytest.raises(RuntimeError, match="requires either a `model`"):
        FocalTrainer()


class LastAxisTrainer(FocalTrainer):
    def compute_loss(self, model, inputs):
        labels = inputs.pop("labels")
        log_p = F.log_softmax(model(**inputs).logits, dim=-1).gather(1, labels[:, None])[:, 0]
        loss = -((1 - log_p.exp()) ** self.gamma) * log_p
        return (loss if self.alpha is None else self.alpha[labels] * loss).mean()


def test_a_trainer_of_rows_is_not_blamed_for_label_maps():
    diagnosis = diagnose(LastAxisTrainer)
    assert diagnosis.verdict == "fragile" and diagnosis.levels["image_equals_its_rows"] == "fragile"


def nan_for_a_sure_yes(inputs, targets, gamma=2.0):
    bce = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    return (bce * (targets - torch.sigmoid(inputs)).abs() ** gamma).mean()


def test_a_sure_yes_is_looked_at_as_a_sure_no_is():
    assert "is_finite_for_small_gamma" in diagnose(nan_for_a_sure_yes).violations


def warms_up(logits, target, epoch, gamma=2.0):
    ce = F.cross_entropy(logits, target, reduction="none")
    return ((-torch.expm1(-ce.clamp_min(1e-38))) ** (gamma * min(1, epoch)) * ce).mean()


def keeps_ignored_rows(logits, target, gamma=2.0, ignore_lb=255):
    ce = F.cross_entropy(logits, target, ignore_index=ignore_lb, reduction="none")
    return ((-torch.expm1(-ce.clamp_min(1e-38))) ** gamma * ce).mean()


def test_an_epoch_is_a_number_and_a_label_to_ignore_has_many_names():
    assert diagnose(warms_up).verdict == "right"
    assert diagnose(keeps_ignored_rows).suspects == ["ignored_rows_in_the_mean"]
    assert "ignore_lb=255" in diagnose(keeps_ignored_rows).rewrite


@pytest.mark.parametrize("void", ["void=255", "void=-1", "void", "ignore_lb"])
def test_a_label_to_ignore_is_found_by_what_it_does_with_a_default_or_none(void):
    name, space = void.split("=")[0], {"focal_loss": focal_loss}
    right = f"focal_loss(logits, target, gamma=gamma, ignore_index={name})"
    kept = f"(target != {name}).to(logits)"
    dilutes = f"focal_loss(logits, target, gamma=gamma, ignore_index={name}, reduction='sum') / len(target)"
    for code in (right, f"{dilutes} * len(target) / {kept}.sum()", dilutes):
        exec(f"def loss(logits, target, {void}, gamma=2.0):\n    return {code}", space)
        diagnosis = diagnose(space["loss"])
        assert "ignored_rows_are_dropped" not in diagnosis.untested
        assert diagnosis.suspects == ["ignored_rows_in_the_mean"] * (code == dilutes)


def clamps_labels(logits, target, max_epoch=100, nc=10, gamma=2.0):
    return focal_loss(logits, target.clamp(max=logits.shape[1] - 1), gamma=gamma)


def test_a_number_above_the_classes_is_no_label_to_ignore_by_its_size_alone():
    assert "ignored_rows_are_dropped" in diagnose(clamps_labels).untested
