"""The training panel: choose a loss, press Run, watch the loss fall and the held-out confusion matrix change."""

import io
import threading
import time

import ipywidgets as widgets
import torch
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from ..lab import plots
from ..lab.data import inverse_frequency
from ..lab.scores import evaluate
from ..lab.training import Run, available_devices, best_device, make_model, training_steps
from ..losses import FocalLoss

__all__ = ["TrainingPanel"]

SECONDS_PER_PICTURE = 0.5
DIVERGED = 1000  # a loss this many times its first value is not coming back


class TrainingPanel(widgets.VBox):
    """Controls that train the example's network once and show the result.

    *Run* trains in a thread of its own, so that *Cancel* is heard; ``panel.run()`` trains with the same settings and
    returns when it is done. ``panel.last_run`` is the last :class:`~focal_lib.lab.training.Run`, a cancelled one
    included, and ``panel.status`` says in one sentence what happened.

    Explained in chapter 05.
    """

    def __init__(self, example):
        self.example = example
        self.last_run = None
        self._busy = threading.Lock()
        self._cancelled = threading.Event()
        self.loss = widgets.Dropdown(options=["cross-entropy", "focal loss"], value="focal loss", description="loss")
        self.gamma = widgets.FloatSlider(value=2, min=0, max=5, step=0.1, description="γ")
        self.weights = widgets.Checkbox(value=True, description="class weights")
        self.epochs = widgets.IntSlider(value=100, min=10, max=500, step=10, description="epochs")
        self.seed = widgets.BoundedIntText(value=0, min=0, max=10_000, description="seed")
        self.device = widgets.Dropdown(options=available_devices(), value=best_device(), description="device")
        self.button = widgets.Button(description="Run", button_style="primary")
        self.cancel = widgets.Button(description="Cancel", disabled=True)
        self.progress = widgets.IntProgress(value=0, description="epoch 0")
        self.message = widgets.Label("Choose a loss and press Run.")
        self.picture = widgets.Image(format="png", layout=widgets.Layout(max_width="100%"))
        self.loss.observe(self._enable_gamma, names="value")
        self.button.on_click(lambda _: self.start())
        self.cancel.on_click(lambda _: self._cancelled.set())
        controls = [self.loss, self.gamma, self.weights, self.epochs, self.seed, self.device]
        buttons = widgets.HBox([self.button, self.cancel, self.progress])
        super().__init__([*controls, buttons, self.message, self.picture])

    @property
    def status(self):
        """What the panel says about the last training."""
        return self.message.value

    def __repr__(self):
        return f"Training panel. {self.status}"

    def start(self):
        """What the Run button does: train in the background. Returns the thread, or None if a training is running."""
        if not self._begin():
            return None
        thread = threading.Thread(target=self._train_and_release, daemon=True)
        thread.start()
        return thread

    def run(self):
        """Train with the present settings and wait for the end; returns the Run.

        Raises:
            RuntimeError: a training is running already.
        """
        if not self._begin():
            raise RuntimeError("a training is running in this panel; cancel it or wait for its end.")
        self._train_and_release()
        return self.last_run

    def _enable_gamma(self, _):
        self.gamma.disabled = self.loss.value == "cross-entropy"

    def _begin(self):
        """Claim the panel for one training; False if another one has it."""
        if not self._busy.acquire(blocking=False):
            return False
        self._cancelled.clear()
        self.button.disabled, self.cancel.disabled = True, False
        return True

    def _train_and_release(self):
        try:
            self._train_somewhere()
        finally:
            self.button.disabled, self.cancel.disabled = False, True
            self._busy.release()

    def _train_somewhere(self):
        """Train on the chosen device, or on the CPU if that runs out of memory."""
        device, note = self.device.value, ""
        try:
            self._train(device)
        except (torch.OutOfMemoryError, RuntimeError) as error:
            if device == "cpu" or "out of memory" not in str(error):
                self.message.value = f"Training failed: {error}"
                raise
            note = f"{device} ran out of memory, so this run used the CPU. "
            self._train("cpu")
        self.message.value = note + self.message.value

    def _train(self, device):
        alpha = inverse_frequency(self.example.y_train) if self.weights.value else None
        gamma = 0.0 if self.loss.value == "cross-entropy" else self.gamma.value
        epochs = self.progress.max = self.epochs.value
        run = self.last_run = Run(make_model(self.seed.value).to(device))
        x, y = self.example.x_train.to(device), self.example.y_train.to(device)
        self.message.value = f"Training on {device}."
        ended, drawn = "", time.monotonic()
        try:
            for value in training_steps(run.model, FocalLoss(alpha, gamma).to(device), x, y, epochs):
                run.losses.append(value)
                if value > DIVERGED * abs(run.losses[0]):
                    raise FloatingPointError(
                        f"the loss grew from {run.losses[0]:.3g} to {value:.3g}; training stopped."
                    )
                if self._cancelled.is_set():
                    ended = f"Cancelled after {len(run.losses)} of {epochs} epochs. "
                    break
                if time.monotonic() - drawn > SECONDS_PER_PICTURE:
                    self._show(run)
                    drawn = time.monotonic()
        except FloatingPointError as error:
            ended = f"Stopped: {error} "
        self._show(run, ended)

    def _show(self, run, ended=""):
        """The present state of a run: its curve, its held-out confusion matrix, and a sentence."""
        self.progress.value = len(run.losses)
        self.progress.description = f"epoch {len(run.losses)}"
        logits = run.logits(self.example.x_test)
        figure = Figure(figsize=(8, 3.2), layout="constrained")  # unknown to pyplot, which is for one thread only
        plots.training_run(run.losses, confusion_matrix(self.example.y_test, logits.argmax(dim=1)), figure)
        png = io.BytesIO()
        figure.savefig(png, format="png", dpi=100)
        self.picture.value = png.getvalue()
        if logits.isfinite().all():
            scores = evaluate(logits, self.example.y_test)
            self.message.value = (
                f"{ended}Loss {run.losses[-1]:.4f}; on held-out data, balanced accuracy "
                f"{scores['balanced_accuracy']:.2f}, accuracy {scores['accuracy']:.2f}."
            )
        else:
            self.message.value = f"{ended}The network's outputs are no longer finite."
