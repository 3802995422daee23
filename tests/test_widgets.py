"""The live views' Python half: numbers, traits both ways, pictures. Runs on both ends of the ipywidgets range."""

import base64
import json
import re
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
import traitlets

from focal_lib import focal_loss, widgets
from focal_lib.bugs import CATALOGUE
from focal_lib.lab import plots
from focal_lib.lab.curves import curve
from focal_lib.lab.data import load_example
from focal_lib.lab.detection import make_scenes
from focal_lib.lab.training import train
from focal_lib.widgets.view import Step, decimals, pack, percent, rounded


def make_batch_share():
    example = load_example()
    logits = train(torch.nn.CrossEntropyLoss(), example, seed=0, device="cpu").logits(example.x_train)
    return widgets.BatchShare(logits, example.y_train)


def make_cell_loss():
    """Two networks that never saw an image: what the view shows of them is not tested here."""
    scene = make_scenes(1, seed=0)
    logits = {"new": torch.full_like(scene.targets[0], -4.0), "better": 4 * scene.targets[0] - 4}
    return widgets.CellLoss(scene.images[0, 0], logits, scene.targets[0], scene.counted[0])


NOTES = {
    "texts": ["easy and common", "hard and common", "easy and rare"],
    "labels": ["none", "none", "stop"],
    "p_t": [0.9, 0.4, 0.7],
    "weights": [0.5, 0.5, 8.0],
}


def make_text_ranking():
    return widgets.TextRanking(**NOTES)


# Every view. One that needs arguments is made by a function of its own.
MAKERS = {name: getattr(widgets, name) for name in widgets.__all__} | {
    "BatchShare": make_batch_share,
    "CellLoss": make_cell_loss,
    "TextRanking": make_text_ranking,
}
LIVE = [name for name in MAKERS if name != "TrainingPanel"]  # that one is made of ipywidgets: test_training_panel.py


SLIDERS = [name for name in LIVE if any(isinstance(t, Step) for t in getattr(widgets, name).class_traits().values())]


@pytest.fixture(scope="module", params=LIVE)
def view(request):
    try:
        return MAKERS[request.param]()
    except TypeError as error:
        pytest.fail(f"{error}: give MAKERS a function that makes a {request.param}")


def unpack(table):
    """What unpack() of shared.js does, once more."""
    rows, whole, code, shift, numbers = table["shape"][0], [], 0, 0, []
    for byte in base64.b64decode(table["bytes"]):
        code |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append((code >> 1) ^ -(code & 1))
            code, shift = 0, 0
    steps = np.array(numbers).reshape(rows, -1)
    whole = steps.cumsum(axis=0).cumsum(axis=0)
    return (whole / 10 ** table["places"]).reshape(table["shape"])


def test_pack_rounds_and_nothing_else():
    values = np.random.default_rng(0).normal(scale=30, size=(7, 5, 3))
    table = pack(values)
    assert table["shape"] == [7, 5, 3]
    assert np.array_equal(unpack(table), np.round(values, 3))
    with pytest.raises(ValueError, match="not finite"):
        pack([[1.0, float("nan")]])


@pytest.mark.parametrize(
    ("x", "text"),
    [(0.0225, "0.023"), (0.0225 - 1e-15, "0.023"), (-0.0001, "0.000"), (-1.5, "-1.500"), (2 / 3, "0.667")],
)
def test_halves_go_up_on_every_machine(x, text):
    assert rounded(x) == text


def test_words_for_what_is_too_small():
    assert (decimals(0.0004), decimals(0.0006)) == ("less than 0.001", "0.001")
    assert (percent(0.0004), percent(0.0125)) == ("less than 0.1\u00a0%", "1.3\u00a0%")


def test_loss_curve_holds_the_surfaces_of_focal_lib():
    view = widgets.LossCurve()
    tables = {name: unpack(table) for name, table in view._tables.items()}
    p_t = torch.arange(1, 100, dtype=torch.float64) / 100
    plain, plain_slope = curve(p_t, 0.0)
    for k in range(51):
        loss, slope = curve(p_t, k / 10)
        expected = {
            "loss": loss, "gradient": -slope, "loss_ratio": loss / plain, "gradient_ratio": slope / plain_slope,
        }  # fmt: skip
        for name, values in expected.items():
            assert np.abs(tables[name][k] - values.numpy()).max() <= 0.0005 + 1e-8
        for name in ("loss", "gradient"):
            shown = np.maximum(expected[name].numpy(), 1e-6)
            assert np.abs(10 ** tables[f"log_{name}"][k] / shown - 1).max() < 0.002


def test_loss_curve_draws_any_bug_that_can_be_drawn():
    view = widgets.LossCurve(bug="scalar_alpha")
    bug, right = unpack(view._tables["bug_loss"]), unpack(view._tables["loss"])
    assert np.abs(bug - right / 4).max() <= 0.0007
    view.bug = None
    assert not [name for name in view._tables if name.startswith("bug_")]


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_the_picture_of_a_curve_draws_cross_entropy_dashed_and_focal_loss_solid(gamma):
    """At gamma 0 the two are one line, and the words of chapter 02 hold all the same."""
    figure = widgets.LossCurve(gamma=gamma, p_t=0.5).picture()
    drawn = {line.get_label(): (line.get_color(), line.get_linestyle()) for line in figure.axes[0].lines}
    plt.close(figure)
    assert drawn["cross-entropy (γ = 0)"] == (plots.COLORS["cross_entropy"], "--")
    assert drawn["focal loss, γ = 0" if gamma == 0 else f"γ = {gamma:g}"] == (plots.COLORS["focal"], "-")


def test_batch_share_adds_up_and_alpha_never_moves_the_cumulative_picture():
    view = make_batch_share()
    shares, counts = unpack(view._tables["shares"]), unpack(view._tables["counts"])
    assert np.abs(shares.sum(axis=-1) - 1).max() <= 0.002 and np.abs(counts.sum(axis=-1) - 1).max() <= 0.002
    assert counts[1, 2:].sum() == pytest.approx(168 / 800, abs=0.001)  # the batch as it is
    assert counts[0, 2:].sum() == pytest.approx(1 / 2, abs=0.001)
    cumulative = unpack(view._tables["cumulative"])
    assert (np.diff(cumulative, axis=-1) >= 0).all() and (cumulative[..., -1] == 1).all()
    assert (np.diff(cumulative[:, :, 16], axis=0) <= 0).all()  # the more gamma, the less the easiest 80 % own


def test_the_copied_lines_push_as_cross_entropy_does_whatever_gamma():
    """What the welcome page shows: the copied code's shares never move, the mended code's do."""
    view = widgets.FiveLines()
    logits, target = (tensor.clone() for tensor in view._batch)
    logits.requires_grad_()
    torch.nn.functional.cross_entropy(logits, target).backward()
    push = logits.grad.norm(dim=1)
    plain = (push / push.sum()).numpy()
    assert plain.shape == (800,)
    for gamma in (0.0, 0.25, 2.0, 5.0):
        assert np.abs(view.shares(gamma, mended=False) - plain).max() < 1e-16
        mended = logits.detach().clone().requires_grad_()
        focal_loss(mended, target, gamma=gamma).backward()
        right = mended.grad.norm(dim=1)
        assert np.abs(view.shares(gamma, mended=True) - (right / right.sum()).numpy()).max() < 1e-12
    assert view.loss(0.0, False) / view.loss(2.0, False) == pytest.approx(60, abs=1)
    assert view.right(0.0, True) == pytest.approx(0.746, abs=0.001) and view.right(2.0, True) < 0.33


def test_the_welcome_page_stores_its_view_as_it_is_now():
    stored = json.loads((Path(__file__).parent.parent / "book" / "views" / "FiveLines.json").read_text("utf-8"))
    view = widgets.FiveLines()
    assert (stored["state"]["_esm"], stored["state"]["_css"]) == code(widgets.FiveLines), "run tools/store_views.py"
    assert stored["text"] == view.sentence()
    # On another processor two examples that are as hard as each other change places: 2 of 800 in plain arithmetic.
    labels, now = stored["state"]["_facts"].pop("labels"), view._facts["labels"]
    assert stored["state"]["_facts"] == {name: fact for name, fact in view._facts.items() if name != "labels"}
    assert sorted(labels) == sorted(now) and sum(a != b for a, b in zip(labels, now, strict=True)) <= 4
    for name, table in stored["state"]["_tables"].items():
        off = np.abs(unpack(table) - unpack(view._tables[name]))
        if name == "place":
            assert (off > 1).any(axis=1).sum() <= 8
        else:
            assert off.max() <= {"smaller": 0.1}.get(name, 0.002) + 1e-9


def test_the_welcome_page_shows_every_bug():
    stored = (Path(__file__).parent.parent / "book" / "views" / "wall.html").read_text("utf-8")
    shown = re.findall(r'href="\.\./notebooks/06_bug_museum\.html#(\w+)"', stored)
    assert shown == list(CATALOGUE), "run tools/store_views.py"


def test_the_ranking_has_a_place_for_small_shares():
    view = widgets.TextRanking(**(NOTES | {"p_t": [0.99, 0.4, 0.7]}))
    place, first, weighted = unpack(view._tables["place"]), view.losses(0.0, "none"), view.losses(5.0, "balanced")
    for shown, loss in ((place[0, 0], first), (place[-1, 1], weighted)):
        share = loss / loss.sum()
        assert np.abs(10 ** (shown / 20 - 5) / np.maximum(share, 1e-5) - 1).max() < 0.007
    assert weighted.min() / weighted.sum() < 1e-5 and place[-1, 1].min() == 0  # below the scale: at its start
    figure = widgets.TextRanking(**NOTES, scale="log").picture()
    (dots,) = figure.axes[0].lines
    assert figure.axes[0].get_xscale() == "log" and sum(dots.get_xdata()) == pytest.approx(1)
    plt.close(figure)


def test_which_bug_asks_only_what_the_picture_answers():
    view = widgets.WhichBug()
    lines = unpack(view._tables["lines"])
    for number, asked in enumerate(view._rounds):
        right, *options = lines[:, number].T
        answer = options.pop(asked["answer"])
        assert len(set(asked["options"])) == 4
        for other in (right, *options):
            assert np.abs(answer - other).max() > 0.05


@pytest.mark.parametrize(
    ("bugs", "complaint"),
    [
        (["no_such_bug"] * 4, "no bug of the catalogue"),
        (["scalar_alpha"] * 4, "4 to 10 different ids"),
        (["alpha_stays_behind", "scalar_alpha", "easy_side_kept", "softmax_twice"], "no picture tells"),
    ],
)
def test_which_bug_refuses_what_it_cannot_show(bugs, complaint):
    with pytest.raises(ValueError, match=complaint):
        widgets.WhichBug(bugs)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: widgets.LossCurve(gamma=7), "gamma must be between 0 and 5, got 7.0."),
        (lambda: widgets.LossCurve(axis="round"), "axis must be one of linear, log, got 'round'."),
        (lambda: widgets.LossCurve(bug="typo"), "bug must be one of mean_before_pt, "),
        (lambda: widgets.WhichBug(round=11), "round must be between 1 and 10, got 11.0."),
    ],
)
def test_bad_settings_get_one_sentence(make, complaint):
    with pytest.raises(traitlets.TraitError, match=re.escape(complaint)):
        make()


def test_unknown_arguments_and_batches_are_refused():
    with pytest.raises(TypeError, match="LossCurve has no 'gama'; it has name, hide, "):
        widgets.LossCurve(gama=2)
    with pytest.raises(ValueError, match="both classes"):
        widgets.BatchShare(torch.zeros(3, 2), torch.zeros(3, dtype=torch.int64))


@pytest.mark.parametrize("view", SLIDERS, indirect=True)
def test_python_moves_the_view(view, monkeypatch):
    """A change in Python is sent to the browser, snapped to the grid."""
    sent = []
    monkeypatch.setattr(view, "send_state", lambda key=None: sent.append(view.get_state(key)))
    name, trait = next((n, t) for n, t in view.traits().items() if isinstance(t, Step))
    setattr(view, name, trait.high - 0.3 * trait.step)
    assert getattr(view, name) == trait.high
    assert sent == [{name: trait.high}]


@pytest.mark.parametrize("view", SLIDERS, indirect=True)
def test_the_view_moves_python(view):
    """What the browser sends when a reader moves a slider is seen by Python's observers."""
    name, trait = next((n, t) for n, t in view.traits().items() if isinstance(t, Step))
    seen = []
    view.observe(lambda change: seen.append(change.new), names=name)
    before = view.sentence()
    setattr(view, name, trait.high)
    view._handle_msg(
        {"content": {"data": {"method": "update", "state": {name: trait.low}, "buffer_paths": []}}, "buffers": []}
    )
    assert seen[-1] == trait.low == getattr(view, name)
    assert view.sentence() != before


def test_each_view_is_named_in_the_package():
    files = {path.stem for path in Path(widgets.__file__).parent.glob("*.js")} - {"shared"}
    named = {kind.__module__.rpartition(".")[2] for kind in (getattr(widgets, name) for name in widgets.__all__)}
    assert files - named == set(), "name it in _MODULES of focal_lib/widgets/__init__.py"


def test_a_view_is_named_though_anywidget_should_stop_naming_it(monkeypatch):
    """Our JavaScript and the site find a view's kind by a name that is anywidget's private affair."""
    monkeypatch.setattr("anywidget.widget._ANYWIDGET_ID_KEY", "_another")
    view = widgets.LossCurve()
    assert view.get_state()["_another"] == view.get_state()["_anywidget_id"] == "focal_lib.widgets.loss_curve.LossCurve"


def test_every_host_gets_something(view):
    """The live view, a picture for programs without widgets, and the sentence, which is also the picture's alt text."""
    data, _ = view._repr_mimebundle_()
    assert set(data) == {"text/plain", "image/png", "application/vnd.jupyter.widget-view+json"}
    assert data["text/plain"] == repr(view) == view.sentence() and "0x" not in repr(view)
    png = base64.b64decode(data["image/png"])
    assert png.startswith(b"\x89PNG") and len(png) < 40_000
    assert view._ipython_display_ is None


def test_the_modules_import_nothing_and_know_no_loss(view):
    code = view._esm if isinstance(view._esm, str) else str(view._esm)
    assert "export default { render }" in code
    assert not re.search(r"\bimport\b|https?:(?!//www\.w3\.org/2000/svg)|Math\.(log|exp|pow)\b", code)
    assert all(color in view._css for color in plots.COLORS.values())


@pytest.mark.parametrize("kind", LIVE)
def test_each_view_documents_its_traits(kind):
    traits = getattr(widgets, kind).class_traits(limits=lambda limits: limits is not None)
    assert traits
    for name in traits:
        assert f"        {name}: " in getattr(widgets, kind).__doc__


def stored_views():
    """(notebook, its class, stored state) of every live view in the notebooks."""
    for path in sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb")):
        stored = json.loads(path.read_text("utf-8"))["metadata"].get("widgets", {})
        for model in stored.get("application/vnd.jupyter.widget-state+json", {}).get("state", {}).values():
            if model["model_module"] == "anywidget":
                kind = model["state"]["_anywidget_id"].rpartition(".")[2]
                yield path.name, getattr(widgets, kind), model["state"]


def test_the_notebooks_store_the_views_as_they_are_now():
    """The site shows what the notebooks store; nbval, which compares outputs, does not look there."""
    views = list(stored_views())
    assert len(views) >= 4
    stale = [(name, kind.__name__) for name, kind, state in views if (state["_esm"], state["_css"]) != code(kind)]
    assert stale == [], "run tools/store_views.py"


def code(kind):
    return str(kind._esm), str(kind._css)
