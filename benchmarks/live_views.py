"""What a page's live views cost its reader: bytes, time until alive, input to paint, layout shift.

Build the book first. Every number is measured in Chromium on the built site; `tests/browser/test_budget.py` holds them
to the limits below.
"""

import argparse
import gzip
import statistics
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "browser"))
from engines import AWAKE, OURS, SITE, built, live_pages, program, served_site

LIMITS = {
    "gzip bytes": 40_000,
    "input to paint, median ms": 16.0,
    "input to paint, 95th percentile ms": 33.0,
    "layout shift": 0.02,
    "time until alive, ratio": 1.1,
}
SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.75e6 / 8}


def weight(page):
    """Compressed bytes of our JavaScript and widget data on a page."""
    inline = "".join(OURS.findall(built(page).read_text()))
    host = (SITE / "_static" / "live-host.js").read_bytes()
    return len(gzip.compress(inline.encode())) + len(gzip.compress(host))


def input_to_paint(browser, url, presses=60):
    """Milliseconds from each of many key presses, over all ranges of a page, to the end of the frame that shows it."""
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(url)
    page.wait_for_function(AWAKE)
    page.evaluate("""() => {
      window.waits = [];
      addEventListener('input', (event) => {
        const channel = new MessageChannel();
        channel.port1.onmessage = () => waits.push(performance.now() - event.timeStamp);
        requestAnimationFrame(() => channel.port2.postMessage(0));
      }, true);
    }""")
    ranges = page.locator(".live input[type=range]").all()
    for handle in ranges:
        for k in range(presses):
            handle.press("ArrowLeft" if k % 8 < 4 else "ArrowRight")
    page.wait_for_timeout(100)
    waits = page.evaluate("waits")
    page.close()
    assert len(waits) >= presses, "hardly a key press moved a range"
    return statistics.median(waits), statistics.quantiles(waits, n=20)[-1]


def layout_shift(browser, url, width):
    """Cumulative layout shift while a page loads and its views wake up."""
    page = browser.new_page(viewport={"width": width, "height": 844})
    page.add_init_script("""
      window.shift = 0;
      new PerformanceObserver((list) => {
        for (const entry of list.getEntries()) if (!entry.hadRecentInput) shift += entry.value;
      }).observe({ type: 'layout-shift', buffered: true });
    """)
    page.goto(url)
    page.wait_for_function(AWAKE)
    for view in page.locator(".live-view").all():
        view.scroll_into_view_if_needed()
    page.wait_for_timeout(200)
    shift = page.evaluate("shift")
    page.close()
    return shift


def time_until_alive(browser, url):
    """How much later the first view of a page is alive than the same page without views is ready; slow 4G, CPU / 4.

    Returns:
        (ratio, seconds until alive, seconds until the page without views has run its scripts).
    """

    def load(url, moment):
        page = browser.new_page(viewport={"width": 390, "height": 844})
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", SLOW_4G)
        session.send("Emulation.setCPUThrottlingRate", {"rate": 4})
        page.goto(url, wait_until="commit")
        seconds = page.wait_for_function(moment, polling=50, timeout=60_000).json_value() / 1000
        page.close()
        return seconds

    alive = load(url, "document.querySelector('.live-view[data-live=yes]') ? performance.now() : 0")
    ready = load(f"{url}?bare", "performance.timing.domContentLoadedEventEnd ? performance.now() : 0")
    return alive / ready, alive, ready


def measure(browser, site, page):
    """All numbers of one page, by the names of LIMITS."""
    url = f"{site}/{page}.html"
    median, slow = input_to_paint(browser, url)
    return {
        "gzip bytes": weight(page),
        "input to paint, median ms": median,
        "input to paint, 95th percentile ms": slow,
        "layout shift": max(layout_shift(browser, url, width) for width in (390, 1280)),
        "time until alive, ratio": time_until_alive(browser, url)[0],
    }


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with sync_playwright() as playwright, served_site() as site:
        browser = playwright.chromium.launch(executable_path=program("chromium"))
        for page in live_pages():
            print(page)
            for name, value in measure(browser, site, page).items():
                print(f"  {name:36}{value:12.3f}   limit {LIMITS[name]}")
        browser.close()


if __name__ == "__main__":
    main()
