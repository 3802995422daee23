"""What the scripts of the text and the detection chapter share: their options, their runs side by side, their file."""

import argparse
import os
import time
from pathlib import Path

import pandas as pd
from joblib import Parallel, delayed
from tqdm import tqdm


def options(description, out, parts):
    """The parsed command line: ``jobs``, ``out``, the time at which to begin no new run, and ``parts``.

    ``parts`` says how many seeds each part of the results has; of the result only what is to be run is left in it.
    """
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=parts, help="default: all of them")
    counts = ", ".join(f"{part} {seeds}" for part, seeds in parts.items())
    parser.add_argument("--seeds", type=int, help=f"number of seeds (default: {counts})")
    parser.add_argument("--jobs", type=int, default=2, help="processes (default: %(default)s)")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no new run after so long, and stop")
    parser.add_argument("--out", type=Path, default=out, help="folder of the results (default: %(default)s)")
    arguments = parser.parse_args()
    if arguments.seeds is not None and arguments.seeds < 1:
        parser.error(f"--seeds must be at least 1, got {arguments.seeds}.")
    wanted = [part for part in parts if arguments.part in (None, part)]
    arguments.parts = {part: arguments.seeds or parts[part] for part in wanted}
    arguments.until = time.monotonic() + 60 * arguments.minutes
    os.environ["TQDM_DISABLE"] = "1"  # in the workers: one bar for all runs, not one for each
    return arguments


def run_all(run, work, arguments):
    """``run(*one)`` for each of the work, in order; ``run`` is cached, so what is done is not done again.

    Raises:
        SystemExit: the time of ``--minutes`` is over; the next call goes on from here.
    """

    def in_time():
        for one in work:
            if time.monotonic() > arguments.until and not run.check_call_in_cache(*one):
                break
            yield delayed(run)(*one)

    runs = Parallel(arguments.jobs, return_as="generator", pre_dispatch=arguments.jobs)
    done = list(tqdm(runs(in_time()), total=len(work), unit="run", disable=False))
    if len(done) < len(work):
        raise SystemExit(f"{len(done)} of {len(work)} runs are done; run again to go on.")
    return done


def finished(rows, columns, out):
    """Write the rows, packed if the name ends in .gz; the same rows give the same bytes."""
    packed = {"method": "gzip", "mtime": 0} if out.suffix == ".gz" else None
    pd.DataFrame(rows, columns=columns).to_csv(out, index=False, lineterminator="\n", compression=packed)


def best_rates(rows, columns, keys, metric):
    """The learning rate with the best mean of the metric for each of the keys, as a dict; prints the means."""
    found = pd.DataFrame(rows, columns=columns)
    means = found[found.metric == metric].groupby([*keys, "rate"]).value.mean().unstack()
    print(means.round(3).to_string())
    return means.idxmax(axis=1).to_dict()
