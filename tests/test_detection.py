"""The miniature detector: scenes as stated, losses that agree with each other, an average precision that is right."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from experiments.detection import TUNING_SEEDS
from focal_lib.lab.detection import (
    Scenes,
    average_precision,
    dense_loss,
    detect,
    hard_example_loss,
    make_detector,
    make_scenes,
    train_detector,
)
from focal_lib.lab.stored_runs import interval
from focal_lib.widgets import CellLoss
from focal_lib.widgets.cell_loss import levels

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def scenes():
    return make_scenes(64, seed=0)


def test_every_image_has_one_object_among_a_thousand_cells(scenes):
    assert scenes.images.shape == (64, 1, 64, 64) and scenes.targets.shape == scenes.counted.shape == (64, 2, 32, 32)
    assert (scenes.targets.sum((1, 2, 3)) == 1).all()
    background = (scenes.counted.amin(1) > 0).sum((1, 2)) - 1
    assert (background == 32 * 32 - 9).all() and background.min() >= 1000


def test_the_object_counts_and_its_neighbours_do_not(scenes):
    for image in range(8):
        _, row, column = scenes.targets[image].nonzero()[0].tolist()
        around = scenes.counted[image, :, row - 1 : row + 2, column - 1 : column + 2]
        assert around.sum((1, 2)).tolist() == [1, 1] and (around[:, 1, 1] == 1).all()


def test_objects_are_where_the_target_says():
    """Without an object the pixels there would be like all others: with one, the ring around the centre stands out."""
    scenes = make_scenes(200, seed=1)
    spread = []
    for image, target in zip(scenes.images, scenes.targets, strict=True):
        _, row, column = target.nonzero()[0].tolist()
        spread.append(image[0, 2 * row - 7 : 2 * row + 9, 2 * column - 7 : 2 * column + 9].std() / image.std())
    assert sum(s > 1 for s in spread) > 180


def test_scenes_vary_and_repeat():
    assert torch.equal(make_scenes(4, seed=5).images, make_scenes(4, seed=5).images)
    assert not torch.equal(make_scenes(4, seed=5).images, make_scenes(4, seed=6).images)
    assert make_scenes(400, seed=0).targets.sum((0, 2, 3)).min() > 160  # both classes are common


@pytest.mark.parametrize(("count", "size"), [(0, 64), (4, 63), (4, 16)])
def test_impossible_scenes_are_refused(count, size):
    with pytest.raises(ValueError, match=f"got {count} and {size}"):
        make_scenes(count, seed=0, size=size)


@pytest.mark.parametrize("prior", [0.01, 0.5])
def test_a_new_detector_gives_every_cell_the_prior(scenes, prior):
    p = detect(make_detector(0, prior), scenes.images).sigmoid()
    assert p.mean().item() == pytest.approx(prior, rel=0.05)


@pytest.mark.parametrize("prior", [0, 1, -0.5])
def test_a_prior_that_is_no_probability_is_refused(prior):
    with pytest.raises(ValueError, match=f"strictly between 0 and 1, got {prior}"):
        make_detector(0, prior)


def answers(scenes):
    return torch.randn(scenes.targets.shape, generator=torch.Generator().manual_seed(0))


def test_dense_loss_without_gamma_and_alpha_is_cross_entropy_over_objects(scenes):
    logits = answers(scenes)
    ce = F.binary_cross_entropy_with_logits(logits, scenes.targets, reduction="none")
    expected = ce[scenes.counted == 1].sum() / 64
    assert torch.allclose(dense_loss(logits, scenes.targets, scenes.counted, alpha=None, gamma=0.0), expected)
    half = dense_loss(logits, scenes.targets, scenes.counted, alpha=0.5, gamma=0.0)
    assert torch.allclose(half, expected / 2)


def test_dense_loss_of_an_image_without_objects_is_finite(scenes):
    nothing = torch.zeros_like(scenes.targets[:1])
    assert dense_loss(answers(scenes)[:1], nothing, torch.ones_like(nothing)).isfinite()


def test_uncounted_cells_have_no_gradient(scenes):
    logits = answers(scenes).requires_grad_()
    dense_loss(logits, scenes.targets, scenes.counted).backward()
    assert (logits.grad[scenes.counted == 0] == 0).all() and (logits.grad[scenes.counted == 1] != 0).all()


def test_hard_example_loss_takes_the_worst_answers_and_no_others(scenes):
    logits = answers(scenes)
    ce = F.binary_cross_entropy_with_logits(logits, scenes.targets, reduction="none") * scenes.counted
    background = ce[scenes.targets == 0].sort(descending=True).values[: 3 * 64]
    expected = (ce[scenes.targets == 1].sum() + background.sum()) / 64
    assert torch.allclose(hard_example_loss(logits, scenes.targets, scenes.counted), expected)
    everything = scenes.targets[0].numel()
    assert torch.allclose(
        hard_example_loss(logits, scenes.targets, scenes.counted, negatives=everything - 1),
        dense_loss(logits, scenes.targets, scenes.counted, alpha=None, gamma=0.0),
    )


def one_scene(row=10, column=10):
    targets = torch.zeros(1, 2, 32, 32)
    targets[0, 0, row, column] = 1
    targets[0, 1, 25, 25] = 1
    return Scenes(torch.zeros(1, 1, 64, 64), targets, torch.ones_like(targets))


def test_average_precision_by_hand():
    """Two objects, one a class. The ring is found first, the square second, behind one false alarm: (1 + 1/2) / 2."""
    scene = one_scene()
    logits = torch.full((1, 2, 32, 32), -9.0)
    logits[0, 0, 11, 10] = 3  # beside the object: good enough
    logits[0, 1, 5, 5] = 2  # a false alarm
    logits[0, 1, 25, 25] = 1
    assert average_precision(logits, scene) == pytest.approx(0.75)
    logits[0, 1, 25, 25] = -9.5  # nothing there: the square is not found
    assert average_precision(logits, scene) == pytest.approx(0.5)
    logits[0, 0, 11, 10], logits[0, 0, 13, 10] = -9, 3  # three cells away: a miss
    assert average_precision(logits, scene) < 0.02


def test_average_precision_is_at_its_best_for_the_truth_and_small_for_no_answer(scenes):
    assert average_precision(scenes.targets, scenes) == 1.0
    assert average_precision(torch.zeros_like(scenes.targets), scenes) < 0.05  # equal answers: no object found twice


def test_training_learns_and_is_repeatable():
    few = make_scenes(8, seed=0)
    histories, scores = [], []
    for _ in range(2):
        model = make_detector(0)
        before = average_precision(detect(model, few.images), few)
        histories.append(train_detector(model, dense_loss, few, steps=60))
        scores.append(average_precision(detect(model, few.images), few))
    assert histories[0] == histories[1] and len(histories[0]) == 60
    assert histories[0][-1] < 0.7 * histories[0][0]
    assert scores[0] > before


def test_training_refuses_no_steps_and_stops_at_nan(scenes):
    with pytest.raises(ValueError, match="steps must be at least 1, got 0"):
        train_detector(make_detector(0), dense_loss, scenes, steps=0)
    with pytest.raises(FloatingPointError, match="became nan at step 0"):
        train_detector(make_detector(0), lambda *a: dense_loss(*a) * math.nan, scenes, steps=2)


def two_networks():
    """A network that says 0.01 everywhere, and one that finds the object but for a probability of a half."""
    scene = make_scenes(1, seed=0)
    new = torch.full_like(scene.targets[0], math.log(0.01 / 0.99))
    better = torch.where(scene.targets[0] == 1, 0.0, new)
    return {"New": new, "Better": better}, scene


def test_the_view_says_who_owns_the_loss():
    """By hand: the object costs -log 0.01, each of the 2 * 1 016 - 1 background answers -log 0.99."""
    logits, scene = two_networks()
    view = CellLoss(scene.images[0, 0], logits, scene.targets[0], scene.counted[0], gamma=0.0, network="first")
    background = 2 * (32 * 32 - 8) - 1
    share = math.log(0.01) / (math.log(0.01) + background * math.log(0.99))
    assert f"New, γ = 0.0: the object's cell owns {100 * share:.1f}" in str(view)
    view.network = "second"
    share = math.log(0.5) / (math.log(0.5) + background * math.log(0.99))
    assert f"Better, γ = 0.0: the object's cell owns {100 * share:.1f}" in str(view)
    assert view.shares(5.0, "second").sum() == pytest.approx(1)
    image, heat, _ = view.picture().axes
    assert (image.get_title(), heat.get_title()) == ("image", "loss of each cell")
    row, column = scene.targets[0].amax(0).nonzero()[0].tolist()
    assert np.unravel_index(heat.images[0].get_array().argmax(), (32, 32)) == (row, column)


def test_the_heat_map_has_a_level_for_each_tenth_of_a_decade():
    assert levels(np.array([0.0, 1e-9, 1e-5, 1e-3, 0.1, 1.0])).tolist() == [0, 0, 0, 20, 40, 50]


def test_the_view_refuses_one_network_and_other_shapes():
    logits, scene = two_networks()
    parts = scene.images[0, 0], scene.targets[0], scene.counted[0]
    for wrong in ({"New": logits["New"]}, logits | {"Better": logits["Better"][:, :4]}):
        with pytest.raises(ValueError, match="expected two networks' logits"):
            CellLoss(parts[0], wrong, *parts[1:])


def test_the_stored_runs_are_complete():
    runs = pd.read_csv(ROOT / "focal_lib" / "results" / "detection.csv.gz")
    assert list(runs.columns) == ["loss", "gamma", "alpha", "seed", "metric", "value"]
    assert not runs.duplicated(["loss", "gamma", "alpha", "seed", "metric"]).any()
    assert runs.groupby(["loss", "gamma", "alpha"]).seed.nunique().min() >= 10
    assert set(runs[runs.loss == "focal"].gamma) == {0, 0.5, 1, 2, 5}
    assert runs.value.between(0, 1).all()


@pytest.fixture(scope="module")
def runs():
    """The stored average precisions, a column for each (loss, gamma, alpha), a row for each seed."""
    stored = pd.read_csv(ROOT / "focal_lib" / "results" / "detection.csv.gz")
    return stored.pivot(index="seed", columns=["loss", "gamma", "alpha"], values="value")


CE, BALANCED, MINING = ("focal", 0, 0.5), ("focal", 0, 0.75), ("hard examples", 0, 0.5)


def test_without_the_prior_nothing_is_learned(runs):
    assert runs["prior 0.5"].to_numpy().max() < 0.11
    assert runs["prior 0.5", 0, 0.5].mean() < 0.05  # "next to nothing"
    assert interval(runs[CE] - runs["prior 0.5", 0, 0.5]).sign == 1


def test_a_mild_gamma_beats_its_rivals(runs):
    for rival in (CE, BALANCED, MINING):
        assert interval(runs["focal", 1, 0.25] - runs[rival]).sign == 1
    assert interval(runs[BALANCED] - runs[CE]).sign == 1 and (runs[BALANCED] - runs[CE]).mean() < 0.04
    assert interval(runs[MINING] - runs[CE]).sign == -1


def test_gamma_two_is_not_best_here(runs):
    for alpha in (0.25, 0.5, 0.75):
        assert interval(runs["focal", 2, alpha] - runs[CE]).sign == -1
        assert runs["focal", 5, alpha].mean() < 0.1
    assert interval(runs["focal", 2, 0.25] - runs[BALANCED]).sign == -1


def test_gamma_and_alpha_interact(runs):
    means = runs["focal"].mean().unstack()
    assert means.idxmax(axis=1).tolist() == [0.75, 0.75, 0.25, 0.5, 0.75]  # it falls once, then "is larger again"
    assert means.stack().nlargest(2).index.tolist() == [(0.5, 0.75), (1, 0.25)]  # "the second best mean of the grid"
    assert means.max(axis=1).nlargest(2).index.tolist() == [0.5, 1]  # at one learning rate for all


def test_the_gain_grows_with_longer_training(runs):
    short, long = (interval(runs[kind, 1, 0.25] - runs[kind, 0, 0.75]) for kind in ("focal", "long"))
    assert long.low > short.high and 0.09 < long.mean < 0.15
    late = runs["long", 2, 0.25] - runs["long", 0, 0.75]
    assert interval(late).sign == 0
    assert (runs["long", 2, 0.25] < 0.1).sum() == 1 and (late.abs() < 0.1).sum() == 9


def test_with_a_learning_rate_of_its_own_for_each_the_lead_is_gone():
    """Balanced cross-entropy against gamma 1; the rates were chosen on seeds that are not scored."""
    own = pd.read_csv(ROOT / "focal_lib" / "results" / "detection_own_rates.csv")
    assert not set(own.seed) & set(TUNING_SEEDS) and own.groupby(["gamma", "alpha"]).rate.nunique().eq(1).all()
    assert own.groupby(["gamma", "alpha"]).rate.first().to_dict() == {(0, 0.75): 0.02, (1, 0.25): 0.01}
    scores = own.pivot(index="seed", columns=["steps", "gamma", "alpha"], values="value")
    assert len(scores) == 5 and scores.notna().all(axis=None)
    short, long = (interval(scores[steps, 1, 0.25] - scores[steps, 0, 0.75]) for steps in (300, 1200))
    assert short.sign == -1 and short.mean > -0.03  # "is ahead"
    assert long.sign == 0 and 0.03 < long.mean < 0.06  # "cannot tell it from zero"


def test_what_the_chapter_says_of_its_network_holds_for_every_stored_training():
    """The chapter trains that network where it is read, on a processor or a GPU that we do not know."""
    shares = pd.read_csv(ROOT / "focal_lib" / "results" / "detection_shares.csv")
    assert shares.groupby(["part", "gamma"]).seed.nunique().tolist() == [10] * 5
    of = {key: group.share for key, group in shares.groupby(["part", "gamma"])}
    assert of["nearly right", 0].between(0.25, 0.5).all()  # "between a quarter and a half of the loss"
    assert (of["background", 2] < 0.01).all() and (of["background", 0] > 0.1).all()  # "fewer than one in a hundred"
    assert of["objects", 0].between(0.77, 0.84).all() and of["objects", 2].between(0.64, 0.76).all()  # "changes little"
