"""The browsers of this machine, and the built site served to them."""

import contextlib
import functools
import gzip
import http.server
import os
import re
import shutil
import subprocess
import threading
import time
import warnings
from pathlib import Path

import yaml
from selenium import webdriver
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

ROOT = Path(__file__).parent.parent.parent
SITE = ROOT / "_build" / "html"
PROGRAMS = {
    "chromium": ["chromium", "chromium-browser", "google-chrome"],
    "firefox": ["firefox-esr", "firefox"],
    "webkit": ["WebKitWebDriver"],
    "Xvfb": ["Xvfb"],
}
# JavaScript: the relative luminance of a colour, and the contrast of two, as WCAG counts them.
CONTRAST = """
const channels = (color) => color.match(/[\\d.]+/g).map(Number);
const light = (color) => channels(color).slice(0, 3).map((v) => v / 255)
  .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
  .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
const contrast = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
"""


def pages():
    """Every page of the table of contents, as a path below the site without its suffix."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text())
    chapters = [chapter for part in toc.get("parts", [toc]) for chapter in part["chapters"]]
    return [toc["root"], *(page["file"] for chapter in chapters for page in (chapter, *chapter.get("sections", [])))]


def live_pages():
    """Those pages that have a live view."""
    found = [page for page in pages() if 'class="live-view' in built(page).read_text()]
    assert found, "no page of the built site has a live view"
    return found


def built(page):
    path = SITE / f"{page}.html"
    assert path.is_file(), f"{path} is missing; build the book first: make book"
    return path


def program(browser):
    """Where a browser is installed on this machine."""
    for name in PROGRAMS[browser]:
        if path := shutil.which(name):
            return path
    raise FileNotFoundError(f"{browser} is not installed; install it with: sudo tools/install_system_packages.sh")


# Our part of a page: the state of its live views, where they are, and the script that wakes them.
OURS = re.compile(
    r'<script type="application/vnd.jupyter.widget-(?:state|view)\+json">.*?</script>'
    r"|<script[^>]*live-host\.js[^>]*></script>",
    re.S,
)

# What makes a page break every limit of time and rest: it is busy before its views wake up and after each input, and
# its text jumps once it has loaded.
CLUMSY = b"""<script>
  const dawdle = (ms) => { for (const end = performance.now() + ms; performance.now() < end; ); };
  addEventListener("input", (event) => {
    if (!event.target.closest(".live")) return;
    dawdle(60);
    document.body.style.setProperty("--seen-by-all", event.timeStamp);
  });
  document.addEventListener("readystatechange", () => dawdle(5000), { once: true });
  addEventListener("load", () => setTimeout(() => { document.body.style.paddingTop = "20rem"; }, 99));
</script></head>"""


@functools.cache
def _body(path, change, packed):
    """What is sent for a file, compressed once for all who ask."""
    body = path.read_bytes()
    if change == "bare":
        body = OURS.sub("", body.decode()).encode()
    if change == "clumsy":
        body = body.replace(b"</head>", CLUMSY)
    return gzip.compress(body, 6) if packed else body


class _Handler(http.server.SimpleHTTPRequestHandler):
    """The site as a static host would send it: compressed, and silent; ?bare and ?clumsy change a page."""

    extensions_map = {**http.server.SimpleHTTPRequestHandler.extensions_map, ".woff2": "font/woff2"}  # noqa: RUF012

    def do_GET(self):
        path = Path(self.translate_path(self.path))
        if not path.is_file():
            return self.send_error(404)
        kind = self.guess_type(str(path))
        packed = kind.startswith("text/") or "javascript" in kind
        body = _body(path, self.path.rpartition("?")[2], packed)
        self.send_response(200)
        self.send_header("Content-Type", kind)
        if packed:
            self.send_header("Content-Encoding", "gzip")
        if "/_static/" in self.path:
            self.send_header("Cache-Control", "max-age=600")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(ConnectionError):  # the browser closed the page meanwhile
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def served_site():
    """The address of the built site on this machine."""
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), lambda *arguments: _Handler(*arguments, directory=str(SITE))
    )
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def until(holds, limit=30, pause=lambda ms: time.sleep(ms / 1000)):
    """Wait until a condition holds; TimeoutError after so many seconds."""
    end = time.monotonic() + limit
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError(f"not within {limit} s")
        pause(30)


class PlaywrightPage:
    """One page of Chromium or Firefox, with what went wrong on it."""

    def __init__(self, context):
        self.page = context.new_page()
        self.troubles = []
        self.page.on("console", lambda message: self._note(message.type == "error", f"console: {message.text}"))
        self.page.on("pageerror", lambda error: self._note(True, f"error: {error}"))
        local = ("file:", "blob:", "data:", "http://127.0.0.1")
        self.page.on("request", lambda request: self._note(not request.url.startswith(local), f"asked {request.url}"))

    def _note(self, bad, text):
        if bad:
            self.troubles.append(text)

    def open(self, url):
        self.page.goto(url)
        # Asked again and again from here: wait_for_function is eval, which pages with a bench forbid.
        until(lambda: self.page.evaluate(AWAKE), pause=self.page.wait_for_timeout)

    def run(self, script, argument=None):
        return self.page.evaluate(f"(argument) => {{ {script} }}", argument)

    def press(self, selector, key):
        self.page.locator(selector).press(key)


class WebKitPage:
    """The same for WebKit, which is driven by its own driver on a display without a screen."""

    def __init__(self, driver):
        self.driver = driver
        self.troubles = []  # this driver does not report the console

    def open(self, url):
        self.driver.get(url)
        WebDriverWait(self.driver, 20).until(lambda driver: driver.execute_script(f"return {AWAKE}"))

    def run(self, script, argument=None):
        return self.driver.execute_script(f"const argument = arguments[0]; {script}", argument)

    def press(self, selector, key):
        keys = {"ArrowLeft": Keys.ARROW_LEFT, "ArrowRight": Keys.ARROW_RIGHT}
        self.driver.find_element("css selector", selector).send_keys(keys[key])


AWAKE = "document.querySelectorAll('.live-view').length === document.querySelectorAll('.live-view[data-live]').length"


@contextlib.contextmanager
def webkit_driver():
    """A session of WebKitGTK's MiniBrowser."""
    mini_browser = sorted(Path("/usr/lib").glob("*/webkit2gtk-4.*/MiniBrowser"))
    if not mini_browser:
        raise FileNotFoundError("WebKit's MiniBrowser is not installed; run: sudo tools/install_system_packages.sh")
    display = subprocess.Popen(
        [program("Xvfb"), "-displayfd", "1", "-screen", "0", "1280x900x24"],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        number = display.stdout.readline().strip()
        options = webdriver.WebKitGTKOptions()
        options.binary_location = str(mini_browser[-1])
        options.add_argument("--automation")
        service = webdriver.WebKitGTKService(program("webkit"), env={**os.environ, "DISPLAY": f":{number}"})
        with warnings.catch_warnings():  # selenium calls itself in a way that it deprecates
            warnings.filterwarnings("ignore", "setting remote_server_addr", DeprecationWarning)
            driver = webdriver.WebKitGTK(options=options, service=service)
        try:
            yield driver
        finally:
            driver.quit()
    finally:
        display.terminate()
        display.wait()
        display.stdout.close()
