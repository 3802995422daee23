"""Run every notebook as a reader on Colab does: alone, in an empty directory, with the wheel and nothing else of ours.

Run it with the Python of the environment to try. Each notebook has no network and no repository beside it, and after
its last cell every control of its widgets is moved. With --colab, the real setup cell first installs focal_lib from
this working tree, as it does on Colab, and must change no other package.

Run times and versions go to book/environment/, whose tables the book's environment page shows.
"""

import argparse
import csv
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from importlib import metadata
from pathlib import Path
from unittest.mock import patch

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))
from retarget import ROOT, Target, listed_files
from setup_cell import SETUP_CELL

TABLES = ROOT / "book" / "environment"
SHOWN = ["torch", "numpy", "scikit-learn", "scipy", "matplotlib", "ipywidgets", "anywidget", "ipykernel", "ipython"]

# What Colab's kernel has and ours lacks: the module by which the setup cell and anywidget know Colab.
COLAB_CELL = """\
import sys
import types

colab = types.ModuleType("google.colab")
colab.output = types.ModuleType("google.colab.output")
colab.output.enable_custom_widget_manager = lambda: None
colab.output._widgets = types.SimpleNamespace(_installed_url=None)
sys.modules["google.colab"] = colab
sys.modules["google.colab.output"] = colab.output"""

NO_NETWORK_CELL = """\
import socket


def no_network(host, *_, **__):
    raise OSError(f"a notebook may not need the network; this one asked for {host}")


socket.getaddrinfo = no_network"""

ORIGIN_CELL = "import focal_lib; print(focal_lib.__file__, end='')"
EXERCISE_CELL = (Path(__file__).parent / "move_widgets.py").read_text(encoding="utf-8")
MOVES_CELL = "print(moves, end='')"  # a cell of its own: when it runs, what the widgets show has arrived


class Failed(Exception):
    """A notebook or the setup cell did something wrong: the message says what."""


def errors(notebook):
    """Return the errors among a notebook's outputs, also those that a widget caught and shows."""
    widgets = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    outputs = [output for model in widgets.values() for output in model["state"].get("outputs", [])]
    for cell in notebook.cells:
        if cell.cell_type == "code" and "raises-exception" not in cell.metadata.get("tags", []):
            outputs += cell.outputs
    return [f"{output['ename']}: {output['evalue']}" for output in outputs if output["output_type"] == "error"]


def execute(cells):
    """Run cells in an empty directory; return the executed notebook and the time at which each cell ended.

    Raises:
        Failed: at the first error.
    """
    notebook = nbformat.v4.new_notebook(cells=cells)
    ends = []
    with tempfile.TemporaryDirectory() as empty:
        client = NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": empty}})
        try:
            with client.setup_kernel():
                for number, cell in enumerate(cells):
                    client.execute_cell(cell, number)
                    ends.append(time.monotonic())
                client.set_widgets_metadata()
        except CellExecutionError as error:
            raise Failed(f"{error.ename}: {error.evalue}") from None
        except (CellTimeoutError, DeadKernelError) as error:
            raise Failed(str(error).splitlines()[0]) from None
    for error in errors(notebook):
        raise Failed(error)
    return notebook, ends


def code_cells(*sources):
    return [nbformat.v4.new_code_cell(source) for source in sources]


def printed(cell):
    return "".join(output.text for output in cell.outputs if output.output_type == "stream")


def run(path, library, colab):
    """Run one notebook with focal_lib from the folder `library`; return its seconds and how many widget moves it had.

    Raises:
        Failed: when a cell or a widget fails, when focal_lib came from elsewhere, or when a widget cannot be moved.
    """
    before = code_cells(*[COLAB_CELL] * colab, NO_NETWORK_CELL, ORIGIN_CELL)
    after = code_cells(EXERCISE_CELL, MOVES_CELL)
    start = time.monotonic()
    with patch.dict(os.environ, PYTHONPATH=str(library)):  # the kernel inherits it
        notebook, ends = execute([*before, *nbformat.read(path, as_version=4).cells, *after])
    origin, moves = printed(before[-1]), int(printed(after[-1]))
    if not Path(origin).is_relative_to(library):
        raise Failed(f"focal_lib came from {origin}, not from the wheel in {library}")
    if not moves and "application/vnd.jupyter.widget-view+json" in nbformat.writes(notebook):
        raise Failed("it shows a widget, and none of its controls could be moved")
    return ends[-1 - len(after)] - start, moves


def pip(*arguments):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout


def packages():
    return set(pip("list", "--format=freeze").split())


def snapshot(folder, ref):
    """Commit the working tree to a new git repository in `folder`, on a branch named `ref`."""
    for name in listed_files(ROOT):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    who = ["-c", "user.name=snapshot", "-c", "user.email=snapshot@localhost"]
    commit = [*who, "commit", "--quiet", "--message=snapshot"]
    for arguments in (["init", "--quiet", f"--initial-branch={ref}"], ["add", "--all", "--force"], commit):
        subprocess.run(["git", *arguments], cwd=folder, check=True)


def library_files(record):
    """Return {name: hash} of focal_lib's files from a RECORD, the list in a wheel or beside an installed package."""
    rows = csv.reader(record.splitlines())
    return {name: digest for name, digest, _ in rows if name.startswith("focal_lib/") and digest}


def check_setup_cell(wheel):
    """Run the real setup cell where focal_lib is missing; fail if it changes more than that.

    The cell's bytes and pip's way are those of Colab; only git finds the book's address in a snapshot of this tree.
    """
    target = Target.configured()
    pip("uninstall", "--quiet", "--yes", "focal-lib")
    before = packages()
    with tempfile.TemporaryDirectory() as folder:
        snapshot(Path(folder), target.ref)
        address = {"COUNT": "1", "KEY_0": f"url.file://{folder}.insteadOf", "VALUE_0": target.url}
        with patch.dict(os.environ, {f"GIT_CONFIG_{name}": value for name, value in address.items()}):
            execute(code_cells(COLAB_CELL, SETUP_CELL, "import focal_lib"))
    after = packages()
    installed = metadata.distribution("focal-lib")
    version, files = installed.version, library_files(installed.read_text("RECORD"))
    pip("uninstall", "--quiet", "--yes", "focal-lib")
    if after ^ before != {f"focal-lib=={version}"}:
        raise Failed(f"the setup cell changed {sorted(after ^ before)}; expected focal-lib alone")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith("dist-info/RECORD")]
        packed = library_files(archive.read(name).decode("utf-8"))
    if files != packed:
        raise Failed("the setup cell installed other files than the wheel holds")


def store(path, title, names, column, values):
    """Write `values` (name: text) into a column of a CSV table that has one row per name; other cells stay."""
    known = {}
    if path.is_file():
        with path.open(newline="", encoding="utf-8") as file:
            known = {row[title]: row for row in csv.DictReader(file)}
    rows = [{**known.get(name, {}), title: name} for name in names]
    for row in rows:
        row[column] = values.get(row[title], row.get(column, "–"))
    path.parent.mkdir(exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        columns = sorted({key for row in rows for key in row} - {title})
        writer = csv.DictWriter(file, [title, *columns], restval="–", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def all_notebooks():
    """Every notebook that a reader gets: chapters and student exercises, not the masters with the solutions."""
    paths = sorted((ROOT / "notebooks").rglob("*.ipynb"))
    return [path for path in paths if path.parent.name not in ("masters", ".ipynb_checkpoints")]


def slug(path):
    return str(path.resolve().relative_to(ROOT / "notebooks").with_suffix(""))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: all")
    parser.add_argument("--colab", action="store_true", help="this environment has Colab's versions")
    parser.add_argument("--oldest", action="store_true", help="this environment has the oldest versions allowed")
    options = parser.parse_args()
    column = "Colab's versions" if options.colab else "The book's versions"
    if options.oldest:
        column = "The oldest versions"
    os.environ["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"  # each kernel would warn that it cannot be debugged
    times, failures = {}, []
    if options.colab:
        try:
            check_setup_cell(options.wheel)
        except Failed as failure:
            return f"setup cell: {failure}."
        tqdm.write("setup cell: added focal-lib and changed nothing else")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder)
        pip("install", "--quiet", "--no-deps", "--target", folder, str(options.wheel))
        for path in tqdm(options.notebooks or all_notebooks(), unit="notebook"):
            try:
                seconds, moves = run(path, library, options.colab)
            except Failed as failure:
                failures.append(f"{path.name}: {failure}")
                tqdm.write(failures[-1])
                continue
            times[slug(path)] = f"{max(1, round(seconds))} s"
            tqdm.write(f"{path.name}: {seconds:.0f} s, {moves} widget moves")
    if not options.oldest:
        store(TABLES / "run_times.csv", "Notebook", [slug(path) for path in all_notebooks()], column, times)
    versions = {"Python": platform.python_version()}
    versions |= {name: metadata.version(name).partition("+")[0] for name in SHOWN}
    store(TABLES / "versions.csv", "Package", list(versions), column, versions)
    if failures:
        return f"{len(failures)} of {len(times) + len(failures)} notebooks failed ({column})."
    return 0


if __name__ == "__main__":
    sys.exit(main())
