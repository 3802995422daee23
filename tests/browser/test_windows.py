"""A window that a test has used is as empty for the next as a new one."""

import pytest

# What a page can find out about the window that it is in.
KNOWS = """
const asks = { dark: '(prefers-color-scheme: dark)', calm: '(prefers-reduced-motion: reduce)',
               forced: '(forced-colors: active)', print: 'print' };
return {
  ...Object.fromEntries(Object.entries(asks).map(([name, ask]) => [name, matchMedia(ask).matches])),
  kept: [localStorage.length, sessionStorage.length, document.cookie, window.name],
  size: [innerWidth, innerHeight, devicePixelRatio, navigator.maxTouchPoints, scrollY],
  under: [...document.querySelectorAll(':hover')].map((node) => node.tagName),
  focus: document.activeElement.tagName,
};
"""
PAGE = "/book/glossary.html"


def known(opened, site):
    opened.open(site + PAGE)
    told = opened.run(KNOWS)
    told["may"] = opened.page.evaluate(
        "navigator.permissions.query({ name: 'clipboard-read' }).then((answer) => answer.state)"
    )
    told["databases"] = opened.page.evaluate("indexedDB.databases().then((all) => all.map((one) => one.name))")
    return told


@pytest.mark.parametrize("lasting", [{}, {"has_touch": True}, {"device_scale_factor": 4}])
def test_a_used_window_is_as_empty_as_a_new_one(windows, lasting):
    windows.free.pop(tuple(lasting.items()), None)
    used = windows.take(**lasting)
    new = known(used, windows.site)
    windows.give_back(used)
    dark = {"color_scheme": "dark", "reduced_motion": "reduce", "forced_colors": "active"}
    wide = {"viewport": {"width": 320, "height": 256}, "permissions": ["clipboard-read"]}
    assert windows.take(**lasting, **dark, **wide) is used
    before = known(used, windows.site)
    assert before["dark"] and before["calm"] and before["forced"] and before["may"] == "granted" != new["may"]
    used.run("localStorage.setItem('mode', 'dark'); sessionStorage.setItem('seen', 'yes'); document.cookie = 'a=b';")
    used.run("indexedDB.open('kept'); window.name = 'named'; console.error('a trouble');")
    used.page.mouse.move(100, 100)
    used.page.emulate_media(media="print")
    used.page.route("**/*", lambda route: route.abort())
    used.page.context.new_page()
    windows.give_back(used)
    assert windows.take(**lasting) is used
    assert known(used, windows.site) == new
    assert used.troubles == [] and used.page.context.pages == [used.page]
    windows.give_back(used)


def test_what_a_window_cannot_be_given_is_refused(windows):
    with pytest.raises(AssertionError, match=r"windows\.py .* \{'locale': 'de'\}"):
        windows.take(locale="de")
