"""The book on paper and as an e-book: one PDF and one EPUB made of the pages of the built site.

Run `make paper`; it needs the site (`make book`) and Chromium, which prints. The pages are those of the table of
contents but the API page, which is for looking things up. Each live view is there as its picture and its sentence.
"""

import argparse
import base64
import re
import sys
from pathlib import Path
from urllib.parse import unquote, urljoin, urlparse

import pikepdf
import yaml
from bs4 import BeautifulSoup
from ebooklib import epub
from playwright.sync_api import sync_playwright
from retarget import ROOT
from tqdm import tqdm

SITE = ROOT / "_build" / "html"
STYLE = (Path(__file__).parent / "paper.css").read_text("utf-8")
LEFT_OUT = ("book/api", "book/questions")  # the chapters ask the questions
SIZES = ("A4", "Letter")
# What is for a screen only: scripts, handles, folded set-up code, ways to run a cell, icons and thumbnails of links.
FURNITURE = (
    "script, style, .headerlink, .tag_hide-input > details.hide, .tag_remove-input, button, link, .needs-python > p, "
    "svg, .sd-summary-state-marker, details:is(.reveal, .room) > summary, .run-it, "
    "table.printed:has(svg) thead th:last-child, table.printed td:has(> svg)"
)


class CannotMake(Exception):
    """One sentence: what is missing, and how to get it."""


def pages():
    """The names of the pages in the order of the table of contents, as (part, page)."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text("utf-8"))

    def below(entries):
        for entry in entries:
            yield entry["file"]
            yield from below(entry.get("sections", []))

    yield None, toc["root"]
    for part in toc["parts"]:
        yield from ((part["caption"], page) for page in below(part["chapters"]) if page not in LEFT_OUT)


def article(page, known):
    """The article of a page, with addresses that hold in a book: its ids and links begin with the page's slug."""
    path = SITE / f"{page}.html"
    if not path.is_file():
        raise CannotMake(f"{path} is missing; build the site first: make book")
    found = BeautifulSoup(path.read_text("utf-8"), "html.parser").select_one("article")
    for thing in found.select(FURNITURE):
        thing.decompose()
    for summary in found.select("details > summary"):
        summary.name = "p"
        summary["class"] = "folded"
    for details in found.select("details"):
        details.name = "div"
        details.attrs.pop("open", None)
    for figure in found.select("figure, figcaption"):  # for Chromium a picture of its own, without words
        figure.name = "div" if figure.name == "figure" else "p"
    for thing in found.select("[id]"):
        thing["id"] = f"{slug(page)}--{thing['id']}"
    for link in found.select("a[href]"):
        link["href"] = inside(link["href"], page, known)
        if link["href"] is None:
            link.unwrap()
    for image in found.select("img"):
        if not image["src"].startswith("data:"):
            image["src"] = (path.parent / unquote(image["src"])).resolve().as_uri()
        picture_says(image)
    found.name = "section"
    found["class"] = "chapter"
    found["id"] = slug(page)
    return found


def picture_says(image):
    """Of a live view, the sentence stands below the picture: on paper nobody can move it."""
    view = image.find_parent(class_="live-view")
    if view is not None and image.get("alt"):
        view.append(BeautifulSoup('<p class="says"></p>', "html.parser"))
        view.select_one(".says").string = image["alt"]


def slug(page):
    return page.replace("/", "-").replace("_", "-")


def inside(address, page, known):
    """Where a link of a page leads in the book; None where that page is not in it."""
    if urlparse(address).scheme:
        return address
    target = urlparse(urljoin(f"{page}.html", address))
    name = target.path.removesuffix(".html")
    if name not in known:
        return None
    return f"#{slug(name)}--{target.fragment}" if target.fragment else f"#{slug(name)}"


def whole_book():
    """(title, part, page, article) of each page."""
    known = {page for _, page in pages()}
    for part, page in tqdm(list(pages()), "pages", leave=False):
        found = article(page, known)
        yield found.h1.get_text().strip(), part, page, found


def as_html(book, title):
    contents, body, last = [], [], None
    for name, part, page, found in book:
        if part != last:
            contents.append(f"<li class='part'>{part}</li>")
            last = part
        contents.append(f'<li><a href="#{slug(page)}">{name}</a></li>')
        body.append(str(found))
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{STYLE}</style></head>"
        f'<body><main><section class="chapter" id="contents"><h1>{title}</h1><h2>Contents</h2>'
        f"<ol class='contents'>{''.join(contents)}</ol></section>{''.join(body)}</main></body></html>"
    )


def print_pdf(book, title, output, size):
    """Print the pages with Chromium: tagged, with an outline, page numbers and links that work inside."""
    chromium = next((path for path in CHROMIUM if Path(path).exists()), None)
    if chromium is None:
        raise CannotMake("Chromium is missing, which prints the book; on Debian and Ubuntu: apt-get install chromium")
    source = output.with_suffix(".html")
    source.write_text(as_html(book, title), "utf-8")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(source.as_uri(), wait_until="load")
        # Page numbers come from the style: those of Chromium's own footer carry no tag.
        page.pdf(path=str(output), format=size, tagged=True, outline=True)
        browser.close()
    source.unlink()
    headings = [thing.get_text().strip() for _, _, _, found in book for thing in found.select("h1, h2, h3, h4, h5")]
    finish(output, {slug(page): name for name, _, page, _ in book}, headings, title)


def finish(path, titles, headings, title):
    """Add what PDF/UA asks for and Chromium leaves out: page numbers as decoration, words for links, metadata."""
    with pikepdf.open(path, allow_overwriting_input=True) as pdf:
        for page in pdf.pages:
            page.Contents = pdf.make_stream(pikepdf.unparse_content_stream(as_artifacts(page)))
            for link in page.get("/Annots", ()):
                if "/A" in link and "/URI" in link.A:
                    link.Contents = link.A.URI
                else:
                    place = str(link.get("/Dest", link.get("/A", {}).get("/D", ""))).lstrip("/").partition("--")[0]
                    link.Contents = f"To: {titles.get(place, 'Contents')}"
        with pdf.open_outline() as outline:  # where a heading breaks into two lines, Chromium loses the space
            respace(outline.root, {"".join(heading.split()): heading for heading in headings})
        with pdf.open_metadata(set_pikepdf_as_editor=False) as metadata:
            metadata["dc:title"], metadata["dc:language"], metadata["pdfuaid:part"] = title, ["en"], "1"
        pdf.save(path, min_version="1.7", object_stream_mode=pikepdf.ObjectStreamMode.generate)


def respace(items, headings):
    for item in items:
        item.title = headings.get("".join(item.title.split()), item.title)
        respace(item.children, headings)


def as_artifacts(page):
    """The drawing instructions of a page; text that belongs to no element, its page number, marked as decoration."""
    depth, mark = 0, pikepdf.ContentStreamInstruction
    for instruction in pikepdf.parse_content_stream(page):
        name = str(instruction.operator)
        depth += (name in ("BDC", "BMC")) - (name == "EMC")
        if name == "BT" and depth == 0:
            yield mark([pikepdf.Name.Artifact], pikepdf.Operator("BMC"))
        yield instruction
        if name == "ET" and depth == 0:
            yield mark([], pikepdf.Operator("EMC"))


def make_epub(book, title, output):
    """Write the EPUB: a chapter a page, the pictures beside them."""
    made = epub.EpubBook()
    made.set_identifier(yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["html"]["baseurl"])
    made.set_title(title)
    made.set_language("en")
    made.add_author("The authors of the book")
    for name, value in ACCESSIBLE:
        made.add_metadata(None, "meta", value, {"property": f"schema:{name}"})
    style = epub.EpubItem("style", "paper.css", "text/css", re.sub(r"@page .*\n", "", STYLE))  # a screen has no pages
    made.add_item(style)
    chapters, parts, pictures = [], {}, {}
    homes = {}
    for _, _, page, found in book:
        for thing in [found, *found.select("[id]")]:
            homes[thing["id"]] = f"{slug(page)}.xhtml"
    for name, part, page, found in book:
        for link in found.select('a[href^="#"]'):
            link["href"] = homes.get(link["href"][1:], "") + link["href"]
        for image in found.select("img"):
            image["src"] = add_picture(made, image["src"], pictures)
        chapter = epub.EpubHtml(title=name, file_name=f"{slug(page)}.xhtml", lang="en")
        chapter.content = f"<html><body>{found}</body></html>"
        if found.select_one("math"):
            chapter.properties.append("mathml")
        chapter.add_item(style)
        made.add_item(chapter)
        chapters.append(chapter)
        parts.setdefault(part, []).append(chapter)
    made.toc = [*parts.pop(None), *((epub.Section(part), found) for part, found in parts.items())]
    made.spine = ["nav", *chapters]
    made.add_item(epub.EpubNcx())
    made.add_item(epub.EpubNav())
    epub.write_epub(output, made)


def add_picture(made, source, pictures):
    """The place of a picture in the EPUB, from its address on this disk or from the data in it."""
    if source not in pictures:
        if source.startswith("data:"):
            kind, data = re.match(r"data:(image/[\w+]+);base64,(.*)", source, re.S).groups()
            data = base64.b64decode(data)
        else:
            path = Path(unquote(urlparse(source).path))
            kind, data = {".png": "image/png", ".svg": "image/svg+xml"}[path.suffix], path.read_bytes()
        pictures[source] = f"pictures/{len(pictures)}{'.svg' if 'svg' in kind else '.png'}"
        made.add_item(epub.EpubItem(file_name=pictures[source], media_type=kind, content=data))
    return pictures[source]


CHROMIUM = ("/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome")
ACCESSIBLE = (
    ("accessMode", "textual"),
    ("accessMode", "visual"),
    ("accessModeSufficient", "textual"),
    ("accessibilityFeature", "alternativeText"),
    ("accessibilityFeature", "MathML"),
    ("accessibilityFeature", "structuralNavigation"),
    ("accessibilityHazard", "none"),
    ("accessibilitySummary", "Every picture has a text alternative; formulas are MathML; live views are pictures."),
)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=SITE / "paper", help="the folder to write to")
    output = parser.parse_args().output
    title = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))["title"]
    try:
        book = list(whole_book())
        output.mkdir(parents=True, exist_ok=True)
        for size in SIZES:
            print_pdf(book, title, output / f"focal-loss-{size}.pdf", size)
        make_epub(book, title, output / "focal-loss.epub")
    except CannotMake as reason:
        sys.exit(str(reason))
    for path in sorted(output.iterdir()):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
