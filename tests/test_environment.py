"""The environment page shows what was measured on the versions that are pinned, for the notebooks that exist."""

import csv
import re
from pathlib import Path

import pytest
from run_from_wheel import SHOWN, all_notebooks, slug

ROOT = Path(__file__).parent.parent

COLUMNS = {"Colab's versions": ["colab.txt"], "The book's versions": ["constraints.txt", "run.txt"]}


def table(name):
    with (ROOT / "book" / "environment" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pins(names):
    text = "\n".join((ROOT / "requirements" / name).read_text() for name in names)
    return dict(re.findall(r"(?m)^([\w.-]+)==([\w.]+)", text))


@pytest.mark.parametrize("column", COLUMNS)
def test_the_versions_shown_are_the_versions_pinned(column):
    shown = {row["Package"]: row[column] for row in table("versions")}
    assert shown.pop("Python").startswith("3.")
    pinned = pins(COLUMNS[column])
    assert shown == {name: pinned[name] for name in SHOWN}


def test_the_bounds_of_the_package_are_at_or_below_colabs_versions():
    def numbers(version):
        return [int(part) for part in version.split(".")]

    bounds = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', (ROOT / "pyproject.toml").read_text()))
    colab = pins(["colab.txt"])
    names = [name for name in bounds if name in colab]
    assert {"torch", "numpy", "ipywidgets"} <= set(names)
    assert [name for name in names if numbers(bounds[name]) > numbers(colab[name])] == []


@pytest.mark.parametrize("column", COLUMNS)
def test_every_notebook_was_timed(column):
    """If this fails: make colab"""
    times = {row["Notebook"]: row[column] for row in table("run_times")}
    assert list(times) == [slug(path) for path in all_notebooks()]
    assert [name for name, time in times.items() if not re.fullmatch(r"\d+ s", time)] == []


def test_the_page_shows_the_tables():
    page = (ROOT / "_build" / "html" / "book" / "environment.html").read_text()
    for row in [*table("versions"), *table("run_times")]:
        for cell in row.values():
            assert f"<p>{cell}</p>" in page
