"""What the tests of the classroom share: the notebooks, and their code run without a kernel."""

import contextlib
import functools
import os
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
MASTER, STUDENT = ({path.stem: path for path in paths} for paths in (MASTERS, STUDENTS))


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
