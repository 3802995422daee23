"""The properties: the right loss has them all, each can fail, and a failure shows the smallest numbers."""

import pytest
import torch

from focal_lib import FocalLoss, focal_loss
from focal_lib.bugs import CATALOGUE, LOOKALIKES
from focal_lib.diagnosis import diagnose
from focal_lib.diagnosis.adapter import Adapter, Untestable
from focal_lib.diagnosis.cases import SIZES, Violation, make_cases
from focal_lib.diagnosis.properties import PROPERTIES, check
from focal_lib.diagnosis.properties.registry import a_property

SEEDS = range(20)


def violated(loss, seed=0, dtype=torch.float64):
    adapter = Adapter(loss, dtype=dtype)
    cases = make_cases(seed, adapter.dtype, classes=adapter.only_classes)
    results = {name: check(name, adapter, cases) for name in PROPERTIES}
    return {name for name, result in results.items() if isinstance(result, Violation)}


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("loss", [focal_loss, FocalLoss], ids=["function", "module"])
def test_the_right_loss_has_all_properties(loss, dtype):
    for seed in SEEDS:
        assert violated(loss, seed, dtype) == set()


def test_the_right_loss_is_tested_for_everything():
    assert diagnose(FocalLoss).untested == {}
    assert set(diagnose(focal_loss).untested) == {"weights_follow_the_module"}  # a function holds no tensor


def test_the_compiled_loss_has_all_properties():
    torch.compiler.reset()
    with torch._dynamo.config.patch(recompile_limit=64):  # every shape is a new graph here
        diagnosis = diagnose(torch.compile(focal_loss, backend="aot_eager", dynamic=True))
    assert diagnosis.ok, diagnosis
    refused = {"one_graph_serves_twice", "second_derivative_is_right_or_refused"}  # by torch.compile, in words
    assert set(diagnosis.untested) == {"weights_follow_the_module"} | refused


@pytest.mark.parametrize("id", LOOKALIKES)
def test_lookalikes_are_right(id):
    for seed in SEEDS:
        assert violated(LOOKALIKES[id].loss, seed) == set()


def test_no_property_is_idle():
    found = [violated(bug.loss) for bug in CATALOGUE.values()]
    assert set().union(*found) == set(PROPERTIES)


def test_cases_start_small_and_are_whole_numbers():
    cases = make_cases(0)
    assert [tuple(case.input.shape) for case in cases] == SIZES
    sizes = [n * c for n, c in SIZES]
    assert sizes == sorted(sizes)
    for case in cases:
        assert torch.equal(case.input, case.input.round())
        assert sorted(case.alpha.tolist()) == list(range(1, case.input.shape[1] + 1))


def test_cases_depend_on_the_seed_alone():
    assert str(make_cases(3)[-1]) == str(make_cases(3)[-1]) != str(make_cases(4)[-1])


def test_a_counterexample_is_the_smallest_and_can_be_checked_by_hand():
    def half(input, target, gamma=2.0):
        return focal_loss(input, target, gamma=gamma) + 0.5

    adapter = Adapter(half)
    cases = make_cases(0)
    violation = check("gamma_zero_is_cross_entropy", adapter, cases)
    ce = torch.nn.functional.cross_entropy(cases[0].input, cases[0].target).item()
    assert violation.example == f"{cases[0]}, gamma 0: got {ce + 0.5:.6g}, expected {ce:.6g} (-log p_t)"
    assert violation.got == pytest.approx((ce + 0.5,))


def test_what_cannot_be_set_is_untested_not_violated():
    def plain(input, target):
        return focal_loss(input, target)

    result = check("alpha_scales_its_class", Adapter(plain), make_cases(0))
    assert isinstance(result, Untestable)
    assert str(result) == "it has no argument for alpha"


def test_an_error_without_a_text_is_told_by_its_kind_and_no_fault_of_its_own():
    def whole_gammas(input, target, gamma=2.0):
        if gamma != int(gamma):
            raise NotImplementedError
        return focal_loss(input, target, gamma=gamma)

    result = check("takes_any_gamma", Adapter(whole_gammas), make_cases(0))
    assert isinstance(result, Untestable) and str(result) == "it refuses gamma 1.5: NotImplementedError"
    result = check("runs_with_defaults", Adapter(lambda input, target: int([])), make_cases(0))
    assert str(result).startswith("it raised TypeError: int() argument must be")

    def unwritten(input, target):
        raise NotImplementedError

    assert str(check("runs_with_defaults", Adapter(unwritten), make_cases(0))) == "it raised NotImplementedError"
    assert diagnose(unwritten).stopped.startswith("it raised NotImplementedError. An adapter says how to call it")


def test_a_property_has_a_name_of_its_own():
    with pytest.raises(ValueError, match="there is a property 'takes_any_gamma' already; rename one of the two"):
        a_property("Again.", "value")(PROPERTIES["takes_any_gamma"].check)
