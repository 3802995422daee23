"""Focal loss and its rivals: who wins where, by how much, and how sure that is."""

import matplotlib.pyplot as plt
import numpy as np

from ..lab import plots
from ..lab.stored_rivals import METHODS, PREVALENCES, PROBLEMS, SCORES, TASKS, difference, problems, winner
from .view import Choice, LiveView, module, pack, rounded

__all__ = ["RivalMap"]

SHORT = ("CE", "threshold", "temp.", "adj. after", "adj. loss", "1/n", "1/√n", "effective", "sampler", "smooth",
         "focal", "way back", "focal 1/n", "mirror")  # fmt: skip
KINDS = ("cross_entropy", *["extra"] * 3, *["minority"] * 5, "majority", *["focal"] * 3, "bug")  # colours by family
NAMES = {
    "balanced_accuracy": "balanced accuracy", "macro_f1": "macro F1", "auc": "AUC", "brier": "Brier score",
    "slope_miss": "calibration slope", "churn": "stability",
}  # fmt: skip


class RivalMap(LiveView):
    """A map of the winners by prevalence and kind of problem, and all methods beside cross-entropy in one of its cells.

    ::

        RivalMap(task="2 classes", score="macro F1", prevalence=0.05, problem="plain")

    Args:
        task: "2 classes" or "10 classes" (synthetic), "breast cancer" (two classes too) or "digits" (ten).
        score: "balanced accuracy", "macro F1", "AUC", "Brier score", "calibration slope" (the size of the slope's
            logarithm) or "stability" (the share of answers that change when the network starts anew).
        prevalence: 0.01, 0.05, 0.2 or 0.5.
        problem: "plain", "noise 10", "noise 30", "few" or "overlap".
        hide: any of "task", "score", "prevalence", "problem", "reset", "link".
        name: what the view is called in a link.

    Explained in chapter 10.
    """

    _esm = module("rival_map.js")
    task = Choice(*TASKS)
    score = Choice(*NAMES.values())
    prevalence = Choice(*PREVALENCES, default=0.05)
    problem = Choice(*PROBLEMS)

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        cells = problems()
        shape = (len(cells), len(SCORES))
        beside, half = np.zeros((2, *shape, len(METHODS)))
        best, level, place = np.zeros((3, *shape))
        for k, cell in enumerate(cells):
            for s, score in enumerate(SCORES):
                found = self._beside(cell, score)
                beside[k, s], half[k, s] = [i.mean for i in found], [i.high - i.mean for i in found]
                first, equal, place[k, s] = self._places(cell, score)
                best[k, s], level[k, s] = METHODS.index(first), len(equal)
        # one row: numbers of different problems have no order in which they would vary smoothly
        fine = {name: pack(t.reshape(1, -1)) for name, t in {"beside": beside, "half": half}.items()}
        whole = {"best": best, "level": level, "place": place}
        self._tables = fine | {name: pack(t.reshape(1, -1), places=0) for name, t in whole.items()}
        self._facts = {
            "methods": list(METHODS), "short": list(SHORT), "kinds": [kind.replace("_", "-") for kind in KINDS],
            "cells": ["|".join(map(str, cell)) for cell in cells], "lower": [not more for more in SCORES.values()],
        }  # fmt: skip

    @staticmethod
    def _beside(cell, score):
        """Each method minus cross-entropy."""
        which = dict(zip(("task", "prevalence", "problem"), cell, strict=True))
        return [difference(method, "cross-entropy", score, **which) for method in METHODS]

    @staticmethod
    def _places(cell, score):
        """The winner, those level with it, and focal loss's place, from 1."""
        won = winner(score, **dict(zip(("task", "prevalence", "problem"), cell, strict=True)))
        means = [i.mean for i in RivalMap._beside(cell, score)]
        ours = means[METHODS.index("focal")]
        return won.method, won.level, 1 + sum(m > ours if SCORES[score] else m < ours for m in means)

    def sentence(self):
        cell = self.task, self.prevalence, self.problem
        where = f"{self.task}, rarest {round(100 * self.prevalence)} %, {self.problem}, {self.score}"
        if cell not in problems():
            return f"{where}: not run."
        score = {name: key for key, name in NAMES.items()}[self.score]
        first, equal, place = self._places(cell, score)
        beside = dict(zip(METHODS, self._beside(cell, score), strict=True))
        sure = {0: "no other is level with it", 1: "1 other is level with it"}
        sure = sure.get(len(equal), f"{len(equal)} others are level with it")
        better = "more" if SCORES[score] else "less"
        return (
            f"{where} ({better} is better): the best is {first}, {_shown(beside[first])} beside cross-entropy; {sure}. "
            f"Focal loss: {_shown(beside['focal'])}, place {place} of {len(METHODS)}."
        )

    def picture(self):
        figure, (left, right) = plt.subplots(1, 2, figsize=(10, 4.6), layout="constrained")
        score = {name: key for key, name in NAMES.items()}[self.score]
        for row, problem in enumerate(PROBLEMS):
            for column, prevalence in enumerate(PREVALENCES):
                if (self.task, prevalence, problem) not in problems():
                    continue
                first, equal, _ = self._places((self.task, prevalence, problem), score)
                color = plots.COLORS[KINDS[METHODS.index(first)]]
                left.add_patch(plt.Rectangle((column, row), 0.96, 0.94, color=color, alpha=0.35 if equal else 0.9))
                left.text(column + 0.48, row + 0.5, SHORT[METHODS.index(first)], ha="center", va="center", fontsize=9)
        left.set(xlim=(0, len(PREVALENCES)), ylim=(len(PROBLEMS), 0), title=f"best {self.score}, {self.task}")
        left.set_xticks(np.arange(len(PREVALENCES)) + 0.5, [f"{100 * p:g} %" for p in PREVALENCES])
        left.set_yticks(np.arange(len(PROBLEMS)) + 0.5, PROBLEMS)
        left.set_xlabel("rarest class")
        right.axvline(0, color="grey", linestyle=":")
        if (self.task, self.prevalence, self.problem) in problems():
            for row, found in enumerate(self._beside((self.task, self.prevalence, self.problem), score)):
                color = plots.COLORS[KINDS[row]]
                right.plot([found.low, found.high], [row, row], color=color, linewidth=2.5)
                right.plot(found.mean, row, "o", color=color)
        right.set_yticks(range(len(METHODS)), METHODS)
        right.invert_yaxis()
        right.set_xlabel(f"{self.score}, beside cross-entropy")
        return figure


def _shown(interval):
    """The interval as the view shows it, made of the numbers that it ships."""
    mean, half = float(rounded(interval.mean)), float(rounded(interval.high - interval.mean))
    return f"{mean:+.3f} ± {half:.3f}"
