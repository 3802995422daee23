"""On the site every control does something: keyboard in three engines over file://, mouse and touch in Chromium."""

import pytest
from engines import built, live_pages

CONTROLS = """
return [...document.querySelectorAll('.live-view')].map((view, v) => {
  view.id = `view-${v}`;
  return {
    alive: view.dataset.live === 'yes' && view.checkVisibility(),
    picture: view.querySelector(':scope > img').checkVisibility(),
    ranges: [...view.querySelectorAll('input[type=range]')].map((range, r) => {
      range.id ||= `range-${v}-${r}`;
      const low = Number(range.value) === Number(range.min);
      return { selector: `#${range.id}`, low, visible: range.checkVisibility() };
    }),
  };
});
"""
LOOK = """
const view = document.querySelector(argument).closest('.live-view');
return [view.querySelector('.live-drawing').innerHTML, view.querySelector('.live-sentence').textContent];
"""


@pytest.mark.parametrize("page", live_pages())
def test_keyboard_moves_every_range_and_changes_what_is_seen(engine_page, page):
    engine_page.open(built(page).as_uri())
    views = engine_page.run(CONTROLS)
    assert views and all(view["alive"] and not view["picture"] for view in views)
    for range_ in [range_ for view in views for range_ in view["ranges"]]:
        before = engine_page.run(LOOK, range_["selector"])
        assert range_["visible"]
        engine_page.press(range_["selector"], "ArrowRight" if range_["low"] else "ArrowLeft")
        drawing, sentence = engine_page.run(LOOK, range_["selector"])
        assert drawing != before[0] and sentence != before[1], range_["selector"]
    assert engine_page.troubles == []


@pytest.mark.parametrize("page", live_pages())
@pytest.mark.parametrize("hand", ["mouse", "finger"])
def test_mouse_and_finger_move_every_range(open_page, page, hand):
    opened = open_page(page, has_touch=hand == "finger", viewport={"width": 390, "height": 844})
    for range_ in [range_ for view in opened.run(CONTROLS) for range_ in view["ranges"]]:
        before = opened.run(LOOK, range_["selector"])
        handle = opened.page.locator(range_["selector"])
        handle.scroll_into_view_if_needed()
        box = handle.bounding_box()
        value, y = handle.input_value(), box["y"] + box["height"] / 2
        for share in (0.3, 0.7):  # a range of few steps may stand at the first of these already
            if handle.input_value() == value:
                press = opened.page.touchscreen.tap if hand == "finger" else opened.page.mouse.click
                press(box["x"] + share * box["width"], y)
        drawing, sentence = opened.run(LOOK, range_["selector"])
        assert drawing != before[0] and sentence != before[1], range_["selector"]
    assert opened.troubles == []


@pytest.mark.parametrize("page", live_pages())
def test_the_point_can_be_dragged_along_the_curve(open_page, page):
    opened = open_page(page)
    for drawing in opened.page.locator(".live-drag svg[role=img]").all():
        drawing.scroll_into_view_if_needed()
        view = drawing.locator("xpath=ancestor::*[contains(@class, 'live-view')]")
        slider = view.locator("input[data-trait=p_t], input[data-trait=q]")
        box = drawing.bounding_box()
        opened.page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 80)
        opened.page.mouse.down()
        first = slider.input_value()
        opened.page.mouse.move(box["x"] + 0.6 * box["width"], box["y"] + 120, steps=4)
        opened.page.mouse.up()
        assert 0.1 < float(first) < 0.4 < float(slider.input_value()) < 0.8


@pytest.mark.parametrize("page", live_pages())
def test_every_button_and_choice_does_something(open_page, page):
    """Each preset, suspect, radio button and checkbox, pressed while it is off, changes the view and is on."""
    opened = open_page(page, reduced_motion="reduce")
    for folded in opened.page.locator(".live-more summary").all():
        folded.click()
    for view in opened.page.locator(".live-view").all():
        for control in view.locator("button[aria-pressed], input:is([type=radio], [type=checkbox])").all():
            if is_on(control):
                continue
            before = view.locator(".live").inner_html()
            control.click()
            assert is_on(control) and view.locator(".live").inner_html() != before
        view.locator("[data-action=reset]").click()
    assert opened.troubles == []


def is_on(control):
    return control.evaluate("node => node.checked ?? node.ariaPressed === 'true'")


# Tries the choices, the ends of each range and every suspect; says where controls stood, and the view's own height.
PLACES = """
const places = [];
const note = (view) => {
  const live = view.querySelector('.live'), top = live.getBoundingClientRect().top;
  const stand = (node) => Math.round(node.getBoundingClientRect().top - top);
  places.push([view.classList[1], [...live.querySelectorAll('input, button')].map(stand), live.offsetHeight,
               parseFloat(getComputedStyle(view).minHeight)]);
};
for (const view of document.querySelectorAll('.live-view')) {
  note(view);
  for (const choice of [null, ...view.querySelectorAll('input:is([type=radio], [type=checkbox])')]) {
    choice?.click();
    for (const range of choice?.type === 'checkbox' ? [] : view.querySelectorAll('input[type=range]')) {
      for (const value of [range.min, range.max, (Number(range.min) + Number(range.max)) / 2]) {
        range.value = value;
        range.dispatchEvent(new Event('input'));
        note(view);
      }
    }
  }
  for (let k = 0; view.querySelector('.live-suspects') && k < 10; k++) {
    for (const suspect of view.querySelectorAll('.live-suspects button')) { suspect.click(); note(view); }
    view.querySelector('[data-action=next]').click();
    note(view);
  }
}
return places;
"""
TOUCH = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.mark.parametrize("hand", ["mouse", "finger"])
@pytest.mark.parametrize("page", live_pages())
def test_nothing_moves_away_from_the_hand(open_page, page, hand):
    """Whatever a view says and draws, its controls stay, and so does the text below it."""
    opened = open_page(page, reduced_motion="reduce", **(TOUCH if hand == "finger" else {}))
    assert moved(opened.run(PLACES)) == []


def moved(places):
    first, found = {}, set()
    for kind, stands, high, room in places:
        for name, values in (("controls", stands), ("height", [high])):
            before = first.setdefault((kind, name), values)
            # The last round's button has other words, and a list of suspects other heights.
            if len(before) == len(values) and any(abs(a - b) > 12 for a, b in zip(before, values, strict=True)):
                found.add(f"{kind}: its {name} move; give its words and drawing their room in shared.css (--lines)")
        if high > room + 1:
            found.add(f"{kind}: say in book.css that .live-view.{kind} is {high} px high")
    return sorted(found)


def test_a_view_that_grows_is_found(open_page):
    opened = open_page("notebooks/02_loss_curve", reduced_motion="reduce")
    opened.run("document.head.append(Object.assign(document.createElement('style'), "
               "{ textContent: '.live-BatchShare .live-sentence { min-height: 0 !important }' }))")  # fmt: skip
    opened.run("document.querySelector('.live-view.LossCurve').style.minHeight = '99px'")
    found = moved(opened.run(PLACES))
    assert [line.partition(":")[0] for line in found] == ["BatchShare", "BatchShare", "LossCurve"]


# How many elements a step of a range puts into a view, at most, and how many bare texts into what is there: both make
# the browser match the page's style anew.
INSERTED = """
const found = {};
for (const view of document.querySelectorAll('.live-view')) {
  const seen = new MutationObserver(() => {});
  seen.observe(view, { childList: true, subtree: true });
  for (const range of view.querySelectorAll('input[type=range]')) {
    for (const part of [0.3, 0.35, 0.4, 0.6, 0.62]) {
      range.value = Number(range.min) + part * (range.max - range.min);
      range.dispatchEvent(new Event('input', { bubbles: true }));
      const added = seen.takeRecords().flatMap((record) => [...record.addedNodes]);
      const below = (node) => (node.querySelectorAll ? 1 + node.querySelectorAll('*').length : 0); // itself counted
      const most = found[view.classList[1]] ??= { elements: 0, texts: 0 };
      most.elements = Math.max(most.elements, added.reduce((sum, node) => sum + below(node), 0));
      most.texts = Math.max(most.texts, added.filter((node) => node.nodeType === Node.TEXT_NODE).length);
    }
  }
}
return found;
"""


@pytest.mark.parametrize("page", live_pages())
def test_a_step_keeps_the_nodes_that_are_there(open_page, page):
    """A step may add the label of a slice that has grown; it draws nothing anew."""
    inserted = open_page(page).run(INSERTED)
    assert inserted and all(most["elements"] <= 12 and most["texts"] == 0 for most in inserted.values()), inserted


@pytest.mark.parametrize("page", live_pages())
def test_reset_brings_the_first_state_back(open_page, page):
    opened = open_page(page, reduced_motion="reduce")
    first = opened.page.locator(".live-sentence").all_text_contents()
    for slider in opened.page.locator(".live-slider input").all():
        slider.press("ArrowRight" if slider.input_value() == slider.get_attribute("min") else "ArrowLeft")
    assert all(a != b for a, b in zip(first, opened.page.locator(".live-sentence").all_text_contents(), strict=True))
    for button in opened.page.locator("[data-action=reset]").all():
        button.click()
    assert opened.page.locator(".live-sentence").all_text_contents() == first
