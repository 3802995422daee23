"""The stored comparison of focal loss with its rivals: look up means, differences in pairs, and who wins."""

from dataclasses import dataclass
from functools import cache
from importlib.resources import as_file, files

import numpy as np
import pandas as pd
from scipy import stats

from .._checks import check_choice
from .stored_runs import Interval

__all__ = [
    "METHODS", "PREVALENCES", "PROBLEMS", "SCORES", "TASKS", "Winner", "average", "difference", "load", "problems",
    "record", "winner", "wins",
]  # fmt: skip

METHODS = (
    "cross-entropy", "threshold", "temperature", "adjusted afterwards", "adjusted in the loss", "weights 1/n",
    "weights 1/sqrt n", "effective number", "sampler", "smoothing", "focal", "focal, way back", "focal, weights 1/n",
    "mirror",
)  # fmt: skip
TASKS = {
    "2 classes": ("synthetic", 2),
    "10 classes": ("synthetic", 10),
    "breast cancer": ("breast cancer", 2),
    "digits": ("digits", 10),
}
PREVALENCES = (0.01, 0.05, 0.2, 0.5)
PROBLEMS = {  # name: training examples, overlap, noise
    "plain": (450, "small", 0.0),
    "noise 10": (450, "small", 0.1),
    "noise 30": (450, "small", 0.3),
    "few": (150, "small", 0.0),
    "overlap": (450, "large", 0.0),
}
RUN = {  # task: the problems that were run
    "2 classes": tuple(PROBLEMS),
    "10 classes": ("plain",),
    "breast cancer": ("plain", "noise 10", "noise 30"),
    "digits": ("plain", "noise 10", "noise 30"),
}
SCORES = {  # name: is more better?
    "balanced_accuracy": True,
    "macro_f1": True,
    "auc": True,
    "brier": False,
    "slope_miss": False,
    "churn": False,
}
KEYS = ["data", "classes", "prevalence", "n", "overlap", "noise"]


@dataclass(frozen=True)
class Winner:
    """``method`` has the best mean, the first of ``METHODS`` if means are tied to the four stored digits; ``level`` are
    those whose paired 95 % interval against it contains zero."""

    method: str
    level: tuple


@cache
def load():
    """All rows; experiments/rivals.py describes the protocol and the columns. ``make evidence`` reproduces the file."""
    with as_file(files("focal_lib") / "results" / "rivals.csv.gz") as path:
        return pd.read_csv(path, keep_default_na=False, na_values=[""])  # "none" is a word


@cache
def _problems():
    return dict(list(load().groupby([*KEYS, "score"])))


def problems(task=None):
    """All (task, prevalence, problem) that were run."""
    return [
        (name, prevalence, problem)
        for name, (data, _) in TASKS.items()
        if task in (None, name)
        for prevalence in PREVALENCES[data != "synthetic" :]
        for problem in RUN[name]
    ]


@cache
def _cell(task, prevalence, problem, score):
    """(means, standard deviations of all paired differences, number of seeds), in the order of METHODS."""
    check_choice(task, TASKS, "task")
    check_choice(problem, PROBLEMS, "problem")
    check_choice(score, (*SCORES, "slope"), "score")
    if (task, prevalence, problem) not in problems(task):
        raise ValueError(
            f"{task} with prevalence {prevalence} and {problem!r} was not run; problems({task!r}) lists all."
        )
    data, classes = TASKS[task]
    n, overlap, noise = PROBLEMS[problem]
    if data != "synthetic":
        n, overlap = 0, "none"
    rows = _problems()[data, classes, prevalence, n, overlap, noise, score].set_index("method").loc[list(METHODS)]
    spread = rows[[f"sd_{method}" for method in METHODS]].to_numpy()
    return rows["mean"].to_numpy(), np.fmax(spread, spread.T), int(rows["seeds"].iloc[0])


def average(method, score, *, task="2 classes", prevalence=0.05, problem="plain"):
    """Mean of a score over the seeds with its t interval, an :class:`~focal_lib.lab.stored_runs.Interval`."""
    check_choice(method, METHODS, "method")
    means, spread, seeds = _cell(task, prevalence, problem, score)
    k = METHODS.index(method)
    return _interval(means[k], spread[k, k], seeds)


def difference(first, second, score, *, task="2 classes", prevalence=0.05, problem="plain"):
    """Mean of first minus second over pairs of the same seed, with its t interval.

    Args:
        first, second: two of ``METHODS``.
        score: one of ``SCORES``, or "slope".
        task: "2 classes" or "10 classes" (synthetic), "breast cancer" (two classes too) or "digits" (ten).
        prevalence: 0.01 (synthetic data only), 0.05, 0.2 or 0.5.
        problem: "plain", of ten synthetic classes the only one; "noise 10" or "noise 30", the share of labels that are
            shuffled; with two synthetic classes also "few" (150 examples in place of 450) and "overlap".

    Raises:
        ValueError: an unknown name, or a problem that was not run.

    Explained in chapter 10.
    """
    for method in (first, second):
        check_choice(method, METHODS, "method")
    means, spread, seeds = _cell(task, prevalence, problem, score)
    a, b = METHODS.index(first), METHODS.index(second)
    return _interval(means[a] - means[b], 0.0 if a == b else spread[a, b], seeds)


def winner(score, *, task="2 classes", prevalence=0.05, problem="plain"):
    """The :class:`Winner` of one problem by one score."""
    check_choice(score, SCORES, "score")
    means, spread, seeds = _cell(task, prevalence, problem, score)
    best = int(means.argmax() if SCORES[score] else means.argmin())
    others = [k for k in range(len(METHODS)) if k != best]
    level = tuple(METHODS[k] for k in others if _interval(means[best] - means[k], spread[best, k], seeds).sign == 0)
    return Winner(METHODS[best], level)


def wins(score, among=None):
    """How often each method is the winner by this score, a dict in the order of METHODS without zeros.

    Wins with others level count as well; of a tie the first takes all, see :class:`Winner`.

    ``among`` is a list of (task, prevalence, problem); None takes all :func:`problems`.
    """
    keys = ("task", "prevalence", "problem")
    found = [winner(score, **dict(zip(keys, one, strict=True))).method for one in among or problems()]
    return {method: found.count(method) for method in METHODS if method in found}


def record(first, second, score, among=None):
    """In how many problems first is (better, level, worse) than second: the paired 95 % interval excludes zero, or not.

    ``among`` as in :func:`wins`. Nothing corrects for the number of comparisons: one interval in twenty errs.
    """
    check_choice(score, SCORES, "score")
    keys = ("task", "prevalence", "problem")
    signs = [difference(first, second, score, **dict(zip(keys, one, strict=True))).sign for one in among or problems()]
    better = 1 if SCORES[score] else -1
    return signs.count(better), signs.count(0), signs.count(-better)


def _interval(mean, spread, seeds):
    half = stats.t.ppf(0.975, seeds - 1) * spread / seeds**0.5
    return Interval(float(mean), float(mean - half), float(mean + half), seeds)
