"""Two hundred stored runs of each loss: how they train, what they find, what their probabilities are worth."""

import numpy as np
import traitlets

from ..lab import plots
from ..lab.stored_runs import load_curves
from .view import Choice, LiveView, module, pack, percent

__all__ = ["TrainingRuns"]

# The losses to set beside focal loss: words -> (loss, gamma, alpha) in the stored runs.
BESIDE = {
    "cross-entropy": "cross_entropy|0|none",
    "sampler": "sampler|0|none",
    "one p_t for the batch": "mean_before_pt|2|none",
    "weight inside the exponent": "weight_inside_cross_entropy|2|inverse_frequency",
    "one alpha for all": "scalar_alpha|2|none",
}
PLACES = {"loss": 2, "recall": 2, "counts": 1, "found": 3, "reliability": 2}
AXES = {
    "loss": ("epoch (full-batch updates), every 20th", "training loss, its median at epoch 0 = 1"),
    "recall": ("epoch (full-batch updates), every 20th", "recall on the test points"),
    "answers": ("predicted class", "true class"),
}


class TrainingRuns(LiveView):
    """Focal loss of your choice beside another loss: 200 seeds each, on the book's fixed data, stored.

    ::

        TrainingRuns(gamma=2, weights=True, epochs="100")

    Args:
        gamma: 0 (cross-entropy), 0.5, 1, 2 or 5.
        weights: inverse-frequency class weights.
        beside: the loss to compare with: "cross-entropy", "sampler", or one of the sources' faulty losses.
        optimizer: "adam" or "sgd".
        epochs: "100" or "500".
        show: "recall" by epoch, "loss" by epoch, "answers" (confusion matrices) or "probabilities" (reliability).
        hide: any of "gamma", "weights", "beside", "optimizer", "epochs", "show", "presets", "reset", "link".
        name: what the view is called in a link.

    Explained in chapter 05.
    """

    _esm = module("training_runs.js")
    gamma = Choice(0, 0.5, 1, 2, 5, default=2)
    weights = traitlets.Bool(False).tag(sync=True, limits="yes or no")
    beside = Choice(*BESIDE)
    optimizer = Choice("adam", "sgd")
    epochs = Choice("100", "500")
    show = Choice("recall", "loss", "answers", "probabilities")

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self._stored = load_curves()
        size = np.bincount(self._stored["labels"])
        right = self._stored["counts"]  # (row, 100 or 500, true class): mean number of right answers
        wrong = size - right
        loss, recall = self._stored["loss"], self._stored["recall"]
        self._drawn = {
            "loss": loss / loss[:, :1, 1:2],  # in units of the median at the start: losses differ in scale
            "recall": recall.reshape(*recall.shape[:2], 6),
            "counts": np.stack([right[..., 0], wrong[..., 0], wrong[..., 1], right[..., 1]], axis=-1),
            "found": right / size,
            "reliability": np.nan_to_num(self._stored["reliability"], nan=-1.0),  # -1: an empty bin
        }
        by_epoch = {name: self._drawn[name].swapaxes(0, 1) for name in ("loss", "recall")}
        self._tables = {name: pack(values, PLACES[name]) for name, values in {**self._drawn, **by_epoch}.items()}
        self._facts = {
            "names": self._stored["names"].tolist(),
            "beside": BESIDE,
            "epochs": self._stored["epochs"].tolist(),
        }

    def rows(self):
        """Positions in the stored arrays of the chosen focal loss and of the loss beside it."""
        alpha = "inverse_frequency" if self.weights else "none"
        chosen = f"focal|{self.gamma:g}|{alpha}" if self.gamma else f"cross_entropy|0|{alpha}"
        return [self._facts["names"].index(f"{name}|{self.optimizer}") for name in (chosen, BESIDE[self.beside])]

    def label(self):
        name = f"focal loss, γ = {self.gamma:g}" if self.gamma else "cross-entropy"
        return name + (", with class weights" if self.weights else "")

    def sentence(self):
        at = ("100", "500").index(self.epochs)
        (majority, minority), (other_majority, other_minority) = (self._drawn["found"][row, at] for row in self.rows())
        optimizer = {"adam": "Adam", "sgd": "SGD"}[self.optimizer]
        return (
            f"After {self.epochs} epochs of {optimizer}, {self.label()}: {percent(minority)} of the minority found and "
            f"{percent(majority)} of the majority. Beside it, {self.beside}: {percent(other_minority)} and "
            f"{percent(other_majority)}. Means of 200 seeds on 200 test points."
        )

    def picture(self):
        at = ("100", "500").index(self.epochs)
        pair = dict(zip((self.label(), self.beside), self.rows(), strict=True))
        if self.show == "probabilities":
            styles = (plots.STYLES["focal"], plots.STYLES["cross_entropy"])
            curves = {name: self._stored["reliability"][row, at, 1:] for name, row in pair.items()}
            return plots.reliability({k: (*v, style) for (k, v), style in zip(curves.items(), styles, strict=True)})
        figure, ax = plots.axes(*AXES[self.show], width=7.5, columns=2 if self.show == "answers" else 1)
        if self.show == "answers":
            for one, (name, row) in zip(ax, pair.items(), strict=True):
                plots.confusion(self._drawn["counts"][row, at].reshape(2, 2).round(1), one)
                one.set_title(name)
            return figure
        {"loss": self._draw_loss, "recall": self._draw_recall}[self.show](ax, pair)
        ax.legend(frameon=False)
        return figure

    def _draw_loss(self, ax, pair):
        epochs = self._stored["epochs"] - self._stored["epochs"][0]  # read before an update, from 0 on
        until = epochs <= int(self.epochs)
        epochs = epochs[until]
        for (name, row), kind in zip(pair.items(), ("focal", "cross_entropy"), strict=True):
            low, middle, high = self._drawn["loss"][row, until].T
            ax.fill_between(epochs, low, high, color=plots.COLORS[kind], alpha=0.2)
            ax.plot(epochs, middle, label=name, **plots.STYLES[kind])
        ax.set_ylim(0, None)

    def _draw_recall(self, ax, pair):
        until = self._stored["epochs"] <= int(self.epochs)
        epochs = self._stored["epochs"][until]
        for k, kind in enumerate(("majority", "minority")):
            for (name, row), line in zip(pair.items(), ("-", "--"), strict=True):
                low, middle, high = self._stored["recall"][row, until, k].T
                ax.plot(epochs, middle, color=plots.COLORS[kind], linestyle=line, label=f"{kind}, {name}")
                if line == "-":
                    ax.fill_between(epochs, low, high, color=plots.COLORS[kind], alpha=0.25)
        ax.set_ylim(0, 1)
