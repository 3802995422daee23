"""A few texts, ordered by what the loss cares about: gamma and the class weights change the order."""

import numpy as np
import torch

from ..lab import plots
from ..losses import focal_loss
from .view import Choice, LiveView, Step, module, pack, percent

__all__ = ["TextRanking"]

DECADES = 5  # the log scale: a share of the loss from all of it down to 10**-5


class TextRanking(LiveView):
    """Texts with their p_t, loss and share of the loss, the most expensive first.

    ::

        TextRanking(texts, labels, p_t, weights=[1.0, 4.0], gamma=2.0)

    Args:
        texts: a list of N short texts.
        labels: the true class of each, as words.
        p_t: what a trained model gives to the true class of each, N numbers strictly between 0 and 1.
        weights: the class weight of each text's class, N positive numbers.
        gamma: focusing parameter, 0 to 5 in steps of 0.1.
        weighting: "none", or "balanced" for the class weights.
        scale: "linear" for bars, or "log" for dots on a scale on which small shares can be told apart.
        hide: any of "gamma", "weighting", "scale", "presets", "reset", "link".
        name: what the view is called in a link.

    Raises:
        ValueError: lists of different lengths, or a p_t that is not strictly between 0 and 1.

    Explained in chapter 08.
    """

    _esm = module("text_ranking.js")
    gamma = Step(2.0, 0, 5, 0.1)
    weighting = Choice("none", "balanced")
    scale = Choice("linear", "log")

    def __init__(self, texts, labels, p_t, weights, **kwargs):
        if not len(texts) == len(labels) == len(p_t) == len(weights):
            lengths = f"{len(texts)}, {len(labels)}, {len(p_t)} and {len(weights)}"
            raise ValueError(f"texts, labels, p_t and weights must have one length, got {lengths}.")
        if not all(0 < p < 1 for p in p_t):
            raise ValueError(f"p_t must lie strictly between 0 and 1, got {min(p_t)} to {max(p_t)}.")
        super().__init__(**kwargs)
        self._facts = {"texts": list(texts), "labels": list(labels), "p_t": list(p_t), "weights": list(weights)}
        every = [[self.losses(g, w) for w in ("none", "balanced")] for g in self.traits()["gamma"].grid().tolist()]
        loss = np.array(every)  # (gamma, weighting, text)
        share = loss / loss.sum(axis=2, keepdims=True)
        self._tables = {
            "loss": pack(loss),
            "factor": pack(loss / loss[:1, :1]),
            "share": pack(share),
            "place": pack(place(share), places=1),
            "order": pack(np.argsort(-loss, axis=2, kind="stable"), places=0),
        }

    def losses(self, gamma, weighting):
        """The loss of each text, float64 array of shape (N,)."""
        p_t = torch.tensor(self._facts["p_t"], dtype=torch.float64)
        log_p = torch.stack([p_t, 1 - p_t], dim=1).log()
        loss = focal_loss(log_p, torch.zeros(len(p_t), dtype=torch.int64), gamma=gamma, reduction="none").numpy()
        return loss * np.array(self._facts["weights"]) if weighting == "balanced" else loss

    def sentence(self):
        loss, plain = self.losses(self.gamma, self.weighting), self.losses(0.0, "none")
        first = int(np.argmax(loss))
        facts = self._facts
        weighted = "with" if self.weighting == "balanced" else "without"
        return (
            f"At γ = {self.gamma:.1f} {weighted} class weights the most expensive note is “{facts['texts'][first]}” "
            f"({facts['labels'][first]}, p_t = {facts['p_t'][first]:.2f}): {percent(loss[first] / loss.sum())} of the "
            f"loss of these {len(loss)} notes, {percent(plain[first] / plain.sum())} under cross-entropy."
        )

    def picture(self):
        loss, facts = self.losses(self.gamma, self.weighting), self._facts
        order = np.argsort(-loss, kind="stable")
        figure, ax = plots.axes("share of the loss of these notes", "", width=7, height=0.42 * len(loss) + 1)
        names = [f"{facts['texts'][k]}\n{facts['labels'][k]}, $p_t$ = {facts['p_t'][k]:.2f}" for k in order]
        share = loss[order] / loss.sum()
        if self.scale == "log":
            ax.plot(np.maximum(share, 10.0**-DECADES), names, "o", color=plots.COLORS["focal"])
            ax.set_xscale("log")
            ax.set_xlim(10.0**-DECADES, 1)
        else:
            ax.barh(names, share, color=plots.COLORS["focal"])
        ax.tick_params(axis="y", labelsize=8)
        ax.invert_yaxis()
        return figure


def place(share):
    """Where shares stand on the log scale, in percent of its length; what is below the scale stands at its start."""
    return 100 * (np.log10(np.clip(share, 10.0**-DECADES, 1)) / DECADES + 1)
