"""The environment page shows what was measured on the versions that are pinned, for the notebooks that exist."""

import csv
import re
import tomllib
from importlib.metadata import distributions
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet
from run_from_wheel import SHOWN, all_notebooks, slug

ROOT = Path(__file__).parent.parent

COLUMNS = {"Colab's versions": ["colab.txt"], "The book's versions": ["constraints.txt", "run.txt"]}
VERSIONS = {**COLUMNS, "The oldest versions": ["oldest.txt"]}


def table(name):
    with (ROOT / "book" / "environment" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def pins(names):
    text = "\n".join((ROOT / "requirements" / name).read_text() for name in names)
    return dict(re.findall(r"(?m)^([\w.-]+)==([\w.]+)", text))


@pytest.mark.parametrize("column", VERSIONS)
def test_the_versions_shown_are_the_versions_pinned(column):
    shown = {row["Package"]: row[column] for row in table("versions")}
    assert shown.pop("Python").startswith("3.")
    pinned = pins(VERSIONS[column])
    assert shown == {name: pinned[name] for name in SHOWN}


def numbers(version):
    return [int(part) for part in version.split(".")]


def bounds():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return dict(requirement.split(">=") for requirement in project["dependencies"])


def test_the_bounds_of_the_package_are_at_or_below_colabs_versions():
    colab = pins(["colab.txt"])
    names = [name for name in bounds() if name in colab]
    assert {"torch", "numpy", "ipywidgets"} <= set(names)
    assert [name for name in names if numbers(bounds()[name]) > numbers(colab[name])] == []


def test_the_oldest_versions_are_the_bounds_of_the_package():
    """2.9 as a bound is 2.9.0 as a version."""
    pinned = pins(["oldest.txt"])
    differ = [name for name, bound in bounds().items() if [*numbers(bound), 0, 0][:3] != numbers(pinned[name])]
    assert differ == []


def test_what_is_pinned_runs_on_the_python_of_debian_12():
    pinned = {name.lower() for name in pins(["constraints.txt"])}
    needs = {d.name.lower(): SpecifierSet(d.metadata["Requires-Python"] or "") for d in distributions()}
    assert len(pinned & needs.keys()) > 100
    assert [name for name in sorted(pinned & needs.keys()) if "3.11.2" not in needs[name]] == []


@pytest.mark.parametrize("column", COLUMNS)
def test_every_notebook_was_timed(column):
    times = {row["Notebook"]: row[column] for row in table("run_times")}
    assert list(times) == [slug(path) for path in all_notebooks()], "make colab runs them all and stores how long"
    assert [name for name, time in times.items() if not re.fullmatch(r"\d+ s", time)] == []


def test_the_page_shows_the_tables():
    # On the page, a number keeps its unit on its line.
    page = (ROOT / "_build" / "html" / "book" / "environment.html").read_text("utf-8")
    page = page.replace("\u00a0", " ").replace("<wbr>", "")  # and a long name may break at its signs
    for row in [*table("versions"), *table("run_times")]:
        for cell in row.values():
            assert f"<p>{cell}</p>" in page
