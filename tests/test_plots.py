"""Every figure draws its data and labels its axes."""

import re
from pathlib import Path

import drawn
import matplotlib.colors as mcolors
import matplotlib.pyplot as plt
import numpy as np
import pytest

from focal_lib.lab import plots

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def _close():
    yield
    plt.close("all")


def labelled(ax):
    return ax.get_xlabel() != "" and ax.get_ylabel() != ""


def test_loss_curves_draw_the_values_they_are_given():
    p = np.array([0.1, 0.5, 0.9])
    for log in (False, True):
        (ax,) = plots.loss_curves(p, {"cross-entropy": -np.log(p), "a": p, "focal": p**2}, log=log).axes
        assert labelled(ax)
        assert ax.get_yscale() == ("log" if log else "linear")
        first, _, last = ax.lines
        np.testing.assert_array_equal(first.get_ydata(), -np.log(p))
        assert first.get_linestyle() == "--" and first.get_color() == plots.COLORS["cross_entropy"]
        assert last.get_linestyle() == "-" and last.get_color() == plots.COLORS["focal"]


def test_bars():
    (ax,) = plots.bars([632, 168]).axes
    assert [bar.get_height() for bar in ax.patches] == [632, 168]
    assert [text.get_text() for text in ax.texts] == ["632", "168"]


def test_loss_shares():
    shares = {"loss": [0.5, 0.1, 0.3, 0.1], "gradient": [0.25, 0.25, 0.25, 0.25]}
    figure = plots.loss_shares(shares, plots.GROUPS)
    (ax,), (legend,) = figure.axes, figure.legends
    widths = [bar.get_width() for bar in ax.patches]
    assert sorted(widths) == pytest.approx(sorted(shares["loss"] + shares["gradient"]))
    assert [text.get_text() for text in legend.get_texts()] == list(plots.GROUPS)


def test_confusion_names_both_axes_and_shows_counts():
    (ax,) = plots.confusion([[161, 0], [39, 0]]).axes
    assert labelled(ax)
    assert [text.get_text() for text in ax.texts] == ["161\n100%", "0\n0%", "39\n100%", "0\n0%"]


def test_training_run_and_band():
    left, right = plots.training_run([0.5, 0.4, 0.3], [[10, 1], [2, 3]]).axes
    assert labelled(left) and labelled(right)
    np.testing.assert_array_equal(left.lines[0].get_ydata(), [0.5, 0.4, 0.3])
    line = {"seed 0": (range(2), [0.2, 0.1], plots.STYLES["focal"])}
    (ax,) = plots.training_band(range(2), [0.1, 0.05], [0.3, 0.2], line).axes
    assert labelled(ax) and len(ax.collections) == 1
    assert {text.get_text() for text in ax.texts} == {"seed 0", "5–95 % of the seeds"}


KINDS = (
    "book/static/*.*", "book/_ext/*.py", "tools/*.*", "notebooks/masters/*.ipynb",
    *(f"focal_lib/**/*.{kind}" for kind in ("py", "js", "css")),
)  # fmt: skip


def copies(colors):
    """{file: names} of the palette's colours that are written out once more, in files that do not read it."""
    paths = {path for kind in KINDS for path in ROOT.glob(kind) if path.is_file()} - {Path(plots.__file__)}
    texts = {str(path.relative_to(ROOT)): path.read_text("utf-8").lower() for path in paths}
    found = {file: {name for name, color in colors.items() if color.lower() in text} for file, text in texts.items()}
    return {file: names for file, names in found.items() if names}


# Places to change with COLORS. Whoever changes one of them by hand only, or adds one, is told by the test.
COPIES = {
    "book/static/bench.css": {"focal"},
    "book/static/book.css": {"minority"},
    "book/static/favicon.svg": {"cross_entropy", "focal"},
    "focal_lib/diagnosis/report.py": {"minority", "extra"},  # it needs no matplotlib
    "notebooks/masters/03_exponent.ipynb": {"focal"},
    "notebooks/masters/04_two_sides.ipynb": {"majority", "minority"},
    "notebooks/masters/14_a_thousand_noes.ipynb": {"majority", "minority"},
    "tools/on_paper.py": {"focal"},
}


def test_a_colour_that_changes_is_changed_in_all_places():
    assert copies(plots.COLORS) == COPIES, "change the colour of COLORS in these files too; name a new file in COPIES"


def test_a_colour_that_is_changed_in_one_place_only_is_found():
    assert copies(plots.COLORS | {"focal": "#0072B3"}) != COPIES


def overlaps(ax):
    """Texts of ``ax`` that cover one another or a line as drawn, and those that stick out of the figure."""
    ax.figure.canvas.draw()
    boxes = [text.get_window_extent() for text in ax.texts]
    found = [(a, b) for k, a in enumerate(boxes) for b in boxes[:k] if a.overlaps(b)]
    paths = [line.get_path().transformed(line.get_transform()) for line in ax.lines]
    found += [(box, path) for path in paths for box in boxes if path.intersects_bbox(box, filled=False)]
    return found + [box for box in boxes if not all(ax.figure.bbox.contains(*corner) for corner in box.corners())]


@pytest.mark.parametrize("ends", [(0.9, 0.5, 0.1), (0.5, 0.51, 0.5), (1, 1, 1)])
def test_lines_are_named_at_their_ends_without_overlap(ends):
    figure, ax = plots.axes("x", "y")
    for end, kind in zip(ends, ("majority", "minority", "bug"), strict=True):
        ax.plot([0, 1], [0, end], color=plots.COLORS[kind], label=kind)
    ax.axhline(0.2)  # without a name
    plots.label_lines(ax)
    assert {text.get_text() for text in ax.texts} == {"majority", "minority", "bug"} and overlaps(ax) == []
    assert plots.for_phones(figure) and overlaps(ax) == []


def wave(k, label="_"):
    x = np.linspace(0, 1, 60)
    return x, np.sin(k * x), label


@pytest.mark.parametrize("width", [7, 4])
def test_lines_are_named_where_there_is_room(width):
    """Beside lines without a name, a gap, a marker and words; drawn anew for a phone as well."""
    figure, ax = plots.axes("x", "y", width=width)
    for (x, y, label), kind in zip((wave(2, "a"), wave(4), wave(7, "second")), ("focal", "focal", "bug"), strict=True):
        ax.plot(x, np.where(x > 0.9, np.nan, y), label=label, **plots.STYLES[kind])
    ax.plot([0.5], [0.5], "ko", label="point")
    ax.text(0.1, -0.6, "words")
    plots.label_lines(ax, "free")
    assert {text.get_text() for text in ax.texts} == {"words", "a", "second", "point"} and overlaps(ax) == []
    assert plots.for_phones(figure) == (width > 5) and overlaps(ax) == []
    assert len(ax.texts) == 4


def test_a_name_on_a_line_is_found():
    _, ax = plots.axes("x", "y")
    ax.plot(*wave(40, "a")[:2], label="a")
    plots.label_lines(ax, {"a": (0.5, "above")})
    assert len(overlaps(ax)) == 1
    ax.annotate("out", (0, 0), (-0.3, 0), textcoords="axes fraction", annotation_clip=False).set_in_layout(False)
    assert len(overlaps(ax)) == 2


def test_a_wide_figure_is_drawn_anew_for_a_phone():
    """Two panels stack, six stand three by three; the names of rows come back in the first column."""
    figure = plots.intervals({name: {"cross-entropy": (0.8, 0.7, 0.9), "focal": (0.9, 0.8, 1)} for name in "AB"}, "x")
    assert plots.for_phones(figure) and not plots.for_phones(figure)
    figure.canvas.draw()
    first, second = (ax.get_position() for ax in figure.axes)
    assert first.y0 > second.y1 and first.x0 == pytest.approx(second.x0)
    assert [ax.yaxis.get_tick_params()["labelleft"] for ax in figure.axes] == [True, True]
    figure, axes = plots.axes("", "", width=10, height=2, columns=6)
    assert plots.for_phones(figure)
    assert [ax.get_subplotspec().get_geometry()[:2] for ax in axes] == [(2, 3)] * 6


def test_a_line_is_named_where_it_is_told():
    _, ax = plots.axes("x", "y")
    ax.plot([0, 1], [0, 2], label="a")
    ax.set_ylim(0, 2)
    plots.label_lines(ax, {"a": (0.5, "below right")})
    ax.figure.canvas.draw()
    (point,), box = ax.transData.transform([(0.5, 1)]), ax.texts[0].get_window_extent()
    assert box.x0 > point[0] and box.y1 < point[1]


def test_names_of_lines_can_be_read_on_white():
    _, ax = plots.axes("x", "y")
    for name, color in plots.COLORS.items():
        ax.plot([0, 1], [0, 1], color=color, label=name)
    plots.label_lines(ax)
    inks = {text.get_text(): mcolors.to_hex(text.get_color()) for text in ax.texts}
    assert all(drawn.contrast(ink[1:], "ffffff") >= 4.5 for ink in inks.values())
    assert drawn.contrast(plots.COLORS["majority"][1:].lower(), "ffffff") < 4.5  # as the line is, it would not do


def pale(colors):
    """Those that are under 3:1 on white: too pale for a line or a small mark."""
    return {color for color in colors if drawn.contrast(color[1:].lower(), "ffffff") < 3}


def test_each_colour_can_be_seen_on_white():
    assert pale([*plots.COLORS.values(), *(style["color"] for style in plots.GAMMAS.values())]) == set()
    (ax,) = plots.loss_curves([0.2, 0.8], {name: [1, 2] for name in "abcde"}).axes
    assert pale(map(mcolors.to_hex, (line.get_color() for line in ax.lines))) == set()
    assert pale(["#56B4E9", "#0072B2"]) == {"#56B4E9"}  # Okabe and Ito's own sky blue


TWINS = "name its twin in NIGHT of book/_ext/drawn.py, and the same below 'By night' in focal_lib/widgets/shared.css"


def without_a_twin(colors):
    """Names of colours that have no lighter twin by night, or one in figures and another in live views."""
    style = (ROOT / "focal_lib" / "widgets" / "shared.css").read_text("utf-8")
    (night,) = re.findall(r"\.live \{ ([^}]*color-scheme: dark)", style)
    views = dict(re.findall(r"--([\w-]+): #(\w{6})", night))
    twins = {name: drawn.NIGHT.get(color[1:].lower(), "none") for name, color in colors.items()}
    return [name for name, twin in twins.items() if views.get(name.replace("_", "-")) != twin]


def test_each_colour_has_one_twin_by_night():
    assert without_a_twin(plots.COLORS) == [], TWINS
    ramp = [style["color"][1:].lower() for style in plots.GAMMAS.values()]
    assert [color for color in ramp if color not in drawn.NIGHT] == [], TWINS


def test_a_colour_without_a_twin_is_found():
    assert without_a_twin(plots.COLORS | {"extra": "#00805E"}) == ["extra"]
