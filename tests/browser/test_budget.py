"""What live views cost a reader stays within the limits that benchmarks/live_views.py names."""

import sys
from pathlib import Path

import pytest
from engines import live_pages

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "benchmarks"))
from live_views import LIMITS, measure


@pytest.mark.parametrize("page", live_pages())
def test_page_keeps_its_budget(chromium, site, page):
    measured = measure(chromium, site, page)
    print(page, {name: round(value, 3) for name, value in measured.items()})
    # What else the machine is doing only ever adds time, so a slow measurement gets a second and a third chance.
    for _ in range(2):
        if all(measured[name] <= limit for name, limit in LIMITS.items()):
            break
        again = measure(chromium, site, page)
        measured = {name: min(value, again[name]) for name, value in measured.items()}
    assert {name: value for name, value in measured.items() if value > LIMITS[name]} == {}
