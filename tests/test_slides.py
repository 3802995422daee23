"""What a teacher shows: the numbers and minutes of the slides, the short answers."""

import itertools
import re

import pytest
import torch
import torch.nn.functional as F
from exercise_notebooks import MASTERS, ROOT

from focal_lib import focal_loss

SLIDES = (ROOT / "book" / "slides.md").read_text("utf-8")
ASKED = (ROOT / "book" / "asked.md").read_text("utf-8")


# --- slides --------------------------------------------------------------------------------------------------------


def said(pattern):
    """The number that a slide says."""
    return float(re.search(pattern, " ".join(SLIDES.split()))[1])


def test_the_numbers_of_the_two_rows():
    variables = {"F": F, "torch": torch}
    exec(re.search(r"```python\n(.*?)```", SLIDES, re.S)[1], variables)
    rows = re.findall(r"^\| (\d), (\d) \| (\d) \| ([\d.]+) \|$", SLIDES, re.M)
    logits = torch.tensor([[float(a), float(b)] for a, b, *_ in rows])
    labels = torch.tensor([int(label) for _, _, label, _ in rows])
    own = focal_loss(logits, labels, reduction="none")
    assert [f"{n:.4f}" for n in own] == [row[3] for row in rows] and len(rows) == 2
    quick = variables["quick_focal"]
    assert said(r"mean of the two is \*\*([\d.]+)\*\*") == pytest.approx(float(own.mean()), abs=5e-5)
    assert said(r"five lines say \*\*([\d.]+)\*\*") == pytest.approx(float(quick(logits, labels)), abs=5e-5)
    at_zero = said(r"they give ([\d.]+) on the two rows")
    assert at_zero == pytest.approx(float(quick(logits, labels, gamma=0.0)), abs=5e-5)
    assert at_zero == pytest.approx(float(F.cross_entropy(logits, labels)), abs=5e-5)
    assert said(r"calculator: p_t is ([\d.]+)\.") == pytest.approx(float(logits[1].softmax(0)[0]), abs=5e-4)


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
