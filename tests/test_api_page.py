"""The API page shows the whole public library: each name of each public module, each property, each bug, each view."""

import importlib
import pkgutil
from pathlib import Path

import pytest
from bs4 import BeautifulSoup

import focal_lib
from focal_lib import widgets
from focal_lib.bugs import CATALOGUE, LOOKALIKES
from focal_lib.diagnosis.properties import PROPERTIES

PAGE = Path(__file__).parents[1] / "_build" / "html" / "book" / "api.html"
PACKAGES = {"focal_lib", "focal_lib.bugs", "focal_lib.diagnosis", "focal_lib.exercises", "focal_lib.lab"}


@pytest.fixture(scope="module")
def page():
    return BeautifulSoup(PAGE.read_text("utf-8"), "html.parser")


def public_modules():
    for module in pkgutil.walk_packages(focal_lib.__path__, "focal_lib."):
        if not any(part.startswith("_") for part in module.name.split(".")):
            yield module.name


def missing(names, page):
    return sorted(name for name in names if page.find(id=name) is None)


def straight(text):
    """Text without typographic quotes, dots, line breaks, and what becomes a subscript or an exponent on the page."""
    plain = {"‘": "'", "’": "'", "“": '"', "”": '"', "…": "..."} | dict.fromkeys("_^()", "")
    return " ".join(text.translate(str.maketrans(plain)).split())


def home(thing):
    return f"{thing.__module__}.{thing.__qualname__}"


def test_each_public_module_says_what_is_public():
    silent = [name for name in public_modules() if not hasattr(importlib.import_module(name), "__all__")]
    entered = [exhibit.loss for exhibit in (CATALOGUE | LOOKALIKES).values()] + [p.check for p in PROPERTIES.values()]
    by_decorator = {thing.__module__ for thing in entered} | {"focal_lib.bugs.parts"}
    assert set(silent) - by_decorator - {"focal_lib.lab"} == set(), "give each of these modules an __all__"


def test_each_public_name_is_on_the_page(page):
    names = set()
    for name in set(public_modules()) - PACKAGES - {"focal_lib.widgets"}:
        module = importlib.import_module(name)
        for public in getattr(module, "__all__", ()):
            # A constant has no docstring of its own to show; what is passed on is shown where it comes from.
            if callable(thing := getattr(module, public)) and thing.__module__ == name:
                names.add(f"{name}.{public}")
    assert missing(names, page) == [], "add a docstring, and the module to book/api.md"


def test_each_property_is_on_the_page_with_its_statement(page):
    for name, a_property in PROPERTIES.items():
        entry = page.find(id=home(a_property.check))
        assert entry is not None, f"{name} is not on the page: add its module to book/api.md"
        assert straight(a_property.statement) in straight(entry.find_next("dd").get_text())


@pytest.mark.parametrize("exhibits", [CATALOGUE, LOOKALIKES], ids=["bugs", "look-alikes"])
def test_each_exhibit_is_on_the_page_with_its_plaque(page, exhibits):
    for id, exhibit in exhibits.items():
        entry = page.find(id=home(exhibit.loss))
        assert entry is not None, f"{id} is not on the page: add its room to book/api.md"
        words = straight(entry.find_next("dd").get_text())
        for text in (exhibit.title, exhibit.source, getattr(exhibit, "symptom", ""), getattr(exhibit, "why", "")):
            assert straight(text) in words


def test_each_view_is_on_the_page_with_its_traits(page):
    for name in widgets.__all__:
        view = getattr(widgets, name)
        entry = page.find(id=home(view))
        assert entry is not None, f"{name} is not on the page: add its module to book/api.md"
        words = straight(entry.find_next("dd").get_text())
        for trait in view.class_traits(limits=lambda limits: limits is not None):
            assert straight(trait) in words, f"the docstring of {name} does not say what {trait} is"


def test_each_class_says_what_it_takes(page):
    """Built without torch, a class on one of torch's would show whatever stands in for that."""
    heads = [dt.get_text("", strip=True) for dt in page.select("dl.py.class > dt")]
    assert len(heads) > 10 and [head for head in heads if "*args" in head] == []


def test_a_name_that_is_not_there_is_missed(page):
    assert missing({"focal_lib.losses.focal_loss", "focal_lib.losses.no_such_loss"}, page) == [
        "focal_lib.losses.no_such_loss"
    ]
