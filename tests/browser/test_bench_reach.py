"""The bench for everybody: trained in the page, bounded, accessible with its answers, by keyboard, and undone."""

import json
import re

import pytest
from engines import ROOT, PlaywrightPage, built, until
from exercise_notebooks import run_code
from test_bench import BUSY, CHECK, EXERCISE, TAP, press, write
from test_pages import DARK, violations

from focal_lib import FocalLoss
from focal_lib.exercises.progress import PROGRESS_FILE
from focal_lib.lab.data import inverse_frequency, load_example
from focal_lib.lab.training import train

TRAINING = "notebooks/05_training"
SAID = "return document.querySelector('.bench p[role=status]').textContent"
FAULTY = "def loss(input, target):\n    return F.cross_entropy(input, target) ** 2\n"


def start_training(page, epochs):
    page.run("document.getElementById('bench-epochs').value = argument", epochs)
    page.run("document.querySelector('.bench .bench-go').click()")


@pytest.mark.parametrize("scheme", ["http", "file"])
def test_the_network_is_trained_in_the_page(engine_page, site, scheme):
    """To the loss and the answers that torch gives on this machine."""
    engine_page.open(f"{site}/{TRAINING}.html" if scheme == "http" else built(TRAINING).as_uri())
    start_training(engine_page, 20)
    until(lambda: "accuracy" in engine_page.run(SAID), 120)
    example = load_example()
    run = train(FocalLoss(inverse_frequency(example.y_train), 2.0), example, epochs=20, device="cpu")
    assert f"Loss {run.losses[-1]:.4f};" in engine_page.run(SAID)
    found = run.logits(example.x_test).argmax(1)
    shown = engine_page.run("return [...document.querySelectorAll('.bench-training td')].map((td) => td.textContent)")
    assert shown[1:] == [str(int(((example.y_test == i) & (found == j)).sum())) for i in (0, 1) for j in (0, 1)]
    assert engine_page.troubles == []


def test_training_can_be_cancelled_and_refuses_nonsense(open_page):
    page = open_page(TRAINING)
    start_training(page, 5)
    assert "loads Python" in page.run(SAID)  # the browser says what the field takes; nothing began
    start_training(page, 500)
    until(lambda: page.run(SAID).startswith("Epoch"), 60)
    page.page.get_by_role("button", name="Cancel").click()
    until(lambda: page.run(SAID).startswith("Cancelled after"), 20)
    assert re.match(r"Cancelled after \d+ of 500 epochs\. Loss 0\.\d{4};", page.run(SAID))
    assert page.troubles == []


OWN_LINES = {
    "def loss(input, target):\n    x = input * 1\n    return F.cross_entropy(x, target)[7]\n": "IndexError in line 3:",
    "x = [\n    1,\n    2 / 0,\n]\n": "It stops in line 3: ZeroDivisionError",
}


def test_an_exception_shows_the_readers_own_line(check_page):
    for text, words in OWN_LINES.items():
        write(check_page, text)
        assert words in press(check_page, "#check-bench")[0]


def test_memory_is_bounded(check_page):
    for text in (
        "kept = []\nwhile True:\n    kept.append([0.5] * 10**6)\n",
        "kept = b'x'\nwhile True:\n    kept += kept\n",
        "torch.zeros(10**12)\n",
        "x = torch.zeros(3000, 1)\nwhile True:\n    x = x + x.T\n",
    ):
        write(check_page, text)
        answer, _ = press(check_page, "#check-bench")
        assert "runs out of the memory that this page gives Python in line" in answer, text
    write(check_page, FAULTY)  # and Python is still there
    assert "worked out by hand" in press(check_page, "#check-bench")[0]
    assert check_page.troubles == []


VANDALS = (
    "import builtins\ndel builtins.len, builtins.isinstance, builtins.str, builtins.dict, builtins.print\n",
    "torch.Tensor.sum = torch.Tensor.mean\ntorch.Tensor.backward = None\n",
    "F.cross_entropy = F.log_softmax = lambda *a, **k: torch.zeros(())\ndel torch.tensor, nn.Module.__call__\n",
    "import focal_lib.diagnosis\nfocal_lib.diagnosis.diagnose = focal_lib.focal_loss = None\nmath.log = None\n",
    "import bench, json\nbench._ready = bench.check = bench.html = bench.call = None\n",
)


def test_no_code_spoils_the_next_check(check_page):
    """What code takes away or replaces for itself is there again for the next, and judges it as before."""
    write(check_page, FAULTY)
    before, _ = press(check_page, "#check-bench")
    assert "worked out by hand" in before
    for text in VANDALS:
        write(check_page, text)
        press(check_page, "#check-bench")
        write(check_page, FAULTY)
        assert press(check_page, "#check-bench")[0] == before, text


def test_answers_are_accessible(open_page):
    """With every kind of answer shown: nothing sticks out, and axe finds nothing, by day and by night.

    The pages are opened at the smaller width, because the theme decides while a page loads which boxes scroll.
    """

    def look(page):
        for width in (320, 390):
            page.page.set_viewport_size({"width": width, "height": 800})
            assert page.run("return document.documentElement.scrollWidth") <= width
            page.page.emulate_media(color_scheme="light")
            until(lambda: not page.run(DARK), pause=page.page.wait_for_timeout)
            assert violations(page) == [], width
            page.page.emulate_media(color_scheme="dark")
            until(lambda: page.run(DARK), pause=page.page.wait_for_timeout)
            assert violations(page) == [], width
        page.page.set_viewport_size({"width": 320, "height": 800})

    page = open_page(CHECK, viewport={"width": 320, "height": 800}, color_scheme="light", reduced_motion="reduce")
    write(page, FAULTY + "\n\ndef other(input, target):\n    return 0\n")
    page.page.get_by_role("button", name="Show changes").click()
    press(page, "#check-bench")
    look(page)
    write(page, "")
    press(page, "#check-bench")
    look(page)
    page.open(page.page.url.replace(CHECK, EXERCISE))
    for part in ("Predict", "Expose", "Fix"):
        press(page, f"section[aria-label^='{part}']")
    look(page)
    page.open(page.page.url.replace(EXERCISE, TRAINING))
    start_training(page, 10)
    until(lambda: "accuracy" in page.run(SAID), 60)
    look(page)


def test_by_keyboard_alone(open_page):
    """Type, leave the editor, choose an example, check; the verdict is in a live region."""
    page = open_page(CHECK)
    keys = page.page.keyboard
    page.page.locator("#check-bench textarea").focus()
    keys.type("def loss(input, target):\nreturn F.cross_entropy(input, target)")  # the editor indents
    keys.press("Tab")  # and Tab indents
    assert page.run("return document.querySelector('#check-bench textarea').value").endswith("target)    ")
    keys.press("Escape")
    names = []
    for _ in range(9):
        keys.press("Tab")
        names.append(page.run("return document.activeElement.textContent"))
        if names[-1] == "Check":
            break
    assert names[-1] == "Check" and {"Undo", "Reset"} <= set(names)
    keys.press("Enter")
    until(lambda: not page.run(f"return {BUSY}"), 60)
    answer = page.page.locator("#check-bench [aria-live=polite]").filter(has_text="another loss")
    assert "cross-entropy, without a focus" in answer.inner_text()


def test_what_was_replaced_comes_back(open_page):
    """Examples and files take the editor's place; undo gives it back, and a too large file changes nothing."""
    page = open_page(CHECK)
    area = page.page.locator("#check-bench textarea")
    area.focus()
    page.page.keyboard.insert_text("mine = 1")
    page.page.locator("#bench-example").select_option(index=1)
    assert "class FocalLoss" in area.input_value()
    page.page.get_by_role("button", name="Undo").click()
    assert area.input_value() == "mine = 1"
    notebook = json.dumps({"cells": [], "nbformat": 4})
    page.page.locator("#bench-file").set_input_files({"name": "x.ipynb", "mimeType": "", "buffer": notebook.encode()})
    until(lambda: area.input_value() == notebook)
    assert "This is a notebook" in press(page, "#check-bench")[0]
    page.page.get_by_role("button", name="Undo").click()
    assert area.input_value() == "mine = 1"
    page.page.locator("#bench-file").set_input_files({"name": "x.py", "mimeType": "", "buffer": b"x" * 1_100_000})
    until(lambda: "larger than 1 MB" in page.run("return document.querySelector('.bench-report').textContent"))
    assert area.input_value() == "mine = 1"


def test_progress_goes_on_in_the_notebook_and_can_be_erased(open_page, tmp_path, monkeypatch):
    page = open_page(EXERCISE)
    page.run(TAP, {"where": "section[aria-label^='Predict'] input", "which": [0, 2]})
    assert "✓" in press(page, "section[aria-label^='Predict']")[0]
    with page.page.expect_download() as download:
        page.page.get_by_role("button", name="Save progress as a file").click()
    assert download.value.suggested_filename == PROGRESS_FILE
    download.value.save_as(tmp_path / PROGRESS_FILE)
    notebook = run_code(ROOT / f"{EXERCISE}.ipynb", tmp_path)
    monkeypatch.chdir(tmp_path)
    assert "Here: predict ✓, expose ○, fix ○. 0 of" in repr(notebook["exercise"].progress())
    assert notebook["exercise"].expose({"logits": [[3.0, 0.0], [0.0, 0.0]], "labels": [0, 0]}).ok
    assert json.loads((tmp_path / PROGRESS_FILE).read_text()) == {"01_one_number": ["predict", "expose"]}
    page.page.get_by_role("button", name="Erase progress").click()
    page.page.get_by_role("button", name="Erase all of it? Tap again").click()
    assert page.run("return Object.keys(localStorage).filter((key) => key.startsWith('focal-bench'))") == []
    assert "predict ○" in page.run("return document.querySelector('.bench-score').textContent")


def test_numbers_are_read_as_people_write_them(open_page):
    page = open_page("notebooks/exercises/03_exponent")
    where = "section[aria-label^='Expose']"
    set_ = "[...document.querySelectorAll(argument.where + ' input')].forEach((one, i) => { if (i in argument.values) {"
    set_ += " one.value = argument.values[i]; one.dispatchEvent(new Event('input')); } })"
    assert press(page, "section[aria-label^='Predict']")[0].count("Tap an answer first.") == 1
    page.run(set_, {"where": where, "values": ["x"]})
    assert "○ Numbers only" in press(page, where)[0]
    page.run("[...document.querySelectorAll(argument + ' button')][2].click()", where)  # + class: the label stays
    page.run(set_, {"where": where, "values": ["−1,5", "0", "0,25", "1", "1, 4, 2"]})
    assert "✓ Exposed." in press(page, where)[0]
    values = page.run("return [...document.querySelectorAll(argument + ' td input')].map((one) => one.value)", where)
    assert values == ["−1,5", "0", "0,25", "1"]


def test_nothing_to_mend_is_found_by_doing_nothing(open_page):
    page = open_page("notebooks/exercises/06_suspicious_names")
    page.page.get_by_label("None of these").check()
    assert "✓ Right." in press(page, "section[aria-label^='Predict']")[0]
    page.page.get_by_label("There is nothing to expose").check()
    assert "✓ Right" in press(page, "section[aria-label^='Expose']")[0]
    assert "✓" in press(page, "section[aria-label^='Fix']")[0]


def test_training_page_asks_for_nothing_before_the_tap(chromium, site):
    context = chromium.new_context()
    opened, asked = PlaywrightPage(context), []
    opened.page.on("request", lambda request: asked.append(request.url))
    opened.open(f"{site}/{TRAINING}.html")
    assert not [url for url in asked if "/_static/bench/" in url] and opened.troubles == []
    context.close()
