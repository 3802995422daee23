"""Re-execute notebooks from a clean kernel and store their outputs, so that what is published is what ran.

Each notebook runs alone in an empty directory, as it does on Colab. The setup cell is rewritten from
tools/setup_cell.py; random widget ids and the Python version are normalised, so that a rerun changes no bytes.
"""

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).parent))
import drawings
from setup_cell import write_setup_cell

ROOT = Path(__file__).parent.parent


def normalise(text, notebook):
    """Replace each random widget id by its number in order of creation."""
    state = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    numbers = {model_id: f"{k:032x}" for k, model_id in enumerate(state)}
    return re.sub(r"(?<![0-9a-f])[0-9a-f]{32}(?![0-9a-f])", lambda match: numbers.get(match[0], match[0]), text)


def run(path):
    """Execute one notebook in place; returns the seconds it took."""
    notebook = nbformat.read(path, as_version=4)
    write_setup_cell(notebook)
    notebook.metadata.pop("widgets", None)
    start = time.monotonic()
    drawings.prepare()
    with tempfile.TemporaryDirectory() as empty:
        NotebookClient(
            notebook,
            timeout=600,
            resources={"metadata": {"path": empty}},
            record_timing=False,
            coalesce_streams=True,  # two prints arrive as one output or as two, depending on the time between them
            kernel_name="python3",
            extra_arguments=drawings.KERNEL,
        ).execute()
    drawings.take(notebook)
    notebook.metadata.kernelspec = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook.metadata.language_info = {"name": "python"}
    numbered = nbformat.reads(normalise(nbformat.writes(notebook), notebook), as_version=4)
    path.write_text(nbformat.writes(numbered) + "\n", encoding="utf-8")  # written once more: sorted by number
    return time.monotonic() - start


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("notebooks", nargs="*", type=Path, help="default: every notebook below notebooks/")
    arguments = parser.parse_args()
    paths = arguments.notebooks or sorted((ROOT / "notebooks").rglob("*.ipynb"))
    for path in paths:
        if not path.is_file():
            parser.error(f"{path} is not a file; expected a notebook.")
        try:
            nbformat.read(path, as_version=4)
        except (nbformat.reader.NotJSONError, nbformat.ValidationError, UnicodeDecodeError):
            parser.error(f"{path} is not a notebook; expected a file with cells, in Jupyter's format.")
    bar = tqdm(paths, unit="notebook")
    for path in bar:
        bar.set_postfix_str(path.name)
        tqdm.write(f"{path.name}: {run(path):.0f} s")
    drawings.forget()


if __name__ == "__main__":
    main()
