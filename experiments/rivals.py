"""Write focal_lib/results/rivals.csv.gz: focal loss against its rivals, the protocol of chapter 10.

Problems    Two synthetic classes, prevalence 1 to 50 %; for each, 450 training examples with 0, 10 and 30 % of the
            labels shuffled ("noise") and, without noise, 150 examples, and 450 with more overlap. Ten synthetic
            classes, thinned to the same proportions (rarest to commonest), with 450 examples and no noise. Each seed
            draws its own problem.
            Two real data sets of scikit-learn, one with two classes and one with ten, thinned in the same way, with the
            same noise; each seed draws its own split.
Methods     METHODS: ten losses, and four repairs of a trained network that need no training of their own.
Training    One hidden layer of 32 units, full batch, Adam, 40 updates, at one of four learning rates. For each problem
            each method has two rates, with the best mean over 12 tuning seeds: of balanced accuracy, for the scores of
            its answers, and of the Brier score, for the scores of its probabilities. The tuning seeds' problems are
            never scored (of the real data, two fifths of the examples are kept for tuning alone).
Choices     Thresholds and temperatures are chosen on the held-out examples of their own run, never on the test set.
Scores      200 seeds, the same problem and initial weights for every method, each test set scored once. "churn": the
            share of test answers that change when the network starts from other weights, 40 seeds.
Aliases     Where all classes are equally common, weights and shifts by the class shares change nothing: those methods
            are then the run of plain cross-entropy, or of plain focal loss, and are not trained again.

A row has the mean of one score of one method, and ``sd_NAME``: the standard deviation over the seeds of its paired
difference from the method of that name (its own column: of the score itself). All t intervals of all pairs follow from
these. Finished problems are kept in .cache/rivals, so that an interrupted script resumes.
"""

import argparse
import itertools
import time
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from joblib import Memory
from sklearn.datasets import load_breast_cancer, load_digits
from sklearn.model_selection import train_test_split

from focal_lib.lab.calibration import temperature, way_back
from focal_lib.lab.rivals import LOSSES, class_counts, criterion, deal, make_problem, shifted
from focal_lib.lab.scores import score_runs
from focal_lib.lab.sweep import sweep

ROOT = Path(__file__).parent.parent
OUT = ROOT / "focal_lib" / "results" / "rivals.csv.gz"
SEEDS, TUNING_SEEDS, REFITS = range(200), range(10_000, 10_012), 40
RATES = (0.003, 0.01, 0.03, 0.1)
EPOCHS, HIDDEN = 40, 32
STRENGTHS = sorted(np.arange(-0.5, 2.51, 0.25).tolist(), key=abs)  # ties go to the smallest shift
GOALS = {"balanced_accuracy": 1, "brier": -1}  # what the rates are chosen by, and whether more is better
SCORES = {  # score: its goal
    **dict.fromkeys(("balanced_accuracy", "macro_f1", "churn"), "balanced_accuracy"),
    **dict.fromkeys(("auc", "brier", "slope", "slope_miss"), "brier"),
}
KEYS = ["data", "classes", "prevalence", "n", "overlap", "noise"]

# name: (loss, what is done to the trained network)
METHODS = {
    **{loss: (loss, None) for loss in LOSSES},
    "threshold": ("cross-entropy", "threshold"),
    "temperature": ("cross-entropy", "temperature"),
    "adjusted afterwards": ("cross-entropy", "shift"),
    "focal, way back": ("focal", "way back"),
}
ALIASES = {
    "focal, weights 1/n": "focal",
    **dict.fromkeys(("adjusted in the loss", "weights 1/n", "weights 1/sqrt n", "effective number"), "cross-entropy"),
}
PREVALENCES, NOISES = (0.01, 0.05, 0.2, 0.5), (0.0, 0.1, 0.3)
REAL = {"breast cancer": load_breast_cancer, "digits": load_digits}
PROBLEMS = (  # training examples, overlap, noise: one thing at a time away from the first
    (450, "small", 0.0),
    (450, "small", 0.3),
    (150, "small", 0.0),
    (450, "large", 0.0),
    (450, "small", 0.1),
)


def synthetic(classes, some=PROBLEMS):
    return [("synthetic", classes, prevalence, *problem) for problem in some for prevalence in PREVALENCES]


def real(data, classes):
    kinds = itertools.product(PREVALENCES[1:], NOISES)
    return [(data, classes, prevalence, 0, "none", noise) for prevalence, noise in kinds]


SETTINGS = [*synthetic(2), *synthetic(10, PROBLEMS[:1]), *real("breast cancer", 2), *real("digits", 10)]

memory = Memory(ROOT / ".cache" / "rivals", verbose=0)


def problems(setting, seeds):
    """One Problem a seed."""
    data, classes, prevalence, n, overlap, noise = setting
    if data == "synthetic":
        make = partial(make_problem, classes=classes, prevalence=prevalence, n=n, overlap=overlap, noise=noise)
        return [make(seed) for seed in seeds]
    return [real_problem(data, prevalence, noise, seed) for seed in seeds]


def real_problem(data, prevalence, noise, seed):
    """A split of the part of a real data set that is for tuning, or of the part that is for scoring.

    The larger class comes first; each class falls behind the one before by the same factor, as in make_problem.
    """
    x, y = REAL[data](return_X_y=True)
    y = 1 - y if data == "breast cancer" else y  # 1: malignant, the rarer one
    parts = train_test_split(x, y, train_size=0.4, random_state=0, stratify=y)
    x, y = parts[::2] if seed in TUNING_SEEDS else parts[1::2]
    here = np.bincount(y)
    shares = np.array(class_counts(10**6, len(here), prevalence)) / 1e6
    whole = np.floor((here / shares).min() * shares + 1e-6)
    train, held = np.round(whole * 0.5).clip(2), np.round(whole * 0.2).clip(1)
    counts = {"train": train, "held": held, "test": (whole - train - held).clip(1)}
    problem = deal(
        torch.as_tensor(x), torch.as_tensor(y), {p: c.astype(int).tolist() for p, c in counts.items()}, noise, seed
    )
    mean, spread = problem.x_train.mean(0), problem.x_train.std(0)
    for part in counts:  # scaled by what the training examples say
        scaled = (getattr(problem, f"x_{part}") - mean) / spread.where(spread > 0, 1)
        object.__setattr__(problem, f"x_{part}", scaled)
    return problem


def outputs(loss, rate, examples, seeds):
    """Train one network a seed; its logits on the held-out examples and on the test set, (seeds, N, C) each."""
    kind = criterion(loss, counts_of(examples))
    done = sweep(
        kind,
        seeds,
        per_example=callable(kind),
        data=examples,
        learning_rate=rate,
        hidden=HIDDEN,
        epochs=EPOCHS,
        progress=False,
    )
    return done.logits(torch.stack([e.x_held for e in examples])), done.logits()


def counts_of(examples):
    return examples[0].y_train.bincount().tolist()


def answers_and_probabilities(repair, held, test, y_held, counts, score):
    """What a method says on the test set: answers (seeds, N) and probabilities (seeds, N, C)."""
    if repair == "shift":
        test = shifted(test, counts)
    if repair == "temperature":
        test = test / temperature(held, y_held)[:, None, None]
    p = test.double().softmax(-1)
    if repair == "way back":
        p = way_back(p)
    if repair == "threshold" and score in ("balanced_accuracy", "macro_f1", "churn"):
        goal = "macro_f1" if score == "macro_f1" else "balanced_accuracy"
        scored = [score_runs(shifted(held, counts, s).softmax(-1), y_held, only=(goal,))[goal] for s in STRENGTHS]
        strength = torch.tensor(STRENGTHS)[torch.stack(scored).argmax(0)].float()
        return shifted(test, counts, strength[:, None, None]).argmax(-1), p
    return p.argmax(-1), p


def tuned_rates(setting):
    """The learning rate of each (method, goal): the best mean on the tuning seeds."""
    examples = problems(setting, TUNING_SEEDS)
    found = {}
    for loss in trained_losses(examples):
        for rate in RATES:
            run = outputs(loss, rate, examples, TUNING_SEEDS)
            for method, goal in itertools.product(methods_of(loss), GOALS):
                found[method, goal, rate] = scores_of(method, goal, run, examples).mean().item()
    methods = dict.fromkeys(method for method, _, _ in found)
    return {
        (method, goal): max(RATES, key=lambda rate: sign * found[method, goal, rate])
        for method, (goal, sign) in itertools.product(methods, GOALS.items())
    }


def scores_of(method, score, run, examples):
    held, test = run
    y_held, y = (torch.stack([getattr(e, f"y_{part}") for e in examples]) for part in ("held", "test"))
    answers, p = answers_and_probabilities(METHODS[method][1], held, test, y_held, counts_of(examples), score)
    return score_runs(p, y, answers, only=(score,))[score]


def trained_losses(examples):
    same = len(set(counts_of(examples))) == 1
    return [loss for loss in LOSSES if not (same and loss in ALIASES)]


def methods_of(loss):
    return [method for method, (base, _) in METHODS.items() if base == loss]


@memory.cache
def rows(setting):
    """All rows of one problem, as a data frame."""
    rates = tuned_rates(setting)
    examples = problems(setting, SEEDS)
    other = [seed + 500 for seed in SEEDS[:REFITS]]  # other initial weights for the same problems
    found = {}
    for loss in trained_losses(examples):
        runs = {}
        for method, score in itertools.product(methods_of(loss), SCORES):
            rate = rates[method, SCORES[score]]
            if rate not in runs:
                runs[rate] = outputs(loss, rate, examples, SEEDS)
            if score == "slope_miss":
                found[method, score] = abs(np.log(found[method, "slope"]))
                continue
            if score != "churn":
                found[method, score] = scores_of(method, score, runs[rate], examples).numpy()
                continue
            if ("again", rate) not in runs:
                runs["again", rate] = outputs(loss, rate, examples[:REFITS], other)
            y_held = torch.stack([e.y_held for e in examples[:REFITS]])
            first, second = (
                answers_and_probabilities(METHODS[method][1], *run, y_held, counts_of(examples), score)[0]
                for run in ([part[:REFITS] for part in runs[rate]], runs["again", rate])
            )
            found[method, score] = (first != second).double().mean(-1).numpy()
    for method, alias in ALIASES.items():
        for score in SCORES:
            found.setdefault((method, score), found[alias, score])
            rates.setdefault((method, SCORES[score]), rates[alias, SCORES[score]])
    return table(setting, found, rates)


def table(setting, found, rates):
    parts = []
    for score in SCORES:
        values = np.array([found[method, score] for method in METHODS])
        apart = values[:, None] - values[None]
        spread = apart.std(axis=2, ddof=1)
        spread[np.diag_indices(len(values))] = values.std(axis=1, ddof=1)
        columns = {f"sd_{method}": spread[:, k] for k, method in enumerate(METHODS)}
        rate = [rates[method, SCORES[score]] for method in METHODS]
        part = {"score": score, "method": list(METHODS), "rate": rate, "seeds": values.shape[1]}
        parts.append(pd.DataFrame({**part, "mean": values.mean(axis=1), **columns}))
    return pd.concat(parts).assign(**dict(zip(KEYS, setting, strict=True)))


def write(frame, path):
    """The same frame gives the same bytes; each pair's standard deviation is written once."""
    frame = frame[[*KEYS, "score", "method", "rate", "seeds", "mean", *(f"sd_{method}" for method in METHODS)]].copy()
    for k, method in enumerate(METHODS):
        later = frame["method"].isin(list(METHODS)[:k])
        frame.loc[later, f"sd_{method}"] = np.nan
        frame[f"sd_{method}"] = frame[f"sd_{method}"].map(lambda x: "" if np.isnan(x) else f"{x:.3g}")
    frame["mean"] = frame["mean"].map(lambda x: f"{x:.4f}")
    frame.to_csv(path, index=False, lineterminator="\n", compression={"method": "gzip", "mtime": 0})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no new problem after so long")
    parser.add_argument("--reverse", action="store_true", help="from the last problem on, towards another process")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    start = time.monotonic()
    for setting in reversed(SETTINGS) if arguments.reverse else SETTINGS:
        if not rows.check_call_in_cache(setting) and time.monotonic() - start > 60 * arguments.minutes:
            print(f"{sum(map(rows.check_call_in_cache, SETTINGS))} of {len(SETTINGS)} problems are done; run again")
            return
        rows(setting)
    parts = [rows(setting) for setting in SETTINGS]
    write(pd.concat(parts), OUT)
    print(f"{OUT.name}: {OUT.stat().st_size / 1e3:.0f} kB, {(time.monotonic() - start) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
