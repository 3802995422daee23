"""Time and peak memory of forward + backward on a GPU over F.cross_entropy's: what `make gpu` stores for book/speed.md.

As speed.py does it on a CPU: the losses take turns, and the median of the ratios per round is stored. A step is timed
by events on the device, so it includes the gaps in which the GPU waits for Python. Memory is the allocator's own peak.
"""

import argparse
import datetime
import json
import random
from pathlib import Path

import torch
from speed import COMPILED, OURS, PLAIN, REFERENCE, arguments, contenders, step, summary
from tqdm import tqdm

from experiments.peers import versions

RESULTS = Path(__file__).parents[1] / "focal_lib" / "results" / "speed_gpu.json"
SIZES = [
    (4096, 4),
    (262_144, 4),
    (65_536, 100),
    (262_144, 1000),
    (8192, 32_000),
    (16_384, 128_256),
    (16, 19, 1024, 1024),
]
DTYPES = ("float32", "bfloat16")
# What our loss must hold: size -> (time, memory) over cross-entropy's, for each of DTYPES.
LIMITS = {
    (4096, 4): ((1.5, 0.7), (2.0, 1.0)),
    (262_144, 4): ((1.3, 0.6), (1.6, 0.9)),
    (65_536, 100): ((1.3, 0.6), (1.6, 0.9)),
    (262_144, 1000): ((0.38, 0.35), (0.42, 0.36)),
    (8192, 32_000): ((0.38, 0.35), (0.42, 0.36)),
    (16_384, 128_256): ((0.38, 0.35), (0.42, 0.36)),
    (16, 19, 1024, 1024): ((0.42, 0.40), (0.8, 0.46)),
}


def milliseconds(loss, input, target, calls):
    """Of one step, by the device's clock; the first is not counted."""
    step(loss, input, target)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    start.record()
    for _ in range(calls):
        step(loss, input, target)
    end.record()
    torch.cuda.synchronize()
    return start.elapsed_time(end) / calls


def peak_bytes(loss, input, target):
    """The most that one step holds at a time beyond its arguments."""
    step(loss, input, target)
    input.grad = None
    torch.cuda.synchronize()
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    loss(input, target).backward()
    torch.cuda.synchronize()
    input.grad = None
    return torch.cuda.max_memory_allocated() - before


def compare(losses, input, target, rounds):
    memory = {name: peak_bytes(loss, input, target) for name, loss in losses.items()}
    calls = max(1, int(5 / milliseconds(losses[REFERENCE], input, target, 3)))
    times, order, shuffle = {name: [] for name in losses}, list(losses), random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)
        for name in order:
            times[name].append(milliseconds(losses[name], input, target, calls) / 1e3)
    input.grad = None
    return [summary(name, times[name], times[REFERENCE], memory[name] / memory[REFERENCE]) for name in losses]


def copy_bandwidth():
    source = torch.ones(2**28, device="cuda")
    target = torch.empty_like(source)
    spent = []
    for _ in range(10):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        target.copy_(source)
        end.record()
        torch.cuda.synchronize()
        spent.append(start.elapsed_time(end) / 1e3)
    return 2 * source.nbytes / min(spent)


def fits(losses, input):
    """All losses where memory allows: the published ones make several copies of the logits."""
    free = torch.cuda.mem_get_info()[0]
    return losses if 12 * input.nbytes < free else {name: losses[name] for name in (REFERENCE, OURS, PLAIN, COMPILED)}


def measure(sizes, rounds):
    results = {
        "device": torch.cuda.get_device_name(),
        "date": datetime.date.today().isoformat(),
        "versions": versions(),
        "bytes_per_second": round(copy_bandwidth(), -9),
        "table": [],
    }
    for shape in tqdm(sizes):
        for dtype in DTYPES:
            cpu_input, cpu_target, cpu_alpha = arguments(shape, getattr(torch, dtype), True)
            input, target = cpu_input.detach().cuda().requires_grad_(), cpu_target.cuda()
            losses = fits(contenders(shape, cpu_alpha.cuda(), with_peers=True), input)
            rows = compare(losses, input, target, rounds)
            case = {"shape": list(shape), "dtype": dtype, "bytes": 2 * input.nbytes + target.nbytes, "losses": rows}
            results["table"].append(case)
            del input, target, losses
            torch.cuda.empty_cache()
    return results


def report(results):
    """One line a case: our ratios, their limits, and whether they hold."""
    for case in results["table"]:
        ours = next(row for row in case["losses"] if row["loss"] == OURS)
        limits = LIMITS[tuple(case["shape"])][DTYPES.index(case["dtype"])]
        held = ours["time"][1] <= limits[0] and ours["memory"] <= limits[1]
        size = " × ".join(map(str, case["shape"]))
        yield (
            f"{size:22} {case['dtype']:9} time {ours['time'][1]:5.2f} (limit {limits[0]})  "
            f"memory {ours['memory']:4.2f} (limit {limits[1]})  {'holds' if held else 'MISSED'}"
        )
    yield f"{results['device']}, {results['date']}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        parser.error("this needs an NVIDIA GPU and a torch built for it")
    results = measure(SIZES, options.rounds)
    print(*report(results), sep="\n")
    lines = json.dumps(results, ensure_ascii=False).replace('{"shape"', '\n{"shape"')
    RESULTS.write_text(lines + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
