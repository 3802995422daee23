"""The bench in the page, in three engines, from a server and from a file: it answers, it stops, it keeps to itself."""

import base64
import gzip
import io
import json
import re
import time
import zipfile

import pytest
from engines import ROOT, SITE, PlaywrightPage, built, until
from exercise_notebooks import MASTERS, code_cells

from book._ext.bench import python_files

CHECK, EXERCISE = "book/check", "notebooks/exercises/01_one_number"
BUSY = "[...document.querySelectorAll('.bench-go')].some((button) => button.disabled)"
TAP = "document.querySelectorAll(argument.where).forEach((one, i) => { if (argument.which.includes(i)) one.click(); })"
SET = """
const area = document.querySelector(argument.where + ' textarea');
area.value = argument.text;
area.dispatchEvent(new Event('input'));
"""
FIXED = """def fixed_loss(logits, labels, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, reduction="none")
    return reduced(focus(nll, gamma) * nll, reduction)
"""


def write(page, text, where="#check-bench"):
    page.run(SET, {"where": where, "text": text})


def press(page, where, limit=120):
    """Press Check, wait for the answer; its text and the seconds it took."""
    began = time.monotonic()
    page.run("document.querySelector(argument + ' .bench-go').click()", where)
    until(lambda: not page.run(f"return {BUSY}"), limit)
    answer = page.run("return document.querySelector(argument).innerText", where)
    return answer, time.monotonic() - began


@pytest.fixture(params=["http", "file"])
def address(request, site):
    def address(page):
        return f"{site}/{page}.html" if request.param == "http" else built(page).as_uri()

    return address


def test_a_pasted_loss_is_judged(engine_page, address):
    engine_page.open(address(CHECK))
    write(engine_page, "def loss(input, target):\n    return F.cross_entropy(input, target) ** 2\n")
    answer, _ = press(engine_page, "#check-bench")
    assert "worked out by hand" in answer
    write(engine_page, "from focal_lib import focal_loss\n\n\ndef mine(input, target, gamma=2.0):\n"
                       "    return focal_loss(input, target, gamma=gamma)\n")  # fmt: skip
    answer, _ = press(engine_page, "#check-bench")
    assert re.search(r"mine\W+(right|all)", answer)
    assert engine_page.troubles == []


def test_an_exercise_is_solved_on_its_page(engine_page, address):
    engine_page.open(address(EXERCISE))
    sections = "section[aria-label^='{}']".format
    engine_page.run(TAP, {"where": sections("Predict") + " input", "which": [0, 2]})
    answer, _ = press(engine_page, sections("Predict"))
    assert "✓ Right. A:" in answer
    engine_page.run(TAP, {"where": sections("Expose") + " button", "which": [0]})  # + row
    engine_page.run(
        "const cell = document.querySelector(argument + ' td input'); cell.value = '3';", sections("Expose")
    )
    answer, _ = press(engine_page, sections("Expose"))
    assert "✓ Exposed." in answer
    assert "nothing yet" in press(engine_page, sections("Fix"))[0]
    write(engine_page, FIXED, sections("Fix"))
    answer, _ = press(engine_page, sections("Fix"))
    assert "✓ Right." in answer
    score = engine_page.run("return document.querySelector('.bench-score').textContent")
    assert "predict ✓, expose ✓, fix ✓. Exercises found: 1" in score
    engine_page.open(address(EXERCISE))  # it is still there
    assert "fix ✓" in engine_page.run("return document.querySelector('.bench-score').textContent")
    assert engine_page.run("return document.querySelector('textarea').value") == FIXED
    assert engine_page.troubles == []


def test_the_five_lines_are_mended_on_the_welcome_page(chromium, site):
    context = chromium.new_context(viewport={"width": 390, "height": 844})
    page = PlaywrightPage(context)
    page.open(f"{site}/book/index.html")
    code = page.run("return document.querySelector('#check-bench textarea').value")
    shown = page.run("return document.querySelector('.live-view.FiveLines pre').textContent")
    assert code.replace("gamma=2.0", "gamma=0.00").split() == shown.split()  # as the slider has it
    answer, _ = press(page, "#check-bench")
    assert "focal_loss: faulty. One p_t for the whole batch" in answer and "NaN gradients below gamma = 1" in answer
    half = code.replace("nn.CrossEntropyLoss()", 'nn.CrossEntropyLoss(reduction="none")')
    write(page, half)
    assert "focal_loss: fragile. NaN gradients below gamma = 1" in press(page, "#check-bench")[0]
    write(page, half.replace("(1 - p_t)", "(-torch.expm1(-ce.clamp_min(1e-30)))"))
    assert "focal_loss: right" in press(page, "#check-bench")[0]
    assert page.troubles == []
    context.close()


def test_an_endless_loop_is_stopped(check_page):
    write(check_page, "while True:\n    pass\n")
    answer, _ = press(check_page, "#check-bench")
    assert re.search(r"longer than \d\d s, and was stopped", answer)  # 10 s, or 3 times what Python took to start
    write(check_page, "def loss(input, target):\n    return F.cross_entropy(input, target)\n")
    assert "cross-entropy, without a focus" in press(check_page, "#check-bench")[0]
    assert check_page.troubles == []


REFUSED = {
    "": "no code yet",
    "def loss(:": "line 1",
    "if True:\n\tx = 1\n        y = 2\n": "line",
    "x = 1\n\n\ny = x +": "line 4",
    "#include <cmath>\nfloat loss(float p) { return -log(p); }": "line",
    "x = 1\n" * 200_000: "at most 200,000",
    "print('😀')": "No loss here",
    json.dumps({"cells": [], "metadata": {}}): "notebook",
    "import numpy\n": "numpy",
    "x = 1\nraise KeyError('a')\n": "line 2: KeyError",
    "torch.linalg.svd(torch.zeros(2, 2))": "torch.linalg",
}


def test_bad_input_gets_one_sentence(check_page):
    for text, words in REFUSED.items():
        write(check_page, text)
        press(check_page, "#check-bench")
        said = check_page.run("return document.querySelector('.bench-refused')?.textContent ?? 'nothing refused'")
        assert words in said and said.count(". ") <= 1 and len(said) < 200, (text[:40], said)
        assert check_page.run("return document.querySelector('#check-bench textarea').value") == text  # nothing is lost
    assert check_page.troubles == []


def test_two_losses_are_told_apart(check_page):
    write(check_page, "def first_loss(input, target):\n    return F.cross_entropy(input, target)\n\n\n"
                "def focal(input, target):\n    return F.cross_entropy(input, target)\n")  # fmt: skip
    answer, _ = press(check_page, "#check-bench")
    assert "This is about focal. Also in your code:" in answer and "first_loss" in answer


def test_nothing_is_loaded_before_the_first_tap(chromium, site):
    context = chromium.new_context()
    opened = PlaywrightPage(context)
    asked = []
    opened.page.on("request", lambda request: asked.append(request.url))
    opened.open(f"{site}/{CHECK}.html")
    assert not [url for url in asked if "/bench/" in url]
    press(opened, "#check-bench")
    loaded = [url for url in asked if "/bench/" in url]
    assert len(loaded) > 5 and len(set(loaded)) == len(loaded) and opened.troubles == []
    context.close()


def test_code_from_a_link_waits_for_check_and_reaches_nothing(chromium, site):
    """A hostile link: its code is shown, not run; once run, it finds no network, no storage and no page."""
    hostile = (
        "found = []\n"
        "try:\n    import js\n    found += [n for n in ('fetch', 'indexedDB', 'caches', 'localStorage', 'document')"
        " if getattr(js, n, None)]\nexcept ImportError:\n    pass\n"
        "try:\n    from pyodide.code import run_js\n    run_js('fetch(\"http://127.0.0.1:9/stolen\")')\n"
        "    found.append('run_js')\nexcept Exception:\n    pass\n"
        "raise ValueError(f'found {found} <img src=x onerror=alert(1)>')\n"
    )
    code = base64.urlsafe_b64encode(hostile.encode()).decode().rstrip("=")
    context = chromium.new_context()
    opened = PlaywrightPage(context)
    asked = []
    opened.page.on("request", lambda request: asked.append(request.url))
    opened.page.on("dialog", lambda dialog: asked.append("a dialog"))
    opened.open(f"{site}/{CHECK}.html#code={code}")
    assert opened.run("return document.querySelector('#check-bench textarea').value") == hostile
    assert not [url for url in asked if "/bench/" in url]  # not even Python is there
    answer, _ = press(opened, "#check-bench")
    assert "ValueError: found [] <img" in answer, answer
    assert not [url for url in asked if "stolen" in url or url == "a dialog"]
    context.close()


def test_links_carry_the_code(open_page):
    page = open_page(CHECK)
    write(page, "def loss(input, target):  # é\n    return 0\n")
    page.run(
        "[...document.querySelectorAll('#check-bench button')].find((b) => b.textContent.startsWith('Link')).click()"
    )
    until(lambda: page.run("return location.hash.startsWith('#code=')"))
    link = page.run("return location.href")
    page.run("localStorage.clear()")
    page.open("about:blank")
    page.open(link)
    assert page.run("return document.querySelector('#check-bench textarea').value").startswith(
        "def loss(input, target):  # é"
    )


def test_what_is_loaded_is_within_its_budget():
    total = sum(len(gzip.compress(path.read_bytes(), 6)) for path in (SITE / "_static" / "bench").iterdir())
    assert 3e6 < total < 7e6


def test_no_solution_is_shipped():
    files = python_files()
    parts = [path.read_text() for path in (SITE / "_static" / "bench").glob("part-*.js")]
    (part,) = [match[1] for part in parts if (match := re.search(r'"library","(.*)"\)', part))]
    with zipfile.ZipFile(io.BytesIO(base64.b64decode(part))) as library:  # compiled: these files, and no other
        assert {name.removesuffix("c") for name in library.namelist()} == set(files)
    shipped = "".join(data.decode() for data in files.values())
    pages = "".join((SITE / "notebooks" / "exercises" / f"{path.stem}.html").read_text() for path in MASTERS)
    data = "".join(re.findall(r'id="bench-data"[^>]*>(.*?)</script>', pages, re.S))
    assert data
    for path in MASTERS:
        for cell in code_cells(path):
            if "answer-book" in cell.source:
                lines = [
                    line.strip() for line in cell.source.split("def fixed_loss")[-1].splitlines() if "return" in line
                ]
                secret = [line for line in lines if json.dumps(line)[1:-1] not in data]
                assert not [line for line in secret if line in shipped]


def test_pages_without_a_bench_know_nothing_of_it():
    for page in ("book/glossary", "notebooks/02_loss_curve", "notebooks/07_diagnose"):
        text = built(page).read_text()
        assert "bench" not in re.sub(r"benchmark|bench(?=es)", "", text[: text.index("<body")])
        assert "Content-Security-Policy" not in text and "bench-engine" not in text


def test_the_source_of_the_runtime_is_pinned():
    lock = json.loads((ROOT / "requirements" / "node" / "package-lock.json").read_text())
    assert lock["packages"]["node_modules/pyodide"]["integrity"].startswith("sha512-")
