"""The template of a repository for GitHub Classroom: its workflow's steps, run here."""

import json
import os
import re
import shutil
import subprocess
import sys

import nbformat
import yaml
from exercise_notebooks import ROOT, STUDENTS
from test_hosting import actionlint

sys.path.insert(0, str(ROOT / "grading"))
import variants

TEMPLATE = ROOT / "template"
WORKFLOW = TEMPLATE / ".github" / "workflows" / "check.yml"


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


def test_the_check_knows_a_variant(tmp_path):
    one = variants.make("09_nobody_asked", 7, variants.signed(b"key", "09_nobody_asked", 7, "Ana"))
    path = tmp_path / "given.ipynb"
    path.write_text(json.dumps(one.notebook), "utf-8")
    right = {"prediction": f'prediction = "{one.solution["predict"]}"', "fixed_loss": one.solution["fix"]}
    done, _ = pushed(tmp_path, ("09_nobody_asked.ipynb", answered(path, **right)))
    assert done.returncode == 1 and "**2 of 3 parts found.**" in done.stdout, done.stderr


def test_an_empty_template_says_so(tmp_path):
    done, _ = pushed(tmp_path)
    assert done.returncode == 1 and "There is no notebook in the folder exercises" in done.stderr
