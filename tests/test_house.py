"""The house: who needs what, how long a file may be, and that each number of things in prose is the number there is."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from exercise_notebooks import MASTERS

import focal_lib
from focal_lib.bugs import CATALOGUE
from focal_lib.diagnosis.properties import PROPERTIES

ROOT = Path(__file__).parents[1]
LIBRARY = sorted((ROOT / "focal_lib").rglob("*.py"))
# Each wing may import from those before it; the package itself shows diagnose; the exercises need no lab.
WINGS = ("", "bugs", "diagnosis", "exercises", "lab", "widgets")
PAGES = [*sorted((ROOT / "book").glob("*.md")), *sorted((ROOT / "notebooks").glob("*.ipynb")), *MASTERS]
WORDS = ("ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen")
COUNTED = {
    # From this number on, the words mean all there are; below, some of them.
    r"(?:known |public )?(?:bugs|mistakes that|exhibits)": (len(CATALOGUE), 20),
    r"(?:properties|checks|promises)": (len(PROPERTIES), 20),
    r"(?:exercises|such losses|losses under review)": (len(MASTERS), 10),
    r"are faulty": (len(MASTERS) - 1, 10),  # one is only suspected
}


def run_without(packages, code, *arguments):
    """Run this Python code where importing any of the packages, named in one string, fails."""
    blocked = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in sys.argv[1].split():
            raise ImportError(f"{name} is blocked")
sys.meta_path.insert(0, Blocked())
"""
    subprocess.run([sys.executable, "-c", blocked + code, packages, *arguments], check=True, cwd=ROOT)


def test_the_loss_the_bugs_the_diagnosis_and_the_exercises_need_torch_and_tqdm_only():
    code = """
import focal_lib, focal_lib.bugs, focal_lib.diagnosis, focal_lib.exercises
focal_lib.exercises.Exercise("x", focal_lib.bugs.CATALOGUE["mean_before_pt"].loss)
"""
    heavy = "pandas scipy sklearn joblib matplotlib PIL ipywidgets anywidget traitlets transformers tokenizers triton"
    run_without(heavy, code)


def test_the_site_is_built_without_what_the_notebooks_need(tmp_path):
    """`make book` installs no torch; its extensions would find the one that the tests installed."""
    code = """
from types import SimpleNamespace
sys.path.insert(0, "book/_ext")
import bench
bench.write(SimpleNamespace(builder=SimpleNamespace(name="html"), outdir=sys.argv[2]), None)
"""
    heavy = "torch numpy pandas scipy sklearn joblib matplotlib PIL ipywidgets anywidget traitlets triton"
    run_without(heavy, code, tmp_path)
    assert (tmp_path / "_static" / "bench" / "example.js").stat().st_size > 100_000


def wing(path):
    inside = path.relative_to(ROOT / "focal_lib").parts
    return inside[0] if len(inside) > 1 else ""


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_one_way(path):
    here = wing(path)
    for dots, name in re.findall(r"^\s*from (\.+)([\w.]*) import", path.read_text("utf-8"), re.M):
        first = name.partition(".")[0]
        depth = len(path.relative_to(ROOT / "focal_lib").parts) - 1
        there = first if first in WINGS else here if len(dots) <= depth else ""
        shows = path.name in ("__init__.py", "__main__.py") and here == ""
        assert shows or WINGS.index(there) <= WINGS.index(here), f"{here or 'the loss'} imports from {there}"
        assert (here, there) != ("exercises", "lab"), "the exercises import from the lab"


@pytest.mark.parametrize("path", LIBRARY, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_file_is_long(path):
    assert len(path.read_text("utf-8").splitlines()) <= 400, "cut it along its trades"


# Names that two modules share on purpose: the same question of two stored tables; a diagram, and what it draws.
SHARED = {"average", "difference", "load", "reliability"}


def two_meanings(sources):
    """Public names that more than one of these modules ({place: code}) defines: {name: places}."""
    homes = {}
    for place, code in sources.items():
        body = ast.parse(code).body
        public = {
            constant.value
            for node in body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
            for constant in ast.walk(node.value)
            if isinstance(constant, ast.Constant)
        }
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name in public | HELPERS:
                homes.setdefault(node.name, []).append(place)
    return {name: places for name, places in homes.items() if len(places) > 1}


HELPERS = {"cross_entropy", "focus", "pick", "reduced"}  # of bugs/parts.py, which readers see in the exhibits' code


def test_a_public_name_means_one_thing():
    sources = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in LIBRARY}
    found = two_meanings(sources)
    assert set(found) == SHARED, "rename one of them, or say in SHARED why the two are one thing"


@pytest.mark.parametrize("name", focal_lib.__all__)
def test_what_everybody_calls_says_all_it_takes_what_it_raises_and_where_it_is_explained(name):
    thing = getattr(focal_lib, name)
    text = thing.__doc__
    assert [p for p in inspect.signature(thing).parameters if inspect.isfunction(thing) and p not in text] == []
    for word in ("Args:", "Raises:", "chapter") if inspect.isfunction(thing) else ():
        assert word in text, f"the docstring of {name} has no {word}"
    assert inspect.isfunction(thing) or "focal_loss" in text or "Attributes:" in text


def test_a_name_with_two_meanings_is_found():
    code = '__all__ = ["scores"]\ndef scores(): pass\ndef _mine(): pass'
    assert two_meanings({"a.py": code, "b.py": code}) == {"scores": ["a.py", "b.py"]}


def texts(path):
    """The prose of a page."""
    if path.suffix != ".ipynb":
        return path.read_text("utf-8")
    cells = json.loads(path.read_text("utf-8"))["cells"]
    return "\n\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")


def miscounts(text):
    """Phrases such as "38 bugs" whose number is not the number there is."""
    for noun, (there_are, all_of_them) in COUNTED.items():
        for phrase, number in re.findall(rf"(\b(\d+|{'|'.join(WORDS)})\s+{noun}\b)", text, re.I):
            said = int(number) if number.isdigit() else 10 + WORDS.index(number.lower())
            if said >= all_of_them and said != there_are:
                yield f"{phrase!r}: there are {there_are}"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_numbers_of_things_are_the_numbers_there_are(path):
    assert list(miscounts(texts(path))) == [], "count anew, or let a cell print the number"


def test_a_wrong_number_is_found():
    assert list(miscounts(f"It knows {len(CATALOGUE) + 1} known bugs.")) != []
    assert list(miscounts("All 97 properties hold.")) != []
    assert list(miscounts("Seventeen exercises wait for you, and four bugs of them are old.")) != []


BENCHMARKS = set(
    re.findall(r"\t((?:PYTHONPATH=\S+ )?)\S+/python (benchmarks/\w+\.py)", (ROOT / "Makefile").read_text())
)


@pytest.mark.parametrize("prefix, script", sorted(BENCHMARKS))
def test_what_make_times_finds_its_modules(prefix, script):
    """Each script is imported, not run, with the path that its line in the Makefile gives it."""
    code = "import runpy, sys; sys.path[0] = sys.argv[1].rpartition('/')[0]; runpy.run_path(sys.argv[1])"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    environment |= dict([prefix.strip().split("=")] if prefix else [])
    done = subprocess.run(
        [sys.executable, "-c", code, script], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr.strip().splitlines()[-1]
