"""The bench of an exercise on a phone: minus signs, long lines, old verdicts, what is kept, and innocent code."""

import pytest
from engines import built, until
from test_bench import EXERCISE, FIXED, TAP, press, write

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "color_scheme": "light"}
SUSPECTED = "notebooks/exercises/06_suspicious_names"
SECTION = "section[aria-label^='{}']".format
FIELDS = "return [...document.querySelectorAll(argument + ' input')].map((one) => one.checked || one.value)"


@pytest.fixture
def phone(open_page):
    """open_page on a phone."""
    return lambda page: open_page(page, **PHONE)


def answer(page, part):
    return page.run("return document.querySelector(argument + ' .bench-answer:last-child').innerText", SECTION(part))


def test_every_keyboard_has_a_minus(phone):
    """The number pads that inputmode asks for have none on an iPhone."""
    page = phone("notebooks/exercises/09_nobody_asked")
    modes = page.run("return [...document.querySelectorAll('.bench input[type=text]')].map((one) => one.inputMode)")
    assert len(modes) >= 5 and set(modes) <= {"", "text"}


def test_the_editor_of_a_phone(phone):
    page = phone("notebooks/exercises/03_exponent")
    area = page.page.locator(SECTION("Fix") + " textarea")
    shown = "const a = document.querySelector('textarea'), c = document.createElement('canvas').getContext('2d');"
    shown += " c.font = getComputedStyle(a).font; return (a.clientWidth - 20) / c.measureText('0').width"
    assert page.run(shown) >= 36  # letters
    assert page.run("return parseFloat(getComputedStyle(document.querySelector('textarea')).fontSize)") >= 16  # no zoom
    area.focus()
    page.page.keyboard.press("Control+End")
    lines = area.input_value().count("\n") + 1
    page.page.keyboard.type("    x = 1  # " + "a long line " * 8)
    page.page.keyboard.press("Enter")
    page.page.keyboard.type("z")
    # Long lines wrap; what is seen is a copy in colours, and must lie row by row below what is typed.
    assert page.run("const a = document.querySelector('textarea'); return a.scrollWidth - a.clientWidth") == 0
    paint, typed, numbers = page.run("""
        const high = (one) => one.getBoundingClientRect().height;
        const area = document.querySelector('textarea'), paint = document.querySelector('.bench-paint');
        area.style.height = '0';
        const heights = [paint.scrollHeight, area.scrollHeight];
        area.style.height = '';
        return [...heights, document.querySelector('.bench-numbers').textContent];""")
    assert abs(paint - typed) < 2
    assert numbers.count("\n") == round((typed - 16) / 24) > lines + 3 and numbers.rstrip().endswith(f"\n{lines + 1}")
    page.page.keyboard.press("Enter")
    page.page.keyboard.type("    y")
    for text in ("        ", "    ", ""):
        page.page.keyboard.press("Backspace")
        assert area.input_value().rpartition("\n")[2] == text
    assert page.troubles == []


def test_code_that_is_right_is_said_to_be_so(phone):
    page = phone(SUSPECTED)
    assert "no fault" in page.run("return document.querySelector(argument).innerText", SECTION("Fix"))
    said, _ = press(page, SECTION("Fix"))  # nothing is changed, and Python is not even asked
    assert "nothing yet" in said and page.run("return focalBench.times.python") is None
    write(page, "fixed_loss = none", SECTION("Fix"))
    assert 'Write "none", in quotes.' in press(page, SECTION("Fix"))[0]
    page.page.get_by_role("button", name="Nothing to mend").tap()
    page.page.locator(SECTION("Fix") + " .bench-answer").filter(has_text="✓ Right.").wait_for(timeout=60_000)
    page.open(page.page.url.replace(SUSPECTED, EXERCISE))
    page.page.get_by_role("button", name="Nothing to mend").tap()
    page.page.locator(SECTION("Fix") + " .bench-answer").filter(has_text="✗ There is some").wait_for(timeout=60_000)


def test_an_answer_is_old_once_something_changed(phone):
    page = phone(EXERCISE)
    press(page, SECTION("Expose"))
    assert answer(page, "Expose").startswith("✗ Both give")
    page.page.get_by_role("button", name="+ row").tap()
    assert answer(page, "Expose").startswith("Before your last change: ✗ Both give")
    page.page.locator(SECTION("Expose") + " td input").nth(2).fill("7")
    said, _ = press(page, SECTION("Expose"))
    assert "Before" not in said and "○ A right loss refuses" in said and "dict" not in said


def test_errors_of_a_fix_help(phone):
    page = phone(EXERCISE)
    write(page, FIXED.replace('reduction="none"', "reduction=none"), SECTION("Fix"))
    said, _ = press(page, SECTION("Fix"))
    assert "NameError in line 2" in said and 'Write "none", in quotes.' in said and "adapter" not in said
    write(page, FIXED.replace("    return", "   return"), SECTION("Fix"))
    assert "line 3: unindent" in press(page, SECTION("Fix"))[0]
    write(page, FIXED + "print(fixed_loss(torch.zeros(2, 3), torch.tensor([0, 1])).shape)\n", SECTION("Fix"))
    said, _ = press(page, SECTION("Fix"))
    assert "✓ Right." in said and "It printed:\ntorch.Size([])" in said
    link = page.page.locator(SECTION("Fix") + " .bench-answer a")  # the exhibit that it names is one tap away
    assert link.get_attribute("href") == "../06_bug_museum.html#mean_before_pt"
    assert page.page.locator("main p", has_text="Evidence is a dict").is_hidden()  # here there are fields


def test_ticks_and_tables_are_kept_until_they_are_erased(phone):
    page = phone(EXERCISE)
    page.run(TAP, {"where": SECTION("Predict") + " input", "which": [0, 2]})
    for name in ("+ row", "+ class"):
        page.page.get_by_role("button", name=name).tap()
    page.page.locator(SECTION("Expose") + " td input").nth(1).fill("-1,5")
    page.page.locator("#bench-gamma").fill("3")
    page.page.reload()
    assert page.run(FIELDS, SECTION("Predict"))[:3] == [True, "B", True]
    assert page.run(FIELDS, SECTION("Expose")) == ["0", "-1,5", "0", "0", "0", "0", "0", "0", "3", "", "on"]
    page.page.get_by_role("button", name="Erase progress").tap()
    page.page.get_by_role("button", name="Erase all of it? Tap again").tap()
    page.page.reload()
    assert page.run(FIELDS, SECTION("Predict"))[:3] == ["A", "B", "C"]
    assert page.run(FIELDS, SECTION("Expose"))[:3] == ["0", "0", "0"] and page.troubles == []


def test_python_starts_with_the_first_tap(phone):
    page = phone(EXERCISE)
    assert page.run("return document.querySelectorAll('.bench-status:not([hidden])').length") == 0
    page.page.locator(SECTION("Expose") + " td input").first.tap()
    until(lambda: page.run("return focalBench.times.library"), 90, page.page.wait_for_timeout)


def test_nothing_covers_the_answers(phone):
    page = phone(EXERCISE)
    page.page.mouse.wheel(0, 3000)
    page.page.wait_for_timeout(300)
    assert not page.page.locator("#pst-back-to-top").is_visible()
    assert "bench.css" in built(EXERCISE).read_text()


def test_the_list_of_exercises_knows_what_is_solved(phone):
    """And it stands at the start of its page, before the worked hunt."""
    page = phone("book/exercises")
    assert "✓" not in page.run("return document.querySelector('main table').innerText")
    progress = "{'01_one_number': ['predict', 'expose', 'fix'], '09_nobody_asked': ['predict']}"
    page.run(f"localStorage.setItem('focal-bench:progress', JSON.stringify({progress}))")
    page.page.reload()
    rows = page.page.locator("main table tr")
    told = [row for row in rows.all_inner_texts() if "✓ solved" in row or "(1 of 3)" in row]
    assert [row.split(".")[0].strip() for row in told] == ["1", "9"] and "✓ solved" in told[0]
    headings = page.run("return [...document.querySelectorAll('main article h2')].map((one) => one.textContent)")
    assert headings[0].startswith("The exercises") and page.troubles == []
