"""What diagnose() tries with a loss that is not the focal loss, and says: its formula, its costs, another setting."""

import functools

import pytest
import torch
import torch.nn.functional as F

from focal_lib import diagnose
from focal_lib.diagnosis.adapter import Adapter
from focal_lib.diagnosis.tried import formula_of_p_t


def parts(x, y):
    ce = F.cross_entropy(x, y, reduction="none")
    return ce, torch.exp(-ce)


def on_the_fence(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    return ((p_t * (1 - p_t)) ** gamma * ce).mean()


def too_steep(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    return ((1 - p_t) ** (2 * gamma - 1) * ce).mean()


def of_the_square(x, y):
    ce, p_t = parts(x, y)
    return (0.5 * (1 - p_t) ** 3 * ce**2).mean()


def root_of_p_t(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    return (p_t**0.5 * (1 - p_t) ** gamma * ce).mean()


@pytest.mark.parametrize(
    ("loss", "formula"),
    [
        (on_the_fence, "p_t ** gamma * (1 - p_t) ** gamma * -log(p_t)"),
        (too_steep, "(1 - p_t) ** (2 * gamma - 1) * -log(p_t)"),
        (of_the_square, "0.5 * (1 - p_t) ** 3 * (-log(p_t)) ** 2"),
        (root_of_p_t, "p_t ** 0.5 * (1 - p_t) ** gamma * -log(p_t)"),
    ],
)
def test_a_product_of_powers_is_written_down(loss, formula):
    diagnosis = diagnose(loss)
    assert diagnosis.headline == (
        f"{loss.__name__}: faulty. Its loss of a row is {formula}, and not (1 - p_t) ** gamma * -log(p_t)."
    )
    assert "gives_the_golden_numbers" in diagnosis.mistake[3]


def mean_of_a_table(x, y, gamma=2.0):
    log_p = x.log_softmax(1)
    return (F.one_hot(y, x.shape[1]) * (1 - log_p.exp()) ** gamma * -log_p).mean()


def test_a_part_of_the_focal_loss_is_no_other_formula():
    assert formula_of_p_t(Adapter(on_the_fence)) is not None
    assert formula_of_p_t(Adapter(mean_of_a_table)) is None


def of_sines(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    return (torch.cos(p_t * torch.pi / 2) ** gamma * ce).mean()


def of_the_runner_up(x, y, gamma=2.0):
    ce, _ = parts(x, y)
    other = x.softmax(1).masked_fill(F.one_hot(y, x.shape[1]).bool(), 0).amax(1)
    return (other**gamma * ce).mean()


def last_class_twice(x, y, gamma=2.0):
    ce, p_t = parts(x, y)
    return (torch.cos(p_t * torch.pi / 2) ** gamma * ce * torch.where(y == 2, 2.0, 1.0)).mean()


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (of_sines, "Rows with p_t = 0.1, 0.5, 0.9 cost 2.25, 0.347, 0.00258; by the focal loss, 1.87, 0.173, 0.00105."),
        (of_the_runner_up, "Two rows with p_t = 0.1 cost 0.4663 and 1.511, where the largest other class has 50% and"),
        (last_class_twice, "Two rows with p_t = 0.1 cost 2.246 and 4.492, for targets 0 and 2: it depends on more"),
    ],
)
def test_what_rows_cost_is_told_where_no_cause_is_known(loss, said):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "faulty"
    assert said in diagnosis.costs
    for report in (str(diagnosis), diagnosis._repr_html_().replace("<wbr>", ""), str(diagnosis.as_dict()["causes"])):
        assert said in report


class TwoTerms(torch.nn.Module):
    def __init__(self, gamma=2.0, alpha=None, ce_weight=0.5, focal=True):
        super().__init__()
        self.gamma, self.ce_weight, self.focal = gamma, ce_weight, focal
        self.register_buffer("alpha", alpha)

    def weighted(self, loss, y):
        return (loss if self.alpha is None else self.alpha[y] * loss).mean()

    def forward(self, x, y):
        ce, p_t = parts(x, y)
        return self.weighted((1 - p_t) ** self.gamma * ce + self.ce_weight * ce, y)


class WeightsInside(TwoTerms):
    def forward(self, x, y):
        ce = F.cross_entropy(x, y, weight=self.alpha, reduction="none")
        return ((1 - torch.exp(-ce)) ** self.gamma * ce + self.ce_weight * ce).mean()


class Switched(TwoTerms):
    def __init__(self, gamma=2.0, plain=True):
        super().__init__(gamma)
        self.plain = plain

    def forward(self, x, y):
        ce, p_t = parts(x, y)
        return (ce if self.plain else (1 - p_t) ** self.gamma * ce).mean()


@pytest.mark.parametrize(("loss", "setting"), [(TwoTerms, "ce_weight=0"), (Switched, "plain=False")])
def test_the_setting_that_makes_it_the_focal_loss_is_tried(loss, setting):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == "another loss"
    tried = "Tried: its numbers are the focal loss's then; still broken: "
    said = diagnosis.next[1].removeprefix(f"For the paper's focal loss, pass {setting}. {tried}")
    argument, value = setting.split("=")
    told = diagnose(functools.partial(loss, **{argument: {"0": 0, "False": False}[value]}))
    assert told.verdict == "fragile"
    assert said == f"{', '.join(told.violations)}."


def test_weights_that_do_more_than_multiply_make_a_relative_faulty():
    diagnosis = diagnose(WeightsInside)
    assert diagnosis.verdict == "faulty"
    assert "inside p_t, or in one term of several; else it is the focal loss, plus 0.5 times" in diagnosis.headline
    assert diagnosis.mistake[3] == ["alpha_scales_its_class"]
    assert diagnosis.next == [
        "If you want that loss, mend this and keep the rest.",
        "For the paper's focal loss, pass ce_weight=0. Tried: its numbers are the focal loss's then; still broken: "
        "alpha_scales_its_class, is_finite_for_small_gamma.",
    ]


def of_kept_rows(x, y, gamma=2.0):
    ce = F.cross_entropy(x, y, reduction="none")
    return ((1 - torch.exp(-ce)) ** gamma * ce).sum() / (y != -100).sum()


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        (on_the_fence, "Targets of -100 cost nothing, and count in its mean: divide by the number of the others."),
        (of_kept_rows, "It leaves out targets of -100, as F.cross_entropy does."),
    ],
)
def test_what_becomes_of_ignored_targets_is_told(loss, said):
    assert said in diagnose(loss).conventions


class NoneCrashes(torch.nn.Module):
    def __init__(self, weight=None, gamma=2.0):
        super().__init__()
        self.weight, self.gamma = weight, gamma

    def forward(self, x, y):
        y, p = F.one_hot(y, x.shape[1]), x.sigmoid()
        bce = F.binary_cross_entropy_with_logits(x, y.to(x), reduction="none")
        return (self.weight * (1 - torch.where(y == 1, p, 1 - p)) ** self.gamma * bce).sum(1).mean()


def weighted_by_a_graph(x, y, gamma=2.0):
    p = x.sigmoid()
    return F.binary_cross_entropy_with_logits(x, y, weight=(1 - torch.where(y == 1, p, 1 - p)) ** gamma)


def test_a_relative_that_crashes_with_its_defaults_is_faulty():
    diagnosis = diagnose(NoneCrashes)
    assert diagnosis.headline.startswith("NoneCrashes: faulty. With its defaults it fails; else it is a sigmoid focal")
    as_it_must = str(diagnosis).partition("as it must:")[2].partition("\n\n")[0]
    assert "alpha_scales_its_class" in as_it_must and "runs_with_defaults" not in as_it_must


def test_one_error_behind_it_all_is_the_headline():
    said = diagnose(weighted_by_a_graph).headline
    assert (
        "faulty. It raises RuntimeError: The function 'binary_cross_entropy_with_logits' is not differentiable" in said
    )
    assert said.endswith("broken promises are that.")


def fails_without_smoothing(x, y, gamma=2.0, eps=0.1):
    ce, p_t = parts(x, y)
    if eps > 0:
        loss = (1 - eps) * (1 - p_t) ** gamma * ce - eps * x.log_softmax(1).mean(1)
    return loss.mean()


def test_an_advised_setting_that_fails_is_told():
    diagnosis = diagnose(fails_without_smoothing)
    assert "0.9 times the focal loss, plus 0.1 times the mean of -log p over the classes" in diagnosis.headline
    said = "For the paper's focal loss, pass eps=0. Tried: it raises UnboundLocalError; mend that first."
    assert said in diagnosis.next
