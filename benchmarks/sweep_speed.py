"""How much faster the sweep is than the plain loop over seeds: 200 seeds of the sources' example, 100 epochs.

The plain loop is timed at torch's default number of threads and at one thread, which is faster for networks this
small; the sweep at the default. The contenders take turns, and the median of the turns counts, so that a busy
machine disturbs all of them alike. The plain loop runs 20 of the 200 seeds in each turn; its time is proportional.
"""

import argparse
import resource
import statistics
import time
from functools import partial

import torch
from tqdm import tqdm

from focal_lib.lab.data import inverse_frequency, load_example
from focal_lib.lab.sweep import sweep
from focal_lib.lab.training import best_device, train
from focal_lib.losses import focal_loss

SEEDS, EPOCHS = 200, 100


def seconds(work):
    start = time.perf_counter()
    work()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - start


def plain_loop(example, device, seeds):
    criterion = partial(focal_loss, alpha=inverse_frequency(example.y_train).to(device))
    return torch.tensor([train(criterion, example, seed, EPOCHS, device).losses for seed in range(seeds)])


def all_seeds(example, device):
    return sweep("focal", range(SEEDS), data=example, alpha="inverse_frequency", device=device, progress=False).losses


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--plain-seeds", type=int, default=20, help="seeds of the plain loop in each turn")
    arguments = parser.parse_args()
    example, default_threads, device = load_example(), torch.get_num_threads(), best_device()

    def at(threads, work):
        torch.set_num_threads(threads)
        spent = seconds(work)
        torch.set_num_threads(default_threads)
        return spent

    plain = partial(plain_loop, example, device, arguments.plain_seeds)
    contenders = {
        f"plain loop, {default_threads} threads (default)": (default_threads, plain, SEEDS / arguments.plain_seeds),
        "plain loop, 1 thread": (1, plain, SEEDS / arguments.plain_seeds),
        "sweep": (default_threads, partial(all_seeds, example, device), 1),
    }
    plain_loop(example, device, 1)  # warm up
    times = {name: [] for name in contenders}
    for _ in tqdm(range(arguments.turns), unit="turn"):
        for name, (threads, work, scale) in contenders.items():
            times[name].append(scale * at(threads, work))
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"{SEEDS} seeds x {EPOCHS} epochs on {device}, median of {arguments.turns} turns:")
    for name, spent in medians.items():
        print(f"  {name:32} {spent:6.2f} s   {spent / medians['sweep']:5.1f} x the sweep's time")
    gap = (all_seeds(example, device)[: arguments.plain_seeds] - plain()).abs().max().item()
    print(f"  largest difference of a loss between the two: {gap:.1e}")
    print(f"  largest memory of this process: {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2:.2f} GB")


if __name__ == "__main__":
    main()
