"""Windows of Chromium that one test after another uses, each as empty as a new one."""

from engines import SITE, PlaywrightPage

# What a window cannot change once it is open; the rest is set anew for each test.
LASTING = ("has_touch", "is_mobile", "device_scale_factor")
WISHES = {"color_scheme": "light", "reduced_motion": "no-preference", "forced_colors": "none"}
EMPTY = "_static/favicon.svg"  # a page of the site that keeps nothing and runs nothing
FORGET = "window.name = ''; localStorage.clear(); sessionStorage.clear()"


class Windows:
    """The windows that no test uses at the moment, by their lasting options."""

    def __init__(self, browser, site):
        self.browser = browser
        self.site = site
        self.free = {}

    def take(self, viewport=None, permissions=(), **options):
        """A window with these options of a browser's context: PlaywrightPage without cookies, storage or troubles."""
        lasting = {key: options.pop(key) for key in LASTING if key in options}
        assert set(options) <= set(WISHES), f"say in windows.py how a window that is open is given {options}"
        kind = tuple(sorted(lasting.items()))
        waiting = self.free.setdefault(kind, [])
        opened = waiting.pop() if waiting else PlaywrightPage(self.browser.new_context(**lasting))
        opened.kind = kind
        opened.page.set_viewport_size(viewport or {"width": 1280, "height": 900})
        opened.page.emulate_media(media="screen", **{**WISHES, **options})
        opened.page.context.grant_permissions(list(permissions))
        return opened

    def give_back(self, opened):
        """Empty a window for the next test."""
        page = opened.page
        for other in page.context.pages:
            if other != page:
                other.close()
        page.unroute_all()
        page.mouse.move(-1, -1)  # or the next page would begin with something under the hand
        if page.url.startswith("file:"):
            page.goto((SITE / EMPTY).as_uri())
            page.evaluate(FORGET)
        page.goto(f"{self.site}/{EMPTY}")
        page.evaluate(FORGET)
        session = page.context.new_cdp_session(page)
        session.send("Storage.clearDataForOrigin", {"origin": self.site, "storageTypes": "all"})
        session.detach()
        page.context.clear_cookies()
        page.context.clear_permissions()
        opened.troubles.clear()
        self.free[opened.kind].append(opened)

    def close(self):
        for waiting in self.free.values():
            for opened in waiting:
                opened.page.context.close()
