"""What a teacher shows and gives out: slides, short answers, the template of a repository."""

import itertools
import os
import re
import shutil
import subprocess
import sys

import nbformat
import pytest
import torch
import torch.nn.functional as F
import yaml
from exercise_notebooks import MASTERS, ROOT, STUDENTS
from test_hosting import actionlint

from focal_lib import focal_loss

SLIDES = (ROOT / "book" / "slides.md").read_text("utf-8")
ASKED = (ROOT / "book" / "asked.md").read_text("utf-8")
TEMPLATE = ROOT / "template"
WORKFLOW = TEMPLATE / ".github" / "workflows" / "check.yml"


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


# --- the template --------------------------------------------------------------------------------------------------


def test_the_workflow_of_the_template_is_one():
    assert actionlint(WORKFLOW) == []
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["check"]["steps"]
    ours = {step["uses"] for step in every_step() if "uses" in step}
    assert {step["uses"] for step in steps if "uses" in step} <= ours  # the same pinned actions as everywhere


def every_step():
    for path in (ROOT / ".github" / "workflows").glob("*.yml"):
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            yield from job.get("steps", ())


def pushed(tmp_path, *notebooks):
    """A repository made from the template, with these notebooks; what its workflow's last step says."""
    repository = tmp_path / "repository"
    shutil.copytree(TEMPLATE, repository)
    for name, content in notebooks:
        (repository / "exercises" / name).write_text(content, "utf-8")
    steps = yaml.safe_load(WORKFLOW.read_text())["jobs"]["check"]["steps"]
    command = next(step["run"] for step in steps if step.get("name") == "Check")
    summary = tmp_path / "summary.md"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GITHUB_STEP_SUMMARY": str(summary)}
    words = [sys.executable, *command.split()[1:]]
    done = subprocess.run(words, cwd=repository, capture_output=True, text=True, env=environment)
    return done, summary


def answered(path, **sources):
    notebook = nbformat.read(path, 4)
    for cell in notebook.cells:
        for start, source in sources.items():
            if cell.cell_type == "code" and re.match(rf"(def )?{start}\b", cell.source):
                cell.source = source
    return nbformat.writes(notebook)


RIGHT = """def fixed_loss(logits, labels, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, reduction="none")
    return reduced(focus(nll, gamma) * nll, reduction)"""
EVIDENCE = 'evidence = {"logits": [[3.0, 0.0], [0.0, 1.0]], "labels": [0, 0]}'


def test_the_check_says_the_sentences_of_the_notebook(tmp_path):
    whole = answered(STUDENTS[0], prediction='prediction = "AC"', evidence=EVIDENCE, fixed_loss=RIGHT)
    one = 'evidence = {"logits": [[3.0, 0.0]], "labels": [0]}'
    half = answered(STUDENTS[0], prediction='%magic\nprediction = "AB"', evidence=one)
    done, summary = pushed(tmp_path, ("01_one_number.ipynb", half), ("whole.ipynb", whole), ("broken.ipynb", "{"))
    assert done.returncode == 1 and done.stdout.strip() == summary.read_text("utf-8")
    assert "- **predict** ✗ Not B. This holds here, on every case tried" in done.stdout
    assert (
        "- **expose** ✗ Both give the loss 0.0001093, so this proves nothing. It has one example only." in done.stdout
    )
    assert "- **fix** ○ fix: nothing yet." in done.stdout and "This is not a notebook" in done.stdout
    assert "**3 of 9 parts found.**" in done.stdout and done.stderr == ""


def test_the_check_passes_when_all_is_found(tmp_path):
    whole = answered(STUDENTS[0], prediction='prediction = "AC"', evidence=EVIDENCE, fixed_loss=RIGHT)
    done, _ = pushed(tmp_path, ("01_one_number.ipynb", whole))
    assert done.returncode == 0 and "**3 of 3 parts found.**" in done.stdout, done.stderr


def test_an_empty_template_says_so(tmp_path):
    done, _ = pushed(tmp_path)
    assert done.returncode == 1 and "There is no notebook in the folder exercises" in done.stderr
