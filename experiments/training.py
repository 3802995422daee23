"""Make focal_lib/results/evidence.csv.gz and training_runs.npz from nothing: the protocol of chapters 03 and 05.

Data        "fixed": the article's 1 000 points and split, so a seed changes only the initial weights.
            "resampled": each seed draws its own problem of the same kind, its own split, and its own weights.
Losses      cross-entropy and focal loss with gamma 0.5, 1, 2, 5, each with and without inverse-frequency weights;
            cross-entropy on oversampled data ("sampler"); the sources' faulty losses.
            All divide by the number of examples, as the sources do.
Threshold   "tuned_threshold": the cross-entropy run itself, with another threshold. For each seed the training set
            is cut into three folds; networks trained on two of them score the third; the threshold is the one with
            the best balanced accuracy on these held-out training scores.
Training    200 seeds, full batch, Adam (learning rate 0.001) and SGD (0.1), scored after 100 and 500 updates.
Long runs   "--long": what lasts. Cross-entropy and focal loss (gamma 2), with and without weights, Adam, 40 seeds,
            scored after 1 000 and 2 000 updates; in long_runs.csv.gz.
Own rates   "--own-rates": does the common learning rate decide? The losses of OWN, Adam, 100 updates, each at the one
            of RATES with the best mean balanced accuracy over 20 tuning seeds, whose problems are not scored. The
            file own_rates.csv.gz calls this optimizer "adam, own rate".
Repairs     "--repairs": what brings the probabilities back. Cross-entropy and focal loss (gamma 2), Adam, 40 seeds on
            resampled data, after 100 to 2 000 updates: as they are, after the closed form of the way back, and with a
            temperature. Half of each test set chooses the temperature; the other half is scored; in repairs.csv.gz.
Test set    scored once for each run. Nothing is chosen by looking at it: all of the above was fixed before.

One run a row, its scores rounded to three decimals. Trained runs are kept in .cache/evidence
until the code of this script changes, so that an interrupted run resumes.
"""

import argparse
import gzip
import platform
import time
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import sklearn
import torch
from sklearn.metrics import roc_curve
from sklearn.model_selection import StratifiedKFold
from tqdm import tqdm

from focal_lib.lab.calibration import temperature, way_back
from focal_lib.lab.data import Example, load_example
from focal_lib.lab.scores import evaluate, reliability, score_runs
from focal_lib.lab.sweep import sweep

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "focal_lib" / "results"
SEEDS = range(200)
SCORED = (100, 500)
LONG_SEEDS = range(40)
LONG_SCORED = (1000, 2000)
CHECKPOINTS = range(20, 501, 20)  # kept for the live view
FOLDS = 3
COLUMNS = ["data", "loss", "gamma", "alpha", "optimizer", "epochs", "seed", "metric", "value"]
METRICS = ["accuracy", "balanced_accuracy", "macro_f1", "minority_recall", "minority_precision"]
METRICS += ["roc_auc", "pr_auc", "brier", "ece"]

# (loss, gamma, alpha)
LOSSES = [
    ("cross_entropy", 0, "none"),
    ("cross_entropy", 0, "inverse_frequency"),
    *(("focal", gamma, alpha) for gamma in (0.5, 1, 2, 5) for alpha in ("none", "inverse_frequency")),
    ("sampler", 0, "none"),
    ("mean_before_pt", 2, "none"),
    ("scalar_alpha", 2, "none"),
    ("weight_inside_cross_entropy", 2, "inverse_frequency"),
    ("binary_scalar_alpha", 2, "none"),
]
# The sources' other faults do not show while training on a CPU with weights: these losses train, to rounding, like
# another one (tests/test_evidence.py), so their rows would repeat rows that are there.
TRAINS_LIKE = {
    "reduce_flag_without_effect": ("mean_before_pt", 2, "none"),
    "alpha_none_crashes": ("focal", 2, "inverse_frequency"),
    "alpha_stays_behind": ("focal", 2, "inverse_frequency"),
}

LONG_LOSSES = [
    (loss, gamma, alpha) for loss, gamma, alpha in LOSSES if (loss, gamma) in {("cross_entropy", 0), ("focal", 2)}
]

OWN = [*LONG_LOSSES, ("focal", 1, "none"), ("focal", 1, "inverse_frequency"), ("sampler", 0, "none")]
RATES, TUNING_SEEDS = (0.0003, 0.001, 0.003, 0.01, 0.03), range(1000, 1020)

memory = joblib.Memory(ROOT / ".cache" / "evidence", verbose=0)


def examples_of(data, seeds):
    return [load_example()] * len(seeds) if data == "fixed" else [load_example(seed) for seed in seeds]


@memory.cache(ignore=["progress"])
def runs(data, loss, gamma, alpha, optimizer, seeds, checkpoints, fold=None, progress=True):
    """Train one configuration: its losses and, for each checkpoint, the logits of the test set (seeds, N, 2).

    With a fold, the training examples in it play the test set and the others the training set.
    """
    examples = examples_of(data, seeds)
    if fold is not None:
        examples = [without_fold(example, seed, fold) for example, seed in zip(examples, seeds, strict=True)]
    done = sweep(
        loss,
        seeds,
        data=examples,
        gamma=float(gamma),
        alpha=alpha,
        optimizer=optimizer,
        epochs=max(checkpoints),
        checkpoints=checkpoints,
        progress=progress,
    )
    return done.losses, {epoch: done.logits(epoch=epoch) for epoch in checkpoints}


def fold_rows(example, seed):
    """(training rows, held-out rows) of each fold of the training set."""
    return list(StratifiedKFold(FOLDS, shuffle=True, random_state=seed).split(example.x_train, example.y_train))


def without_fold(example, seed, fold):
    fit, held_out = fold_rows(example, seed)[fold]
    x, y = example.x_train, example.y_train
    return Example(x_train=x[fit], y_train=y[fit], x_test=x[held_out], y_test=y[held_out])


def tuned_thresholds(data, optimizer, seeds, checkpoints, epoch, progress=True):
    """For each seed, the threshold with the best balanced accuracy on held-out training scores."""
    folds = [
        runs(data, "cross_entropy", 0, "none", optimizer, seeds, checkpoints, fold, progress)[1][epoch].softmax(2)
        for fold in range(FOLDS)
    ]
    thresholds = []
    for k, (example, seed) in enumerate(zip(examples_of(data, seeds), seeds, strict=True)):
        y = np.concatenate([example.y_train[held_out] for _, held_out in fold_rows(example, seed)])
        p1 = np.concatenate([fold[k, :, 1] for fold in folds])
        false_positive_rate, recall, candidates = roc_curve(y, p1)
        thresholds.append(float(candidates[np.argmax(recall - false_positive_rate)]))
    return thresholds


def rows(data, loss, gamma, alpha, optimizer, seeds=SEEDS, scored=SCORED, checkpoints=CHECKPOINTS, progress=True):
    """The evidence's rows of one configuration, as a data frame."""
    seeds = list(seeds)
    tuned = loss == "tuned_threshold"
    _, logits = runs(
        data, "cross_entropy" if tuned else loss, gamma, alpha, optimizer, seeds, checkpoints, None, progress
    )
    examples = examples_of(data, seeds)
    parts = []
    for epoch in scored:
        thresholds = [0.5] * len(seeds)
        if tuned:
            thresholds = tuned_thresholds(data, optimizer, seeds, checkpoints, epoch, progress)
        scores = joblib.Parallel()(
            joblib.delayed(evaluate)(run.clone(), example.y_test, threshold)  # a view would travel with all runs
            for run, example, threshold in zip(logits[epoch], examples, thresholds, strict=True)
        )
        part = pd.DataFrame(scores, columns=METRICS).assign(seed=seeds).melt("seed", var_name="metric")
        parts.append(part.assign(data=data, loss=loss, gamma=gamma, alpha=alpha, optimizer=optimizer, epochs=epoch))
    return pd.concat(parts)[COLUMNS]


def write(frame, path, header):
    """Compressed CSV with a header of comments, one run a row; the same frame gives the same bytes."""
    runs = frame.pivot(index=COLUMNS[:-2], columns="metric", values="value")[METRICS]
    first = frame.drop_duplicates(COLUMNS[:-2]).set_index(COLUMNS[:-2]).index
    text = header + runs.reindex(first).reset_index().to_csv(index=False, float_format="%.3f", lineterminator="\n")
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def live_view(optimizers=("adam", "sgd"), seeds=SEEDS, scored=SCORED, checkpoints=CHECKPOINTS):
    """What the live view of chapter 05 draws, on the fixed data: arrays whose first axis is optimizer times loss."""
    seeds, example, every = list(seeds), load_example(), max(checkpoints) // len(checkpoints)
    y = example.y_test.numpy()
    arrays = {name: [] for name in ("loss", "recall", "counts", "reliability")}
    for optimizer in optimizers:
        for loss in LOSSES:
            losses, logits = runs("fixed", *loss, optimizer, seeds, checkpoints, None, False)
            p1 = {epoch: logits[epoch].double().softmax(dim=2)[:, :, 1].numpy() for epoch in checkpoints}
            hits = np.array([[((p > 0.5) == k)[:, y == k].sum(axis=1) for k in (0, 1)] for p in p1.values()])
            recall = hits / np.bincount(y)[:, None]
            arrays["loss"].append(np.quantile(losses[:, ::every], (0.05, 0.5, 0.95), axis=0).T)
            arrays["recall"].append(np.quantile(recall, (0.05, 0.5, 0.95), axis=2).transpose(1, 2, 0))
            at = [list(checkpoints).index(epoch) for epoch in scored]
            arrays["counts"].append(hits[at].mean(axis=2))
            bins = [reliability(p1[epoch], np.tile(y, (len(seeds), 1))) for epoch in scored]
            arrays["reliability"].append([(count / count.sum(), *curve) for count, *curve in bins])
    return {
        **{name: np.array(values, dtype=np.float32).round(3) for name, values in arrays.items()},
        "names": np.array([f"{loss}|{gamma}|{alpha}|{o}" for o in optimizers for loss, gamma, alpha in LOSSES]),
        "epochs": np.array(checkpoints),
        "labels": y.astype(np.int8),
    }


def header():
    return (
        "# One trained run a row; the protocol is described in experiments/training.py.\n"
        f"# torch {torch.__version__}, scikit-learn {sklearn.__version__}, Python {platform.python_version()}, CPU\n"
    )


def long_runs():
    """Write long_runs.csv.gz."""
    settings = {"seeds": LONG_SEEDS, "scored": LONG_SCORED, "checkpoints": LONG_SCORED, "progress": False}
    kinds = [(data, *loss, "adam") for data in ("fixed", "resampled") for loss in LONG_LOSSES]
    write(
        pd.concat([rows(*kind, **settings) for kind in tqdm(kinds, unit="loss")]),
        RESULTS / "long_runs.csv.gz",
        header(),
    )


def scores_at(rate, data, loss, gamma, alpha, seeds):
    """Scores of each seed after 100 updates of Adam at one learning rate, as a data frame, a column each."""
    done = sweep(
        loss, seeds, data=data, gamma=float(gamma), alpha=alpha, learning_rate=rate, epochs=SCORED[0], progress=False
    )
    found = [evaluate(z, example.y_test) for z, example in zip(done.logits(), done.examples, strict=True)]
    return pd.DataFrame(found, columns=METRICS).assign(seed=list(seeds))


def own_rates(seeds=SEEDS, tuning_seeds=TUNING_SEEDS):
    """Write own_rates.csv.gz."""
    parts = []
    for kind in tqdm(OWN, unit="loss"):
        tuned = {r: scores_at(r, "resampled", *kind, tuning_seeds)["balanced_accuracy"].mean() for r in RATES}
        rate = max(tuned, key=tuned.get)
        keys = dict(zip(("loss", "gamma", "alpha"), kind, strict=True))
        for data in ("fixed", "resampled"):
            part = scores_at(rate, data, *kind, seeds)
            parts.append(part.assign(**keys, data=data, optimizer="adam, own rate", epochs=SCORED[0], rate=rate))
    frame = pd.concat(parts)[[*COLUMNS[:-2], "rate", *METRICS]]
    text = header() + frame.to_csv(index=False, float_format="%.4g", lineterminator="\n")
    (RESULTS / "own_rates.csv.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def repairs(seeds=LONG_SEEDS, scored=(*SCORED, *LONG_SCORED)):
    """Write repairs.csv.gz: one Brier score, ECE and mean confidence of one network a row."""
    parts = []
    for loss, gamma in (("cross_entropy", 0.0), ("focal", 2.0)):
        _, logits = runs("resampled", loss, gamma, "none", "adam", list(seeds), scored, None, False)
        y = torch.stack([example.y_test for example in examples_of("resampled", seeds)])
        half = y.shape[1] // 2
        for epoch, z in logits.items():
            z = z.double()
            warm = temperature(z[:, :half], y[:, :half])[:, None, None]
            repaired = {
                "none": z.softmax(2),
                "way back": way_back(z.softmax(2), gamma),
                "temperature": (z / warm).softmax(2),
            }
            for repair, p in repaired.items():
                p, truth = p[:, half:], y[:, half:]
                table = {"seed": list(seeds), "brier": score_runs(p, truth, only=("brier",))["brier"]}
                bins = [reliability(one[:, 1].numpy(), labels) for one, labels in zip(p, truth, strict=True)]
                table["ece"] = [np.nansum(n * abs(said - seen)) / n.sum() for n, said, seen in bins]
                table["too_sure"] = (p.amax(2) - (p.argmax(2) == truth).double()).mean(1)
                parts.append(pd.DataFrame(table).assign(loss=loss, epochs=epoch, repair=repair))
    frame = pd.concat(parts)[["loss", "epochs", "repair", "seed", "brier", "ece", "too_sure"]]
    text = header() + frame.to_csv(index=False, float_format="%.4f", lineterminator="\n")
    (RESULTS / "repairs.csv.gz").write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=-1, help="joblib processes; -1: one for each core")
    parser.add_argument("--long", action="store_true", help="the long runs alone")
    parser.add_argument("--repairs", action="store_true", help="the repaired probabilities alone")
    parser.add_argument("--own-rates", action="store_true", help="the runs at each loss's own learning rate alone")
    arguments = parser.parse_args()
    alone = [part for part in (long_runs, repairs, own_rates) if vars(arguments)[part.__name__.removesuffix("_runs")]]
    if alone:
        with joblib.parallel_config("loky", n_jobs=arguments.processes):
            alone[0]()
        return
    start = time.monotonic()
    configurations = [
        (data, *loss, optimizer)
        for optimizer in ("adam", "sgd")
        for data in ("fixed", "resampled")
        for loss in [*LOSSES, ("tuned_threshold", 0, "none")]
    ]
    frames = []
    with joblib.parallel_config("loky", n_jobs=arguments.processes), tqdm(configurations, unit="loss") as bar:
        for data, loss, gamma, alpha, optimizer in bar:
            bar.set_postfix_str(f"{data} {optimizer} {loss}")
            frames.append(rows(data, loss, gamma, alpha, optimizer, progress=False))
    write(pd.concat(frames), RESULTS / "evidence.csv.gz", header())
    np.savez_compressed(RESULTS / "training_runs.npz", **live_view())
    for file in ("evidence.csv.gz", "training_runs.npz"):
        print(f"{file}: {(RESULTS / file).stat().st_size / 1e3:.0f} kB")
    print(f"{(time.monotonic() - start) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
