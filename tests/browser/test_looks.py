"""Looks that a reader's system asks for: four times as large, and with its own few colours."""

import pytest
from engines import live_pages, pages
from test_pages import POOR_CONTRAST

# 1280 x 1024 at 400 %, as WCAG 1.4.10 counts it.
ZOOMED = {"viewport": {"width": 320, "height": 256}, "device_scale_factor": 4}

# The focused control is what is seen in its middle: no bar that stays on the screen lies over it.
IN_SIGHT = """
const box = document.activeElement.getBoundingClientRect();
const top = document.elementFromPoint(box.x + box.width / 2, box.y + box.height / 2);
return document.activeElement.contains(top) || document.activeElement.closest("label")?.contains(top) || false;
"""


def unlike(opened):
    """The chosen button of each row of presets, and whether it looks unlike the others without its colour."""
    return opened.run("""
      const look = (button) => { const s = getComputedStyle(button); return s.outlineStyle + s.borderStyle; };
      return [...document.querySelectorAll(".live-presets button[aria-pressed=true]")].map((chosen) => {
        const others = [...chosen.parentElement.querySelectorAll("button[aria-pressed=false]")];
        return others.every((button) => look(button) !== look(chosen));
      });
    """)


@pytest.mark.parametrize("page", pages())
def test_at_400_percent_nothing_sticks_out(open_page, page):
    """Nor on the narrowest phone, as wide as that. No control is moved in vain (some have tests of their own)."""
    opened = open_page(page, **ZOOMED)
    assert opened.run("return document.documentElement.scrollWidth") <= 320
    tested = ".live *, .wall-filter *, .question-tools *, .bench *"
    stray = opened.page.locator(f"article :is(input, select, textarea):not({tested})")
    assert stray.count() == 0
    for note in opened.page.locator(".needs-python").all():
        assert note.get_by_role("link", name="Run it live").get_attribute("href").startswith("https://colab.")


@pytest.mark.parametrize("page", live_pages())
def test_at_400_percent_the_focus_stays_in_sight(open_page, page):
    opened = open_page(page, **ZOOMED)
    for control in opened.page.locator(".live :is(input, button)").all():
        if control.is_visible():
            control.focus()
            assert opened.run(IN_SIGHT), control.evaluate("node => node.outerHTML")


def test_a_bar_over_the_focus_is_found(open_page):
    opened = open_page("notebooks/02_loss_curve", **ZOOMED)
    opened.page.locator(".live input").first.focus()
    assert opened.run(IN_SIGHT)
    opened.run("""
      const bar = document.body.appendChild(document.createElement("div"));
      bar.style.cssText = "position: fixed; inset: 0; z-index: 99999; background: white";
    """)
    assert not opened.run(IN_SIGHT)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("page", live_pages())
def test_forced_colours_hide_nothing(open_page, page, scheme):
    """Words keep their contrast, and what is chosen is told apart by more than a colour."""
    opened = open_page(page, forced_colors="active", color_scheme=scheme)
    assert opened.run("return matchMedia('(forced-colors: active)').matches")
    assert opened.run(POOR_CONTRAST) == []
    assert all(unlike(opened))


def test_words_and_choices_that_forced_colours_hide_are_found(open_page):
    opened = open_page("notebooks/02_loss_curve", forced_colors="active", color_scheme="dark")
    assert unlike(opened) and all(unlike(opened))
    opened.run("""
      const style = document.head.appendChild(document.createElement("style"));
      style.textContent = ".live svg text { fill: #111 !important; } .live button { outline: none !important; }";
    """)
    assert opened.run(POOR_CONTRAST) != []
    assert not any(unlike(opened))
