"""Write focal_lib/results/thousand.csv: who owns the gradient at 1 : 1000, before and after a network has adapted.

The batch is that of the preset "1:1000" in chapter 02: the example's training set, each majority example counted as
often as makes 1 000 of them for each minority one. The network is trained on this batch with cross-entropy (weights by
class are the same as counting), from ten seeds. A row has the share of the gradient in the logits, at gamma 0 and 2,
that the minority owns after so many updates. Takes half a minute.
"""

import argparse
from itertools import islice
from pathlib import Path

import pandas as pd
import torch
from torch.nn import functional as F

from focal_lib.lab.curves import per_example
from focal_lib.lab.data import load_example
from focal_lib.lab.training import make_model, training_steps

OUT = Path(__file__).parent.parent / "focal_lib" / "results" / "thousand.csv"
RATIO, SEEDS, EPOCHS, GAMMAS = 1000, range(10), (0, 100, 1000), (0, 2)


def minority_share(logits, target, times, gamma):
    """What class 1 owns of the gradient, where an example of class k counts ``times[k]`` times."""
    _, _, size = per_example(logits, target, gamma=gamma)
    owned = size * times[target]
    return (owned[target == 1].sum() / owned.sum()).item()


def rows(seed):
    """Rows (seed, epochs, gamma, share) of one network."""
    example = load_example()
    x, y = example.x_train, example.y_train
    times = torch.tensor([RATIO, 1.0], dtype=torch.float64) / y.bincount()
    model = make_model(seed)
    steps = training_steps(model, lambda z, t: F.cross_entropy(z, t, weight=times.float()), x, y, max(EPOCHS))
    found, done = [], 0
    for epochs in EPOCHS:
        for _ in islice(steps, epochs - done):
            pass
        done = epochs
        with torch.no_grad():
            logits = model(x)
        found += [(seed, epochs, gamma, round(minority_share(logits, y, times, gamma), 4)) for gamma in GAMMAS]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    table = pd.DataFrame([row for seed in SEEDS for row in rows(seed)], columns=["seed", "epochs", "gamma", "share"])
    table.to_csv(arguments.out, index=False, lineterminator="\n")


if __name__ == "__main__":
    main()
