"""Write the one setup cell at the top of every notebook. It prints nothing, so the stored outputs stay valid."""

import argparse
import sys
from pathlib import Path

import nbformat

sys.path.insert(0, str(Path(__file__).parent))
from retarget import ROOT, Target

SETUP_METADATA = {"tags": ["hide-input"], "mystnb": {"code_prompt_show": "Setup: show the code"}}

SETUP_CELL = f"""\
# Setup. Does nothing where focal_lib is installed; on Colab, adds focal_lib and
# touches nothing else.
import importlib.util
import subprocess
import sys

SOURCE = "{Target.configured().pip_source}"
if importlib.util.find_spec("focal_lib") is None:
    if "google.colab" not in sys.modules:
        raise ModuleNotFoundError(
            f"This notebook needs focal_lib; install it with: pip install {{SOURCE}}"
        )
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", SOURCE]
    if subprocess.run(command, capture_output=True).returncode:
        raise ModuleNotFoundError(
            "Could not fetch focal_lib; is there a network? "
            f"Try: %pip {{' '.join(command[3:])}}"
        )
    importlib.invalidate_caches()"""


def first_code_cell(notebook):
    return next(cell for cell in notebook.cells if cell.cell_type == "code")


def write_setup_cell(notebook):
    """Make the notebook's first code cell the setup cell."""
    cell = first_code_cell(notebook)
    cell.source = SETUP_CELL
    cell.metadata.update(SETUP_METADATA)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: every notebook below notebooks/")
    for path in parser.parse_args().notebooks or sorted((ROOT / "notebooks").rglob("*.ipynb")):
        notebook = nbformat.read(path, as_version=4)
        write_setup_cell(notebook)
        path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
