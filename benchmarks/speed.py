"""Time and peak memory of forward + backward over F.cross_entropy's, for our loss and its peers: run `make bench`.

Time: the losses take turns in one process, in a new order each round. A round gives each loss one ratio to
cross-entropy; the median and the quartiles of the ratios are stored, so that a busy machine disturbs all alike. The
first call of a turn is not counted: in training, a loss is called again and again, not after ten others.
Memory: the largest sum of the allocations that are alive at a time in one step, as torch's profiler records them: the
gradient included, the arguments not. The page book/speed.md is made from the stored results by speed_page.py.
"""

import argparse
import contextlib
import datetime
import gc
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch
import torch.nn.functional as F
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from experiments.peers import NOT_FOR_MANY_CLASSES, timed, versions
from focal_lib import focal_loss
from focal_lib.losses import plain_focal_loss

RESULTS = Path(__file__).parents[1] / "focal_lib" / "results" / "speed.json"
SIZES = [(4096, 4), (262_144, 4), (65_536, 100), (8192, 32_000), (8, 21, 512, 512)]
# Round numbers rather than powers of two: rows of whole vectors make a loss faster than its neighbours are.
CLASSES = [2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 4000]
GROWTH = {"N": [(2**k, 10) for k in range(8, 21, 2)], "C": [(4096, classes) for classes in CLASSES]}
AT_LEAST = 0.02  # seconds that the reference is timed at once
REFERENCE, OURS, PLAIN, COMPILED = "F.cross_entropy", "focal_loss", "ten lines", "ten lines, compiled"


def arguments(shape, dtype, weighted):
    generator = torch.Generator().manual_seed(0)
    input = torch.randn(shape, generator=generator).to(dtype).requires_grad_()
    target = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    alpha = 0.5 + torch.rand(shape[1], generator=generator) if weighted else None
    return input, target, alpha


def plain(alpha, input, target):
    return plain_focal_loss(input, target, alpha, 2.0, -100, "mean")


def contenders(shape, alpha, with_peers):
    losses = {REFERENCE: F.cross_entropy, OURS: partial(focal_loss, alpha=alpha), PLAIN: partial(plain, alpha)}
    if with_peers:
        torch.compiler.reset()
        losses[COMPILED] = torch.compile(partial(plain, alpha), dynamic=False)
        losses |= timed(alpha)
    if shape[1] > 1000:
        losses = {name: loss for name, loss in losses.items() if name not in NOT_FOR_MANY_CLASSES}
    return losses


def step(loss, input, target):
    input.grad = None
    loss(input, target).backward()


def peak_bytes(loss, input, target):
    """The most that one forward + backward holds at a time beyond its arguments.

    On one thread, because the profiler sees only its own: ours takes one block where several threads take parts of it.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    step(loss, input, target)
    input.grad = None
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        loss(input, target).backward()
    held, peak = 0, 0
    for taken in allocations(profiler):
        held += taken
        peak = max(peak, held)
    input.grad = None
    torch.set_num_threads(threads)
    return peak


def allocations(profiler):
    """Bytes taken or, where negative, given back, in the order of time; from the trace that torch writes."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(path))
        events = json.loads(path.read_text("utf-8"))["traceEvents"]
    found = sorted((event for event in events if event["name"] == "[memory]"), key=lambda event: event["ts"])
    if not found:
        raise RuntimeError("torch's trace names no allocation; expected events called [memory], as of torch 2.13.")
    return [event["args"]["Bytes"] for event in found]


def seconds(loss, input, target, calls):
    step(loss, input, target)  # not counted: it meets the caches and the free memory as the loss before it left them
    start = time.perf_counter()
    for _ in range(calls):
        step(loss, input, target)
    return (time.perf_counter() - start) / calls


def compare(losses, input, target, budget, progress):
    """For each loss its time and memory over the reference's, from as many rounds as fit into ``budget`` seconds."""
    memory, once = {}, {}
    for name, loss in losses.items():
        progress.set_postfix_str(name)
        memory[name] = peak_bytes(loss, input, target)
        once[name] = seconds(loss, input, target, 1)
    calls = max(1, int(AT_LEAST / once[REFERENCE]))
    rounds = min(101, max(5, int(budget / ((calls + 1) * sum(once.values())))))
    times = {name: [] for name in losses}
    order, shuffle = list(losses), random.Random(0).shuffle
    for done in range(rounds):
        progress.set_postfix_str(f"round {done + 1} of {rounds}")
        shuffle(order)
        for name in order:
            times[name].append(seconds(losses[name], input, target, calls))
    input.grad = None
    return [summary(name, times[name], times[REFERENCE], memory[name] / memory[REFERENCE]) for name in losses]


def summary(name, times, reference, memory):
    ratios = [own / other for own, other in zip(times, reference, strict=True)]
    quartiles = [round(ratio, 3) for ratio in statistics.quantiles(ratios, n=4, method="inclusive")]
    milliseconds = float(f"{1e3 * statistics.median(times):.4g}")
    return {"loss": name, "ms": milliseconds, "time": quartiles, "memory": round(memory, 3), "rounds": len(times)}


def copy_bandwidth(size=2**26, turns=10):
    """Bytes read and written in a second by the best of some copies; by default of 256 MiB, larger than any cache."""
    source = torch.ones(size)
    target = source.clone()

    def once():
        start = time.perf_counter()
        target.copy_(source)
        return time.perf_counter() - start

    return 2 * source.nbytes / min(once() for _ in range(turns))


def machine():
    cpu = [
        line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "processor": cpu[0],
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "system": platform.system(),
    }


def measure(sizes, growth, budget, bandwidth, with_peers=True):
    """All that is stored: the comparisons at ``sizes`` and, for the plots of growth, at the sizes of ``growth``."""
    table = [
        (shape, dtype, weighted) for shape in sizes for dtype in ("float32", "bfloat16") for weighted in (True, False)
    ]
    series = [(name, shape) for name, shapes in growth.items() for shape in shapes]
    results = {"machine": machine(), "versions": versions(), "bytes_per_second": round(bandwidth, -8)}
    results |= {"table": [], "growth": []}
    gc.disable()
    with tqdm(total=len(table) + len(series)) as progress:
        for shape, dtype, weighted in table:
            progress.set_description(f"{'×'.join(map(str, shape))} {dtype}")
            input, target, alpha = arguments(shape, getattr(torch, dtype), weighted)
            losses = contenders(shape, alpha, with_peers and weighted and dtype == "float32")
            rows = compare(losses, input, target, budget, progress)
            case = {"shape": list(shape), "dtype": dtype, "alpha": weighted, "bytes": 2 * input.nbytes + target.nbytes}
            results["table"].append(case | {"losses": rows})
            progress.update()
        for name, shape in series:
            progress.set_description(f"growth with {name}")
            input, target, alpha = arguments(shape, torch.float32, True)
            rows = compare(contenders(shape, alpha, with_peers=False), input, target, budget / 8, progress)
            results["growth"].append({"with": name, "shape": list(shape), "losses": rows})
            progress.update()
    gc.enable()
    return results


@contextlib.contextmanager
def others(count):
    """So many processes that do nothing but keep a core busy, as data loaders and other people's programs do."""
    spin = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield spin
    finally:
        for process in spin:
            process.kill()
            process.wait()


def measure_busy(sizes, budget):
    """The ratios while one other busy process per core runs; with what else the machine had to do just before."""
    busy = {
        "date": datetime.date.today().isoformat(),
        "processes": os.cpu_count(),
        "load": round(os.getloadavg()[0], 1),
    }
    busy["cases"] = []
    with others(busy["processes"]), tqdm(sizes) as progress:
        for shape in progress:
            input, target, alpha = arguments(shape, torch.float32, True)
            losses = contenders(shape, alpha, with_peers=False)
            rows = compare({name: losses[name] for name in (REFERENCE, OURS)}, input, target, budget, progress)
            busy["cases"].append({"shape": list(shape), "losses": rows})
    return busy


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--budget", type=float, default=6, help="seconds for the rounds of one row of the table")
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument(
        "--busy-only", action="store_true", help="measure the busy machine alone, keep the other results"
    )
    options = parser.parse_args()
    if options.busy_only:
        results = json.loads(options.out.read_text(encoding="utf-8"))
    else:
        results = measure(SIZES, GROWTH, options.budget, copy_bandwidth())
    results["busy"] = measure_busy(SIZES, options.budget)
    lines = json.dumps(results, ensure_ascii=False).replace('{"shape"', '\n{"shape"').replace('{"with"', '\n{"with"')
    options.out.write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
