"""Every page for every reader: no errors, nothing from elsewhere, accessible, and whole when a view fails."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from engines import PlaywrightPage, built, live_pages, pages

PHONE = {"width": 390, "height": 844}
STATE = r'(<script type="application/vnd.jupyter.widget-state\+json">)(.*?)(</script>)'


@pytest.mark.parametrize("page", pages())
def test_page_is_accessible_and_quiet(open_page, page):
    opened = open_page(page, viewport=PHONE)
    for scheme in ("light", "dark"):
        opened.page.emulate_media(color_scheme=scheme)
        for width in (390, 1280):
            opened.page.set_viewport_size({"width": width, "height": 900})
            violations = Axe().run(opened.page).response["violations"]
            found = [(violation["id"], node["html"][:200]) for violation in violations for node in violation["nodes"]]
            assert found == [], (scheme, width)
    assert opened.troubles == []


def test_axe_finds_what_it_should(open_page):
    """The gate can fail: an unnamed slider is a violation."""
    opened = open_page(live_pages()[0])
    opened.run("document.querySelector('.live-slider label').remove()")
    assert "label" in [violation["id"] for violation in Axe().run(opened.page).response["violations"]]


@pytest.mark.parametrize("page", pages())
def test_page_works_from_a_file(chromium, page):
    context = chromium.new_context()
    opened = PlaywrightPage(context)
    opened.open(built(page).as_uri())
    assert opened.run("return [...document.querySelectorAll('.live-view')].every((v) => v.dataset.live === 'yes')")
    assert opened.troubles == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", live_pages())
def test_words_in_figures_have_contrast(open_page, page, scheme):
    """WCAG AA, 4.5 : 1, for the text that axe does not look at: SVG."""
    opened = open_page(page, color_scheme=scheme)
    poor = opened.run("""
      const channels = (color) => color.match(/[\\d.]+/g).map(Number);
      const light = (color) => channels(color).slice(0, 3).map((v) => v / 255)
        .map((v) => (v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
        .reduce((sum, v, k) => sum + v * [0.2126, 0.7152, 0.0722][k], 0);
      const behind = (node) => {
        if (node.matches('.live-on-plate')) return 'rgb(255, 255, 255)';
        for (let up = node; up; up = up.parentElement) {
          const color = getComputedStyle(up).backgroundColor;
          if (channels(color)[3] !== 0) return color;
        }
      };
      return [...document.querySelectorAll('.live svg text')].map((node) => {
        const [a, b] = [light(getComputedStyle(node).fill), light(behind(node))];
        return [node.textContent, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
      }).filter(([, ratio]) => !(ratio >= 4.5));
    """)
    assert opened.page.locator(".live svg text").count() >= 5
    assert poor == []


@pytest.mark.parametrize("page", live_pages())
def test_narrowest_phone_and_keyboard_alone(open_page, page):
    """At 320 px nothing sticks out; Tab reaches every control in order of sight, and each shows that it has focus."""
    opened = open_page(page, viewport={"width": 320, "height": 700})
    assert opened.run("return document.documentElement.scrollWidth") <= 320
    for view in opened.page.locator(".live-view").all():
        controls = view.evaluate("""(view) => {
          const radios = new Set();
          const all = [...view.querySelectorAll('input, button')];
          const reached = all.filter((node) => node.type !== 'radio' || node.checked);
          window.order = reached;
          return reached.length;
        }""")
        view.locator("input, button").first.focus()
        for k in range(controls):
            assert opened.run("return document.activeElement === window.order[argument]", k), k
            ring = opened.run("return getComputedStyle(document.activeElement).outlineStyle")
            assert ring == "solid"
            box = opened.run("const r = document.activeElement.getBoundingClientRect(); return [r.left, r.right]")
            assert box[0] >= 0 and box[1] <= 320
            opened.page.keyboard.press("Tab")


@pytest.mark.parametrize("page", live_pages())
def test_motion_only_for_those_who_want_it(open_page, page):
    """A preset walks to its value; with reduced motion it is there at once."""
    walk = """
      const button = document.querySelector('.live-presets button[aria-pressed=false]');
      if (!button) return null;
      button.click();
      return button.ariaPressed;
    """
    still, moving = (open_page(page, reduced_motion=wish).run(walk) for wish in ("reduce", "no-preference"))
    assert (still, moving) in [("true", "false"), (None, None)]


@pytest.mark.parametrize("page", live_pages())
def test_state_lives_in_the_address(open_page, page):
    """What a reader sets is in the address; the copied link brings exactly that view back, with controls hidden."""
    opened = open_page(page, permissions=["clipboard-read", "clipboard-write"], reduced_motion="reduce")
    for number, view in enumerate(opened.page.locator(".live-view").all()):
        for slider in view.locator("input[type=range]").all():
            slider.press("PageDown")
        for radio in view.locator("input[type=radio]").all():
            radio.check()
        seen = view.locator(".live-drawing").inner_html(), view.locator(".live-sentence").text_content()
        view.locator("[data-action=link]").click()
        view.get_by_text("Copied.").wait_for()
        link = opened.run("return navigator.clipboard.readText()")
        fragment = link[link.index("#") :]
        again = open_page(page, fragment, reduced_motion="reduce").page.locator(".live-view").nth(number)
        assert ids_off(again.locator(".live-drawing").inner_html()) == ids_off(seen[0])
        assert again.locator(".live-sentence").text_content() == seen[1]
        key = view.locator("input[type=range]").first.get_attribute("data-trait")
        name = re.match(r"#(\w+)\.", fragment)[1]
        bare = open_page(page, f"{fragment}&{name}.hide={key},reset").page.locator(".live-view").nth(number)
        assert bare.locator(".live-sentence").text_content() == seen[1]
        assert bare.locator(f"[data-trait={key}], [data-action=reset]").count() == 0
    opened.page.wait_for_timeout(500)
    assert opened.run("return location.hash").count(".hide=") == 0
    for view in json.loads(re.search(STATE, built(page).read_text(), re.S)[2])["state"].values():
        for key in view["state"]["_limits"]:
            assert f"{view['state']['name']}.{key}=" in opened.run("return location.hash")


def ids_off(html):
    return re.sub(r"live-stripes-\w+", "", html)


@pytest.mark.parametrize("page", live_pages())
def test_an_address_with_nonsense_changes_nothing(open_page, page):
    first = open_page(page).page.locator(".live-sentence").all_text_contents()
    names = re.findall(r'"name": "(\w+)"', built(page).read_text())
    nonsense = "&".join(
        f"{name}.{key}={value}"
        for name in names
        for key, value in {"gamma": "99", "p_t": "abc", "axis": "round", "round": "-1", "alpha": "", "x": "1"}.items()
    )
    opened = open_page(page, f"#{nonsense}")
    assert opened.page.locator(".live-sentence").all_text_contents() == first
    assert opened.troubles == []


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda state: state.clear(), id="no state"),
        pytest.param(lambda state: first(state).pop("_esm"), id="no code"),
        pytest.param(lambda state: first(state).update(_esm="export default {"), id="broken code"),
        pytest.param(lambda state: first(state).update(_tables={}), id="no numbers"),
        pytest.param(lambda state: first(state).pop("_limits"), id="no limits"),
        pytest.param(None, id="state is not JSON"),
        pytest.param("none", id="no state at all"),
    ],
)
def test_a_broken_view_says_so_and_shows_its_picture(open_page, damage):
    page = live_pages()[0]
    views = built(page).read_text().count('class="live-view')

    def break_it(opened):
        def answer(route):
            body = built(page).read_text()
            if damage == "none":
                body = re.sub(STATE, "", body, flags=re.S)
            elif damage is None:
                body = re.sub(STATE, r"\1{\3", body, flags=re.S)
            else:
                state = json.loads(re.search(STATE, body, re.S)[2])
                damage(state["state"])
                body = re.sub(STATE, lambda match: match[1] + json.dumps(state) + match[3], body, flags=re.S)
            route.fulfill(body=body, content_type="text/html")

        opened.route(re.compile(rf"{page}\.html"), answer)

    opened = open_page(page, prepare=break_it)
    broken = opened.page.locator(".live-view[data-live=no]")
    assert broken.count() >= 1
    for view in broken.all():
        assert view.locator(".live-failed").count() == 1
        assert re.fullmatch(
            r"This live view could not start .*; the picture shows its first state\.",
            view.locator(".live-failed").text_content(),
        )
        assert view.locator("> img").is_visible() and view.locator("input").count() == 0
    assert opened.page.locator(".live-view[data-live=yes]").count() == views - broken.count()
    assert opened.troubles == []


def first(state):
    return state[min(state)]["state"]


@pytest.mark.parametrize("page", live_pages())
def test_without_scripts_there_are_pictures(chromium, site, page):
    context = chromium.new_context(java_script_enabled=False)
    opened = context.new_page()
    opened.goto(f"{site}/{page}.html")
    pictures = opened.locator(".live-view > img")
    assert pictures.count() == opened.locator(".live-view").count() >= 1
    for picture in pictures.all():
        assert picture.is_visible() and len(picture.get_attribute("alt")) > 40
    context.close()


@pytest.mark.parametrize("page", pages())
def test_no_control_is_dead(open_page, page):
    """Outside live views the article has no control that a reader could move in vain."""
    opened = open_page(page)
    stray = opened.page.locator("article :is(input, select, textarea):not(.live *)")
    assert stray.count() == 0
    for note in opened.page.locator(".needs-python").all():
        assert note.get_by_role("link", name="Run it live").get_attribute("href").startswith("https://colab.")
