"""Fill the tables, the figure and the numbers of book/speed.md from the stored results of speed.py.

What stands between ``<!-- NAME -->`` and ``<!-- end -->`` is made here; the rest of the page is written by hand.
"""

import json
import re
from pathlib import Path

import matplotlib
import numpy as np
import speed_gpu
from speed import COMPILED, GROWTH, OURS, PLAIN, REFERENCE, RESULTS, SIZES

from focal_lib.lab.plots import COLORS, axes, for_phones

PAGE = Path(__file__).parents[1] / "book" / "speed.md"
FIGURE = PAGE.with_suffix(".svg")
CLASSES_HELD, ROWS_HELD = GROWTH["N"][0][1], GROWTH["C"][0][0]  # while the other one grows
NOT_MEASURED = "not measured"
FIRST = [REFERENCE, OURS, PLAIN, COMPILED]
LINES = {
    REFERENCE: {"color": COLORS["cross_entropy"], "linestyle": "--", "marker": "s"},
    OURS: {"color": COLORS["focal"], "linestyle": "-", "marker": "o"},
    PLAIN: {"color": COLORS["minority"], "linestyle": ":", "marker": "^"},
}


def size(shape):
    return " × ".join(f"{length:,}".replace(",", "\u00a0") for length in shape)  # no line breaks inside a number


def table(head, rows):
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def comparison(results, cell):
    """Losses down, sizes across, float32 with alpha; a dash where a loss was not run."""
    cases = [case for case in results["table"] if case["dtype"] == "float32" and case["alpha"]]
    found = [{row["loss"]: row for row in case["losses"]} for case in cases]
    names = FIRST + sorted({name for rows in found for name in rows} - set(FIRST))
    cells = [[f"`{name}`" if name in (REFERENCE, OURS) else name] for name in names]
    for line, name in zip(cells, names, strict=True):
        line += [cell(rows[name]) if name in rows else "–" for rows in found]
    return cases, cells


def time_table(results):
    cases, rows = comparison(results, lambda row: "{1:.2f} ({0:.2f}–{2:.2f})".format(*row["time"]))
    floors = [floor(results, case) for case in cases]
    return table(["time", *(size(case["shape"]) for case in cases)], [*rows, ["*bandwidth floor*", *floors]])


def floor(results, case):
    """Reading the arguments and writing the gradient at the speed of a copy, over cross-entropy's time."""
    reference = next(row for row in case["losses"] if row["loss"] == REFERENCE)
    return f"{1e3 * case['bytes'] / results['bytes_per_second'] / reference['ms']:.2f}"


def memory_table(results):
    cases, rows = comparison(results, lambda row: f"{row['memory']:.2f}")
    return table(["peak memory", *(size(case["shape"]) for case in cases)], rows)


def kinds_table(results):
    """Our loss in both types, with and without alpha: time · memory."""
    kinds = [("float32", True), ("float32", False), ("bfloat16", True), ("bfloat16", False)]
    rows = {kind: [f"{kind[0]}, {'with' if kind[1] else 'without'} α"] for kind in kinds}
    for case in results["table"]:
        row = ours(case)
        rows[case["dtype"], case["alpha"]].append(f"{row['time'][1]:.2f} · {row['memory']:.2f}")
    shapes = list(dict.fromkeys(size(case["shape"]) for case in results["table"]))
    return table(["time · peak memory", *shapes], list(rows.values()))


def series(results, variable, name):
    """The variable's values and the milliseconds of one loss."""
    points = [point for point in results["growth"] if point["with"] == variable]
    lengths = [point["shape"][0 if variable == "N" else 1] for point in points]
    return lengths, [next(row["ms"] for row in point["losses"] if row["loss"] == name) for point in points]


def slope(results, variable, name, first, last):
    """Exponent b of time ∝ variable^b, by least squares over the sizes from first to last."""
    points = [
        (length, ms) for length, ms in zip(*series(results, variable, name), strict=True) if first <= length <= last
    ]
    return np.polyfit(*np.log(points).T, 1)[0]


def cheaper_from(results, variable):
    """The first of the sizes from which on our loss takes less time than the reference."""
    (lengths, owns), (_, reference) = (series(results, variable, name) for name in (OURS, REFERENCE))
    dearer = [length for length, own, other in zip(lengths, owns, reference, strict=True) if own >= other]
    return next((length for length in lengths if length > max(dearer, default=0)), None)


def plain_is_faster(results):
    """The shapes at which the reading version takes less time than the fast path."""
    for point in results["growth"]:
        times = {row["loss"]: row["ms"] for row in point["losses"]}
        if times[PLAIN] < times[OURS]:
            yield tuple(point["shape"])


def growth_text(results):
    sentences = []
    held = {"N": f"C = {size([CLASSES_HELD])}", "C": f"N = {size([ROWS_HELD])}"}
    for variable, other in held.items():
        if first := cheaper_from(results, variable):
            start = f"{variable} = {size([first])}"
            sentences.append(f"With {other}, `{OURS}` takes less time than `{REFERENCE}` from {start} on.")
    (rows, *_), (own, *_) = series(results, "N", OURS)
    reference = series(results, "N", REFERENCE)[1][0]
    sentences.append(
        f"With few numbers, starting the operations costs most: {rows} rows of {CLASSES_HELD} take {own:.2f} ms "
        f"with `{OURS}` and {reference:.2f} ms with `{REFERENCE}`."
    )
    if slower := [size(shape) for shape in dict.fromkeys(plain_is_faster(results))]:  # both series have one shape
        sentences.append(f"At {', '.join(slower)} the ten lines took less time than the fast path.")
    sentences.append("")
    for variable, other in held.items():
        (lengths, own), (_, others) = (series(results, variable, name) for name in (OURS, REFERENCE))
        first, last = lengths[len(lengths) // 2], lengths[-2]
        exponent, reference = (slope(results, variable, name, first, last) for name in (OURS, REFERENCE))
        sentences.append(
            f"From {variable} = {size([first])} to {size([last])}, time grows like {variable}^{exponent:.2f} for "
            f"`{OURS}` and like {variable}^{reference:.2f} for `{REFERENCE}` ({other})."
        )
        sentences.append(
            f"The step after that, to {variable} = {size([lengths[-1]])}, takes {own[-1] / own[-2]:.1f} times as long "
            f"with `{OURS}` and {others[-1] / others[-2]:.1f} times with `{REFERENCE}`."
        )
    return "\n".join(sentences)


def machine_text(results):
    machine, versions = results["machine"], results["versions"]
    packages = ", ".join(f"{package} {version}" for package, version in versions.items())
    rounds = [case["losses"][0]["rounds"] for case in comparison(results, str)[0]]
    return (
        f"Processor: {machine['processor']}, {machine['cores']} cores, {machine['threads']} threads, "
        f"{machine['system']}. "
        f"A copy moves {results['bytes_per_second'] / 1e9:.1f} GB each second. {packages}. "
        f"The time table has {min(rounds)} to {max(rounds)} rounds a column."
    )


def busy_table(results):
    """Our ratio on a busy machine, beside the one of the first table."""
    quiet = {tuple(case["shape"]): ours(case) for case in comparison(results, str)[0]}
    busy = {tuple(case["shape"]): ours(case) for case in results["busy"]["cases"]} if "busy" in results else {}
    lines = []
    for name, found in (("quiet", quiet), ("busy", busy)):
        cells = ["{1:.2f} ({0:.2f}–{2:.2f})".format(*found[s]["time"]) if s in found else NOT_MEASURED for s in SIZES]
        lines.append([f"`{OURS}`, {name}", *cells])
    for name in (REFERENCE, OURS):
        rows = {
            tuple(case["shape"]): row
            for case in results.get("busy", {"cases": []})["cases"]
            for row in case["losses"]
            if row["loss"] == name
        }
        lines.append([f"`{name}`, busy, ms", *(str(rows[s]["ms"]) if s in rows else NOT_MEASURED for s in SIZES)])
    return table(["time", *map(size, SIZES)], lines)


def busy_text(results):
    if (busy := results.get("busy")) is None:
        return NOT_MEASURED
    return (
        f"Measured on {busy['date']} with {busy['processes']} such processes. In the minute before they started, "
        f"{busy['load']} programs wanted the processor, the benchmark among them."
    )


def ours(case):
    return next(row for row in case["losses"] if row["loss"] == OURS)


def gpu_results():
    """What `make gpu` stored, or None: a GPU is not there every time."""
    return json.loads(speed_gpu.RESULTS.read_text(encoding="utf-8")) if speed_gpu.RESULTS.exists() else None


def gpu_table(_):
    """Sizes down; time and memory of our loss, then the best rivals' time and the floor."""
    results = gpu_results()
    cases = {(tuple(case["shape"]), case["dtype"]): case for case in results["table"]} if results else {}
    head = ["size, type", "time", "peak memory", "ten lines, compiled", "fastest published", "bandwidth floor"]
    lines = []
    for shape in speed_gpu.SIZES:
        for dtype in speed_gpu.DTYPES:
            case = cases.get((shape, dtype))
            cells = gpu_cells(results, case) if case else [NOT_MEASURED] * (len(head) - 1)
            lines.append([f"{size(shape)}, {dtype}", *cells])
    return table(head, lines)


def gpu_cells(results, case):
    rows = {row["loss"]: row for row in case["losses"]}
    published = [row["time"][1] for name, row in rows.items() if name not in FIRST]
    compiled = rows.get(COMPILED)
    return [
        f"{rows[OURS]['time'][1]:.2f}",
        f"{rows[OURS]['memory']:.2f}",
        f"{compiled['time'][1]:.2f}" if compiled else "–",
        f"{min(published):.2f}" if published else "–",
        floor(results, case),
    ]


def gpu_text(_):
    if (results := gpu_results()) is None:
        return "No GPU was at hand for this edition, so nothing is claimed here. `make gpu` fills the table."
    packages = ", ".join(f"{package} {version}" for package, version in results["versions"].items())
    bandwidth = results["bytes_per_second"] / 1e12
    return f"{results['device']}, {results['date']}. A copy moves {bandwidth:.1f} TB each second. {packages}."


def fill(page, results):
    """The page with every generated part made anew."""
    parts = {
        "time": time_table,
        "memory": memory_table,
        "kinds": kinds_table,
        "growth": growth_text,
        "machine": machine_text,
        "busy": busy_table,
        "busy machine": busy_text,
        "gpu": gpu_table,
        "gpu machine": gpu_text,
    }
    for name, make in parts.items():
        # [\s\S]: the part may run over many lines; a function, because its text is not a pattern.
        part = f"<!-- {name} -->\n\n{make(results)}\n\n<!-- end -->"
        page, count = re.subn(rf"<!-- {name} -->\n[\s\S]*?<!-- end -->", lambda _, part=part: part, page)
        if count != 1:
            raise ValueError(f"the page must have one part named {name}, found {count}.")
    return page


def figure(results):
    """Milliseconds against N and against C, both axes logarithmic."""
    made, panels = axes("", "forward + backward (milliseconds)", width=9, height=4, columns=2)
    texts = {"N": f"rows N, {CLASSES_HELD} classes", "C": f"classes C, {ROWS_HELD} rows"}
    for ax, (variable, text) in zip(panels, texts.items(), strict=True):
        for name, line in LINES.items():
            ax.loglog(*series(results, variable, name), label=name, **line)
        ax.set_xlabel(text)
    panels[0].legend()
    return made


def main():
    results = json.loads(RESULTS.read_text(encoding="utf-8"))
    PAGE.write_text(fill(PAGE.read_text(encoding="utf-8"), results), encoding="utf-8")
    matplotlib.rcParams["svg.hashsalt"] = "speed"  # the same bytes each time
    matplotlib.rcParams["svg.fonttype"] = "none"  # words stay words
    drawing = figure(results)
    for path in (FIGURE, FIGURE.with_stem(f"{FIGURE.stem}-narrow")):
        drawing.savefig(path, metadata={"Date": None}, facecolor="white")
        for_phones(drawing)


if __name__ == "__main__":
    main()
