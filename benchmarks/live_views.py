"""What a page's live views cost its reader: bytes, time until alive, input to paint, layout shift.

Build the book first. Every number is measured in Chromium on the built site; `tests/browser/test_budget.py` holds them
to the limits below.
"""

import argparse
import gzip
import json
import statistics
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(Path(__file__).parent.parent / "tests" / "browser"))
from engines import AWAKE, OURS, SITE, built, live_pages, program, served_site

LIMITS = {
    "gzip bytes": 40_000,
    "input to paint, median ms": 8.0,
    "input to paint, 95th percentile ms": 16.0,
    "elements styled anew": 100,
    "layout shift": 0.02,
    "time until alive, ratio": 1.1,
}
FAST = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
SLOW_4G = {"offline": False, "latency": 150, "downloadThroughput": 1.6e6 / 8, "uploadThroughput": 0.75e6 / 8}


def weight(page):
    """Compressed bytes of our JavaScript and widget data on a page."""
    inline = "".join(OURS.findall(built(page).read_text()))
    host = (SITE / "_static" / "live-host.js").read_bytes()
    return len(gzip.compress(inline.encode())) + len(gzip.compress(host))


# Playwright waits with eval, which the policy of pages with a bench forbids: bypass_csp.
def input_to_paint(browser, url, presses=80):
    """How much later than a plain range, which draws nothing, a page's ranges show a key press, in milliseconds.

    From the key press to the end of the frame that shows it. Each press of a range follows one of a plain range that is
    put beside it, so that a machine with slower frames delays both, and the page need not scroll from one to the other.

    Args:
        presses: how many of each in all; each range gets at least 12 of them.

    Returns:
        (median, 95th percentile), each less that of the plain range, which misses a frame now and then, too.
    """
    page = browser.new_page(viewport={"width": 390, "height": 844}, bypass_csp=True)
    page.goto(url)
    page.wait_for_function(AWAKE)
    page.evaluate("""() => {
      const plain = document.createElement('input');
      plain.type = 'range';
      plain.className = 'plain';
      window.putBeside = (handle) => handle.closest('.live-view').before(plain);
      window.waits = { plain: [], live: [] };
      window.rested = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
      addEventListener('input', (event) => {
        const kind = event.target === plain ? waits.plain : waits.live;
        const channel = new MessageChannel();
        channel.port1.onmessage = () => kind.push(performance.now() - event.timeStamp);
        requestAnimationFrame(() => channel.port2.postMessage(0));
      }, true);
    }""")
    plain, ranges = page.locator("input.plain"), page.locator(".live input[type=range]").all()
    each = max(12, presses // max(1, len(ranges)))
    for handle in ranges:
        handle.evaluate("(handle) => putBeside(handle)")
        for k in range(each):
            for pressed in (plain, handle):
                pressed.press("ArrowLeft" if k % 4 < 2 else "ArrowRight")
                page.evaluate("rested()")  # or the next press would wait for what this one left to do
    waits = page.evaluate("waits")
    page.close()
    assert len(waits["live"]) >= 0.75 * each * len(ranges) > 0, "too few of the key presses moved a range"
    measures = (statistics.median, lambda times: statistics.quantiles(times, n=20)[-1])
    return tuple(of(waits["live"]) - of(waits["plain"]) for of in measures)


def styled_anew(browser, url):
    """How many elements the browser gives their style again for one step of a page's ranges, on average; of the worst.

    A count, so no machine moves it much. One :has() of the style, or one new node, can make it the whole page.
    """
    page = browser.new_page(viewport={"width": 390, "height": 844}, bypass_csp=True)
    page.goto(url)
    page.wait_for_function(AWAKE)
    worst = 0
    for handle in page.locator(".live input[type=range]").all():
        handle.focus()
        page.wait_for_timeout(800)  # what comes into sight as the page scrolls there is none of the steps'
        browser.start_tracing(page=page, categories=["disabled-by-default-devtools.timeline", "devtools.timeline"])
        keys = 3 * ["ArrowLeft", "ArrowLeft", "ArrowRight", "ArrowRight"]
        for key in keys:
            handle.press(key)
        events = json.loads(browser.stop_tracing())["traceEvents"]
        styled = sum(event["args"]["elementCount"] for event in events if event["name"] == "UpdateLayoutTree")
        worst = max(worst, styled / len(keys))
    page.close()
    return worst


def layout_shift(browser, url, width):
    """Cumulative layout shift while a page loads and its views wake up."""
    page = browser.new_page(viewport={"width": width, "height": 844}, bypass_csp=True)
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


def time_until_alive(browser, url, bare, network=SLOW_4G, cpu=4):
    """When the first view of a page is alive, beside when the same page without views is ready; slow 4G, CPU / 4.

    Both load at the same time, so that what else the machine is doing delays both.

    Returns:
        The ratio of the two times.
    """
    moments = {
        url: "document.querySelector('.live-view[data-live=yes]')",
        bare: "performance.timing.domContentLoadedEventEnd",
    }
    loading = []
    for address, moment in moments.items():
        page = browser.new_page(viewport={"width": 390, "height": 844}, bypass_csp=True)
        page.add_init_script(f"""
          const look = setInterval(() => {{
            if (!({moment})) return;
            clearInterval(look);
            window.seconds = performance.now() / 1000;
          }}, 10);
        """)
        session = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send("Network.emulateNetworkConditions", network)
        session.send("Emulation.setCPUThrottlingRate", {"rate": cpu})
        page.goto(address, wait_until="commit")
        loading.append(page)
    alive, ready = (page.wait_for_function("window.seconds", timeout=60_000).json_value() for page in loading)
    for page in loading:
        page.close()
    return alive / ready


def measure(browser, url):
    """All numbers of one page of the served site, by the names of LIMITS."""
    # On a busy machine a measurement can come out too high, so one above its limit is one of three, and the median
    # of the three counts.
    once = {
        "input to paint": lambda: input_to_paint(browser, url),
        "elements styled anew": lambda: [styled_anew(browser, url)],
        "layout shift": lambda: [max(layout_shift(browser, url, width) for width in (390, 1280))],
        "time until alive": lambda: [time_until_alive(browser, url, f"{url.partition('?')[0]}?bare")],
    }
    names = {
        "input to paint": ["input to paint, median ms", "input to paint, 95th percentile ms"],
        "elements styled anew": ["elements styled anew"],
        "layout shift": ["layout shift"],
        "time until alive": ["time until alive, ratio"],
    }
    measured = {"gzip bytes": weight(url.partition(".html")[0].split("/", 3)[3])}
    for kind, take in once.items():
        taken = [take()]
        if any(value > LIMITS[name] for name, value in zip(names[kind], taken[0], strict=True)):
            taken += [take(), take()]
        measured |= {name: statistics.median(one[k] for one in taken) for k, name in enumerate(names[kind])}
    return measured


def over(measured):
    """Those of the numbers that are above their limit."""
    return {name: value for name, value in measured.items() if value > LIMITS[name]}


def main():
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    with sync_playwright() as playwright, served_site() as site:
        browser = playwright.chromium.launch(executable_path=program("chromium"))
        for page in live_pages():
            print(page)
            for name, value in measure(browser, f"{site}/{page}.html").items():
                print(f"  {name:36}{value:12.3f}   limit {LIMITS[name]}")
        browser.close()


if __name__ == "__main__":
    main()
