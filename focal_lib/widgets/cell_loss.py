"""One image and the loss of each of its cells, as a heat map, while gamma moves."""

import base64
import io

import numpy as np
from PIL import Image

from ..lab import plots
from ..losses import sigmoid_focal_loss
from .view import Choice, LiveView, Step, module, pack, percent

__all__ = ["CellLoss"]

DECADES = 5  # the heat map's scale: a share of the image's loss from 1 down to 10**-5


class CellLoss(LiveView):
    """The loss of each cell of one image, under sigmoid focal loss.

    ::

        CellLoss(image, {"new": logits, "trained": other_logits}, target, counted, gamma=2.0)

    Args:
        image: (S, S), any range of brightness.
        logits: a dictionary from the names of exactly two networks to what they say, each (K, S/2, S/2).
        target, counted: (K, S/2, S/2), as in :class:`focal_lib.lab.detection.Scenes`; one cell holds the object.
        gamma: focusing parameter, 0 to 5 in steps of 0.5.
        network: "first" or "second" of the two.
        hide: any of "gamma", "network", "presets", "reset", "link".
        name: what the view is called in a link.

    Raises:
        ValueError: not two networks, not one object, or shapes that differ.

    There is no alpha here: it weighs all background alike, so it would move the sentence and not the picture.
    Explained in chapter 09.
    """

    _esm = module("cell_loss.js")
    gamma = Step(0.0, 0, 5, 0.5)
    network = Choice("first", "second", default="second")

    def __init__(self, image, logits, target, counted, **kwargs):
        if len(logits) != 2 or target.sum() != 1 or {x.shape for x in logits.values()} != {target.shape}:
            shapes = [tuple(x.shape) for x in logits.values()]
            raise ValueError(
                f"expected two networks' logits of target's shape {tuple(target.shape)} and one object, got {shapes} "
                f"and {int(target.sum())} objects."
            )
        super().__init__(**kwargs)
        self._scene = image.numpy(), list(logits.values()), target, counted
        self.object = tuple(target.amax(0).nonzero()[0].tolist())  # row, column
        gammas = self.traits()["gamma"].grid().tolist()
        both = np.array([[self.shares(g, which) for which in ("first", "second")] for g in gammas])
        self._tables = {
            "level": pack(levels(both), places=0),
            "object": pack(np.array([[self.split(cells)[0] for cells in pair] for pair in both])),
            "worst": pack(np.array([[self.split(cells)[1] for cells in pair] for pair in both])),
            "rest": pack(np.array([[self.split(cells)[2] for cells in pair] for pair in both])),
        }
        self._facts = {
            "names": list(logits),
            "object": list(self.object),
            "cells": both.shape[-1],
            "photo": _png(self._scene[0]),
        }

    def shares(self, gamma, network):
        """The share of each cell in the loss of the image, float64 array (S/2, S/2)."""
        _, logits, target, counted = self._scene
        said = logits[("first", "second").index(network)].double()
        loss = sigmoid_focal_loss(said, target, alpha=None, gamma=gamma, reduction="none") * counted
        cells = loss.sum(0).numpy()
        return cells / cells.sum()

    def split(self, cells):
        """The shares of the object's cell, of the ten worst background cells, and of all others."""
        row, column = self.object
        background = np.sort(np.delete(cells.flatten(), row * cells.shape[1] + column))
        return cells[row, column], background[-10:].sum(), background[:-10].sum()

    def sentence(self):
        cells = self.shares(self.gamma, self.network)
        share, worst, rest = map(percent, self.split(cells))
        name = self._facts["names"][("first", "second").index(self.network)]
        return (
            f"{name}, γ = {self.gamma:.1f}: the object's cell owns {share} of the loss of this image, the ten worst "
            f"background cells {worst}, and all other cells {rest}."
        )

    def picture(self):
        figure, (left, right) = plots.axes("", "", width=7, height=3.6, columns=2)
        extent = (0, self._facts["cells"], self._facts["cells"], 0)
        left.imshow(self._scene[0], cmap="gray", extent=extent)
        powers = levels(self.shares(self.gamma, self.network)) / 10 - DECADES
        shown = right.imshow(powers, extent=extent, cmap="inferno", vmin=-DECADES, vmax=0)
        row, column = self.object
        for ax, title in ((left, "image"), (right, "loss of each cell")):
            ax.plot(column + 0.5, row + 0.5, "o", markersize=18, fillstyle="none", color=plots.COLORS["extra"])
            ax.set_title(title)
            ax.set_axis_off()
        figure.colorbar(shown, ax=right, label="share of the image's loss, power of ten")
        return figure


def levels(shares):
    """Tenths of a decade above the scale's end, whole numbers from 0 to 50: what the heat map colours."""
    return np.round(10 * (np.log10(np.clip(shares, 10.0**-DECADES, 1)) + DECADES))


def _png(image):
    """The image as base64 text, with 32 shades of grey."""
    low, high = np.quantile(image, [0.005, 0.995])
    grey = np.clip((image - low) / (high - low), 0, 1)
    file = io.BytesIO()
    Image.fromarray((np.round(grey * 31) * 8).astype(np.uint8)).save(file, format="png", optimize=True)
    return base64.b64encode(file.getvalue()).decode()
