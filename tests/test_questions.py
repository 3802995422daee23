"""The questions of the chapters: their form, and every number in them."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
from bs4 import BeautifulSoup
from questions import questions_of

from focal_lib.lab.curves import curve, minimiser
from focal_lib.lab.data import load_example
from focal_lib.lab.training import train

ROOT = Path(__file__).parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))
QUESTIONS = [(path, source) for path in CHAPTERS for source in questions_of(path)]
IDS = [re.search(r'id="([\w-]+)"', source)[1] for _, source in QUESTIONS]


def share_of_easy():
    """What a thousand examples at 0.99 own of cross-entropy's gradient beside ten at 0.3."""
    easy, hard = 1000 * (1 - 0.99), 10 * (1 - 0.3)
    return easy / (easy + hard)


def factors(p_t, gamma=2.0):
    """Focal loss's gradient over cross-entropy's, at each p_t."""
    return curve(p_t, gamma)[1] / curve(p_t, 0)[1]


def factor(p_t, gamma=2.0):
    return factors(torch.tensor([p_t], dtype=torch.float64), gamma).item()


FINE = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)


# Numbers that no output of their chapter shows; each is computed here and has to stand in a question as written.
COMPUTED = {
    "0.99": 0.99,  # accuracy of "class 0" where 99 % are class 0; and the p_t of an easy example
    "0.010": (1 - 0.9) ** 2,
    "0.019": factor(0.9) - (1 - 0.9) ** 2,
    "0.01": 1 - 0.99,
    "0.7": 1 - 0.3,
    "58.8": 100 * share_of_easy(),
    "1.22": max(factor(p) for p in (0.1, 0.104)),
    "0.104": FINE[factors(FINE).argmax()].item(),
    "0.00012": math.log1p(math.exp(-9)),
    "1.39447": (0.0226581 + 2.76628) / 2,
    "0.694": minimiser(torch.tensor([0.9], dtype=torch.float64), gamma=2).item(),
}


def said_elsewhere(path):
    """What the rest of a chapter says and prints."""
    cells = [c for c in json.loads(path.read_text("utf-8"))["cells"] if "question" not in c["metadata"].get("tags", [])]
    return json.dumps(cells, ensure_ascii=False)


def wrong_numbers(source, elsewhere):
    """The decimal numbers of a question that neither its chapter says nor a computation gives."""
    found = set(re.findall(r"(?<![\w.#-])\d+\.\d+", re.sub(r"<[^>]*>", " ", source)))
    computed = {text for text, value in COMPUTED.items() if f"{value:.{len(text.partition('.')[2])}f}" == text}
    return {text for text in found - computed if not re.search(rf"(?<!\d){re.escape(text)}", elsewhere)}


@pytest.mark.parametrize(("path", "source"), QUESTIONS, ids=IDS)
def test_a_question_has_one_right_answer_and_speaks_about_each(path, source):
    answers = BeautifulSoup(source, "html.parser").select(".question > details.answer")
    assert len(answers) >= 3
    assert source.count("**Question.**") == 1 and "?" in source.partition("<details")[0]
    for answer in answers:
        why = answer.get_text().replace(answer.summary.get_text(), "", 1).strip()
        assert why.startswith("**Right.**" if "right" in answer["class"] else "**No.**")
        assert len(why) > 50 and answer.summary.get_text().strip()
    assert sum("right" in answer["class"] for answer in answers) == 1


@pytest.mark.parametrize(("path", "source"), QUESTIONS, ids=IDS)
def test_numbers_of_a_question_are_the_chapters(path, source):
    assert wrong_numbers(source, said_elsewhere(path)) == set()


def test_a_wrong_number_is_found():
    path, source = QUESTIONS[IDS.index("q-product")]
    assert wrong_numbers(source.replace("0.019", "0.018"), said_elsewhere(path)) == {"0.018"}


def test_numbers_in_words():
    """What the questions say without a decimal point."""
    assert round(1 / factor(0.9)) in (34, 35)  # "about 35"
    assert 4 ** (1 + 2) == 64 and abs((1 - 0.999**4) / (1 - 0.999) - 4) < 0.01
    assert 7e-53 < math.exp(-120) < 8.5e-53  # "about 8e-53"
    tiny = torch.finfo(torch.float32).smallest_normal * torch.finfo(torch.float32).eps
    assert 1e-45 < tiny < 2e-45  # the smallest positive float32, subnormal: "about 1e-45"
    assert torch.tensor([0.0, 17.0]).log_softmax(0)[1] == 0  # gamma < 1: "a margin of about 17"


def test_most_intervals_are_wider_on_new_data():
    cells = json.loads((ROOT / "notebooks/05_training.ipynb").read_text("utf-8"))["cells"]
    printed = "".join("".join(o.get("text", [])) for c in cells for o in c.get("outputs", ()))
    ends = re.findall(r"\[([+-][\d.]+), ([+-][\d.]+)\],  resampled [+-][\d.]+ \[([+-][\d.]+), ([+-][\d.]+)\]", printed)
    wider = [round(float(d) - float(c) - float(b) + float(a), 4) for a, b, c, d in ends]
    assert len(wider) > 20 and sum(w > 0 for w in wider) > len(wider) / 2 > 2 * sum(w < 0 for w in wider)


def test_a_missed_minority_example_ranks_above_most_of_the_majority():
    example = load_example()
    model = train(torch.nn.CrossEntropyLoss(), example, device="cpu").model
    with torch.no_grad():
        p = model(example.x_test).softmax(1)[:, 1]
    missed, majority = p[(example.y_test == 1) & (p < 0.5)], p[example.y_test == 0]
    assert len(missed) > 5 and (missed.median() > majority).double().mean() > 0.8


def test_every_chapter_asks_and_no_question_asks_twice():
    assert {path for path, _ in QUESTIONS} == set(CHAPTERS)
    assert len(set(IDS)) == len(IDS) >= 30
    places = [
        [k for k, a in enumerate(BeautifulSoup(s, "html.parser").select(".answer")) if "right" in a["class"]]
        for _, s in QUESTIONS
    ]
    assert len({place[0] for place in places}) == 3  # the right one is not always at the same place


def test_all_questions_stand_on_one_page():
    page = BeautifulSoup((ROOT / "_build/html/book/questions.html").read_text("utf-8"), "html.parser")
    assert [question["id"] for question in page.select(".question")] == IDS
    for path, source in QUESTIONS:
        (id,) = re.findall(r'class="question" id="([\w-]+)"', source)
        chapter = BeautifulSoup((ROOT / f"_build/html/notebooks/{path.stem}.html").read_text("utf-8"), "html.parser")
        assert chapter.find(id=id).select("details.answer > p")
        assert page.find(id=id).find("a", href=f"../notebooks/{path.stem}.html#{id}")


def test_the_worked_hunt_ends_as_it_says():
    """Its code, run: the perfect prediction costs what the page says, and nothing once it is mended."""
    text = (ROOT / "book/exercises.md").read_text("utf-8")
    code, call = re.findall(r"```python\n(.*?)```", text.partition("## One hunt")[2], flags=re.DOTALL)
    for inner, expected in ((".softmax(dim=1)", float(call.partition("# ")[2])), ("", 0.0)):
        names = {"torch": torch, "F": torch.nn.functional}
        exec(code.replace(".softmax(dim=1)", inner), names)
        assert eval(call.partition("#")[0], names).item() == pytest.approx(expected, abs=5e-5)
    assert "0.475" in text and f"{math.e / (math.e + 3):.3f}" == "0.475"
