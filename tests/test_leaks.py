"""No solution leaves the masters: not in student notebooks, not in the built site, not in the package."""

import html
import json
import re
import shutil
import tomllib
from dataclasses import dataclass

import nbformat
import pytest
from exercise_notebooks import MASTERS, ROOT, STUDENTS, code_cells
from setuptools import find_namespace_packages

SITE = ROOT / "_build" / "html"
SHORTEST_LINE = 15  # of code, without spaces: shorter ones occur anywhere


@dataclass(frozen=True)
class Solution:
    """What must not be found anywhere, and what must not be found in the exercise's own student notebook."""

    slug: str
    anywhere: frozenset
    own: frozenset


def squeeze(code):
    return re.sub(r"\s+", "", code)


def without_comments(code):
    return re.sub(r"#.*", "", code)


def solution_of(path):
    sources = [cell.source for cell in code_cells(path)]
    fix = next(source for source in sources if "# BEGIN SOLUTION" in source)
    prompt, block = fix.split("# END PROMPT")[0], fix.split("NO PROMPT")[1].split("# END SOLUTION")[0]
    answers = [source.split("# SOLUTION")[0] for source in sources if source.endswith("# SOLUTION")]
    tests = [source.split("# END TEST CONFIG")[1] for source in sources if "# END TEST CONFIG" in source]
    assert len(answers) == 2 and len(tests) == 3
    code = block.split("\n", 2)[2]  # without the marker line
    given = {squeeze(without_comments(line)) for s in sources[: sources.index(fix)] for line in s.split("\n")}
    given |= {squeeze(without_comments(line)) for line in prompt.split("\n")}
    lines = {squeeze(without_comments(line)) for line in code.split("\n")} - given
    comments = {squeeze(line.split("#")[1]) for line in code.split("\n") if "#" in line}
    marker = f"answer-book {path.stem}"
    anywhere = {squeeze(text) for text in (marker, code, without_comments(code), *answers, *tests)}
    return Solution(path.stem, frozenset(anywhere), frozenset(lines | comments))


SOLUTIONS = [solution_of(path) for path in MASTERS]


def strings(value):
    """All strings in a JSON value, keys included."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield key
            yield from strings(item)
    elif isinstance(value, list):
        joined = all(isinstance(item, str) for item in value)  # a cell's source may be a list of lines
        yield from ["".join(value)] if joined else (text for item in value for text in strings(item))
    elif isinstance(value, str):
        yield value


def text_of(path):
    """What a file says, without markup and white space."""
    text = path.read_bytes().decode("utf-8", errors="replace")
    if path.suffix in (".ipynb", ".json"):
        text += "\n".join(strings(json.loads(text)))
    if path.suffix == ".html":
        text += html.unescape(re.sub(r"<[^>]*>", "", text))
    return squeeze(text)


def leaks_in(path):
    """Solutions found in a file, by slug."""
    text = text_of(path)
    for solution in SOLUTIONS:
        own = {line for line in solution.own if len(line) >= SHORTEST_LINE} if solution.slug in path.stem else set()
        if any(piece in text for piece in solution.anywhere | own):
            yield solution.slug


def leaks_below(folder):
    return [
        (str(p.relative_to(folder)), slug) for p in sorted(folder.rglob("*")) if p.is_file() for slug in leaks_in(p)
    ]


def test_there_is_something_to_look_for():
    assert len(SOLUTIONS) == len(MASTERS) >= 10
    for solution, path in zip(SOLUTIONS, MASTERS, strict=True):
        assert len(solution.anywhere) >= 6 and min(map(len, solution.anywhere)) >= 14 and solution.own
        assert solution.slug in leaks_in(path)  # each master holds its own solution, and that is found


def test_student_notebooks():
    assert len(STUDENTS) == len(MASTERS) and leaks_below(STUDENTS[0].parent) == []


def test_site():
    assert (SITE / "searchindex.js").is_file(), "build the book first: make book"
    assert (SITE / "_sources" / "notebooks" / "exercises" / STUDENTS[0].name).is_file()
    assert leaks_below(SITE) == []
    assert not list(SITE.rglob("*masters*"))


def test_package():
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]
    packages = find_namespace_packages(ROOT, **found)
    assert "focal_lib.diagnosis" in packages
    assert all(name.split(".")[0] == "focal_lib" for name in packages)
    assert leaks_below(ROOT / "focal_lib") == []


# --- the same search finds what is planted -------------------------------------------------------------------------


def fix_code(path):
    fix = next(cell.source for cell in code_cells(path) if "# BEGIN SOLUTION" in cell.source)
    return fix.split("NO PROMPT")[1].split("\n", 2)[2].split("# END SOLUTION")[0]


def in_a_cell(notebook, code):
    notebook.cells[3].source += "\n" + code


def in_an_output(notebook, code):
    cell = next(cell for cell in notebook.cells if cell.cell_type == "code" and cell.outputs)
    cell.outputs.append(nbformat.v4.new_output("stream", text=code))


def in_the_metadata(notebook, code):
    notebook.metadata["otter"] = {"tests": {"fix": [code]}}


def in_a_cells_metadata_without_comments(notebook, code):
    notebook.cells[-1].metadata["was"] = without_comments(code)


@pytest.mark.parametrize(
    "plant", [in_a_cell, in_an_output, in_the_metadata, in_a_cells_metadata_without_comments], ids=lambda f: f.__name__
)
@pytest.mark.parametrize("number", range(len(MASTERS)))
def test_a_planted_solution_is_found_in_a_notebook(tmp_path, number, plant):
    path = shutil.copy(STUDENTS[number], tmp_path)
    notebook = nbformat.read(path, as_version=4)
    plant(notebook, fix_code(MASTERS[number]))
    nbformat.write(notebook, path)
    assert leaks_below(tmp_path) == [(STUDENTS[number].name, STUDENTS[number].stem)]


@pytest.mark.parametrize("number", range(len(MASTERS)))
def test_one_planted_line_is_found_in_its_own_notebook(tmp_path, number):
    path = shutil.copy(STUDENTS[number], tmp_path)
    notebook = nbformat.read(path, as_version=4)
    given = "\n".join(cell.source for cell in notebook.cells)
    lines = [line for line in fix_code(MASTERS[number]).split("\n") if squeeze(line) not in squeeze(given)]
    notebook.cells[0].source += "\n" + max(lines, key=lambda line: len(squeeze(without_comments(line))))
    nbformat.write(notebook, path)
    assert leaks_below(tmp_path) == [(STUDENTS[number].name, STUDENTS[number].stem)]


def test_a_planted_answer_is_found(tmp_path):
    for number, source in enumerate(cell.source for cell in code_cells(MASTERS[0]) if "# SOLUTION" in cell.source):
        notebook = nbformat.read(STUDENTS[0], as_version=4)
        notebook.cells[-1].source += source.split("# SOLUTION")[0].replace(" = ", "=")
        nbformat.write(notebook, tmp_path / f"page{number}.ipynb")
    assert {name for name, _ in leaks_below(tmp_path)} == {"page0.ipynb", "page1.ipynb"}


def test_a_planted_solution_is_found_in_a_page_and_in_the_search_index(tmp_path):
    code = html.escape(fix_code(MASTERS[0]))
    (tmp_path / "page.html").write_text("<pre>" + re.sub(r"(\w+)", r'<span class="n">\1</span>', code) + "</pre>")
    (tmp_path / "searchindex.js").write_text('Search.setIndex({terms:{"answer-book 01_one_number":3}})')
    (tmp_path / "focal.py").write_text(fix_code(MASTERS[1]))
    assert {name for name, _ in leaks_below(tmp_path)} == {"page.html", "searchindex.js", "focal.py"}
