"""book/citations.toml holds what the book cites, what that says and when it was opened, and nothing else."""

import re
import tomllib
from datetime import date
from pathlib import Path

import pytest
from retarget import Target

from focal_lib.bugs import CATALOGUE, LOOKALIKES

ROOT = Path(__file__).parents[1]
LIST = tomllib.loads((ROOT / "book" / "citations.toml").read_text("utf-8"))["citation"]
PAGES = [*(ROOT / "book").glob("*.md"), *(ROOT / "notebooks").glob("*.ipynb"), ROOT / "README.md"]
# The book itself, places where it can be run, and names in code are no citations.
OURS = re.compile(
    re.escape(Target.configured().owner)
    + r"|colab\.research|mybinder\.org|img\.shields\.io|w3\.org/2000|\{|localhost|127\.0\.0\.1"
)


def cited():
    """{address: where it is cited}."""
    found = {}
    for path in PAGES:
        for url in re.findall(r"https?://[^\s)\"'>\]`\\]+", path.read_text("utf-8")):
            if not OURS.search(url):
                found.setdefault(url.rstrip(".,;"), path.name)
    for exhibit in (*CATALOGUE.values(), *LOOKALIKES.values()):
        for url in re.findall(r"\((https://[^)]+)\)", exhibit.source_links):
            found.setdefault(url, exhibit.id)
        for repository, number in re.findall(r"([\w.-]+/[\w.-]+)#\d+ and #(\d+)", exhibit.source):
            found.setdefault(f"https://github.com/{repository}/issues/{number}", exhibit.id)
    return found


def test_every_address_is_on_the_list_and_the_list_has_no_other():
    new = {url: place for url, place in cited().items() if url not in {entry["url"] for entry in LIST}}
    assert new == {}, "open each, and enter it in book/citations.toml: what it says, and the day"
    gone = [entry["url"] for entry in LIST if entry["url"] not in cited()]
    assert gone == [], "nothing cites these any more: take them out of book/citations.toml"


@pytest.mark.parametrize("entry", LIST, ids=lambda entry: entry["url"].removeprefix("https://"))
def test_a_citation_says_something_and_was_opened(entry):
    assert len(entry["says"]) > 10 and entry["says"].endswith(".")
    assert entry["opened"] == "earlier" or date(2026, 1, 1) < date.fromisoformat(entry["opened"])


def test_no_address_stands_twice():
    assert len({entry["url"] for entry in LIST}) == len(LIST)
