"""What live views cost a reader stays within the limits that benchmarks/live_views.py names.

The times are those of a machine that does nothing else, so these tests run by themselves, after all others.
"""

import pytest
from engines import PlaywrightPage, live_pages
from live_views import FAST, LIMITS, input_to_paint, layout_shift, measure, over, time_until_alive
from test_bench import CHECK, press, write


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


def test_verdicts_of_the_bench_are_quick(chromium, site):
    """The first one with all that is loaded for it; then a full diagnosis of another faulty loss, and one again."""
    context = chromium.new_context()
    page = PlaywrightPage(context)
    page.open(f"{site}/{CHECK}.html")
    seconds = []
    for power in (2, 3, 3):
        write(page, f"def loss(input, target):\n    return F.cross_entropy(input, target) ** {power}\n")
        answer, took = press(page, "#check-bench")
        assert "gives_the_golden_numbers" in answer
        seconds.append(took)
    print(seconds)
    assert seconds[0] <= 12 and seconds[1] <= 5 and seconds[2] <= 1
    context.close()
