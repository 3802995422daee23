"""The accessibility page claims nothing that no test backs, and says what is missing, since when, and whom to tell."""

import datetime
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "book" / "accessibility.md").read_text("utf-8")
DAY = r"\d{1,2} [A-Z][a-z]+ \d{4}"


def rows(page):
    """What each row of the table names as its tests."""
    lines = [line for line in page.splitlines() if line.startswith("| ") and not line.startswith("| what | how |")]
    return [re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", line) for line in lines]


def missing(page):
    """The rows that name no test, as (), and the tests named that are not there."""
    found = rows(page)
    sources = {path: (ROOT / path).read_text("utf-8") for row in found for path, _ in row if (ROOT / path).is_file()}
    named = [test for row in found for test in row]
    return [row for row in found if not row] + [
        (path, test) for path, test in named if f"def {test}(" not in sources.get(path, "")
    ]


def test_each_row_names_a_test_that_is_there():
    assert len(rows(PAGE)) >= 17
    assert missing(PAGE) == []


def test_a_row_without_its_test_is_found():
    assert missing("| zoom | by eye | none |\n") == [[]]
    assert missing("| zoom | by eye | `tests/test_site.py::test_zoom_by_eye` |\n") != []
    assert missing("| zoom | by eye | `tests/test_nowhere.py::test_zoom` |\n") != []


def test_records_and_gaps_have_a_day_and_there_is_somebody_to_write_to():
    looked = re.search(r"What was looked at:\n\n((?:- .*\n(?:  .*\n)*)+)", PAGE)[1]
    days = [re.match(rf"- ({DAY}): ", line)[1] for line in looked.splitlines() if line.startswith("- ")]
    days.append(re.search(rf"## Known gaps, on ({DAY})\n", PAGE)[1])
    for day in days:
        datetime.datetime.strptime(day, "%d %B %Y")
    assert re.search(r"## Whom to write to\n\n\[.+\]\(https://.+/issues\)", PAGE)
