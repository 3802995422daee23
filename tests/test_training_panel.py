"""The training panel, driven through its widgets as a reader would."""

import io
import threading

import matplotlib.image
import pytest
import torch

from focal_lib import FocalLoss
from focal_lib.lab.data import inverse_frequency, load_example
from focal_lib.lab.training import train
from focal_lib.widgets import TrainingPanel

STEPS = "focal_lib.widgets.training_panel.training_steps"


@pytest.fixture
def panel():
    panel = TrainingPanel(load_example())
    panel.epochs.value = 20
    panel.device.value = "cpu"
    return panel


def picture_size(panel):
    return matplotlib.image.imread(io.BytesIO(panel.picture.value)).shape


def test_run_trains_what_the_controls_say(panel):
    panel.seed.value, panel.gamma.value = 7, 1.5
    run = panel.run()
    alpha = inverse_frequency(panel.example.y_train)
    assert run.losses == train(FocalLoss(alpha, 1.5), panel.example, seed=7, epochs=20, device="cpu").losses
    assert panel.progress.value == panel.progress.max == 20
    assert "balanced accuracy" in panel.status and f"{run.losses[-1]:.4f}" in panel.status
    assert picture_size(panel)[:2] == (320, 800)
    assert not panel.button.disabled and panel.cancel.disabled


def test_cross_entropy_without_weights(panel):
    panel.loss.value, panel.weights.value = "cross-entropy", False
    assert panel.gamma.disabled
    run = panel.run()
    assert run.losses == train(FocalLoss(gamma=0), panel.example, epochs=20, device="cpu").losses


@pytest.fixture
def endless(monkeypatch):
    """Replace the training by one that goes on until it is cancelled, and count how many were started."""
    started, stepped = [], threading.Event()

    def steps(*_):
        started.append(threading.current_thread())
        while True:
            yield 1 / (1 + len(started))
            stepped.set()

    monkeypatch.setattr(STEPS, steps)
    return started, stepped


def test_cancel_stops_at_once_and_keeps_the_curve(panel, endless):
    _, stepped = endless
    thread = panel.start()
    assert stepped.wait(10)
    assert panel.button.disabled and not panel.cancel.disabled
    panel.cancel.click()
    thread.join(10)
    assert not thread.is_alive()
    assert panel.last_run.losses
    assert panel.status.startswith(f"Cancelled after {len(panel.last_run.losses)} of 20 epochs.")
    assert picture_size(panel)[:2] == (320, 800)
    assert not panel.button.disabled and panel.cancel.disabled


def test_two_clicks_start_one_training(panel, endless):
    started, stepped = endless
    thread = panel.start()
    panel.button.click()
    panel.button.click()
    assert panel.start() is None
    with pytest.raises(RuntimeError, match="a training is running"):
        panel.run()
    assert stepped.wait(10)
    panel.cancel.click()
    thread.join(10)
    assert len(started) == 1
    second = panel.start()  # and after it, the next click starts the next one
    panel.cancel.click()
    second.join(10)
    assert not second.is_alive()


def test_the_curve_is_live(panel, endless, monkeypatch):
    monkeypatch.setattr("focal_lib.widgets.training_panel.SECONDS_PER_PICTURE", 0)
    pictures = threading.Semaphore(0)
    panel.picture.observe(lambda _: pictures.release(), names="value")
    thread = panel.start()
    for _ in range(3):
        assert pictures.acquire(timeout=10), "no new picture while the training runs"
    panel.cancel.click()
    thread.join(10)


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ([1.0, float("nan")], "Stopped: the loss became nan at epoch 1"),
        ([1.0, 5000.0], "Stopped: the loss grew from 1 to 5e+03; training stopped."),
    ],
)
def test_a_loss_that_diverges_stops_with_a_sentence(panel, monkeypatch, values, sentence):
    class Scripted(FocalLoss):
        def forward(self, input, target):
            return input.sum() * 0 + values[len(panel.last_run.losses)]

    monkeypatch.setattr("focal_lib.widgets.training_panel.FocalLoss", Scripted)
    run = panel.run()
    assert panel.status.startswith(sentence)
    assert run.losses == [value for value in values if value == value]
    assert not panel.button.disabled


def test_a_device_without_memory_falls_back_to_the_cpu(panel, monkeypatch):
    panel.device.options = ["cuda", "cpu"]
    panel.device.value = "cuda"
    on_cpu = panel._train

    def full(device):
        if device == "cuda":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
        return on_cpu(device)

    monkeypatch.setattr(panel, "_train", full)
    run = panel.run()
    assert panel.status.startswith("cuda ran out of memory, so this run used the CPU. Loss ")
    assert len(run.losses) == 20


def test_any_other_failure_is_told_and_leaves_the_panel_usable(panel, monkeypatch):
    def fail(*_):
        raise RuntimeError("planted")
        yield

    with monkeypatch.context() as patched:
        patched.setattr(STEPS, fail)
        with pytest.raises(RuntimeError, match="planted"):
            panel.run()
    assert panel.status == "Training failed: planted"
    assert len(panel.run().losses) == 20
