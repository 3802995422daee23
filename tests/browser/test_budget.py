"""What live views cost a reader stays within the limits that benchmarks/live_views.py names.

The times are those of a machine that does nothing else, so these tests run by themselves, after all others.
"""

import pytest
from engines import live_pages
from live_views import FAST, LIMITS, input_to_paint, layout_shift, measure, over, time_until_alive


@pytest.mark.parametrize("page", live_pages())
def test_page_keeps_its_budget(chromium, site, page):
    measured = measure(chromium, f"{site}/{page}.html")
    print(page, {name: round(value, 3) for name, value in measured.items()})
    assert over(measured) == {}


def test_a_clumsy_page_is_over_every_limit(chromium, site):
    """The gate can fail: the server adds a script that jumps, and dawdles before views and after inputs."""
    url = f"{site}/{live_pages()[0]}.html"
    median, slow = input_to_paint(chromium, f"{url}?clumsy", presses=12)
    measured = {
        "input to paint, median ms": median,
        "input to paint, 95th percentile ms": slow,
        "layout shift": layout_shift(chromium, f"{url}?clumsy", 390),
        "time until alive, ratio": time_until_alive(chromium, f"{url}?clumsy", f"{url}?bare", FAST, cpu=1),
        "gzip bytes": LIMITS["gzip bytes"] + 1,
    }
    assert set(over(measured)) == set(LIMITS)
