"""diagnose(): names each known bug first, tells conventions from faults, survives any loss."""

import itertools
import json
import sys
import time

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from focal_lib import FocalLoss, assert_focal_loss, diagnose, focal_loss
from focal_lib.bugs import CATALOGUE, LOOKALIKES
from focal_lib.diagnosis.cases import Violation
from focal_lib.diagnosis.properties import PROPERTIES
from focal_lib.diagnosis.suspects import Suspects, _bug_adapter, _bug_result


@pytest.mark.parametrize("id", CATALOGUE)
def test_every_bug_is_named_first(id):
    diagnosis = diagnose(CATALOGUE[id].loss)
    level = PROPERTIES[CATALOGUE[id].exposed_by].level
    expected = {"wrong": "faulty", "fragile": "fragile", "manners": "right"}[level]
    if id.startswith("one_against_all"):
        expected = "another loss"
    elif id == "binary_scalar_alpha":  # what shows it first is its default, and it is worse than that
        expected = "faulty"
    assert diagnosis.verdict == expected
    assert diagnosis.suspects[0] == id
    assert diagnosis.unexplained == []


def test_twenty_seeds_without_a_flip():
    # The same steps as diagnose() takes, but each bug's results are computed once and used as suspect and as catalogue.
    for seed, id in itertools.product(range(20), CATALOGUE):
        results = {name: _bug_result(id, name, seed, torch.float64, None) for name in PROPERTIES}
        violations = {name: result for name, result in results.items() if isinstance(result, Violation)}
        assert CATALOGUE[id].exposed_by in violations, f"{id}, seed {seed}"
        suspects = Suspects(violations, results, seed, _bug_adapter(id, torch.float64, None))
        assert suspects.ids[:1] == [id], f"seed {seed}: {suspects.ids} for {id}"
        assert suspects.nearest is None


def test_right_losses_are_right_and_their_conventions_are_told():
    conventions = {id: diagnose(lookalike.loss) for id, lookalike in LOOKALIKES.items()}
    assert all(diagnosis.ok for diagnosis in conventions.values())
    assert "divides by the sum of the weights" in conventions["divided_by_the_weights"].conventions[0]
    assert conventions["always_summed"].conventions == ["It always returns the sum."]
    ignored = "Targets of -100 cost nothing, and count in its mean: divide by the number of the others."
    assert conventions["misnamed"].conventions == [ignored]


def test_a_default_alpha_that_scales_everything_is_a_convention_if_weights_work():
    def quarter(input, target, alpha=0.25, gamma=2.0):
        loss = focal_loss(input, target, gamma=gamma, reduction="none")
        if isinstance(alpha, float):
            return (alpha * loss).mean()
        return focal_loss(input, target, alpha, gamma)

    diagnosis = diagnose(quarter)
    assert diagnosis.ok, diagnosis
    assert "like a learning rate" in diagnosis.conventions[0]


def test_an_unknown_fault_is_caught_and_called_unknown():
    def off_by_a_little(input, target, gamma=2.0):
        return focal_loss(input, target, gamma=gamma) + 0.01

    diagnosis = diagnose(off_by_a_little)
    assert diagnosis.verdict == "faulty"
    assert diagnosis.suspects == []
    assert "gamma_zero_is_cross_entropy" in diagnosis.unexplained
    assert diagnosis.nearest is None  # no digit of it is any bug's
    assert "traced to none of the known bugs" in str(diagnosis)


def test_two_bugs_are_both_named():
    class NoneCrashesAndNaN(nn.Module):
        def __init__(self, alpha=None, gamma=2):
            super().__init__()
            self.alpha, self.gamma = alpha, gamma

        def forward(self, inputs, targets):
            ce = F.cross_entropy(inputs, targets, reduction="none")
            return (self.alpha[targets] * (1 - torch.exp(-ce)) ** self.gamma * ce).mean()

    diagnosis = diagnose(NoneCrashesAndNaN)
    assert set(diagnosis.suspects) == {"alpha_none_crashes", "alpha_stays_behind", "nan_below_gamma_one"}
    assert diagnosis.unexplained == []


# Losses that misbehave: diagnose() must come back with a finding.


def raises(input, target):
    raise KeyError("no such thing")


def returns_none(input, target):
    return None


def returns_a_number(input, target, gamma=2.0):
    return focal_loss(input, target, gamma=gamma).item()


def returns_nan(input, target, gamma=2.0):
    return input.sum() * float("nan")


def prints(input, target, gamma=2.0):
    print("computing ...")
    return focal_loss(input, target, gamma=gamma)


def changes_its_logits(input, target, gamma=2.0):
    loss = focal_loss(input, target, gamma=gamma)
    with torch.no_grad():
        input.zero_()
    return loss


def is_random(input, target, gamma=2.0):
    return focal_loss(input, target, gamma=gamma) * (1 + torch.rand(()))


@pytest.mark.parametrize(
    ("loss", "finding", "words"),
    [
        (returns_none, "runs_with_defaults", "it returned NoneType, not a tensor"),
        (returns_a_number, "runs_with_defaults", "it returned float, not a tensor"),
        (returns_nan, "runs_with_defaults", "the loss is nan"),
        (prints, "prints_nothing", "it printed 'computing ...'"),
        (changes_its_logits, "inputs_are_unchanged", "came back as"),
        (is_random, "is_stateless", "called a second time"),
    ],
)
def test_misbehaviour_is_a_finding(loss, finding, words, capsys):
    diagnosis = diagnose(loss)
    assert diagnosis.verdict == ("right" if loss is prints else "faulty")
    assert words in diagnosis.violations[finding]
    assert capsys.readouterr().out == ""  # what the loss prints goes into the report, not onto the screen


def test_what_cannot_be_called_is_not_faulty():
    diagnosis = diagnose(raises)
    assert diagnosis.verdict == "could not test"
    assert "it raised KeyError: 'no such thing'" in diagnosis.headline
    assert "diagnose(lambda input, target" in diagnosis.headline  # the line that would make it work
    assert not diagnosis.passes()


def test_sys_exit_and_exhausted_memory_give_no_verdict():
    def leaves(input, target):
        sys.exit(3)

    def hoards(input, target):
        raise MemoryError

    assert diagnose(leaves).stopped == "it called sys.exit(3)"
    assert diagnose(hoards).stopped == "it ran out of memory"
    assert diagnose(leaves).verdict == "could not test"
    assert not diagnose(leaves).ok


def test_a_keyboard_interrupt_is_the_users():
    def interrupted(input, target):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        diagnose(interrupted)


def test_what_is_no_loss_is_refused():
    with pytest.raises(TypeError, match="loss must be a Module class, a Module instance or a function, got int"):
        diagnose(3)


@pytest.mark.parametrize("builtin", [torch.exp, dict])
def test_what_is_built_in_and_has_no_signature_is_called(builtin):
    assert diagnose(builtin).verdict == "could not test"


# Every way of writing a loss down.


class WithItsOwnNames(nn.Module):
    def __init__(self, num_classes, class_weights=None, gamma=2, size_average=True):
        super().__init__()
        self.num_classes, self.gamma, self.size_average = num_classes, gamma, size_average
        self.register_buffer("class_weights", class_weights)

    def forward(self, logits, labels):
        reduction = "mean" if self.size_average else "sum"
        return focal_loss(logits, labels, self.class_weights, self.gamma, reduction=reduction)


def targets_first(y_true, y_pred, weight=None, gamma=2.0):
    return focal_loss(y_pred, y_true, weight, gamma)


@pytest.mark.parametrize(
    "loss",
    [
        FocalLoss,
        FocalLoss(),
        FocalLoss(torch.tensor([1.0, 2.0]), gamma=0.5, reduction="sum"),
        WithItsOwnNames,
        WithItsOwnNames(4, torch.ones(4), gamma=1),
        targets_first,
        lambda input, target, alpha, gamma, reduction: focal_loss(input, target, alpha, gamma, reduction=reduction),
    ],
    ids=["class", "instance", "weighted instance", "other names", "their instance", "targets first", "adapter"],
)
def test_arguments_are_found_by_their_names(loss):
    diagnosis = diagnose(loss)
    assert diagnosis.ok, diagnosis
    assert not {"alpha_scales_its_class", "gamma_zero_is_cross_entropy"} & set(diagnosis.untested)


def test_an_instance_is_tested_as_it_is_where_its_class_cannot_be_rebuilt():
    class Odd(nn.Module):
        def __init__(self, secret):
            super().__init__()
            self.gamma = 3.0 if secret == "three" else 1.0

        def forward(self, input, target):
            return focal_loss(input, target, gamma=self.gamma)

    diagnosis = diagnose(Odd("three"))
    assert diagnosis.ok, diagnosis
    assert "gamma_zero_is_cross_entropy" in diagnosis.untested


def test_the_gamma_inside_can_be_told():
    def gamma_is_one(input, target):
        return focal_loss(input, target, gamma=1.0)

    assert diagnose(gamma_is_one, gamma=1.0).ok
    assert not diagnose(gamma_is_one, gamma=2.0).ok
    assert diagnose(gamma_is_one).conventions[0] == "Its gamma is 1."  # found out


def test_a_loss_for_float32_only_is_tested_in_float32():
    def strict(input, target, gamma=2.0):
        if input.dtype != torch.float32:
            raise TypeError("float32 only")
        return focal_loss(input, target, gamma=gamma)

    assert list(diagnose(strict).violations) == ["keeps_float64"]


def test_the_instance_is_left_as_it_was():
    criterion = FocalLoss(torch.tensor([1.0, 2.0]), gamma=0.5)
    diagnose(criterion)
    assert criterion.gamma == 0.5
    assert criterion.alpha.tolist() == [1.0, 2.0]


def test_a_plain_loss_takes_less_than_three_seconds():
    # The processor's time, because the machine may be busy with other tests; diagnose() uses one thread.
    for loss in FocalLoss, CATALOGUE["binary_scalar_alpha"].loss:
        start = time.process_time()
        diagnose(loss, seed=12345)  # a seed for which nothing is kept from other tests
        assert time.process_time() - start < 3


def test_a_slow_loss_shows_a_progress_bar_and_a_fast_one_none(capsys, monkeypatch):
    delays = []
    module = sys.modules["focal_lib.diagnosis.diagnose"]  # the package has a function of this name
    monkeypatch.setattr(module, "tqdm", lambda names, *_, delay, **__: delays.append(delay) or names)
    diagnose(focal_loss)
    assert delays == [2]


def test_reports():
    diagnosis = diagnose(CATALOGUE["mean_before_pt"].loss)
    text, page = str(diagnosis), diagnosis._repr_html_()
    broken = len(diagnosis.violations)
    said = "mean_before_pt: faulty. One p_t for the whole batch: "
    said += f"all its {broken} broken promises follow from that."
    assert text.startswith(said)
    assert said in page
    assert diagnosis.as_dict()["headline"] == said
    assert diagnosis.as_dict()["causes"][0]["fix"] == CATALOGUE["mean_before_pt"].fix
    for words in ("expected", CATALOGUE["mean_before_pt"].title, CATALOGUE["mean_before_pt"].symptom, "Fix:"):
        assert words in text
        assert words in page
    for name in diagnosis.violations:
        assert PROPERTIES[name].statement in text
    assert json.loads(json.dumps(diagnosis.as_dict()))["suspects"] == ["mean_before_pt"]
    assert f"right. All {len(PROPERTIES)} properties" in str(diagnose(FocalLoss))


def test_html_escapes_what_the_loss_says():
    def evil(input, target):
        raise ValueError("<script>alert(1)</script>")

    assert "<script>" not in diagnose(evil)._repr_html_()


def test_assert_focal_loss():
    assert_focal_loss(FocalLoss)
    with pytest.raises(AssertionError, match="One p_t for the whole batch"):
        assert_focal_loss(CATALOGUE["mean_before_pt"].loss)


def test_assert_focal_loss_fails_from_a_level_on():
    fragile, rude = CATALOGUE["nan_below_gamma_one"].loss, CATALOGUE["alpha_length_unchecked"].loss
    assert_focal_loss(fragile)
    assert_focal_loss(rude, level="fragile")
    with pytest.raises(AssertionError, match="fragile"):
        assert_focal_loss(fragile, level="fragile")
    with pytest.raises(AssertionError, match="right, with a remark"):
        assert_focal_loss(rude, level="manners")
    for other in (CATALOGUE["one_against_all"].loss, raises):
        with pytest.raises(AssertionError):
            assert_focal_loss(other)
    with pytest.raises(ValueError, match="level must be one of wrong, fragile, manners; got 'bad'"):
        assert_focal_loss(FocalLoss, level="bad")
