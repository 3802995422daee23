"""The numbers that a view shows are those of focal_lib, digit for digit, on 200 random settings of its controls."""

import base64
import json
import random
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from engines import built, live_pages

from focal_lib import widgets
from focal_lib.lab.detection import detect, make_detector, make_scenes
from focal_lib.lab.stored_runs import load_curves
from focal_lib.widgets.view import percent, rounded

ROOT = Path(__file__).parent.parent.parent
SETTINGS = 200
VIEWS = sorted(
    {(page, kind) for page in live_pages() for kind in re.findall(r"live-view (\w+)", built(page).read_text())}
)

# Moves the real controls as a reader would, and reads what the view then says and draws.
SWEEP = """
const view = document.querySelector(`.live-view.${argument.kind}`);
const control = (key) => view.querySelector(`input[data-trait=${key}]`);
return argument.settings.map((setting) => {
  for (const [key, value] of Object.entries(setting)) {
    if (key === 'chosen') {
      view.querySelector(`[data-option=${value}]`).click();
    } else if (key === 'round') {
      for (let k = 0; k < 10; k++) {
        if (view.querySelector('.live-sentence').textContent.startsWith(`Round ${value} `)) break;
        view.querySelector('[data-action=next]').click();
      }
    } else if (typeof value === 'boolean') {
      if (control(key).checked !== value) control(key).click();
    } else if (control(key).type === 'range') {
      control(key).value = value;
      control(key).dispatchEvent(new Event('input'));
    } else {
      view.querySelector(`input[data-trait=${key}][value="${value}"]`).click();
    }
  }
  return {
    sentence: view.querySelector('.live-sentence').textContent,
    label: view.querySelector('svg[role=img]')?.getAttribute('aria-label') ?? null,
    figures: [...view.querySelectorAll('text:is(.live-callout, .live-on-plate, .live-already, .live-wrong)')]
      .map((text) => text.textContent),
  };
});
"""


def shipped(chapter, name):
    """The state of a view that a chapter's page ships: its numbers may come from a network trained on any machine."""
    notebook = json.loads((ROOT / "notebooks" / f"{chapter}.ipynb").read_text("utf-8"))
    models = notebook["metadata"]["widgets"]["application/vnd.jupyter.widget-state+json"]["state"].values()
    (state,) = [model["state"] for model in models if model["state"].get("name") == name]
    return state


def unpack(table):
    """What ``focal_lib.widgets.view.pack`` was given, rounded: groups of 7 bits, signs in the lowest, two sums."""
    numbers, number, shift = [], 0, 0
    for byte in base64.b64decode(table["bytes"]):
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            numbers.append((number >> 1) ^ -(number & 1))
            number = shift = 0
    steps = np.array(numbers).reshape(table["shape"])
    return steps.cumsum(0).cumsum(0) / 10 ** table["places"]


def loss_curve(chance):
    view = widgets.LossCurve()
    for _ in range(SETTINGS):
        yield (
            view,
            {
                "gamma": chance.randrange(51) / 10,
                "p_t": chance.randrange(1, 100) / 100,
                "quantity": chance.choice(["loss", "gradient"]),
                "axis": chance.choice(["linear", "log"]),
            },
        )


def batch_share(chance):
    """The batch of chapter 02, by the numbers that its page ships; a made-up batch shows that those are the view's."""
    target = torch.arange(8) % 4 // 3
    view = widgets.BatchShare(torch.randn(8, 2, generator=torch.Generator().manual_seed(0)), target)
    values = view.traits()
    grid, alphas, mixes = values["gamma"].index, values["alpha"].values.index, values["preset"].values.index

    def by(tables):
        shares, counts, cumulative = (unpack(tables[name]) for name in ("shares", "counts", "cumulative"))
        return (
            lambda gamma, alpha, preset: np.stack(
                [counts[mixes(preset)], *shares[grid(gamma), alphas(alpha), mixes(preset)]]
            ),
            lambda gamma: cumulative[grid(gamma)],
        )

    own = by(view._tables)
    for gamma in (0.0, 2.0, 4.9):
        np.testing.assert_allclose(own[0](gamma, 20, "1:1000"), view.shares(gamma, 20, "1:1000"), atol=0.00051)
        np.testing.assert_allclose(own[1](gamma), view.cumulative(gamma), atol=0.00051)
    view.shares, view.cumulative = by(shipped("02_loss_curve", "batch_share")["_tables"])
    for _ in range(SETTINGS):
        yield (
            view,
            {
                "gamma": chance.randrange(51) / 10,
                "alpha": chance.choice(view.traits()["alpha"].values),
                "preset": chance.choice(["balanced", "80/20", "1:1000"]),
                "show": chance.choice(["shares", "shares", "cumulative"]),
            },
        )


def which_bug(chance):
    view = widgets.WhichBug()
    for _ in range(SETTINGS):
        yield (
            view,
            {
                "round": chance.randrange(1, 11),
                "p_t": chance.randrange(1, 50) / 50,
                "chosen": chance.choice("ABCD"),
            },
        )


def training_runs(chance):
    view = widgets.TrainingRuns()
    keys = ("gamma", "beside", "optimizer", "epochs", "show")
    for _ in range(SETTINGS):
        setting = {key: chance.choice(view.traits()[key].values) for key in keys}
        yield view, {**setting, "weights": chance.random() < 0.5}


def five_lines(chance):
    view = widgets.FiveLines()
    for _ in range(SETTINGS):  # mended first: mending at gamma 0 moves gamma
        yield view, {"mended": chance.random() < 0.5, "gamma": chance.randrange(21) / 4}


def text_ranking(chance):
    """The notes that chapter 08 shows; their p_t comes from a network trained there."""
    view = widgets.TextRanking(**shipped("08_text", "text_ranking")["_facts"])
    for _ in range(SETTINGS):
        yield (
            view,
            {
                "gamma": chance.randrange(51) / 10,
                "weighting": chance.choice(["none", "balanced"]),
                "scale": chance.choice(["linear", "log"]),
            },
        )


def cell_loss(chance):
    """The image of chapter 09, by the numbers that its page ships; new networks show that those are the view's."""
    scene = make_scenes(1, seed=0)
    logits = {f"prior {prior}": detect(make_detector(0, prior), scene.images)[0] for prior in (0.01, 0.5)}
    view = widgets.CellLoss(scene.images[0, 0], logits, scene.targets[0], scene.counted[0])

    def by(tables):
        parts = [unpack(tables[name]) for name in ("object", "worst", "rest")]
        at = view.traits()["gamma"].index
        return lambda _: [part[at(view.gamma), ("first", "second").index(view.network)] for part in parts]

    for view.gamma, view.network in ((0.0, "first"), (2.0, "second"), (5.0, "first")):
        expected = view.split(view.shares(view.gamma, view.network))
        np.testing.assert_allclose(by(view._tables)(None), expected, atol=0.00051)
    state = shipped("09_detection", "cell_loss")
    view.split, view._facts = by(state["_tables"]), state["_facts"]
    for _ in range(SETTINGS):
        yield view, {"gamma": chance.randrange(11) / 2, "network": chance.choice(["first", "second"])}


def way_back(chance):
    """What is learned is found by a search, which takes no longer for all settings at once than for one."""
    view = widgets.WayBack()
    settings = [
        {
            "gamma": chance.randrange(11) / 2,
            "q": chance.randrange(1, 100) / 100,
            "classes": chance.choice([2, 3, 5, 10, 100, 1000]),
            "axis": chance.choice(["linear", "log"]),
        }
        for _ in range(SETTINGS)
    ]
    keys = [tuple(setting.values())[:3] for setting in settings]
    gamma, q, classes = map(np.array, zip(*keys, strict=True))
    learned = view.learned(q[:, None], torch.as_tensor(gamma)[:, None, None], classes[:, None])
    for k in (0, 1, 2):
        alone = view.learned(q[k : k + 1], gamma[k], classes[k])
        np.testing.assert_allclose(learned[k], alone, rtol=0, atol=1e-10)
    known = dict(zip(keys, learned, strict=True))
    view.learned = lambda q, gamma, classes: known[gamma, q.item(), classes]
    for setting in settings:
        yield view, setting


def rival_map(chance):
    view = widgets.RivalMap()
    for _ in range(SETTINGS):
        yield (
            view,
            {key: chance.choice(view.traits()[key].values) for key in ("task", "score", "prevalence", "problem")},
        )


SETTERS = {
    "RivalMap": rival_map,
    "WayBack": way_back,
    "FiveLines": five_lines,
    "LossCurve": loss_curve,
    "BatchShare": batch_share,
    "WhichBug": which_bug,
    "TrainingRuns": training_runs,
    "TextRanking": text_ranking,
    "CellLoss": cell_loss,
}


def mean_answers(view):
    """The two confusion matrices, averaged over the seeds, as the drawing shows them."""
    stored, at = load_curves(), ("100", "500").index(view.epochs)
    right = stored["counts"][view.rows(), at]
    wrong = np.bincount(stored["labels"]) - right
    return [rounded(count, 1) for count in np.stack([right, wrong]).flat]


# What may stand inside the drawing, besides the axes.
FIGURES = {
    "RivalMap": lambda view: set(),
    "WayBack": lambda view: set(),
    "FiveLines": lambda view: {
        f"already right: {percent(view.right(view.gamma, view.mended))} of the push",
        f"still wrong: {percent(1 - view.right(view.gamma, view.mended))}",
    },
    "LossCurve": lambda view: (
        {"1.000×"} if view.gamma == 0 else set(re.findall(r"(?:less than )?\d\.\d{3}×", view.sentence()))
    ),
    "BatchShare": lambda view: {percent(share) for share in view.shares(view.gamma, view.alpha, view.preset).flat},
    "WhichBug": lambda view: set(),
    "TrainingRuns": lambda view: set(mean_answers(view)) if view.show == "answers" else set(),
    "TextRanking": lambda view: set(),
    "CellLoss": lambda view: set(),
}


def position(view, key, value):
    """Where the control of a trait stands; a range over some numbers moves in positions, not in values."""
    values = getattr(view.traits()[key], "values", [])
    return values.index(value) if value in values and not isinstance(value, str) else value


@pytest.mark.parametrize(("page", "kind"), VIEWS)
def test_numbers_are_those_of_focal_lib(open_page, page, kind):
    assert kind in SETTERS and kind in FIGURES, f"say in SETTERS what to try of {kind}, in FIGURES what it writes"
    settings, expected, figures = [], [], []
    for view, setting in SETTERS[kind](random.Random(1)):
        for key, value in setting.items():
            setattr(view, key, value)
        expected.append(view.sentence())
        figures.append(FIGURES[kind](view))
        settings.append({key: position(view, key, value) for key, value in setting.items()})
    shown = open_page(page).run(SWEEP, {"kind": kind, "settings": settings})
    plain = [re.sub(r"\bpt\b", "p_t", said["sentence"]) for said in shown]
    assert plain == expected
    for said, sentence in zip(shown, expected, strict=True):
        assert said["label"] is None or said["label"].endswith(sentence)
    for said, allowed in zip(shown, figures, strict=True):
        assert set(said["figures"]) <= allowed
