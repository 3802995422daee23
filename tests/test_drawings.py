"""The figures of the site are drawings in the page's own colours; each belongs to the picture of the same run."""

import base64
import gzip
import re
from pathlib import Path

import drawings
import drawn
import nbformat
import pytest
from bs4 import BeautifulSoup

from focal_lib.lab.plots import NARROW

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb")) + sorted((ROOT / "notebooks" / "exercises").glob("*.ipynb"))
STORED = sorted(drawings.FOLDER.glob("*.svg"))
SITE = ROOT / "_build" / "html"
GRIDS = {"b0b0b0"}  # pale by day and by night
LIMIT = 250_000  # gzip bytes of a page's figures
ATTRIBUTES = {"class": "wide", "alt": "two &lt; three", "src": "_images/a.png"}
SVG = (
    '<svg viewBox="0 0 72 36" xmlns="http://www.w3.org/2000/svg"><metadata>#123456</metadata>\n'
    '<defs><style type="text/css">*{stroke-linejoin: round}</style></defs>\n'
    '<defs><path id="m1" style="stroke: #000000"/></defs>\n'
    '<g clip-path="url(#c1)"><use xlink:href="#m1" style="fill: #0072b2; stroke: #ffffff"/></g>\n'
    "<text style=\"font: oblique 700 10px 'DejaVu Sans', sans-serif; text-anchor: middle\">#0072b2</text></svg>"
)


def names(paths):
    """The names of the drawings that belong to the figures of notebooks."""
    found = [nbformat.read(path, as_version=4) for path in paths]
    figures = [data["image/png"] for notebook in found for data in drawings.pictures(notebook)]
    return {drawings.name_of(base64.b64decode(figure)) for figure in figures}


def points(svg):
    """How wide a drawing is, in points: 72 an inch."""
    return float(re.search(r'viewBox="0 0 ([\d.]+)', svg)[1])


def said(svg):
    """The words of a drawing, numbers apart: how many an axis has may differ."""
    words = {re.sub(r"<[^>]*>", "", text) for text in re.findall(r"<text.*?</text>", svg, flags=re.DOTALL)}
    return {word for word in words if re.search("[A-Za-z]", word)}


def test_each_figure_has_its_drawing_and_no_other_is_kept():
    assert len(STORED) > 15
    found = names(NOTEBOOKS)
    wide = {name for name in found if points((drawings.FOLDER / name).read_text("utf-8")) > 72 * NARROW[1] + 12}
    assert len(wide) > 5 and sum(len(said((drawings.FOLDER / name).read_text("utf-8"))) > 2 for name in wide) > 5
    found |= {drawings.narrow(name) for name in wide}
    assert {path.name for path in STORED} == found, "run: tools/run_notebooks.py"


@pytest.mark.parametrize("path", sorted(drawings.FOLDER.glob("*-narrow.svg")), ids=lambda path: path.stem)
def test_a_drawing_for_a_phone_is_narrow_and_says_the_same(path):
    svg = path.read_text("utf-8")
    assert points(svg) <= 72 * NARROW[0] + 12
    assert said(svg) == said(path.with_stem(path.stem.removesuffix("-narrow")).read_text("utf-8"))


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.stem)
def test_drawing_is_light_and_its_words_are_words(path):
    svg = path.read_text("utf-8")
    assert "<text" in svg and "<metadata" not in svg
    assert not re.search(r'<[^>]*[\s",(-]\d+\.\d{3}[^>]*>', re.sub(r'href="data:[^"]*"', "", svg))


def test_drawing_in_a_page_has_the_pages_colours_and_ids_of_its_own():
    element, colours = drawn.inlined(SVG, "figure-1-2", ATTRIBUTES, None)
    found = BeautifulSoup(element, "html.parser").svg
    assert (found["width"], found["height"], found["viewbox"]) == ("100", "50", "0 0 72 36")
    assert found["aria-label"] == "two < three" and found["class"] == ["drawn", "wide"]
    assert found.select("metadata, style") == [] and colours == {"0072b2"}
    assert "tabindex" not in found.attrs and 'tabindex="0"' in drawn.inlined(SVG, "figure-1", ATTRIBUTES, None, True)[0]
    assert found.path["id"] == "figure-1-2-m1" and found.path["style"] == "stroke: currentColor"
    assert found.use["xlink:href"] == "#figure-1-2-m1" and found.g["clip-path"] == "url(#figure-1-2-c1)"
    assert found.use["style"] == "fill: var(--c-0072b2,#0072b2); stroke: var(--paper)"
    text = found.find("text")
    assert text.string == "#0072b2"  # a word is not a colour
    assert text["style"] == "font-style: italic; font-weight: bold; font-size: 10px; text-anchor: middle"
    assert drawn.twins(colours).count("--c-0072b2: #4aa8e0;") == 1 and drawn.twins(set()) == ""


def colours_of(svg):
    return {
        (found[1] or found[2]) for part in re.findall(r'style="[^"]*"', svg) for found in drawn.COLOUR.finditer(part)
    }


def test_colours_keep_their_contrast_by_night():
    """3 : 1, WCAG's for what is not text."""
    used = set().union(*(colours_of(path.read_text("utf-8")) for path in STORED)) - {*drawn.INK, *drawn.PAPER}
    assert len(used) > 8
    for colour in used - GRIDS:
        assert drawn.contrast(drawn.by_night(colour), drawn.GROUND) >= 3, colour
    assert drawn.contrast("003a61", drawn.GROUND) < 3  # as it is by day, it would not be seen


def faint(svg):
    """Colours of words that are under 4.5 : 1, by day or by night."""
    fills = re.findall(r'<text[^>]*style="[^"]*\bfill: #([0-9a-f]{6})', svg)
    colours = {fill for fill in fills if fill not in {*drawn.INK, *drawn.PAPER}}
    day, night = (
        {c for c in colours if drawn.contrast(colour(c), ground) < 4.5}
        for colour, ground in ((str, "ffffff"), (drawn.by_night, drawn.GROUND))
    )
    return day | night


def test_words_in_colour_can_be_read_by_day_and_by_night():
    svgs = [path.read_text("utf-8") for path in STORED]
    assert sum(len(re.findall(r"<text[^>]*fill: #[0-9a-f]", svg)) > 0 for svg in svgs) >= 5
    assert set().union(*map(faint, svgs)) == set()
    assert faint('<text style="font: 10px sans-serif; fill: #289ccc">a</text>') == {"289ccc"}


@pytest.mark.parametrize("page", sorted(SITE.glob("notebooks/**/*.html")), ids=lambda page: page.stem)
def test_figures_of_a_page_keep_their_budget(page):
    text = page.read_text("utf-8")
    found = re.findall(r'<svg class="drawn.*?</svg>', text, flags=re.DOTALL)
    pictures = {Path(src).name for src in re.findall(r'<img [^>]*src="[^"]*_images/([^"]+)"', text)}
    packed = sum(len(gzip.compress(svg.encode())) for svg in found)
    assert packed + sum((SITE / "_images" / name).stat().st_size for name in pictures) <= LIMIT


def test_ids_of_a_page_are_unique():
    pages = sorted(SITE.glob("notebooks/*.html"))
    assert pages, "build the book first: make book"
    for page in pages:
        found = [
            thing["id"] for thing in BeautifulSoup(page.read_text("utf-8"), "html.parser").select("svg.drawn [id]")
        ]
        assert len(found) == len(set(found)), page
