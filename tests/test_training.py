"""Training and scoring on the example, and the article's printed losses inside the band of 100 seeds."""

import numpy as np
import pytest
import torch
from torch import nn

from focal_lib import FocalLoss
from focal_lib.lab.data import Example, inverse_frequency, load_example
from focal_lib.lab.scores import evaluate
from focal_lib.lab.training import available_devices, best_device, make_model, train, training_steps

# Losses at epochs 0, 10, ..., 90, printed by the article that trains on this data (source 003; it sets no seed).
PRINTED = [0.4445, 0.2640, 0.2064, 0.1758, 0.1550, 0.1392, 0.1266, 0.1159, 0.1070, 0.0991]


@pytest.fixture(scope="module")
def example():
    return load_example()


def weighted(example):
    return FocalLoss(inverse_frequency(example.y_train))


def test_the_printed_table_lies_inside_the_band_of_100_seeds(example):
    losses = np.array([train(weighted(example), example, seed=s, device="cpu").losses[::10] for s in range(100)])
    low, high = np.quantile(losses, [0.05, 0.95], axis=0)
    assert ((low <= np.array(PRINTED)) & (np.array(PRINTED) <= high)).all()
    # The band is a real test: an unweighted run lies outside it.
    unweighted = np.array(train(FocalLoss(), example, seed=0, device="cpu").losses[::10])
    assert not ((low <= unweighted) & (unweighted <= high)).all()


def test_the_network():
    model = make_model(0)
    assert [tuple(p.shape) for p in model.parameters()] == [(64, 20), (64,), (2, 64), (2,)]
    assert torch.equal(make_model(3)[0].weight, make_model(3)[0].weight)
    assert not torch.equal(make_model(3)[0].weight, make_model(4)[0].weight)
    before = torch.get_rng_state()
    make_model(5)
    assert torch.equal(before, torch.get_rng_state())


def test_training_is_reproducible_and_records_the_loss_before_each_update(example):
    one, two = (train(weighted(example), example, seed=1, epochs=5, device="cpu") for _ in range(2))
    assert one.losses == two.losses and len(one.losses) == 5
    first = weighted(example)(make_model(1)(example.x_train), example.y_train).item()
    assert one.losses[0] == pytest.approx(first)
    assert one.losses[-1] < one.losses[0]


def test_stopping_early_keeps_what_was_learned(example):
    model = make_model(0)
    steps = training_steps(model, nn.CrossEntropyLoss(), example.x_train, example.y_train, epochs=100)
    losses = [next(steps) for _ in range(3)]
    assert losses == train(nn.CrossEntropyLoss(), example, epochs=3, device="cpu").losses


def test_a_device_is_there():
    assert best_device() == available_devices()[0]
    assert "cpu" in available_devices()


@pytest.mark.parametrize("device", [d for d in available_devices() if d != "cpu"])
def test_other_devices_agree_with_the_cpu(example, device):
    here = train(weighted(example), example, epochs=20, device="cpu").losses
    there = train(weighted(example), example, epochs=20, device=device).losses
    np.testing.assert_allclose(here, there, rtol=1e-3)


def test_bad_input(example):
    with pytest.raises(ValueError, match=r"epochs must be at least 1, got 0"):
        train(nn.CrossEntropyLoss(), example, epochs=0, device="cpu")
    with pytest.raises(ValueError, match=r"device must be one of .*got 'tpu'"):
        train(nn.CrossEntropyLoss(), example, device="tpu")
    one_class = Example(example.x_train, torch.zeros_like(example.y_train), example.x_test, example.y_test)
    with pytest.raises(ValueError, match="both classes"):
        evaluate(torch.zeros(800, 2), one_class.y_train)
    with pytest.raises(FloatingPointError, match=r"nan at epoch 0"):
        train(lambda logits, target: logits.sum() * float("nan"), example, device="cpu")


def test_scores_by_hand():
    """Truth 0 0 0 1 1, predicted 0 0 1 1 0: recalls 2/3 and 1/2, precision of class 1 is 1/2."""
    truth = torch.tensor([0, 0, 0, 1, 1])
    logits = torch.tensor([[2.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 3.0], [0.5, 0.0]])
    scores = evaluate(logits, truth)
    assert scores["accuracy"] == pytest.approx(3 / 5)
    assert scores["balanced_accuracy"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert scores["minority_recall"] == pytest.approx(1 / 2)
    assert scores["minority_precision"] == pytest.approx(1 / 2)
    assert scores["macro_f1"] == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert scores["roc_auc"] == pytest.approx(5 / 6)  # of 6 pairs, only (third, last) is ranked wrongly
    p1 = logits.softmax(dim=1)[:, 1]
    assert scores["brier"] == pytest.approx(((p1 - truth) ** 2).mean().item())
    assert all(type(score) is float for score in scores.values())
