"""The book's figures: pure functions, data in, figure out. One visual language, shared with the live views."""

import matplotlib.colors as mcolors
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import PercentFormatter

__all__ = [
    "COLORS",
    "GAMMAS",
    "GROUPS",
    "STYLES",
    "axes",
    "bars",
    "confusion",
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
    """A figure with labelled axes: (figure, ax), or (figure, array of ax) for several columns.

    Up to a width of 5.2 a phone shows it whole with words of 9 px; what is wider scrolls there.
    """
    figure, ax = plt.subplots(1, columns, figsize=(width, height), layout="constrained")
    for one in np.ravel(ax):
        one.set_xlabel(xlabel)
        one.set_ylabel(ylabel)
        one.spines[["top", "right"]].set_visible(False)
        one.grid(alpha=0.25)
        one.set_axisbelow(True)
    return figure, ax


def label_lines(ax, places=None):
    """Name each labelled line of ``ax`` beside it, in its colour: where lines are few, a reader needs no legend.

    ``places`` maps a label to (x, side), with a side such as "above right" of the line's point at x. Without a place,
    a name stands behind the line's end; names that would overlap there are moved up. Call it when the limits are set.
    """
    ends, floor = [], -np.inf
    for line in ax.lines:
        label, (x, y) = line.get_label(), np.asarray(line.get_data(), dtype=float)
        style = {"color": _ink(line.get_color()), "textcoords": "offset points", "annotation_clip": False}
        if label.startswith("_"):
            continue
        if label in (places or {}):
            at, side = places[label]
            up, right = ("above" in side) - ("below" in side), ("right" in side) - ("left" in side)
            put = {"ha": ("center", "left", "right")[right], "va": ("center", "bottom", "top")[up]}
            ax.annotate(label, (at, np.interp(at, x, y)), xytext=(7 * right, 4 * up), **put, **style)
        else:
            ends.append((ax.transData.transform((x[-1], y[-1]))[1] * 72 / ax.figure.dpi, label, (x[-1], y[-1]), style))
    for height, label, end, style in sorted(ends, key=lambda one: one[0]):
        floor = max(height, floor + 1.3 * plt.rcParams["font.size"])
        ax.annotate(label, end, xytext=(5, floor - height), ha="left", va="center", **style)


def bars(counts, labels=("class 0 (majority)", "class 1 (minority)")):
    """Number of examples of each of two classes."""
    figure, ax = axes("", "number of training examples", width=5.0, height=3.2)
    for k, kind in enumerate(("majority", "minority")):
        ax.bar(labels[k], counts[k], color=COLORS[kind])
        ax.annotate(f"{counts[k]}", (k, counts[k]), ha="center", va="bottom")
    return figure


def loss_curves(p_t, curves, log=False, styles=None):
    """Loss against p_t. ``curves`` maps a label to values.

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
    ax.legend(frameon=False)
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
    ax.legend(frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.25), ncol=2)
    return figure


def training_band(epochs, low, high, lines):
    """A 5-95 % band of many runs, and lines on top: ``lines`` maps a label to (epochs, values, style)."""
    figure, ax = axes("epoch (full-batch updates)", "training loss (weighted focal, γ = 2)")
    ax.fill_between(epochs, low, high, color=COLORS["focal"], alpha=0.2, label="5–95 % of the seeds")
    for label, (x, values, style) in lines.items():
        ax.plot(x, values, label=label, **style)
    ax.set_ylim(0, None)
    ax.legend(frameon=False)
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
        one.set_yticklabels([])
    return figure


def reliability(curves):
    """Reliability diagram. ``curves`` maps a label to (predicted, observed, style)."""
    figure, ax = axes("predicted probability of class 1", "share of class 1 among these examples", 5.0, 4.2)
    ax.plot([0, 1], [0, 1], color="grey", linewidth=1, label="calibrated")
    for label, (predicted, observed, style) in curves.items():
        ax.plot(predicted, observed, marker="o", markersize=4, label=label, **style)
    ax.set_xlim(0, 1)
    ax.set_ylim(0, 1)
    ax.legend(frameon=False)
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
