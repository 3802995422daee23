"""The training panel: choose a loss, press Run, watch the loss fall, see the held-out confusion matrix."""

import ipywidgets as widgets
import matplotlib.pyplot as plt
from IPython.display import clear_output
from sklearn.metrics import confusion_matrix

from .. import plots
from ..data import inverse_frequency
from ..losses import FocalLoss
from ..training import Run, available_devices, best_device, evaluate, make_model, training_steps

__all__ = ["TrainingPanel"]


class TrainingPanel(widgets.VBox):
    """Controls that train the example's network once and show the result.

    ``panel.run()`` does what the Run button does; the last :class:`~focal_lib.training.Run` is in ``panel.last_run``.
    """

    def __init__(self, example):
        self.example = example
        self.last_run = None
        self.loss = widgets.Dropdown(options=["cross-entropy", "focal loss"], value="focal loss", description="loss")
        self.gamma = widgets.FloatSlider(value=2, min=0, max=5, step=0.1, description="γ")
        self.weights = widgets.Checkbox(value=True, description="class weights")
        self.epochs = widgets.IntSlider(value=100, min=10, max=500, step=10, description="epochs")
        self.seed = widgets.BoundedIntText(value=0, min=0, max=10_000, description="seed")
        self.device = widgets.Dropdown(options=available_devices(), value=best_device(), description="device")
        self.button = widgets.Button(description="Run", button_style="primary")
        self.progress = widgets.IntProgress(value=0, description="epoch 0")
        self.output = widgets.Output()
        self.loss.observe(self._enable_gamma, names="value")
        self.button.on_click(lambda _: self.run())
        controls = [self.loss, self.gamma, self.weights, self.epochs, self.seed, self.device]
        super().__init__([*controls, widgets.HBox([self.button, self.progress]), self.output])

    def run(self):
        """Train with the present settings; returns the Run and shows it in the panel."""
        self.button.disabled = True
        try:
            self.last_run = self._train()
        finally:
            self.button.disabled = False
        self._show(self.last_run)
        return self.last_run

    def _enable_gamma(self, _):
        self.gamma.disabled = self.loss.value == "cross-entropy"

    def _train(self):
        device = self.device.value
        alpha = inverse_frequency(self.example.y_train) if self.weights.value else None
        gamma = 0.0 if self.loss.value == "cross-entropy" else self.gamma.value
        criterion = FocalLoss(alpha, gamma).to(device)
        run = Run(make_model(self.seed.value).to(device))
        self.progress.max = self.epochs.value
        x, y = self.example.x_train.to(device), self.example.y_train.to(device)
        for value in training_steps(run.model, criterion, x, y, self.epochs.value):
            run.losses.append(value)
            if len(run.losses) % 10 == 0:
                self.progress.value = len(run.losses)
                self.progress.description = f"epoch {len(run.losses)}"
        return run

    def _show(self, run):
        logits = run.logits(self.example.x_test)
        scores = evaluate(logits, self.example.y_test)
        with self.output:
            clear_output(wait=True)
            plots.training_run(run.losses, confusion_matrix(self.example.y_test, logits.argmax(dim=1)))
            plt.show()
            print(f"held-out balanced accuracy {scores['balanced_accuracy']:.2f}, accuracy {scores['accuracy']:.2f}")
            for epoch in range(0, min(len(run.losses), 100), 10):
                print(f"epoch {epoch:3}  loss {run.losses[epoch]:.4f}")
