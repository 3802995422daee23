"""Every page for every reader: no errors, nothing from elsewhere, accessible, and whole when a view fails."""

import functools
import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from engines import CONTRAST, built, live_pages, pages, until

DARK = "return document.documentElement.dataset.theme === 'dark' && document.getAnimations().length === 0"
LIGHT = DARK.replace("dark", "light")
PHONE = {"width": 390, "height": 844}
STATE = r'(<script type="application/vnd.jupyter.widget-state\+json">)(.*?)(</script>)'


# Contrast is the slow rule of axe, and a page shows the same few colours thousands of times: of the words that look
# alike, on grounds that look alike, three are enough, and of what is hidden none. What lies over other things is looked
# at one by one.
THREE_OF_EACH_LOOK = """
const grounds = new Map([[document, '']]);
const ground = (node) => {
  if (!grounds.has(node)) {
    const style = getComputedStyle(node);
    const over = ['absolute', 'fixed'].includes(style.position) || style.backgroundImage !== 'none';
    const own = [style.backgroundColor, style.opacity, style.filter, style.mixBlendMode, over && Math.random()];
    grounds.set(node, ground(node.parentNode) + '/' + own);
  }
  return grounds.get(node);
};
const seen = new Map();
for (const node of document.querySelectorAll('body :not(script, style, svg *)')) {
  delete node.dataset.seen;
  const box = node.getBoundingClientRect();
  const words = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
  const control = node.matches('input, select, textarea');
  if ((!words && !control) || !node.checkVisibility({ checkVisibilityCSS: true })) node.dataset.seen = '';
  if (control || 'seen' in node.dataset || !box.width || box.left < 0 || box.right > innerWidth) continue;
  const style = getComputedStyle(node), off = node.closest(':disabled, [aria-disabled=true]') !== null;
  const look = [style.color, style.fontSize, style.fontWeight, style.textShadow, off, ground(node)].join('|');
  seen.set(look, (seen.get(look) ?? 0) + 1);
  if (seen.get(look) > 3) node.dataset.seen = '';
}
axe.configure({ rules: [{ id: 'color-contrast', selector: ':not([data-seen])' }] });
"""


# What a page shows but for its colours: its elements with their attributes, words, places and whether they are seen.
SHAPE = """
const round = (numbers) => numbers.map((number) => number.toFixed(1));
const parts = [...document.body.querySelectorAll('*')].map((node) => {
  const { x, y, width, height } = node.getBoundingClientRect();
  const attributes = [...node.attributes].filter(({ name }) => !['style', 'data-seen'].includes(name));
  return [node.tagName, ...attributes.map(({ name, value }) => name + value), node.scrollWidth, node.scrollHeight,
          node.checkVisibility({ checkVisibilityCSS: true, checkOpacity: true }), ...round([x, y, width, height])];
});
const before = window.shape;
window.shape = JSON.stringify([parts, document.body.textContent]);
return before === window.shape;
"""
COLOURS = ["color-contrast", "link-in-text-block"]


def violations(opened):
    """What axe-core finds on a page as it is now: (rule, start of the element).

    Where it looked before and nothing but colours has changed since, only the rules for colours can find more.
    """
    if opened.run("return typeof axe") == "undefined":
        opened.page.evaluate(Axe().axe_script)
    only = {"runOnly": {"type": "rule", "values": COLOURS}} if opened.run(SHAPE) else {}
    opened.run(THREE_OF_EACH_LOOK)
    # Style sheets are left out, since the one rule that asks for them is experimental and does not run.
    options = {"resultTypes": ["violations"], "preload": {"assets": ["media"]}, **only}
    found = opened.page.evaluate("(options) => axe.run(options).then((results) => results.violations)", options)
    return [(violation["id"], node["html"][:200]) for violation in found for node in violation["nodes"]]


@pytest.mark.parametrize("page", pages())
def test_page_is_accessible_and_quiet(windows, page):
    """On a phone and on a desk, by day and by night; once from a server and once from a file.

    Each width is a visit of its own, because the theme decides while a page loads which boxes scroll.
    """
    for address, width in ((f"{windows.site}/{page}.html", 390), (built(page).as_uri(), 1280)):
        opened = windows.take(viewport={"width": width, "height": 900}, color_scheme="light")
        opened.open(address)
        assert opened.run("return [...document.querySelectorAll('.live-view')].every((v) => v.dataset.live === 'yes')")
        assert opened.troubles == []  # asked before axe runs: it looks for style sheets of its own
        assert violations(opened) == [], ("light", width)
        opened.page.emulate_media(color_scheme="dark")
        # The theme changes a moment later, and buttons fade to their new colour.
        until(functools.partial(opened.run, DARK), pause=opened.page.wait_for_timeout)
        assert violations(opened) == [], ("dark", width)
        windows.give_back(opened)


def test_axe_finds_what_it_should(open_page):
    """The gate can fail: an unnamed slider, and words and tokens in grey on grey, are violations."""
    opened = open_page("notebooks/02_loss_curve")
    opened.run("""
      document.querySelector('.live-slider label').remove();
      const style = 'color: #777 !important; background: #888 !important';
      document.querySelector('article p').style.cssText = style;
      for (const token of document.querySelectorAll('.highlight pre span')) token.style.cssText = style;
    """)
    found = violations(opened)
    assert "label" in dict(found)
    assert {html[:3] for rule, html in found if rule == "color-contrast"} >= {"<p ", "<sp"}


def test_axe_looks_again_at_what_only_the_night_shows(open_page):
    """And, where nothing but colours change, at colours: a picture without words, then words in grey on grey."""
    opened = open_page("book/glossary", color_scheme="light")
    assert violations(opened) == []
    for rule, hurt in (
        ("color-contrast", "article p { color: #777 !important; background: #888 !important }"),
        ("image-alt", "article > img { display: block !important }"),
    ):
        opened.page.emulate_media(color_scheme="light")
        until(functools.partial(opened.run, LIGHT), pause=opened.page.wait_for_timeout)
        opened.run("document.querySelector('article').prepend(document.createElement('img'))")
        style = "article > img { display: none; width: 9px; height: 9px }"
        style += f" @media (prefers-color-scheme: dark) {{ {hurt} }}"
        sheet = "Object.assign(document.createElement('style'), { id: 'hurt', textContent: argument })"
        opened.run(f"document.head.append({sheet})", style)
        assert violations(opened) == []
        opened.page.emulate_media(color_scheme="dark")
        until(functools.partial(opened.run, DARK), pause=opened.page.wait_for_timeout)
        assert {found for found, _ in violations(opened)} == {rule}
        opened.run("document.querySelectorAll('article > img, #hurt').forEach((one) => one.remove())")


@pytest.mark.parametrize("page", ["notebooks/09_detection", "book/speed"])
def test_the_panels_of_a_wide_figure_stack_on_a_phone_and_it_opens_alone(open_page, page):
    opened = open_page(page, viewport=PHONE)
    figure = opened.page.locator("article svg.narrow").first
    wide = opened.page.locator("article svg.wide").first
    assert figure.is_visible() and not wide.is_visible()
    assert figure.bounding_box()["width"] <= PHONE["width"]
    opened.page.set_viewport_size({"width": 1280, "height": 900})
    assert wide.is_visible() and not figure.is_visible()
    opened.page.set_viewport_size(PHONE)
    figure.click()
    opened.page.wait_for_url(re.compile(r"/_images/[^/]+\.(png|svg)$"))


def test_all_code_is_shown_by_one_switch_that_the_book_remembers(open_page):
    opened = open_page("notebooks/02_loss_curve")
    folds = opened.page.locator("article .cell details")
    assert folds.count() > 3 and not any(fold.get_attribute("open") == "" for fold in folds.all())
    opened.page.get_by_role("button", name="Show all code").click()
    assert all(fold.get_attribute("open") == "" for fold in folds.all())
    opened.open(opened.page.url.replace("02_loss_curve", "03_class_weights"))
    assert all(fold.get_attribute("open") == "" for fold in opened.page.locator("article .cell details").all())


@pytest.mark.parametrize("page", live_pages())
def test_words_in_figures_have_contrast(open_page, page):
    """WCAG AA, 4.5 : 1, for the text that axe does not look at: SVG."""
    opened = open_page(page)
    views = opened.page.locator(".live-view").all()
    assert views and all(view.locator(".live :is(svg text, ol li)").count() >= 3 for view in views)
    for scheme in ("light", "dark"):
        opened.page.emulate_media(color_scheme=scheme)
        assert opened.run(POOR_CONTRAST) == [], scheme


POOR_CONTRAST = (
    CONTRAST
    + """
const behind = (node) => {
  if (node.matches('.live-on-plate')) return 'rgb(255, 255, 255)';
  for (let up = node; up; up = up.parentElement) {
    const color = getComputedStyle(up).backgroundColor;
    if (channels(color)[3] !== 0) return color;
  }
};
return [...document.querySelectorAll('.live svg text')]
  .map((node) => [node.textContent, contrast(getComputedStyle(node).fill, behind(node))])
  .filter(([, ratio]) => !(ratio >= 4.5));
"""
)


@pytest.mark.parametrize("page", live_pages())
def test_keyboard_alone_on_the_narrowest_phone(open_page, page):
    """Tab reaches every control in order of sight, each within 320 px, and each shows that it has the focus."""
    opened = open_page(page, viewport={"width": 320, "height": 700})
    for view in opened.page.locator(".live-view").all():
        controls = view.evaluate("""(view) => {
          const radios = new Set();
          for (const folded of view.querySelectorAll('details')) folded.open = true;
          const all = [...view.querySelectorAll('input, button, summary')];
          const reached = all.filter((node) => node.type !== 'radio' || node.checked);
          window.order = reached;
          return reached.length;
        }""")
        opened.run("window.order[0].focus()")
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
    press = """
      const button = document.querySelector('.live-presets button[aria-pressed=false]');
      button?.click();
      return button?.ariaPressed;
    """
    opened = open_page(page)
    pressed = {}
    for wish in ("reduce", "no-preference"):
        opened.page.emulate_media(reduced_motion=wish)
        pressed[wish] = opened.run(press)
    assert pressed in ({"reduce": "true", "no-preference": "false"}, {"reduce": None, "no-preference": None})


@pytest.mark.parametrize("page", live_pages())
def test_the_address_sets_nothing_that_a_control_could_not(open_page, page):
    """A word that every object of JavaScript knows is no value: the link to the view does not repeat it."""
    views = json.loads(re.search(STATE, built(page).read_text(), re.S)[2])["state"].values()
    words = [f"{view['state']['name']}.{key}=constructor" for view in views for key in view["state"]["_limits"]]
    opened = open_page(page, "#" + "&".join(words), permissions=["clipboard-read", "clipboard-write"])
    for view in opened.page.locator(".live-view").all():
        view.locator("[data-action=link]").click()
        view.get_by_text("Copied.").wait_for()
        link = opened.run("return navigator.clipboard.readText()")
        assert "constructor" not in link and "function" not in link, link


@pytest.mark.parametrize("page", live_pages())
def test_state_lives_in_the_address(open_page, page):
    """What a reader sets is in the address; the copied link brings exactly that view back, with controls hidden."""
    opened = open_page(page, permissions=["clipboard-read", "clipboard-write"], reduced_motion="reduce")
    for number, view in enumerate(opened.page.locator(".live-view").all()):
        for slider in view.locator("input[type=range]").all():
            slider.press("PageDown")
        for folded in view.locator(".live-more summary").all():
            folded.click()
        for choice in view.locator("input:is([type=radio], [type=checkbox])").all():
            choice.check()
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
    views = json.loads(re.search(STATE, built(page).read_text(), re.S)[2])["state"].values()
    written = [f"{view['state']['name']}.{key}=" for view in views for key in view["state"]["_limits"]]
    # The address follows when the hand rests, some tenths of a second later.
    there = "return argument.every((part) => location.hash.includes(part))"
    until(lambda: opened.run(there, written), pause=opened.page.wait_for_timeout)
    assert ".hide=" not in opened.run("return location.hash")


def ids_off(html):
    """Without ids that are made anew; attributes in one order, because a view keeps its elements and changes them."""
    parts = r' [\w:-]+="[^"]*"'
    in_order = re.sub(f"(?:{parts})+", lambda tag: "".join(sorted(re.findall(parts, tag[0]))), html)
    return re.sub(r"live-stripes-\w+", "", in_order)


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
def test_without_scripts_there_are_pictures(scriptless, page):
    scriptless.goto(f"/{page}.html")
    pictures = scriptless.locator(".live-view > img")
    assert pictures.count() == scriptless.locator(".live-view").count() >= 1
    for picture in pictures.all():
        assert picture.is_visible() and len(picture.get_attribute("alt")) > 40
