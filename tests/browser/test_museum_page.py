"""The museum's page: its wall, the marks in its code, the right code as a diff, and the way from the game to it."""

from engines import built, pages

from focal_lib.bugs import CATALOGUE


def test_the_wall_of_bugs_can_be_searched(open_page):
    opened = open_page("notebooks/06_bug_museum")
    frames = opened.page.locator(".gallery a")
    everything = frames.count()
    opened.page.get_by_label("Find a bug").fill("weights nothing")
    seen = [frame for frame in frames.all() if frame.is_visible()]
    assert 0 < len(seen) < everything
    assert opened.page.locator(".wall-count").text_content() == f"{len(seen)} of {everything} bugs"
    target = seen[0].get_attribute("href")
    seen[0].click()
    assert opened.run("return location.hash") == target
    card = opened.page.locator(".exhibit-card")
    assert card.is_visible() and card.locator("h3").text_content().strip().rstrip("#") in seen[0].text_content()
    assert card.locator(".highlight mark").count() and card.get_by_text("The fix.").is_visible()
    assert card.locator(".mend :is(del, ins)").first.is_visible()
    opened.page.keyboard.press("Escape")
    assert not card.is_visible()
    opened.page.get_by_label("Find a bug").fill("")
    opened.page.get_by_label("What you see").select_option(label="NaN or infinity, after a while")
    opened.page.get_by_label("Room").select_option(index=4)
    assert 0 < opened.page.locator(".gallery a:visible").count() < len(seen) + 10
    opened.page.get_by_label("Room").select_option(index=0)
    opened.page.get_by_label("What you see").select_option(index=0)
    for check in opened.page.get_by_label("What finds it").locator("option").all()[1:]:  # none finds nothing
        opened.page.get_by_label("What finds it").select_option(label=check.text_content())
        assert 0 < opened.page.locator(".gallery a:visible").count() < everything / 2, check.text_content()


def test_the_fault_is_marked_and_the_right_code_is_a_diff_without_any_script(scriptless):
    """No mark is of colour alone, and the diff says in words what its signs are."""
    scriptless.goto("notebooks/06_bug_museum.html")
    fixes = scriptless.locator("details:has(> summary:text-is('Right code'))")
    marked = scriptless.locator(".cell_output pre:has(mark)")
    assert fixes.count() == marked.count() == len(CATALOGUE)
    by_name = {pre.text_content().strip(): pre for pre in marked.all()}
    twice = by_name[CATALOGUE["softmax_twice"].code.strip()].locator("mark")
    assert twice.all_text_contents() == [".softmax(1)"]
    assert "inset" in twice.evaluate("node => getComputedStyle(node).boxShadow")
    fix = fixes.filter(has_text="def softmax_twice")
    assert [fix.locator(f"pre {kind}").all_text_contents() for kind in ("del", "ins")] == [
        ["    ce = cross_entropy(input.softmax(1), target)\n"],
        ["    ce = cross_entropy(input, target)\n"],
    ]
    for kind, words in (("del", "taken away"), ("ins", "put in")):
        before = "node => getComputedStyle(node, '::before').content"
        assert words in fix.locator(f"pre {kind}").evaluate(before)


def test_a_diff_is_copied_as_right_code(open_page):
    opened = open_page("notebooks/06_bug_museum", "#softmax_twice", permissions=["clipboard-read", "clipboard-write"])
    fix = opened.page.locator("details:has(> summary:text-is('Right code'))").filter(has_text="def softmax_twice")
    fix.locator("summary").click()
    fix.locator("pre").hover()
    fix.locator("button.copybtn").click()
    copied = opened.page.evaluate("() => navigator.clipboard.readText()")
    assert copied.strip() == CATALOGUE["softmax_twice"].mended.strip()


def test_which_bug_leads_to_the_exhibit(open_page):
    opened = open_page("notebooks/06_bug_museum")
    view = opened.page.locator(".live-WhichBug")
    link = view.locator(".live-exhibit")
    assert not link.is_visible()  # before an answer it would be a hint
    suspect = view.locator("button[data-option=B]")
    suspect.click()
    assert link.get_attribute("aria-label").removeprefix("See the exhibit: ") in suspect.text_content()
    opened.page.wait_for_function("location.hash.includes('chosen=')")  # the view keeps its state there, a moment later
    link.focus()
    opened.page.keyboard.press("Enter")
    opened.page.wait_for_function("!location.hash.includes('=')")  # the view's own state stood there
    id = opened.run("return location.hash").removeprefix("#")
    assert CATALOGUE[id].title in suspect.text_content()
    assert opened.page.locator(f"h3:text-is('{CATALOGUE[id].title}')").first.is_visible()
    view.locator("button[data-action=next]").click()
    assert not link.is_visible()


def test_a_table_in_markdown_is_a_table(scriptless):
    """On every page; the one that a cell returns is read as plain Markdown, without tables, unless the cell says so."""
    assert [page for page in pages() if "|---" in built(page).read_text("utf-8")] == []
    scriptless.goto("notebooks/06_bug_museum.html")
    fold = scriptless.locator("details:has(> summary:text-is('Every bug, and all the checks that find it'))")
    assert fold.locator("tbody tr").count() == len(CATALOGUE)
