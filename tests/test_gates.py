"""The gates fail when they should: a broken link stops the build, a broken notebook stops the tests."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent


def build_command():
    """The very command that `make book` runs, with this interpreter's environment."""
    plan = subprocess.run(["make", "--dry-run", "book"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in plan.splitlines() if "jupyter-book build" in line]
    _, *arguments = shlex.split(line)
    return [str(Path(sys.executable).parent / "jupyter-book"), *arguments]


def build(folder, page):
    """Build a one-page book with the real configuration."""
    shutil.copy(ROOT / "_config.yml", folder)
    for part in ("_ext", "_templates", "static"):
        shutil.copytree(ROOT / "book" / part, folder / "book" / part)
    (folder / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (folder / "index.md").write_text(page)
    return subprocess.run(build_command(), cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("link", "complaint"),
    [
        ("[a page](no_such_page.md)", "no_such_page"),
        ("[a heading](#no-such-heading)", "no-such-heading"),
        ("{mod}`focal_lib.no_such_module`", "no_such_module"),
        ("{term}`no such term`", "no such term"),
    ],
)
def test_a_broken_link_stops_the_build(tmp_path, link, complaint):
    result = build(tmp_path, f"# Page\n\n{link}\n")
    assert result.returncode != 0
    assert complaint in result.stdout + result.stderr


def test_a_sound_page_builds(tmp_path):
    result = build(tmp_path, "# Page\n\nText.\n")
    assert result.returncode == 0, result.stdout + result.stderr


def validate(folder, stored_output):
    """Run nbval, as `make test` does, on a notebook with one cell and this stored output."""
    cell = nbformat.v4.new_code_cell("print(1 + 1)", execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=stored_output)]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "notebook.ipynb")
    arguments = ["--nbval", "--nbval-sanitize-with", str(ROOT / "tests" / "nbval.cfg"), "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "notebook.ipynb"], cwd=folder, capture_output=True
    )


def test_a_wrong_stored_output_fails(tmp_path):
    assert validate(tmp_path, "3\n").returncode == 1
    assert validate(tmp_path, "2\n").returncode == 0
