"""What a teacher shows: the numbers and minutes of the slides, the short answers."""

import itertools
import json
import re

import pytest
import torch
import torch.nn.functional as F
import yaml
from bs4 import BeautifulSoup
from exercise_notebooks import MASTERS, ROOT
from test_leaks import SITE, SOLUTIONS, squeeze

from focal_lib import focal_loss

SLIDES = (ROOT / "book" / "slides.md").read_text("utf-8")
ASKED = (ROOT / "book" / "asked.md").read_text("utf-8")


# --- slides --------------------------------------------------------------------------------------------------------


def said(pattern):
    """The number that a slide says."""
    return float(re.search(pattern, " ".join(SLIDES.split()))[1])


def test_the_five_lines_are_cross_entropy_at_gamma_zero_and_wrong_elsewhere():
    variables = {"F": F, "torch": torch}
    exec(re.search(r"```python\n(.*?)```", SLIDES, re.S)[1], variables)
    batch = torch.randn(20, 3, generator=torch.Generator().manual_seed(0)), torch.arange(20) % 3
    at_zero, at_two = (variables["quick_focal"](*batch, gamma=gamma) for gamma in (0.0, 2.0))
    assert torch.allclose(at_zero, F.cross_entropy(*batch)) and not torch.allclose(at_two, focal_loss(*batch))


def test_the_numbers_of_the_curve():
    assert said(r"its loss is \*\*(\d+) times smaller") == pytest.approx(1 / (1 - 0.9) ** 2)
    slopes = []
    for p in (0.9, said(r"Below \$p_t = ([\d.]+)\$")):
        logit = torch.tensor([[float(torch.tensor(p).logit()), 0.0]], dtype=torch.float64, requires_grad=True)
        one = torch.tensor([0])
        by_focal, by_ce = (torch.autograd.grad(f(logit, one), logit)[0][0, 0] for f in (focal_loss, F.cross_entropy))
        slopes.append(float(by_ce / by_focal))
    assert slopes[0] == pytest.approx(said(r"gradient \*\*(\d+) times\*\*"), abs=0.6)  # 34.5, as on the handout
    assert slopes[1] == pytest.approx(1, abs=5e-3)
    assert round(4 * (1 - 0.9**4) ** 2 / (1 - 0.9) ** 2) == said(r"acts like \*\*(\d+)\*\*")


def test_the_minutes_of_the_slides_fill_the_lessons():
    minutes = re.findall(r"Notes for (\d):(\d\d)–(\d):(\d\d)", SLIDES)
    spans = [(60 * int(a) + int(b), 60 * int(c) + int(d)) for a, b, c, d in minutes]
    short = next(k for k, (start, _) in enumerate(spans) if k and start < spans[k - 1][0])
    assert spans[0][0] == 0 and spans[short - 1][1] == 45 and spans[-1][1] == 90
    for deck in (spans[:short], spans[short:]):
        assert all(start <= end <= following + 5 for (start, end), (following, _) in itertools.pairwise(deck))
    found = re.search(r"(\d+) slides for the short lesson and (\d+) more", SLIDES)
    assert (int(found[1]), int(found[2])) == (short, len(spans) - short)


def test_every_slide_has_notes():
    assert len(re.findall(r"^### ", SLIDES, re.M)) == SLIDES.count("<details>") == SLIDES.count("{div} slide") >= 16


def test_there_are_twenty_answers():
    assert re.findall(r"^(\d+)\. \*\*.+?\?", ASKED, re.M) == [str(k) for k in range(1, 21)]
    numbers = {int(path.stem[:2]) for path in MASTERS}
    for text in (ASKED, SLIDES):
        assert {int(slug[:2]) for slug in re.findall(r"exercises/(\d\d_\w+)>", text)} <= numbers


# --- the built pages -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def deck():
    return BeautifulSoup((SITE / "book" / "slides.html").read_text("utf-8"), "html.parser")


def test_both_pages_are_in_the_contents():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    (teaching,) = [c for part in toc["parts"] for c in part["chapters"] if c["file"] == "book/teaching"]
    assert [section["file"] for section in teaching["sections"]] == ["book/slides", "book/asked"]


def test_every_built_slide_has_a_title_and_folded_notes(deck):
    slides = deck.select("div.slide")
    assert len(slides) == SLIDES.count("{div} slide")
    for slide in slides:
        (notes,) = slide.select("details")
        assert slide.find("h3") and not notes.has_attr("open")
        assert notes.summary.text.startswith("Notes for ") and len(notes.text.split()) > 15, slide.h3


def test_the_views_are_live_on_the_built_deck(deck):
    views = [view["class"][1:] for view in deck.select(".live-view")]
    assert [kinds[0] for kinds in views] == ["LossCurve", "FiveLines"]
    assert deck.select("script[src*='live-host.js']")
    state = json.loads(deck.find("script", type="application/vnd.jupyter.widget-state+json").string)["state"]
    assert set(state) == {"LossCurve", "FiveLines"} and all(model["state"]["_esm"] for model in state.values())


def test_the_deck_needs_no_network(deck):
    needed = [tag.get("src") or tag.get("href") for tag in deck.select("[src], link[rel=stylesheet]")]
    assert len(needed) > 5 and not [url for url in needed if re.match(r"(https?:)?//", url)]


def numbers_in(text):
    return [float(number) for number in re.findall(r"-?\d+\.?\d*", text)]


def leaks_of(text):
    """What of a solution stands in a text, however it is spaced or set."""
    plain, numbers = squeeze(text), numbers_in(text)
    pieces = [piece for solution in SOLUTIONS for piece in solution.anywhere]
    rows = [(piece, numbers_in(piece)) for piece in pieces if piece.startswith("evidence")]
    same = [
        piece
        for piece, row in rows
        if len(row) > 3 and any(numbers[k : k + len(row)] == row for k in range(len(numbers)))
    ]
    return [piece for piece in pieces if piece in plain] + same


def test_nothing_leaks_a_solution():
    for text in (SLIDES, ASKED):
        assert leaks_of(text) == []
    piece = next(p for s in SOLUTIONS for p in s.anywhere if p.startswith("evidence") and p.count(",") > 3)
    assert leaks_of(f"{SLIDES}\n{piece}") and leaks_of(" | ".join(map(str, numbers_in(piece))))
