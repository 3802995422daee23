"""What the tests of the classroom share: the notebooks, and their code run without a kernel."""

import contextlib
import os
from pathlib import Path

import matplotlib
import matplotlib.pyplot as plt
import nbformat

ROOT = Path(__file__).parent.parent
MASTERS = sorted((ROOT / "notebooks" / "masters").glob("*.ipynb"))
STUDENTS = sorted((ROOT / "notebooks" / "exercises").glob("*.ipynb"))
SLUGS = [path.stem for path in MASTERS]


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
