"""What a reader can do with a page of prose: see all of it, answer its questions, bet before the answer, find bugs."""

import re
from urllib.parse import quote_plus

import pytest
from engines import CONTRAST, pages
from playwright.sync_api import Locator, expect

WIDTHS = (320, 390, 768, 1280, 1440)
# Boxes whose content is wider than they are, and words that stick out of the window. A figure may be wider than a
# phone: it scrolls in its own box, at a size at which its words can be read; so may a table of five columns and more.
CUT = """
const found = [];
for (const details of document.querySelectorAll('article details')) details.open = true;
const kinds = 'article :is(pre, table, p, li, dd, div.printed, .text_html, .question)';
for (const node of document.querySelectorAll(kinds)) {
  const box = node.getBoundingClientRect();
  if (!box.width || node.closest('.live, .bench, math, mjx-container') || node.querySelector('img, .drawn')) continue;
  const table = node.closest('table') ?? node.querySelector('table');
  if (innerWidth < 600 && table?.querySelector('th:nth-child(5)')) continue;
  const wide = node.scrollWidth - node.clientWidth > 1 && getComputedStyle(node).overflowX !== 'visible';
  const out = box.right > innerWidth + 1;
  if (wide || out) found.push([node.tagName, node.className, node.textContent.trim().slice(0, 40)]);
}
return found;
"""
# How high are the words of drawings on the screen, figures and live views alike? An index counts with its word.
WORDS = """
for (const details of document.querySelectorAll('article details')) details.open = true;
const high = (node) => parseFloat(getComputedStyle(node).fontSize);
return [...document.querySelectorAll('article svg text')]
  .filter((text) => text.textContent.trim() && text.getBoundingClientRect().width)
  .map((text) => {
    const own = Math.max(high(text), ...[...text.querySelectorAll('tspan')].map(high));
    return [text.textContent.trim().slice(0, 40), own * Math.abs(text.getScreenCTM().d || text.getScreenCTM().b)];
  })
  .filter(([, size]) => !(size >= 9));
"""
# Words of drawings with too little contrast, and shapes that are light boxes in a dark page.
UNFIT = f"""{CONTRAST}
const ground = getComputedStyle(document.body).backgroundColor;
const filled = (kind) => [...document.querySelectorAll(kind)].map((node) => [node, getComputedStyle(node).fill]);
const words = filled('svg.drawn text').filter(([, fill]) => contrast(fill, ground) < 4.5);
const boxes = filled('svg.drawn path')
  .filter(([, fill]) => fill !== 'none' && light(ground) < 0.1 && light(fill) > 0.9);
return [...words.map(([node]) => node.textContent), ...boxes.map(([node]) => node.outerHTML)];
"""
# Words of headings and contents that stand on two lines.
BROKEN = """
const found = [];
for (const node of document.querySelectorAll('article :is(h1, h2, h3, h4), .page-toc a')) {
  const walker = document.createTreeWalker(node, NodeFilter.SHOW_TEXT);
  for (let text; (text = walker.nextNode());) {
    for (const word of text.data.matchAll(/[\\p{L}\\p{N}]+/gu)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      const tops = [...range.getClientRects()].filter((box) => box.width).map((box) => box.top);
      if (new Set(tops).size > 1) found.push(word[0]);
    }
  }
}
return found;
"""
# Names of lines, which are words in colour, that lie on a line, on a marker or on other words; and figures that scroll.
COVERED = """
for (const details of document.querySelectorAll('article details')) details.open = true;
const found = [], place = (node) => node.getBoundingClientRect();
const at = (x, y) => ({ left: x, right: x, top: y, bottom: y });
for (const drawing of document.querySelectorAll('svg.drawn')) {
  if (!drawing.checkVisibility()) continue;
  const room = drawing.closest('.cell_output, figure').clientWidth;
  if (place(drawing).width > room + 1) found.push(`scrolls: ${place(drawing).width} in ${room}`);
  const words = [...drawing.querySelectorAll('text')].filter((text) => text.textContent.trim());
  const names = words.filter((text) => text.style.fill.startsWith('var('));
  const things = words.map((text) => [text, place(text)]);
  const markers = [...drawing.querySelectorAll('g[clip-path] > use')].filter((use) => place(use).width < 30);
  things.push(...markers.map((marker) => [marker, place(marker)]));
  for (const path of names.length ? drawing.querySelectorAll('path[clip-path]') : []) {
    const style = getComputedStyle(path);
    if (style.fill !== 'none' || style.strokeOpacity < 1 || !path.getAttribute('d')) continue;  // a shade, the grid
    for (let way = 0; way <= path.getTotalLength(); way += 2) {
      const { x, y } = path.getPointAtLength(way).matrixTransform(path.getScreenCTM());
      things.push([path, at(x, y)]);
    }
  }
  for (const name of names) {
    const own = place(name), spare = own.height / 6;  // a box of words is higher than its letters
    for (const [thing, { left, right, top, bottom }] of things) {
      const aside = left >= own.right || right <= own.left, below = top + spare >= own.bottom - spare;
      if (thing === name || aside || below || bottom - spare <= own.top + spare) continue;
      found.push(`${name.textContent.trim()} on ${thing.textContent.trim() || thing.tagName}`);
    }
  }
}
return [...new Set(found)];
"""
CHAPTERS = [page for page in pages() if page.startswith("notebooks/0") or page.startswith("notebooks/1")]


@pytest.mark.parametrize("page", pages())
def test_nothing_one_reads_is_cut_off(open_page, page):
    opened = open_page(page)
    for width in WIDTHS:
        opened.page.set_viewport_size({"width": width, "height": 900})
        assert opened.run(CUT) == [], width
        assert opened.run("return document.documentElement.scrollWidth") <= width


# JavaScript: of each line of code that wraps, how far from its box what goes on begins.
SET_IN = r"""
return [...document.querySelectorAll('article .cell_input pre')].filter((pre) => pre.offsetWidth).flatMap((pre) => {
  const walker = document.createTreeWalker(pre, NodeFilter.SHOW_TEXT), range = document.createRange();
  const lines = [[]];
  while (walker.nextNode())
    for (const { 0: piece, index } of walker.currentNode.data.matchAll(/\n|[^\n]+/g)) {
      range.setStart(walker.currentNode, index);
      range.setEnd(walker.currentNode, index + piece.length);
      if (piece === '\n') lines.push([]); else lines.at(-1).push(...range.getClientRects());
    }
  const after = lines.map((rects) => rects.filter((one) => one.width && one.top - rects[0].top > 8));
  const left = pre.getBoundingClientRect().left;
  return after.filter((rects) => rects.length).map((rects) => Math.min(...rects.map((one) => one.left)) - left);
});
"""


def test_what_wraps_in_code_does_not_begin_where_a_statement_does(open_page):
    opened = open_page("notebooks/exercises/01_one_number", viewport={"width": 390, "height": 844})
    margin = "return parseFloat(getComputedStyle(document.querySelector('article .cell_input pre')).paddingLeft)"
    assert len(opened.run(SET_IN)) > 3 and min(opened.run(SET_IN)) > opened.run(margin) + 10
    flat = "article pre, article pre * { text-indent: 0 !important; padding-left: 0 !important }"
    opened.run("document.head.append(Object.assign(document.createElement('style'), { textContent: argument }))", flat)
    assert min(opened.run(SET_IN)) < 2  # the gate can fail


def test_what_is_cut_off_is_found(open_page):
    """The gate can fail."""
    opened = open_page("notebooks/02_loss_curve", viewport={"width": 390, "height": 844})
    opened.run("document.querySelector('article pre').style.cssText = 'white-space: pre !important; width: 6rem'")
    assert opened.run(CUT) != []


@pytest.mark.parametrize("width", [390, 1280, 1440])  # beside wide pages stand their contents
@pytest.mark.parametrize("page", ["book/api", "book/claims", "notebooks/06_bug_museum", "notebooks/07_diagnose"])
def test_no_word_of_a_heading_is_broken(open_page, page, width):
    assert open_page(page, viewport={"width": width, "height": 900}).run(BROKEN) == []


def test_a_broken_word_is_found(open_page):
    """The gate can fail."""
    shown = open_page("book/claims", viewport={"width": 390, "height": 844})
    shown.run("document.querySelector('article h1').style.width = '2rem'")
    assert "claim" in shown.run(BROKEN)


@pytest.mark.parametrize("width", [320, 390, 1280, 1440])
@pytest.mark.parametrize("page", ["05_left_behind", "09_nobody_asked", "10_wrong_side", "16_block_by_block"])
def test_lines_in_the_editor_are_seen_whole(open_page, page, width):
    shown = open_page(f"notebooks/exercises/{page}", viewport={"width": width, "height": 900})
    shown.page.locator("textarea.bench-area").first.wait_for()
    assert shown.run("const a = document.querySelector('.bench-area'); return a.scrollWidth - a.clientWidth") == 0
    # As many rows as the gutter counts.
    rows = shown.run("return document.querySelector('.bench-numbers').textContent.split('\\n').length - 1")
    high = "const a = document.querySelector('.bench-area'); a.style.height = '0'; return a.scrollHeight / parseFloat("
    assert 0 <= shown.run(f"{high} getComputedStyle(a).lineHeight)") - rows < 1.5


@pytest.mark.parametrize("width", [390, 1440])
def test_an_interval_in_a_cell_is_never_broken(open_page, width):
    shown = open_page("book/speed", viewport={"width": width, "height": 900})
    lines = r"""
        return [...document.querySelectorAll('td')].filter((cell) => /\d–\d/.test(cell.innerText))
          .map((cell) => cell.querySelector('.whole')?.getClientRects().length)
    """
    found = shown.run(lines)
    assert len(found) > 40 and set(found) == {1}


@pytest.mark.parametrize("page", pages())
def test_words_in_pictures_can_be_read_on_a_phone(open_page, page):
    opened = open_page(page, viewport={"width": 390, "height": 844})
    assert opened.run(WORDS) == []


def test_words_of_a_picture_that_shrank_are_found(open_page):
    opened = open_page("notebooks/01_imbalance", viewport={"width": 390, "height": 844})
    opened.run("document.querySelector('svg.drawn').style.cssText += '; min-width: 0; width: 200px'")
    assert opened.run(WORDS) != []


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("page", [*CHAPTERS, "book/speed"])
def test_names_of_lines_stand_on_nothing_and_no_figure_scrolls(open_page, page, width):
    opened = open_page(page, viewport={"width": width, "height": 900})
    assert opened.run(COVERED) == []


def test_a_name_that_moved_onto_a_line_is_found(open_page):
    opened = open_page("notebooks/02_loss_curve", viewport={"width": 390, "height": 844})
    opened.run("""
      const drawing = document.querySelector('svg.drawn'), all = [...drawing.querySelectorAll('text, path')];
      const [first, second] = all.filter((one) => one.tagName === 'text' && one.style.fill.startsWith('var('));
      const line = all.find((one) => one.matches('[clip-path]') && one.style.strokeWidth === '2');
      const { x, y } = line.getPointAtLength(line.getTotalLength() / 2);
      first.setAttribute('transform', '');
      first.setAttribute('x', x - 5);
      first.setAttribute('y', y + 3);
      second.after(second.cloneNode(true));
      drawing.style.minWidth = '50rem';
    """)
    kinds = {words.partition(" on ")[2] or words.partition(":")[0] for words in opened.run(COVERED)}
    assert kinds >= {"scrolls", "path", "γ = 2"}


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", CHAPTERS)
def test_figures_stand_on_the_pages_ground(open_page, page, scheme):
    """Pictures that are no drawings are those of live views and of what needs Python."""
    opened = open_page(page, color_scheme=scheme)
    assert opened.run(UNFIT) == []
    assert opened.page.locator("article .cell_output img:not(.live-view img, .needs-python img)").count() == 0


def test_a_figure_of_another_look_is_found(open_page):
    opened = open_page("notebooks/01_imbalance", color_scheme="dark")
    opened.run("document.querySelector('svg.drawn text').style.fill = '#333'")
    opened.run("document.querySelector('svg.drawn path').style.fill = '#fff'")
    assert len(opened.run(UNFIT)) == 2


def test_a_figure_has_a_number_a_caption_and_an_address(open_page):
    opened = open_page("notebooks/01_imbalance")
    number = opened.page.locator("figcaption .figure-number").first
    assert number.text_content().startswith("Figure 1.1 ") and len(number.text_content()) > 30
    assert number.locator("a").first.get_attribute("href") == "#" + number.get_attribute("id")


SHOWN = """() => [...document.querySelectorAll("section[id^='of-'] .question")].filter((q) => q.checkVisibility())
    .map((q) => q.closest("section").id)"""


def test_an_answer_is_taken_with_one_tap_and_kept(open_page):
    opened = open_page("notebooks/02_loss_curve", "#q-owners")
    question = opened.page.locator("#q-owners")  # it lies in a fold, which its address opens
    wrong = question.locator("details.answer:not(.right)").first
    wrong.locator("summary").click()
    assert wrong.locator("p").is_visible() and wrong.locator("p").inner_text().startswith("No.")
    question.locator("details.answer.right summary").press("Enter")  # the keyboard does it too
    assert question.locator("details.answer.right p").is_visible()
    opened.open(opened.page.url.replace("notebooks/02_loss_curve", "book/questions"))
    score = opened.page.locator(".question-score")
    everything = opened.page.locator(".question").count()
    assert score.text_content() == f"{everything} questions, 1 answered, 0 of them right at once."
    opened.page.get_by_role("button", name="Begin anew").click()
    opened.page.locator("#q-owners details.answer.right summary").click()
    opened.page.get_by_role("button", name="Only those").click()
    assert opened.page.locator(".question:visible").count() == everything - 1
    opened.page.get_by_label("Chapter", exact=True).select_option("Chapter 11")
    assert set(opened.page.evaluate(SHOWN)) == {"of-11_calibration"}


def test_answers_unfold_without_a_script(scriptless):
    scriptless.goto("/book/questions.html")
    scriptless.locator("#q-half details.right summary").click()
    assert scriptless.locator("#q-half details.right p").is_visible()


@pytest.mark.parametrize("phone", [True, False])
def test_right_code_is_two_taps_from_the_first_page_and_so_is_an_exercise(open_page, phone):
    hand = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True} if phone else {}
    opened = open_page("book/index", permissions=["clipboard-read", "clipboard-write"], **hand)
    page, press = opened.page, (Locator.tap if phone else Locator.click)
    press(page.locator(".sd-card").filter(has_text="Paste the right code"))
    copy = page.locator("#right-code button.copybtn, #right-code-to-paste button.copybtn").first
    if not phone:
        copy.locator("xpath=..").hover()
    expect(copy).to_be_in_viewport()
    expect(copy).to_have_css("opacity", "1")
    press(copy)
    assert "def focal_loss" in page.evaluate("navigator.clipboard.readText()")
    page.go_back()
    press(page.locator(".sd-card").filter(has_text="Hunt bugs"))
    first = page.locator("article").get_by_role("link", name="One number for all").first
    expect(first).to_be_in_viewport(ratio=1)  # without hunting
    press(first)
    expect(page).to_have_title(re.compile("One number for all"))


def test_a_bet_comes_before_its_answer(open_page):
    opened = open_page("notebooks/01_imbalance")
    fold = opened.page.locator("details.reveal").first
    answer = fold.get_by_text("balanced accuracy  0.500")
    assert not answer.is_visible()
    fold.locator("summary").first.click()
    assert answer.is_visible()


def test_the_search_finds_bugs_by_symptom_and_by_code(open_page):
    for words, bug in (("alpha same", "alpha_unused"), ("torch.log(p_t", "log_of_softmax")):
        opened = open_page("search", f"?q={quote_plus(words)}")
        found = opened.page.locator(f'.search-bugs a[href$="#{bug}"]')
        assert found.count() == 1, (words, opened.page.locator(".search-bugs").all_inner_texts())


@pytest.mark.parametrize("kind", ["primary", "secondary"])
@pytest.mark.parametrize("page", ["notebooks/exercises/01_one_number", "book/decisions"])
def test_the_buttons_of_the_contents_open_them_on_a_phone(open_page, kind, page):
    opened = open_page(page, viewport={"width": 390, "height": 844})
    is_open = f"return document.querySelector('#pst-{kind}-sidebar-modal').open"
    assert not opened.run(is_open)
    opened.page.locator(f"button.{kind}-toggle:visible").click()
    assert opened.run(is_open)
    assert opened.page.locator(f"#pst-{kind}-sidebar-modal a:visible").count()
    opened.page.keyboard.press("Escape")
    assert not opened.run(is_open)


def test_the_button_of_the_contents_hides_them_on_a_wide_screen(open_page):
    opened = open_page("notebooks/02_loss_curve", viewport={"width": 1280, "height": 900})
    side = opened.page.locator("#pst-primary-sidebar")
    expect(side).to_be_visible()
    for seen in (False, True):  # it slides
        opened.page.locator("button.primary-toggle:visible").click()
        expect(side).to_be_visible(visible=seen)
