"""Real browsers on the built site: Chromium runs everything, Firefox and WebKit the liveness tests."""

import pytest
from engines import PlaywrightPage, WebKitPage, program, served_site, webkit_driver
from playwright.sync_api import sync_playwright
from windows import Windows


@pytest.fixture(scope="session")
def playwright():
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="session")
def chromium(playwright):
    browser = playwright.chromium.launch(executable_path=program("chromium"), args=["--no-sandbox"])
    yield browser
    browser.close()


@pytest.fixture(scope="session")
def site():
    with served_site() as address:
        yield address


@pytest.fixture(scope="session")
def windows(chromium, site):
    """The windows of Chromium that wait for the next test: a new one costs more than a page in it."""
    found = Windows(chromium, site)
    yield found
    found.close()


@pytest.fixture
def open_page(windows):
    """open_page(page, hash, **context options) -> PlaywrightPage on which every live view is awake."""
    taken = []

    def open_page(page, fragment="", prepare=None, **options):
        taken.append(windows.take(**options))
        if prepare:
            prepare(taken[-1].page)
        taken[-1].open(f"{windows.site}/{page}.html{fragment}")
        return taken[-1]

    yield open_page
    for opened in taken:
        windows.give_back(opened)


@pytest.fixture(scope="session")
def scriptless(chromium, site):
    """A page of a reader who lets no script run, from the server."""
    context = chromium.new_context(java_script_enabled=False, base_url=site)
    yield context.new_page()
    context.close()


@pytest.fixture(scope="session")
def check_page(chromium, site):
    """The page that checks a loss, for tests that write one and press Check: Python is loaded for the first only."""
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    page = PlaywrightPage(context)
    page.open(f"{site}/book/check.html")
    yield page
    context.close()


@pytest.fixture(scope="module", params=["chromium", "firefox", "webkit"])
def engine_page(request):
    """A page of each of the three engines."""
    if request.param == "webkit":
        with webkit_driver() as driver:
            yield WebKitPage(driver)
    elif request.param == "chromium":
        context = request.getfixturevalue("chromium").new_context()
        yield PlaywrightPage(context)
        context.close()
    else:  # an unpatched Firefox speaks WebDriver BiDi
        launcher = request.getfixturevalue("playwright").firefox
        browser = launcher.launch(channel="moz-firefox", executable_path=program("firefox"))
        yield PlaywrightPage(browser.new_context())
        browser.close()
