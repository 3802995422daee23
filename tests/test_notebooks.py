"""Every notebook keeps the conventions that readers rely on. (nbval re-executes them and compares their outputs.)"""

import base64
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from retarget import Target
from setup_cell import SETUP_CELL, first_code_cell

ROOT = Path(__file__).parent.parent
RUFF = Path(sys.executable).with_name("ruff")

CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))


@pytest.fixture(params=CHAPTERS, ids=lambda path: path.stem)
def notebook(request):
    return nbformat.read(request.param, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def test_there_are_chapters():
    assert len(CHAPTERS) >= 3


def test_first_screen(notebook):
    first = notebook.cells[0].source
    for promise in ("# ", "**The question.**", "**You will learn**", "**Time:**", "**GPU:**"):
        assert promise in first


def test_setup_cell_is_the_same_everywhere(notebook):
    assert first_code_cell(notebook).source == SETUP_CELL


def test_cells_are_short(notebook):
    asked = [cell for cell in notebook.cells if "question" in cell.metadata.get("tags", [])]
    assert 10 <= len(notebook.cells) - len(asked) <= 35
    for cell in code_cells(notebook)[1:]:
        assert lines_of_code(cell.source) <= 15, cell.source


def lines_of_code(source):
    """How many lines a cell has at the width of our other code: a page is narrower, and breaks them more often."""
    words = [RUFF, "format", "--line-length", "120", "--config", "format.skip-magic-trailing-comma = true"]
    words += ["--stdin-filename", "notebooks/cell.py", "--quiet", "-"]
    wide = subprocess.run(words, input=source, text=True, capture_output=True, check=True, cwd=ROOT).stdout
    return sum(bool(line.strip()) for line in wide.splitlines())


def test_a_line_that_was_broken_for_the_page_counts_once():
    call = "print(" + ", ".join(["a_number"] * 11) + ")"
    broken = "print(\n" + "".join(f"    {name},\n" for name in ["a_number"] * 11) + ")"
    assert lines_of_code(f"{call}\n") == lines_of_code(f"{broken}\n") == 1
    assert lines_of_code("# one\na = 1\n\nb = 2\n") == 3


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").rglob("*.ipynb")), ids=lambda path: path.stem)
def test_lines_of_code_fit_a_page(path):
    assert [line for cell in code_cells(nbformat.read(path, as_version=4)) for line in too_long(cell)] == []


def test_a_line_that_is_too_long_is_found():
    assert too_long(nbformat.v4.new_code_cell("a = 1\n" + "b" * 89)) == ["b" * 89]


def too_long(cell):
    return [line for line in cell.source.splitlines() if len(line) > 88]


def test_outputs_are_those_of_one_clean_run(notebook):
    cells = code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert not [o for cell in cells for o in cell.outputs if o.output_type == "error" or o.get("name") == "stderr"]


def test_every_picture_has_an_alt_text(notebook):
    for cell in code_cells(notebook):
        for data in [output.data for output in cell.outputs if "image/png" in output.get("data", {})]:
            live = "application/vnd.jupyter.widget-view+json" in data  # says what it shows in its text form
            assert len(data["text/plain"] if live else cell.metadata["mystnb"]["image"]["alt"]) > 20, cell.source


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").rglob("*.ipynb")), ids=lambda path: path.stem)
def test_a_figure_of_several_panels_stays_readable_on_a_phone(path):
    """The class lets it scroll instead of shrink; the width makes Sphinx link it to itself, alone and in full size."""
    for cell in code_cells(nbformat.read(path, as_version=4)):
        for data in [output.data for output in cell.outputs if "image/png" in output.get("data", {})]:
            width = int.from_bytes(base64.b64decode(data["image/png"])[16:20], "big")  # of the PNG's header
            if width > 760 and "application/vnd.jupyter.widget-view+json" not in data:
                image = cell.metadata["mystnb"]["image"]
                assert (image.get("classes"), image.get("width")) == ("wide", "100%"), cell.source


def test_ends_with_summary_and_exercises(notebook):
    last = notebook.cells[-1].source
    assert last.startswith("## Keep") and last.split("**Exercises**")[0].count("\n- ") == 3
    assert "**Exercises**" in last and "**Next:**" in last


def run_setup_cell(prelude, **environment):
    """Run the setup cell where focal_lib cannot be imported."""
    code = f"import importlib.util as u\nu.find_spec = lambda name: None\n{prelude}\n{SETUP_CELL}"
    environment = {**os.environ, **environment}
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


ON_COLAB = "import sys; sys.modules['google.colab'] = sys"


def test_without_focal_lib_one_sentence_says_what_to_do():
    result = run_setup_cell("")
    assert result.returncode == 1
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "ModuleNotFoundError: This notebook needs focal_lib; install it with: pip install git+https://"
    )


def test_on_colab_the_setup_cell_installs_focal_lib_and_nothing_else():
    done = "subprocess.CompletedProcess(args, returncode=0)"
    stand_in = f"import subprocess; subprocess.run = lambda args, **_: print(args) or {done}"
    result = run_setup_cell(f"{ON_COLAB}\n{stand_in}")
    assert result.returncode == 0, result.stderr
    assert "'--no-deps'" in result.stdout and Target.configured().pip_source in result.stdout


def test_without_a_network_the_setup_cell_says_so_in_one_sentence():
    """The real pip and the real git, behind a proxy that is not there."""
    result = run_setup_cell(ON_COLAB, HTTPS_PROXY="http://127.0.0.1:9", https_proxy="http://127.0.0.1:9")
    assert result.returncode == 1 and result.stdout == ""
    assert "ERROR" not in result.stderr  # pip's own words
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("ModuleNotFoundError: Could not fetch focal_lib; is there a network? Try: %pip install")


def test_where_focal_lib_is_installed_the_setup_cell_needs_no_network():
    environment = {**os.environ, "HTTPS_PROXY": "http://127.0.0.1:9", "PATH": ""}  # neither network nor git
    code = f"{ON_COLAB}\n{SETUP_CELL}\nimport focal_lib"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
