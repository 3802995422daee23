"""The stored results of many training runs: look them up, average them, compare them in pairs."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np
import pandas as pd
from scipy.stats import bootstrap

__all__ = ["Interval", "average", "calibration", "difference", "load", "load_curves", "scores"]


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and its bootstrap 95 % interval. A clear sign: the interval excludes 0."""

    mean: float
    low: float
    high: float
    seeds: int

    @property
    def sign(self):
        """1 or -1 if the interval excludes 0, else 0."""
        return int(self.low > 0) - int(self.high < 0)

    def __str__(self):
        return f"{self.mean:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


@cache
def load():
    """All scores as a data frame, one a row.

    Columns: data, loss, gamma, alpha, optimizer, epochs, seed, metric, value; and ``name``, what the book calls the
    loss, such as "focal γ=2, weights". The protocol is in experiments/training.py; ``make evidence`` reproduces the
    files. Explained in chapter 05.
    """
    parts = []
    for name in ("evidence.csv.gz", "long_runs.csv.gz"):  # 200 seeds to 500 epochs, 40 seeds to 2 000
        with as_file(files("focal_lib") / "results" / name) as path:
            parts.append(pd.read_csv(path, comment="#"))
    frame = pd.concat(parts, ignore_index=True)
    kinds = frame[["loss", "gamma", "alpha"]].drop_duplicates()
    return frame.merge(kinds.assign(name=[_name(*kind) for kind in kinds.itertuples(index=False)]))


@cache
def load_curves():
    """What the live view of chapter 05 draws, as a dict of arrays: curves by epoch of all seeds on the fixed data.

    The first axis of each is the run's kind, as in ``names``: "loss|gamma|alpha|optimizer".
    """
    with as_file(files("focal_lib") / "results" / "training_runs.npz") as path, np.load(path) as stored:
        return dict(stored)


def calibration(name, *, optimizer="adam", epochs=100):
    """(predicted probability, observed share) of class 1 in ten bins, over all seeds on the fixed data; see scores."""
    scores(name, "ece", optimizer=optimizer, epochs=epochs)  # refuses what is not there
    curves = load_curves()
    kinds = [kind.split("|") for kind in curves["names"].tolist()]
    row = [(_name(loss, float(gamma), alpha), used) for loss, gamma, alpha, used in kinds].index((name, optimizer))
    return curves["reliability"][row, (100, 500).index(epochs), 1:]


def _name(loss, gamma, alpha):
    name = {"cross_entropy": "cross-entropy", "focal": f"focal γ={gamma:g}"}.get(loss, loss.replace("_", " "))
    return name + ", weights" * (alpha == "inverse_frequency" and loss in ("cross_entropy", "focal"))


def scores(name, metric, *, data="fixed", optimizer="adam", epochs=100):
    """One score for each seed, a pandas Series.

    Raises:
        ValueError: there are no such runs; the message lists what the first unknown argument may be.
    """
    frame = load()
    wanted = {"name": name, "metric": metric, "data": data, "optimizer": optimizer, "epochs": epochs}
    for column, value in wanted.items():
        known = frame[column].unique()
        if value not in known:
            raise ValueError(f"{column} must be one of {', '.join(map(str, known))}; got {value!r}.")
        frame = frame[frame[column] == value]
    return frame.set_index("seed")["value"].sort_index()


def average(name, metric, **which):
    """Mean of a score over the seeds, with its :class:`Interval`. ``which`` is passed to :func:`scores`."""
    return interval(scores(name, metric, **which))


def difference(first, second, metric, **which):
    """Mean of first minus second in pairs of the same seed, as :class:`Interval`. ``which`` as in :func:`scores`.

    In a pair both runs start from the same weights and see the same data. On the "fixed" data the interval covers the
    choice of the initial weights; on the "resampled" data also the choice of the problem and its split.
    """
    return interval(scores(first, metric, **which) - scores(second, metric, **which))


def interval(values):
    """Mean and bootstrap percentile interval of one number a seed; the same numbers give the same interval."""
    values = np.asarray(values, dtype=float)
    generator = np.random.default_rng(0)
    low, high = bootstrap((values,), np.mean, method="percentile", rng=generator).confidence_interval
    return Interval(float(values.mean()), float(low), float(high), len(values))
