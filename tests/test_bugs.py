"""The catalogue: the sources' bugs give the numbers that their code gives, and every exhibit is complete."""

import math

import pytest
import torch

from focal_lib import bugs, focal_loss
from focal_lib.bugs import CATALOGUE, LOOKALIKES, ROOMS
from focal_lib.diagnosis.adapter import Adapter
from focal_lib.diagnosis.cases import Violation, make_cases
from focal_lib.diagnosis.properties import PROPERTIES, check

# Two examples with logits [log 3, 0], one of class 0 and one of class 1: p_t = 3/4 and 1/4.
LOGITS = torch.tensor([[math.log(3), 0.0], [math.log(3), 0.0]], dtype=torch.float64)
TARGET = torch.tensor([0, 1])
ALPHA = torch.tensor([4.0, 1.0], dtype=torch.float64)
# Their cross-entropies are log 4/3 = 0.287682 and log 4 = 1.386294; with gamma = 2 their focal losses are
# 1/16 * 0.287682 = 0.017980 and 9/16 * 1.386294 = 0.779791.
RIGHT = (0.017980 + 0.779791) / 2
RIGHT_WEIGHTED = (4 * 0.017980 + 0.779791) / 2


def near(expected):
    return pytest.approx(expected, abs=2e-6)


def loss_of(id, alpha=None):
    return CATALOGUE[id].build(alpha=alpha)(LOGITS, TARGET).item()


def test_the_hand_worked_batch_itself():
    assert focal_loss(LOGITS, TARGET).item() == near(RIGHT) == near(0.398885)
    assert focal_loss(LOGITS, TARGET, ALPHA).item() == near(RIGHT_WEIGHTED) == near(0.425856)


@pytest.mark.parametrize("id", ["mean_before_pt", "reduce_flag_without_effect"])
def test_one_p_t_for_the_batch(id):
    # The mean cross-entropy is 0.836988, so p_t = exp(-0.836988) = sqrt(3)/4 = 0.433013 and
    # the loss (1 - 0.433013)^2 * 0.836988 = 0.269071: a third too small.
    assert loss_of(id) == near(0.269071)
    assert loss_of(id) < 0.7 * RIGHT


def test_reduce_flag_gives_one_number():
    assert CATALOGUE["reduce_flag_without_effect"].loss(LOGITS, TARGET, reduce=False).shape == ()


def test_scalar_alpha_scales_everything():
    assert loss_of("scalar_alpha") == near(0.25 * RIGHT)  # 0.099721: both classes alike


def test_weight_inside_cross_entropy():
    # Class 0 has weight 4: -4 log 3/4 = 1.150728, "p_t" = (3/4)^4 = 0.316406, (1 - 0.316406)^2 = 0.467300,
    # loss 0.537736 instead of 4 * 0.017980 = 0.071921. Class 1 has weight 1 and is right.
    assert loss_of("weight_inside_cross_entropy", ALPHA) == near((0.537736 + 0.779791) / 2)
    assert loss_of("weight_inside_cross_entropy") == near(RIGHT)  # without weights there is no fault to see


def _slope_and_value(id, p_t, **arguments):
    input = torch.tensor([[math.log(p_t / (1 - p_t)), 0.0]], dtype=torch.float64, requires_grad=True)
    loss = CATALOGUE[id].loss(input, torch.tensor([0]), gamma=2.0, **arguments)
    (slope,) = torch.autograd.grad(loss, input)
    return slope[0, 0].item(), loss.item()


def test_how_much_a_weight_inside_the_exponent_weighs():
    heavy = torch.tensor([4.0, 1.0], dtype=torch.float64)
    id, said = "weight_inside_cross_entropy", []
    for p_t in (0.1, 0.5, 0.9):
        times = _slope_and_value(id, p_t, alpha=heavy)[1] / _slope_and_value(id, p_t)[1]
        said.append(f"{times:.2g} at p_t = {p_t}" if not said else f"as {times:.2g} at {p_t}")
    assert f"a weight of 4 acts as {said[0]}, {said[1]} and {said[2]}." in CATALOGUE[id].symptom


def test_how_much_of_the_gradient_a_detached_focus_leaves():
    right = CATALOGUE["detached_focus"].mended_loss
    for p_t in (0.01, 0.99):
        input = torch.tensor([[math.log(p_t / (1 - p_t)), 0.0]], dtype=torch.float64, requires_grad=True)
        (slope,) = torch.autograd.grad(right(input, torch.tensor([0]), gamma=2.0), input)
        times = slope[0, 0].item() / _slope_and_value("detached_focus", p_t)[0]
        said = (
            "with gamma = 2 the true gradient is {:.2f} times as long at p_t = {}"
            if p_t < 0.5
            else "{:.2f} times at {}"
        )
        assert said.format(times, p_t) in CATALOGUE["detached_focus"].symptom


def test_binary_scalar_alpha():
    # sigmoid(log 3) = 3/4 and sigmoid(0) = 1/2. Row 0 (target [1, 0]): log 3 is right with 3/4: 0.017980;
    # 0 is a negative with 1/2: 1/4 * 0.693147 = 0.173287. Row 1 (target [0, 1]): log 3 is a wrong negative, p_t = 1/4:
    # 0.779791; 0 a positive: 0.173287. A quarter of the mean of the four.
    assert loss_of("binary_scalar_alpha") == near(0.25 * (0.017980 + 0.173287 + 0.779791 + 0.173287) / 4)
    with pytest.raises(ValueError, match="Target size"):
        CATALOGUE["binary_scalar_alpha"].loss(LOGITS, TARGET)


def test_alpha_none_crashes():
    assert loss_of("alpha_none_crashes", ALPHA) == near(RIGHT_WEIGHTED)
    with pytest.raises(TypeError, match="'NoneType' object is not subscriptable"):
        loss_of("alpha_none_crashes")


def test_alpha_stays_behind():
    criterion = CATALOGUE["alpha_stays_behind"].build(alpha=ALPHA)
    assert criterion(LOGITS, TARGET).item() == near(RIGHT_WEIGHTED)
    assert criterion.to("meta").alpha.device.type == "cpu"
    assert "alpha" not in criterion.state_dict()


def test_nan_below_gamma_one():
    assert loss_of("nan_below_gamma_one") == near(RIGHT)
    certain = torch.tensor([[17.0, 0.0]], requires_grad=True)  # float32: exp(-ce) rounds to 1
    CATALOGUE["nan_below_gamma_one"].build(gamma=0.5)(certain, torch.tensor([0])).backward()
    assert certain.grad.isnan().all()


def test_the_catalogue_is_complete():
    assert list(CATALOGUE)[:2] == ["mean_before_pt", "reduce_flag_without_effect"]
    for id, bug in {**CATALOGUE, **LOOKALIKES}.items():
        assert bug.id == id
        assert bug.code.startswith(("def ", "class "))
        words = [value for name, value in vars(bug).items() if isinstance(value, str)]
        assert all(words), f"{id} lacks a text"
    for id, bug in CATALOGUE.items():
        assert "  # " in bug.code, (
            f"{id}: end the faulty line with a comment that says what is wrong: the museum marks it"
        )
        assert bug.exposed_by in PROPERTIES, f"{id}: there is no property {bug.exposed_by!r}; PROPERTIES has the names"
        assert isinstance(check(bug.exposed_by, Adapter(bug.loss), make_cases(0)), Violation), (
            f"{id} does not break {bug.exposed_by}: name a property that diagnose(...) says it violates"
        )
    assert {bug.room for bug in CATALOGUE.values()} == set(ROOMS)


def test_a_room_or_an_id_that_does_not_fit_is_refused():
    def a_new_one(input, target): ...

    enter = bugs.bug(exposed_by="", title="", source="", symptom="", hides="", fix="", mend={})
    with pytest.raises(ValueError, match=r"into the file of its room, one of batch, .*; got 'test_bugs'"):
        enter(a_new_one)
    with pytest.raises(ValueError, match="there is a bug 'mean_before_pt' already"):
        enter(CATALOGUE["mean_before_pt"].loss)
    a_new_one.__module__ = "focal_lib.bugs.batch"
    with pytest.raises(TypeError, match="symptom"):
        bugs.bug(exposed_by="", title="", source="", hides="", fix="", mend={})(a_new_one)


def test_public_threads_become_links():
    expected = "[kornia/kornia#918](https://github.com/kornia/kornia/issues/918)"
    assert expected in CATALOGUE["nan_below_gamma_one"].source_links


@pytest.mark.parametrize("id", [id for id, bug in CATALOGUE.items() if bug.runs])
def test_every_bug_builds_a_criterion_that_trains(id):
    criterion = CATALOGUE[id].build(alpha=ALPHA.float(), gamma=2.0)
    logits = LOGITS.float().requires_grad_()
    loss = criterion(logits, TARGET.clone())
    loss.backward()
    assert loss.shape == ()
    assert logits.grad.isfinite().all()


def test_build_passes_gamma_and_weights_on():
    build = CATALOGUE["alpha_stays_behind"].build
    assert build(alpha=ALPHA, gamma=1.0)(LOGITS, TARGET).item() == near(focal_loss(LOGITS, TARGET, ALPHA, 1.0).item())
    assert CATALOGUE["scalar_alpha"].build(alpha=ALPHA)(LOGITS, TARGET).item() == near(0.25 * RIGHT)
