"""`make editions`: from masters to student notebooks and autograder zips, and the ways it says no."""

import importlib
import io
import json
import shutil
import subprocess
import sys
import warnings
import zipfile
from contextlib import redirect_stderr
from unittest import mock

import nbformat
import pytest
from exercise_notebooks import MASTERS, ROOT, STUDENTS

TOOL = str(ROOT / "tools" / "editions.py")


def command(*arguments):
    return subprocess.run([sys.executable, TOOL, *map(str, arguments)], capture_output=True, text=True, cwd=ROOT)


def editions(*arguments):
    """The same in this process, which need not load otter for each call, nor hear its warnings."""
    said, code = io.StringIO(), 0
    argv = mock.patch.object(sys, "argv", [TOOL, *map(str, arguments)])
    with warnings.catch_warnings(action="ignore"), redirect_stderr(said), argv:
        try:
            importlib.import_module("editions").main()
        except SystemExit as end:
            code = end.code
            if isinstance(code, str):  # as the interpreter does
                code = print(code, file=sys.stderr) or 1
    return subprocess.CompletedProcess(arguments, code or 0, stderr=said.getvalue())


def last_line(result):
    return result.stderr.strip().splitlines()[-1]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with what comes of the first master: the student notebook in s, the zip in z."""
    folder = tmp_path_factory.mktemp("editions")
    (folder / "masters").mkdir()
    for name in (MASTERS[0], MASTERS[0].parent / "assignment.yml"):
        shutil.copy(name, folder / "masters")
    result = command("--masters", folder / "masters", "--students", folder / "s", "--zips", folder / "z")
    assert result.returncode == 0, result.stderr
    return folder


def test_another_otter_gets_one_sentence():
    """Editions are made by functions of otter's that it promises nobody."""
    code = "import sys; sys.modules['otter.assign'] = None; import editions"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT / "tools")
    assert done.returncode == 1
    assert last_line(done).startswith("ImportError: otter-grader is missing, or another than the one that makes")


def test_the_stored_editions_are_fresh():
    result = editions("--verify")
    assert result.returncode == 0, result.stderr


def test_verify_fails_on_any_difference(tmp_path):
    masters, students = tmp_path / "masters", tmp_path / "exercises"
    for folder, paths in ((masters, MASTERS), (students, STUDENTS)):
        folder.mkdir()
        for path in paths[:3]:
            shutil.copy(path, folder)
    changed, missing, extra = (students / path.name for path in STUDENTS[:3])
    notebook = nbformat.read(changed, as_version=4)
    notebook.cells[4].source += "\n"
    nbformat.write(notebook, changed)
    missing.unlink()
    shutil.copy(extra, students / "99_extra.ipynb")
    metadata = json.loads(extra.read_text())
    metadata["metadata"]["note"] = "mine"
    extra.write_text(json.dumps(metadata))
    result = editions("--verify", "--masters", masters, "--students", students)
    assert result.returncode == 1
    for words in (
        f"{changed.name} differs from its master's edition, first in cell 5.",
        f"{missing.name} is missing.",
        f"{extra.name} differs from its master's edition.",
        "99_extra.ipynb has no master.",
        "Run: make editions",
    ):
        assert words in result.stderr
    assert not missing.exists()  # verifying writes nothing


def test_one_master_becomes_a_notebook_without_and_a_zip_with_the_tests(made):
    assert (made / "s" / MASTERS[0].name).read_text() == STUDENTS[0].read_text(), "make editions"
    with zipfile.ZipFile(made / "z" / f"{MASTERS[0].stem}.zip") as archive:
        names = set(archive.namelist())
        assert {f"tests/{part}.py" for part in ("predict", "expose", "fix")} | {"run_autograder", "setup.sh"} <= names
        assert b"exercise.check_fix(fixed_loss).ok" in archive.read("tests/fix.py")
        assert b"focal-lib @ git+https://" in archive.read("environment.yml")
        assert not [name for name in names if str(ROOT).encode() in archive.read(name)]  # nothing of this machine


@pytest.mark.parametrize(("edition", "score"), [(MASTERS, 3), (STUDENTS, 0)])
def test_the_zip_grades_as_gradescope_would(made, tmp_path, edition, score):
    words = [
        sys.executable,
        "-m",
        "otter",
        "run",
        "-a",
        str(made / "z" / f"{MASTERS[0].stem}.zip"),
        "-o",
        str(tmp_path),
    ]
    subprocess.run([*words, "--no-logo", str(edition[0])], check=True, capture_output=True, cwd=tmp_path)
    tests = json.loads((tmp_path / "results.json").read_text())["tests"]
    assert sum(test.get("score", 0) for test in tests) == score


def without_solutions(notebook):
    notebook.cells = [cell for cell in notebook.cells if "SOLUTION" not in cell.source]


def without_a_question(notebook):
    notebook.cells = [cell for cell in notebook.cells if "name: expose" not in cell.source]


def without_a_config(notebook):
    notebook.cells = [cell for cell in notebook.cells if "ASSIGNMENT CONFIG" not in cell.source]


def without_an_end(notebook):
    notebook.cells = [cell for cell in notebook.cells if cell.source != "# END TESTS"]


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (without_solutions, "lacks solution cells: each of its three questions needs one."),
        (without_a_config, "must start with a raw cell: # ASSIGNMENT CONFIG, then config_file: assignment.yml."),
        (without_an_end, "has its raw cells in disorder: Found an end question cell with an un-ended child"),
        (without_a_question, "must have the questions predict, expose, fix, in this order; it has ['predict', 'fix']."),
    ],
)
def test_a_master_that_is_none_is_refused_in_one_sentence(tmp_path, spoil, words):
    notebook = nbformat.read(MASTERS[0], as_version=4)
    spoil(notebook)
    nbformat.write(notebook, tmp_path / "01_spoilt.ipynb")
    result = editions("--masters", tmp_path, "--students", tmp_path / "s")
    assert result.returncode == 2 and words in last_line(result) and "01_spoilt.ipynb" in last_line(result)
    assert not (tmp_path / "s").exists()


def test_a_file_that_is_no_notebook_is_refused_in_one_sentence(tmp_path):
    (tmp_path / "01_text.ipynb").write_text("not JSON")
    result = command("--masters", tmp_path)
    assert result.returncode == 2 and "01_text.ipynb is not a notebook" in last_line(result)


@pytest.mark.parametrize("folder", ["", "no_such_folder"])
def test_a_folder_without_masters_is_refused_in_one_sentence(tmp_path, folder):
    result = editions("--masters", tmp_path / folder)
    assert result.returncode == 2 and "holds no notebook; expected a folder of masters." in last_line(result)
