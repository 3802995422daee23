"""The stored results of many training runs: look them up, average them, compare them in pairs."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np
import pandas as pd
from scipy import stats

__all__ = [
    "Interval", "average", "calibration", "difference", "interval", "load", "load_curves", "not_below", "own_rates",
    "repaired", "stored_scores",
]  # fmt: skip

FEW = 30  # up to so many numbers, the bootstrap's interval is too short: of ten, it covers 90 % and not 95


@dataclass(frozen=True)
class Interval:
    """A mean over seeds and its 95 % interval, see :func:`interval`. A clear sign: the interval excludes 0."""

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
    for name in ("evidence", "long_runs", "own_rates"):  # 200 seeds to 500 epochs, 40 to 2 000, 200 at tuned rates
        parts.append(stored(name).drop(columns="rate", errors="ignore"))
    runs = ["data", "loss", "gamma", "alpha", "optimizer", "epochs", "seed"]
    frame = pd.concat(parts, ignore_index=True).melt(runs, var_name="metric")
    kinds = frame[["loss", "gamma", "alpha"]].drop_duplicates()
    return frame.merge(kinds.assign(name=[_name(*kind) for kind in kinds.itertuples(index=False)]))


def stored(name):
    """One stored table, as a data frame."""
    with as_file(files("focal_lib") / "results" / f"{name}.csv.gz") as path:
        return pd.read_csv(path, comment="#")


def own_rates():
    """The learning rate that was chosen for each loss, a dict; its runs have the optimizer "adam, own rate"."""
    chosen = stored("own_rates").drop_duplicates(["loss", "gamma", "alpha"])
    return {_name(row.loss, row.gamma, row.alpha): row.rate for row in chosen.itertuples()}


def repaired(loss, repair, metric, epochs, beside=("cross_entropy", "none")):
    """Mean of a score of repaired probabilities minus that of another, paired by seed, as :class:`Interval`.

    Args:
        loss: "cross_entropy" or "focal" (gamma 2), trained on resampled data.
        repair: "none", "way back" or "temperature".
        metric: "brier", "ece", or "too_sure": the mean confidence minus the share of right answers.
        epochs: 100, 500, 1000 or 2000.
        beside: the (loss, repair) to subtract; None subtracts nothing.

    Explained in chapter 11.
    """
    table = stored("repairs").set_index(["loss", "repair", "epochs", "seed"]).sort_index()[metric]
    one = table.loc[loss, repair, epochs]
    return interval(one if beside is None else one - table.loc[(*beside, epochs)])


@cache
def load_curves():
    """What the live view of chapter 05 draws, as a dict of arrays: curves by epoch of all seeds on the fixed data.

    The first axis of each is the run's kind, as in ``names``: "loss|gamma|alpha|optimizer".
    """
    with as_file(files("focal_lib") / "results" / "training_runs.npz") as path, np.load(path) as stored:
        return dict(stored)


def calibration(name, *, optimizer="adam", epochs=100):
    """(predicted probability, observed share) of class 1 in ten bins, over all seeds on the fixed data."""
    stored_scores(name, "ece", optimizer=optimizer, epochs=epochs)  # refuses what is not there
    curves = load_curves()
    kinds = [kind.split("|") for kind in curves["names"].tolist()]
    row = [(_name(loss, float(gamma), alpha), used) for loss, gamma, alpha, used in kinds].index((name, optimizer))
    return curves["reliability"][row, (100, 500).index(epochs), 1:]


def _name(loss, gamma, alpha):
    name = {"cross_entropy": "cross-entropy", "focal": f"focal γ={gamma:g}"}.get(loss, loss.replace("_", " "))
    return name + ", weights" * (alpha == "inverse_frequency" and loss in ("cross_entropy", "focal"))


def stored_scores(name, metric, *, data="fixed", optimizer="adam", epochs=100):
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
    """Mean of a score over the seeds, with its :class:`Interval`. ``which`` is passed to :func:`stored_scores`."""
    return interval(stored_scores(name, metric, **which))


def difference(first, second, metric, **which):
    """Mean of first minus second in pairs of the same seed, an :class:`Interval`. ``which``: see :func:`stored_scores`.

    In a pair both runs start from the same weights and see the same data. On the "fixed" data the interval covers the
    choice of the initial weights; on the "resampled" data also the choice of the problem and its split.
    """
    return interval(stored_scores(first, metric, **which) - stored_scores(second, metric, **which))


def not_below(first, second, metric, **which):
    """How often a run of first reaches at least the score of a run of second with another seed, a share.

    With first equal to second it is the yardstick: two correct runs, compared as if one were suspected. ``which`` as in
    :func:`stored_scores`.
    """
    one, other = (stored_scores(name, metric, **which).to_numpy() for name in (first, second))
    pairs = one[:, None] >= other
    np.fill_diagonal(pairs, False)  # the same seed is no second run
    return float(pairs.sum() / (pairs.size - len(one)))


def interval(values):
    """Mean and 95 % interval of one number a seed; the same numbers give the same interval.

    Up to 30 numbers it is Student's t interval, above that the bootstrap's percentile interval. It covers what changes
    from seed to seed and nothing else: not the choice of the task, the network or the learning rate.

    Raises:
        ValueError: fewer than two numbers, or one that is not finite.
    """
    values = np.asarray(values, dtype=float)
    if len(values) < 2 or not np.isfinite(values).all():
        raise ValueError(
            f"an interval needs at least two finite numbers, got {len(values)}, of which "
            f"{np.isfinite(values).sum()} are finite."
        )
    mean = values.mean()
    if len(values) <= FEW:
        half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
        return Interval(float(mean), float(mean - half), float(mean + half), len(values))
    generator = np.random.default_rng(0)
    low, high = stats.bootstrap((values,), np.mean, method="percentile", rng=generator).confidence_interval
    return Interval(float(mean), float(low), float(high), len(values))
