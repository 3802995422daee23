"""The training panel, driven through its widgets as a reader would."""

import matplotlib.pyplot as plt
import pytest

from focal_lib import FocalLoss
from focal_lib.data import inverse_frequency, load_example
from focal_lib.training import train
from focal_lib.widgets import TrainingPanel


@pytest.fixture
def panel():
    panel = TrainingPanel(load_example())
    panel.epochs.value = 20
    panel.device.value = "cpu"
    yield panel
    plt.close("all")


def test_run_trains_what_the_controls_say(panel):
    panel.seed.value, panel.gamma.value = 7, 1.5
    panel.button.click()
    alpha = inverse_frequency(panel.example.y_train)
    assert panel.last_run.losses == train(FocalLoss(alpha, 1.5), panel.example, seed=7, epochs=20, device="cpu").losses
    assert panel.progress.value == panel.progress.max == 20
    assert not panel.button.disabled


def test_cross_entropy_without_weights(panel):
    panel.loss.value, panel.weights.value = "cross-entropy", False
    assert panel.gamma.disabled
    run = panel.run()
    assert run.losses == train(FocalLoss(gamma=0), panel.example, epochs=20, device="cpu").losses


def test_a_failed_run_leaves_the_panel_usable(panel, monkeypatch):
    def fail(*_):
        raise RuntimeError("planted")
        yield

    monkeypatch.setattr("focal_lib.widgets.training_panel.training_steps", fail)
    with pytest.raises(RuntimeError, match="planted"):
        panel.run()
    assert not panel.button.disabled
