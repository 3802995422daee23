"""Write the student editions of the exercises, and their autograder zips, from the masters.

Every notebook in notebooks/masters goes through `otter assign`. What comes out without solutions is cleaned of
otter's metadata, run, and stored in notebooks/exercises; the zips (for Gradescope) go to autograder, which is
not under version control, because they hold the solutions.
"""

import argparse
import logging
import re
import shutil
import sys
import tempfile
from pathlib import Path

import nbformat
from tqdm import tqdm

try:  # what the command `otter assign` calls; otter promises nothing about it
    from otter.assign import main as otter_assign
    from otter.assign.utils import AssignNotebookFormatException
except ImportError as error:
    pinned = "pip install -r requirements/teach.txt -c requirements/constraints.txt"
    raise ImportError(f"otter-grader is missing, or another than the one that makes the editions: {pinned}") from error

sys.path.insert(0, str(Path(__file__).parent))
from retarget import Target
from run_notebooks import run
from setup_cell import write_setup_cell

ROOT = Path(__file__).parent.parent
MASTERS = ROOT / "notebooks" / "masters"
STUDENTS = ROOT / "notebooks" / "exercises"
ZIPS = ROOT / "autograder"
PARTS = ("predict", "expose", "fix")
WHERE = """

**Where:** on the book's page, which keeps your answers in your browser; or [open this page in Colab]({colab}), or run
the notebook in Jupyter."""
OTTERS_CELL_KEYS = ("deletable", "editable", "otter")


class Unusable(Exception):
    """A master that cannot become an edition; the text is one sentence."""


def read_master(path):
    """The master at this path; raises Unusable unless it is one."""
    if not path.is_file():
        raise Unusable(f"{path} is not there; expected a master notebook.")
    try:
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
    except Exception as error:  # nbformat raises many kinds
        raise Unusable(f"{path} is not a notebook: {str(error).splitlines()[0]}") from None
    raw = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "raw")
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    if not re.search(r"^# ASSIGNMENT CONFIG\nconfig_file: assignment.yml$", raw, re.M):
        raise Unusable(f"{path} must start with a raw cell: # ASSIGNMENT CONFIG, then config_file: assignment.yml.")
    names = re.findall(r"^name: (\w+)\npoints:", raw, re.M)
    if names != list(PARTS):
        raise Unusable(f"{path} must have the questions {', '.join(PARTS)}, in this order; it has {names}.")
    if raw.count("# BEGIN SOLUTION") < 3 or len(re.findall(r"# (BEGIN )?SOLUTION\b", code)) < 3:
        raise Unusable(f"{path} lacks solution cells: each of its three questions needs one.")
    return notebook


def assign(masters, folder):
    """Run `otter assign` on copies of the masters in a folder; returns {slug: (student notebook, autograder zip)}."""
    logging.getLogger("otter").setLevel(logging.ERROR)
    shutil.copy(MASTERS / "assignment.yml", folder)
    results = {}
    for master in tqdm(masters, "otter assign", unit="notebook"):
        read_master(master)
        copy, result = folder / master.name, folder / master.stem
        shutil.copy(master, copy)
        try:
            otter_assign(str(copy), str(result), no_run_tests=True, no_pdfs=True)
        except AssignNotebookFormatException as error:
            raise Unusable(f"{master} has its raw cells in disorder: {error}.") from None
        (zip_file,) = (result / "autograder").glob("*.zip")
        student = nbformat.read(result / "student" / master.name, as_version=4)
        results[master.stem] = clean(student, master.name), zip_file
    return results


def clean(notebook, name):
    """The student notebook without what only the grader needs, with stable ids, and with a line on where to answer."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    notebook.cells = [cell for cell in notebook.cells if cell.cell_type != "raw"]
    for number, cell in enumerate(notebook.cells, 1):
        cell.id = f"c{number:02d}"
        cell.source = cell.source.strip()
        tags = [tag for tag in cell.metadata.pop("tags", []) if not tag.startswith("otter_")]
        for key in OTTERS_CELL_KEYS:
            cell.metadata.pop(key, None)
        if tags:
            cell.metadata["tags"] = tags
    target = Target.configured()
    path = f"{target.slug}/blob/{target.ref}/{STUDENTS.relative_to(ROOT).as_posix()}/{name}"
    notebook.cells[0].source += WHERE.format(colab=f"https://colab.research.google.com/github/{path}")
    write_setup_cell(notebook)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def recipe(notebook):
    """All of a notebook that its author decides: everything but the outputs of a run."""
    cells = [(cell.cell_type, cell.id, cell.source, dict(cell.metadata)) for cell in notebook.cells]
    return cells, dict(notebook.metadata)


def stale(editions, students):
    """Sentences on how the stored student editions differ from what the masters give now."""
    stored = {path.stem: path for path in students.glob("*.ipynb")}
    for slug in sorted(set(stored) | set(editions)):
        if slug not in editions:
            yield f"{stored[slug].name} has no master."
        elif slug not in stored:
            yield f"{slug}.ipynb is missing."
        else:
            new, old = recipe(editions[slug][0]), recipe(nbformat.read(stored[slug], as_version=4))
            if new != old:
                at = next((k for k, pair in enumerate(zip(new[0], old[0], strict=False), 1) if pair[0] != pair[1]), 0)
                yield f"{slug}.ipynb differs from its master's edition" + (f", first in cell {at}." if at else ".")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--verify", action="store_true", help="write nothing; fail if a stored edition is not fresh")
    parser.add_argument("--masters", type=Path, default=MASTERS, help="default: notebooks/masters")
    parser.add_argument("--students", type=Path, default=STUDENTS, help="default: notebooks/exercises")
    parser.add_argument("--zips", type=Path, default=ZIPS, help="default: autograder")
    arguments = parser.parse_args()
    masters = sorted(arguments.masters.glob("*.ipynb"))
    if not masters:
        parser.error(f"{arguments.masters} holds no notebook; expected a folder of masters.")
    with tempfile.TemporaryDirectory() as folder:
        try:
            editions = assign(masters, Path(folder))
        except Unusable as error:
            parser.error(str(error))
        if arguments.verify:
            problems = list(stale(editions, arguments.students))
            sys.exit("\n".join([*problems, "Run: make editions"]) if problems else 0)
        for path in (arguments.students, arguments.zips):
            path.mkdir(parents=True, exist_ok=True)
        for slug, (notebook, zip_file) in tqdm(editions.items(), "run", unit="notebook"):
            shutil.copy(zip_file, arguments.zips / f"{slug}.zip")
            path = arguments.students / f"{slug}.ipynb"
            nbformat.write(notebook, path)
            run(path)


if __name__ == "__main__":
    main()
