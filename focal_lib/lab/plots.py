"""The book's figures: pure functions, data in, figure out. One visual language, shared with the live views."""

import itertools

import matplotlib.colors as mcolors
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.gridspec import GridSpec
from matplotlib.ticker import MaxNLocator, PercentFormatter
from matplotlib.transforms import Bbox

__all__ = [
    "COLORS",
    "GAMMAS",
    "GROUPS",
    "STYLES",
    "axes",
    "bars",
    "confusion",
    "for_phones",
    "intervals",
    "label_lines",
    "loss_curves",
    "loss_shares",
    "reliability",
    "training_band",
    "training_run",
]

# After Okabe and Ito, told apart with any colour vision, and in grey through the line style. Each is at least 3:1 on
# white, as lines and small marks must be: the sky blue is darker than theirs.
COLORS = {
    "cross_entropy": "#6e6e6e",
    "focal": "#0072B2",
    "majority": "#289CCC",
    "minority": "#D55E00",
    "bug": "#882255",  # dark beside the others, so that lightness tells it too
    "extra": "#009E73",
}
STYLES = {
    "cross_entropy": {"color": COLORS["cross_entropy"], "linestyle": "--", "linewidth": 2},
    "focal": {"color": COLORS["focal"], "linestyle": "-", "linewidth": 2.5},
    "bug": {"color": COLORS["bug"], "linestyle": "-.", "linewidth": 2.5},
    "majority": {"color": COLORS["majority"], "marker": "o"},
    "minority": {"color": COLORS["minority"], "marker": "^"},
}
# Inches. A phone of 320 px shows the first whole with words of 9 px; wider than the second is drawn anew.
NARROW = 4.3, 5.5
SIDES = ("above right", "below left", "above left", "below right", "above", "below", "right", "left")
# One ramp for gamma in every figure: the more of it, the darker; 2 is what stands for the focal loss elsewhere.
GAMMAS = {
    0: STYLES["cross_entropy"],
    0.5: {"color": "#4a99c9", "linestyle": ":", "linewidth": 2},
    1: {"color": "#2f8ac4", "linestyle": (0, (5, 1)), "linewidth": 2},
    2: STYLES["focal"],
    5: {"color": "#003a61", "linestyle": (0, (3, 1, 1, 1)), "linewidth": 2.5},
}
# Stacked bars: the colour tells the class, the hatching tells right from wrong.
GROUPS = {
    "majority, right": {"color": COLORS["majority"]},
    "majority, wrong": {"color": COLORS["majority"], "hatch": "///"},
    "minority, right": {"color": COLORS["minority"]},
    "minority, wrong": {"color": COLORS["minority"], "hatch": "///"},
}


def axes(xlabel, ylabel, width=7.0, height=4.0, columns=1):
    """A figure with labelled axes: (figure, ax), or (figure, array of ax) for several columns."""
    figure, ax = plt.subplots(1, columns, figsize=(width, height), layout="constrained")
    for one in np.ravel(ax):
        one.set_xlabel(xlabel)
        one.set_ylabel(ylabel)
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.25)
        one.set_axisbelow(True)
    return figure, ax


def label_lines(ax, places="ends"):
    """Name each labelled line of ``ax`` beside it, in its colour: where lines are few, a reader needs no legend.

    ``places`` maps a label to (x, side), a side such as "above right" or "far below" of the line's point at x. Without
    a place, a name stands behind the line's end; names that would overlap there are moved up. "free" looks for places
    where a name covers no line and no other words. Call it when the limits are set.
    """
    ax.named = places  # for a figure that is drawn anew
    places = _free_places(ax) if places == "free" else {} if places == "ends" else places
    ends, floor = [], -np.inf
    for line in ax.lines:
        label, (x, y) = line.get_label(), _seen(line)
        style = {
            "color": _ink(line.get_color()),
            "textcoords": "offset points",
            "annotation_clip": False,
            "gid": "name",
        }
        if label.startswith("_") or not x.size:
            continue
        if label in places:
            at, side = places[label]
            right, up = np.sign(_offset(side))
            put = {"ha": ("center", "left", "right")[right], "va": ("center", "bottom", "top")[up]}
            ax.annotate(label, (at, np.interp(at, x, y)), xytext=_offset(side), **put, **style)
        else:
            ends.append((ax.transData.transform((x[-1], y[-1]))[1] * 72 / ax.figure.dpi, label, (x[-1], y[-1]), style))
    for height, label, end, style in sorted(ends, key=lambda one: one[0]):
        floor = max(height, floor + 1.3 * plt.rcParams["font.size"])
        ax.annotate(label, end, xytext=(5, floor - height), ha="left", va="center", **style)


def _free_places(ax):
    """Of all places where a name covers nothing, that where it and its point are farthest from other colours' lines."""
    ax.figure.draw_without_rendering()  # now the axes are where they stay
    em, to_pixels = plt.rcParams["font.size"] * ax.figure.dpi / 72, ax.transData.transform
    drawn = [_path(to_pixels(_seen(line).T), line) for line in ax.lines]
    taken = [_points_of(text.get_window_extent()) for text in ax.texts]
    places = {}
    for line in ax.lines:
        xs, ys = _seen(line)
        if line.get_label().startswith("_") or not xs.size:
            continue
        text = ax.text(0, 0, line.get_label())
        size, best = np.array(text.get_window_extent().size), 0
        text.remove()
        others = [path for path, one in zip(drawn, ax.lines, strict=True) if one.get_color() != line.get_color()]
        everything, others = np.concatenate([*drawn, *taken]), np.concatenate([*others, *taken, [(np.inf, np.inf)]])
        between = [] if line.get_linestyle() == "None" else np.linspace(xs[0], xs[-1], 25)
        for x, side in itertools.product(np.concatenate([xs, between]), SIDES):
            point = to_pixels((x, np.interp(x, xs, ys)))
            low = point + _offset(side) * ax.figure.dpi / 72 + (np.sign(_offset(side)) - 1) / 2 * size
            inside = (low > ax.bbox.min + em / 3).all() and (low + size < ax.bbox.max).all()
            if not inside or _distances(everything, low, low + size).min() < 0.15 * em:
                continue
            far = sum(min(_distances(others, *box).min(), 5 * em) for box in ((low, low + size), (point, point)))
            if far > best:
                best, places[line.get_label()], found = far, (float(x), side), Bbox([low, low + size])
        if best:
            taken.append(_points_of(found))
    return places


def for_phones(figure):
    """Draw a figure anew for a narrow screen: its panels stack and stay as wide. False where it is narrow already."""
    (width, height), axes = figure.get_size_inches(), figure.axes
    if width <= NARROW[1] or not axes:
        return False
    rows, columns = axes[0].get_gridspec().get_geometry()
    fewer = max(1, round(columns * NARROW[0] / width))
    more = -(-len(axes) // fewer)
    figure.set_size_inches(NARROW[0], height * more / rows)
    if fewer < columns == len(axes):
        figure.get_layout_engine().set(h_pad=0.12)  # a title belongs to what is below it
    grid = GridSpec(more, fewer, figure)
    for k, ax in enumerate(axes):
        ax.set_subplotspec(grid[divmod(k, fewer)])
        ax.tick_params(labelleft=k % fewer == 0 or ax.yaxis.get_tick_params()["labelleft"])
        if isinstance(ax.xaxis.get_major_locator(), MaxNLocator):
            ax.locator_params(axis="x", nbins=5)
    figure.draw_without_rendering()
    for ax in axes:
        names = [text for text in ax.texts if text.get_gid() == "name"]
        for name in names:
            name.remove()
        if names:
            label_lines(ax, ax.named)
    return True


def bars(counts, labels=("class 0 (majority)", "class 1 (minority)")):
    """Number of examples of each of two classes."""
    figure, ax = axes("", "number of training examples", width=5.0, height=3.2)
    for k, kind in enumerate(("majority", "minority")):
        ax.bar(labels[k], counts[k], color=COLORS[kind])
        ax.annotate(f"{counts[k]}", (k, counts[k]), ha="center", va="bottom")
    return figure


def loss_curves(p_t, curves, log=False, styles=None):
    """Loss against p_t. ``curves`` maps a label to values; nothing names them in the figure yet.

    ``styles`` has a style for each; without it the first is drawn as cross-entropy and the last as focal loss.
    """
    figure, ax = axes("$p_t$, probability of the true class  (hard ← → easy)", "loss of one example (nats)", 5.2, 3.4)
    if styles is None:
        between = plt.get_cmap("Blues")(np.linspace(0.62, 0.78, max(len(curves) - 2, 1)))  # darker: more gamma
        dashes = [":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1))]
        middle = [
            {"color": color, "linestyle": dashes[k % len(dashes)], "linewidth": 2} for k, color in enumerate(between)
        ]
        styles = [STYLES["cross_entropy"], *middle[: max(len(curves) - 2, 0)], STYLES["focal"]][: len(curves)]
    for (label, values), style in zip(curves.items(), styles, strict=True):
        ax.plot(p_t, values, label=label, **style)
    ax.set_xlim(0, 1)
    if log:
        ax.set_yscale("log")
    else:
        ax.set_ylim(0, 5)
    return figure


def loss_shares(shares, groups):
    """Stacked horizontal bars: who owns what. ``shares`` maps a row label to fractions, one a group, summing to 1."""
    figure, ax = axes("share of the total", "", width=5.2, height=0.6 * len(shares) + 1.4)
    left = np.zeros(len(shares))
    rows = list(shares)[::-1]
    for k, (group, style) in enumerate(groups.items()):
        width = np.array([shares[row][k] for row in rows])
        ax.barh(rows, width, left=left, label=group, edgecolor="white", **style)
        for y, (start, w) in enumerate(zip(left, width, strict=True)):
            if w > 0.06:
                ax.text(start + w / 2, y, f"{w:.0%}", ha="center", va="center", fontsize=10, bbox=_plate())
        left = left + width
    ax.xaxis.set_major_formatter(PercentFormatter(1))
    ax.set_xlim(0, 1)
    ax.grid(axis="y", visible=False)
    figure.legend(frameon=False, loc="outside lower center", ncols=2)  # not each row has room for its group's name
    return figure


def training_band(epochs, low, high, lines):
    """A 5-95 % band of many runs, and lines on top: ``lines`` maps a label to (epochs, values, style)."""
    figure, ax = axes("epoch (full-batch updates)", "training loss (weighted focal, γ = 2)")
    band, places = "5–95 % of the seeds", {}
    ax.fill_between(epochs, low, high, color=COLORS["focal"], alpha=0.2)
    ax.plot(epochs, high, color=COLORS["focal"], alpha=0.2, label=band)
    places[band] = epochs[len(epochs) // 20], "above right"
    for label, (x, values, style) in lines.items():
        ax.plot(x, values, label=label, **style)
        if style["linestyle"] == "none":  # single points have no end: their name stands below the band
            places[label] = x[len(x) * 3 // 5], "far below left"
    ax.set_ylim(0, None)
    label_lines(ax, places)
    return figure


def training_run(losses, counts, figure=None):
    """One run: its training loss by epoch, and its held-out confusion matrix; drawn into ``figure`` if given."""
    if figure is None:
        figure = plt.figure(figsize=(8, 3.2), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[1.5, 1])
    left.plot(losses, **STYLES["focal"])
    left.set_xlabel("epoch (full-batch updates)")
    left.set_ylabel("training loss (nats)")
    left.set_ylim(0, None)
    left.grid(alpha=0.25)
    left.spines[["top", "right"]].set_visible(False)
    confusion(counts, right)
    return figure


def intervals(columns, xlabel):
    """Dots with intervals. ``columns`` maps a title to rows: label -> (mean, low, high); the same labels in each."""
    figure, ax = axes(xlabel, "", width=8, height=0.36 * len(next(iter(columns.values()))) + 1.1, columns=len(columns))
    for one, (title, rows) in zip(np.ravel(ax), columns.items(), strict=True):
        for y, (label, (mean, low, high)) in enumerate(rows.items()):
            color = COLORS["focal" if "focal" in label else "cross_entropy"]
            marker = "^" if "weights" in label else "o"
            one.plot([low, high], [y, y], color=color, linewidth=2)
            one.plot(mean, y, marker, color=color, markersize=7)
        one.set_yticks(range(len(rows)), rows)
        one.invert_yaxis()
        one.set_title(title)
    for one in np.ravel(ax)[1:]:
        one.tick_params(labelleft=False)
    return figure


def reliability(curves):
    """Reliability diagram. ``curves`` maps a label to (predicted, observed, style)."""
    figure, ax = axes("predicted probability of class 1", "share of class 1 among these examples", 5.0, 4.2)
    ax.plot([0, 1], [0, 1], color="grey", linewidth=1, label="calibrated")
    for label, (predicted, observed, style) in curves.items():
        ax.plot(predicted, observed, marker="o", markersize=4, label=label, **style)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.legend(frameon=False)  # the lines cross where names would stand
    return figure


def confusion(counts, ax=None):
    """A 2 × 2 confusion matrix with the counts and the share of each true class; returns the figure."""
    if ax is None:
        _, ax = plt.subplots(figsize=(3.6, 3.2), layout="constrained")
    counts = np.asarray(counts)
    share = counts / counts.sum(axis=1, keepdims=True)
    for (i, j), n in np.ndenumerate(counts):
        style = GROUPS[f"{('majority', 'minority')[i]}, {'right' if i == j else 'wrong'}"]
        square = plt.Rectangle((j - 0.5, i - 0.5), 1, 1, facecolor=style["color"], alpha=0.08 + 0.92 * share[i, j])
        square.set(edgecolor="white", hatch=style.get("hatch"), linewidth=0)
        ax.add_patch(square)
        ax.text(j, i, f"{n}\n{share[i, j]:.0%}", ha="center", va="center", bbox=_plate())
    ax.set(xlim=(-0.5, 1.5), ylim=(1.5, -0.5), aspect="equal")
    ax.set_xticks([0, 1], ["0", "1"])
    ax.set_yticks([0, 1], ["0", "1"])
    ax.set_xlabel("predicted class")
    ax.set_ylabel("true class (share of its examples)")
    return ax.figure


def _seen(line):
    """Two rows, x and y of the points of a line that are numbers."""
    points = np.asarray(line.get_data(), dtype=float)
    return points[:, np.isfinite(points).all(0)]


def _offset(side):
    """How far a name stands from its point, in points: to the right, up."""
    steps = np.array([7 * (("right" in side) - ("left" in side)), 4 * (("above" in side) - ("below" in side))])
    return 3 * steps if "far" in side else steps


def _path(points, line):
    """The points of a line in pixels, and those on the way from one to the next."""
    if line.get_linestyle() == "None" or len(points) < 2:
        return points
    steps = [np.linspace(a, b, 2 + int(np.hypot(*(b - a)) / 2)) for a, b in itertools.pairwise(points)]
    return np.concatenate(steps)


def _points_of(box):
    """Points that stand for a box."""
    return np.stack(np.meshgrid(np.linspace(box.x0, box.x1, 9), np.linspace(box.y0, box.y1, 3)), -1).reshape(-1, 2)


def _distances(points, low, high):
    """How far points are from a box; 0 inside."""
    return np.hypot(*np.maximum(0, np.maximum(low - points, points - high)).T)


def _plate():
    """A light plate behind numbers, so that they keep their contrast on any colour."""
    return {"facecolor": "white", "edgecolor": "none", "alpha": 0.85, "boxstyle": "round,pad=0.2"}


def _ink(color):
    """A colour for words: darkened until it has 4.5 : 1 on white, which lines do not need."""
    rgb = np.array(mcolors.to_rgb(color))
    while True:
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        if 1.05 / (linear @ [0.2126, 0.7152, 0.0722] + 0.05) >= 4.5:
            return mcolors.to_hex(rgb)
        rgb = rgb * 0.97
