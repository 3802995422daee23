"""The gate that runs notebooks from the wheel: it passes what a reader can run, and fails on all else."""

import subprocess
from pathlib import Path

import nbformat
import pytest
from run_from_wheel import Failed, all_notebooks, library_files, run, snapshot, store

ROOT = Path(__file__).parent.parent

SLIDER = """\
import ipywidgets
from IPython.display import display
slider = ipywidgets.FloatSlider(value=2, min=0, max=5)
slider.observe(lambda change: {reaction}, names="value")
display(slider)"""

OUTPUT = """\
import ipywidgets
from IPython.display import display
button, output = ipywidgets.Button(), ipywidgets.Output()
def show(_):
    with output:
        raise ValueError("shown in the widget only")
button.on_click(show)
display(button, output)"""


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A folder with a stand-in for what the wheel unpacks to."""
    folder = tmp_path_factory.mktemp("library")
    (folder / "focal_lib").mkdir()
    (folder / "focal_lib" / "__init__.py").write_text("")
    return folder


def try_out(source, folder, library, colab=True):
    path = folder / "notebook.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)]), path)
    return run(path, library, colab)


def test_a_sound_notebook_passes_and_its_widgets_are_moved(tmp_path, library):
    source = "import sys; assert 'google.colab' in sys.modules\n" + SLIDER.format(reaction="None")
    seconds, moves = try_out(source, tmp_path, library)
    assert seconds > 0 and moves == 3  # to both ends and back


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("1 / 0", "ZeroDivisionError"),
        ("open('README.md')", "FileNotFoundError"),
        ("import urllib.request; urllib.request.urlopen('http://example.org')", "may not need the network"),
        (SLIDER.format(reaction="1 / 0"), "ZeroDivisionError"),
        (OUTPUT, "shown in the widget only"),
        ("import ipywidgets; ipywidgets.HTML('no control')", "none of its controls could be moved"),
    ],
    ids=["error", "file of the repository", "network", "slider", "error inside an Output", "nothing to move"],
)
def test_what_a_reader_cannot_run_fails(tmp_path, library, source, complaint):
    with pytest.raises(Failed, match=complaint):
        try_out(source, tmp_path, library)


def test_a_notebook_that_runs_with_another_focal_lib_fails(tmp_path):
    with pytest.raises(Failed, match="not from the wheel"):
        try_out("", tmp_path, tmp_path / "empty", colab=False)


def test_students_notebooks_are_run_and_masters_are_not(monkeypatch, tmp_path):
    names = ["01_a.ipynb", "exercises/01_b.ipynb", "masters/01_b.ipynb", ".ipynb_checkpoints/01_a.ipynb"]
    for name in names:
        (tmp_path / "notebooks" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "notebooks" / name).touch()
    monkeypatch.setattr("run_from_wheel.ROOT", tmp_path)
    assert all_notebooks() == [tmp_path / "notebooks" / name for name in names[:2]]


def test_the_list_of_a_wheel_is_read_without_what_python_adds_later():
    record = "focal_lib/a.py,sha256=x,1\nfocal_lib/__pycache__/a.pyc,,\nfocal_lib-1.dist-info/RECORD,,\n"
    assert library_files(record) == {"focal_lib/a.py": "sha256=x"}


def test_the_snapshot_holds_the_working_tree(tmp_path):
    snapshot(tmp_path, "v1.0")
    branch = subprocess.run(["git", "branch", "--show-current"], cwd=tmp_path, capture_output=True, text=True)
    assert branch.stdout == "v1.0\n"
    assert (tmp_path / "focal_lib" / "losses.py").read_bytes() == (ROOT / "focal_lib" / "losses.py").read_bytes()


def test_a_table_keeps_what_is_not_measured_again_and_drops_what_is_gone(tmp_path):
    table = tmp_path / "t.csv"
    store(table, "Notebook", ["01", "gone"], "B", {"01": "1 s", "gone": "2 s"})
    store(table, "Notebook", ["01", "02"], "A", {"01": "3 s", "02": "4 s"})
    store(table, "Notebook", ["01", "02"], "A", {"02": "6 s"})
    assert table.read_text() == "Notebook,A,B\n01,3 s,1 s\n02,6 s,–\n"
