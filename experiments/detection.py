"""Write the detection chapter's runs on the miniature detector to focal_lib/results, over many seeds.

losses  detection.csv.gz: every loss. A seed draws the training and the test images, the initial weights and the order
        of the batches, the same for every loss, so that losses can be compared in pairs. Each run sees 300 batches of
        8 images, "long" runs 1 200. The learning rate is 0.01 for all, chosen from 0.003, 0.01 and 0.02 on seed 0,
        which is not among these: 0.02 is better for gamma 0 and 1, but with gamma 2 some runs do not learn at all;
        0.01 serves all.
own     detection_own_rates.csv: the main losses again, each at its own learning rate, the one of RATES with the best
        mean average precision over the tuning seeds, which are not scored. It is chosen with 300 batches; the long
        runs take the same.
shares  detection_shares.csv: who owns the loss of the chapter's own network, trained anew with each seed on the
        chapter's images: its sentences hold for all of them.

One short run takes about 6 seconds on one core. Runs are kept in .cache/detection, so that an interrupted script
resumes.
"""

import sys
from functools import partial
from itertools import chain, product
from pathlib import Path

import torch
from joblib import Memory

from focal_lib import sigmoid_focal_loss
from focal_lib.lab.detection import (
    average_precision,
    dense_loss,
    detect,
    hard_example_loss,
    make_detector,
    make_scenes,
    train_detector,
)
from focal_lib.widgets import CellLoss

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))
from experiments.many_seeds import best_rates, finished, options, run_all  # noqa: E402

OUT = ROOT / "focal_lib" / "results"
PARTS = {"losses": 10, "own": 5, "shares": 10}
COLUMNS = ["loss", "gamma", "alpha", "seed", "metric", "value"]
OWN_COLUMNS = ["steps", "gamma", "alpha", "rate", "seed", "metric", "value"]
SHORT, LONG = 300, 1200
RATES, TUNING_SEEDS = (0.005, 0.01, 0.02, 0.03), (101, 102)

# (loss, gamma, alpha, prior, steps); gamma 0 with alpha 0.5 is half of cross-entropy, which is the same to Adam
RUNS = [
    *(("focal", gamma, alpha, 0.01, SHORT) for gamma in (0, 0.5, 1, 2, 5) for alpha in (0.25, 0.5, 0.75)),
    ("hard examples", 0, 0.5, 0.01, SHORT),
    ("prior 0.5", 0, 0.5, 0.5, SHORT),
    ("prior 0.5", 1, 0.25, 0.5, SHORT),
    ("long", 0, 0.75, 0.01, LONG),
    ("long", 1, 0.25, 0.01, LONG),
    ("long", 2, 0.25, 0.01, LONG),
]
OWN = [(SHORT, 0, 0.75), (SHORT, 1, 0.25), (LONG, 0, 0.75), (LONG, 1, 0.25)]  # (steps, gamma, alpha)


memory = Memory(ROOT / ".cache" / "detection", verbose=0)


def trained_score(criterion, prior, steps, seed, learning_rate=1e-2):
    """The average precision of one trained model."""
    torch.set_num_threads(1)
    train, test = make_scenes(1000, seed), make_scenes(300, 10_000 + seed)
    model = make_detector(seed, prior)
    train_detector(model, criterion, train, steps=steps, learning_rate=learning_rate, seed=seed)
    return round(average_precision(detect(model, test.images), test), 4)


@memory.cache
def run(loss, gamma, alpha, prior, steps, seed):
    """The row of one trained model."""
    criterion = hard_example_loss if loss == "hard examples" else partial(dense_loss, alpha=alpha, gamma=gamma)
    score = trained_score(criterion, prior, steps, seed)
    return (loss, gamma, alpha, seed, "average_precision", score)


@memory.cache
def own(steps, gamma, alpha, rate, seed):
    """The row of one trained model at the given learning rate."""
    score = trained_score(partial(dense_loss, alpha=alpha, gamma=gamma), 0.01, steps, seed, rate)
    return (steps, gamma, alpha, rate, seed, "average_precision", score)


@memory.cache
def shares(seed):
    """Rows (seed, gamma, part, share): which share of the answers of a part owns 90 % of the part's loss.

    Part "nearly right" is one image, the one that the chapter shows: what all but its object and its ten worst
    background cells own of its loss.
    """
    torch.set_num_threads(1)
    train, test = make_scenes(1000, seed=0), make_scenes(300, seed=10_000)
    model = make_detector(seed)
    train_detector(model, partial(dense_loss, alpha=0.25, gamma=1.0), train)
    logits = detect(model, test.images)
    image = test.images[3, 0], {"new": logits[3], "trained": logits[3]}, test.targets[3], test.counted[3]
    rows = [(seed, 0, "nearly right", CellLoss(*image).split(CellLoss(*image).shares(0.0, "second"))[2])]
    parts = {"objects": test.targets == 1, "background": (test.targets == 0) & (test.counted == 1)}
    for (part, chosen), gamma in product(parts.items(), (0, 2)):
        loss = sigmoid_focal_loss(logits.double(), test.targets.double(), None, gamma, reduction="none")[chosen]
        owned = loss.sort().values.cumsum(0) / loss.sum()
        rows.append((seed, gamma, part, (owned > 0.1).double().mean().item()))
    return [(*row, round(share, 4)) for *row, share in rows]


def write_losses(seeds, arguments):
    work = [(*setting, seed) for seed in range(1, seeds + 1) for setting in RUNS]
    finished(run_all(run, work, arguments), COLUMNS, arguments.out / "detection.csv.gz")


def write_own(seeds, arguments):
    tuned = [setting for setting in OWN if setting[0] == SHORT]
    work = [(*setting, rate, seed) for seed in TUNING_SEEDS for setting in tuned for rate in RATES]
    rates = best_rates(run_all(own, work, arguments), OWN_COLUMNS, ["gamma", "alpha"], "average_precision")
    work = [(*one, rates[one[1:]], seed) for seed in range(1, seeds + 1) for one in OWN]
    finished(run_all(own, work, arguments), OWN_COLUMNS, arguments.out / "detection_own_rates.csv")


def write_shares(seeds, arguments):
    rows = run_all(shares, [(seed,) for seed in range(seeds)], arguments)
    columns = ["seed", "gamma", "part", "share"]
    finished(chain.from_iterable(rows), columns, arguments.out / "detection_shares.csv")


def main():
    arguments = options(__doc__, OUT, PARTS)
    for part, seeds in arguments.parts.items():
        {"losses": write_losses, "own": write_own, "shares": write_shares}[part](seeds, arguments)


if __name__ == "__main__":
    main()
