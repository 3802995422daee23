"""What the tests of the classroom share: the notebooks, and their code run without a kernel."""

import contextlib
import functools
import json
import os
import re
import tempfile
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat
import torch
import torch.nn.functional as F

ROOT = Path(__file__).parent.parent
MASTERS = sorted((ROOT / "notebooks" / "masters").glob("*.ipynb"))
STUDENTS = sorted((ROOT / "notebooks" / "exercises").glob("*.ipynb"))
SLUGS = [path.stem for path in MASTERS]


class Notebooks(dict):
    def __missing__(self, slug):
        raise FileNotFoundError(f"notebooks/exercises has no {slug}.ipynb: run make editions")


MASTER, STUDENT = (Notebooks({path.stem: path for path in paths}) for paths in (MASTERS, STUDENTS))


def code_cells(path):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]


def run_code(path, folder):
    """Run a notebook's code in this process, from a folder; returns its variables."""
    matplotlib.use("Agg")
    variables = {}
    with contextlib.chdir(folder), open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        for cell in code_cells(path):
            exec(cell.source, variables)
    plt.close("all")
    return variables


def answers(variables):
    fixed = variables["FixedLoss"] if "FixedLoss" in variables else variables["fixed_loss"]
    return {"predict": variables["prediction"], "expose": variables["evidence"], "fix": fixed}


@functools.cache
def variables(path):
    """What a notebook's code leaves behind, run once."""
    with tempfile.TemporaryDirectory() as folder:
        return run_code(path, folder)


# --- what the exercises define for their losses ---------------------------------------------------------------------


def reduced(loss, reduction):
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]


def nll_of(logits, labels):
    return F.cross_entropy(logits, labels, reduction="none")


def focus(nll, gamma):
    return (-torch.expm1(-nll.clamp_min(1e-30))) ** gamma


# --- notebooks with answers filled in -------------------------------------------------------------------------------

ANSWERS = {  # where a cell takes an answer; before a loss may stand what it calls
    "predict": r"\Aprediction =",
    "expose": r"\Aevidence =",
    "fix": r"^(def fixed_loss|fixed_loss =|class FixedLoss)",
}


def submission(slug, answers, before=None):
    """A student notebook with answers filled in: {"prediction": source, "evidence": source, "fix": source}."""
    notebook = json.loads((STUDENTS[SLUGS.index(slug)]).read_text())
    cells = notebook["cells"]
    for cell in cells:
        source = "".join(cell["source"])
        for part, place in ANSWERS.items():
            if cell["cell_type"] == "code" and re.search(place, source, re.M) and part in answers:
                cell["source"] = answers[part]
    if before:
        first = next(k for k, cell in enumerate(cells) if "".join(cell["source"]).startswith("prediction ="))
        cell = {"cell_type": "code", "id": "attack", "metadata": {}, "outputs": [], "execution_count": None}
        cells.insert(first, {**cell, "source": before})
    return json.dumps(notebook)


def solutions(slug):
    """The three answers of the master, as sources."""
    cells = json.loads(MASTERS[SLUGS.index(slug)].read_text())["cells"]
    sources = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    predict, expose = (source for source in sources if source.endswith("# SOLUTION"))
    (fix,) = (source for source in sources if "# BEGIN SOLUTION" in source)
    return {"predict": predict, "expose": expose, "fix": fix}
