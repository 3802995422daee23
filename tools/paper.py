"""The book on paper and as an e-book: one PDF and one EPUB made of the pages of the built site.

Run `make paper`; it needs the site (`make book`) and Chromium, which prints. The pages are those of the table of
contents but the API page, which is for looking things up. Each live view is there as its picture and its sentence.
"""

import argparse
import base64
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlparse

try:
    import pikepdf
    import yaml
    from ebooklib import epub
    from on_paper import BACK, article, back_matter, number_of, slug
    from pdf_tags import finish
    from playwright.sync_api import sync_playwright
    from retarget import ROOT
    from tqdm import tqdm
except ModuleNotFoundError as missing:
    name = (missing.name or "a package").partition(".")[0]
    sys.exit(f"{name} is missing, which makes the book on paper; this installs it: make paper")

SITE = ROOT / "_build" / "html"
STYLE = (Path(__file__).parent / "paper.css").read_text("utf-8")
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text("utf-8"))
LEFT_OUT = ("book/api", "book/questions")  # the chapters ask the questions
SIZES = ("A4", "Letter")
FONT = ROOT / "book" / "static" / "fonts" / "STIXTwoMath.woff2"  # the site's, for headings and formulas
FONTS = ("DejaVu Serif", "DejaVu Sans", "DejaVu Sans Mono")  # those of text and code; Chromium prints what it finds


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


def whole_book():
    """(title, part, page, article) of each page, and of the answers and hints behind them."""
    known, answers, names = {page for _, page in pages()}, [], {}
    for part, page in tqdm(list(pages()), "pages", leave=False):
        path = SITE / f"{page}.html"
        if not path.is_file():
            raise CannotMake(f"{path} is missing; build the site first: make book")
        found, apart = article(path, page, known, CONFIG["html"]["baseurl"])
        names[page] = found.h1.get_text().strip()
        answers += [(page, group, elements) for group, elements in apart]
        yield names[page], part, page, found
    found = back_matter(answers, names)
    yield found.h1.get_text(), "At the end", BACK, found


def as_html(book, title, numbers):
    """The book as one page of HTML; `numbers` are the pages of the places that it names, as far as known."""
    contents, body, last = [], [], None
    for name, part, page, found in book:
        if part != last:
            contents.append(f"<li class='part'>{part}</li>")
            last = part
        contents.append(f'<li><a href="#{slug(page)}">{name}</a> {number_of(slug(page))}</li>')
        body.append(str(found))
    style = STYLE.replace("fonts/STIXTwoMath.woff2", FONT.as_uri())
    whole = (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title><style>{style}</style>'
        f'</head><body><main><section class="chapter" id="contents"><h1>{title}</h1><h2>Contents</h2>'
        f"<ol class='contents'>{''.join(contents)}</ol><p>{NOTE}</p></section>{''.join(body)}</main></body></html>"
    )
    said = "<span class='page-of'>\u00a0(page\u00a0{})</span>"
    return PAGE_OF.sub(lambda found: said.format(padded(numbers.get(found[1], 0))), whole)


def padded(number):
    """Three places wide, whatever the number: the second print must break its lines where the first one did."""
    return str(number).rjust(3, "\u2007")


def print_pdf(book, title, output, size):
    """Print the pages with Chromium: tagged, with an outline, page numbers and links that work inside."""
    chromium = next((path for path in CHROMIUM if Path(path).exists()), None)
    if chromium is None:
        raise CannotMake("Chromium is missing, which prints the book; on Debian and Ubuntu: apt-get install chromium")
    need_fonts()
    source = output.with_suffix(".html")
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        numbers = {}
        for _ in range(2):  # the second time with the numbers of the pages that the first one found
            source.write_text(as_html(book, title, numbers), "utf-8")
            page.goto(source.as_uri(), wait_until="load")
            # Page numbers come from the style: those of Chromium's own footer carry no tag.
            page.pdf(path=str(output), format=size, tagged=True, outline=True)
            numbers = page_numbers(output)
        browser.close()
    source.unlink()
    headings = [thing.get_text().strip() for _, _, _, found in book for thing in found.select("h1, h2, h3, h4, h5")]
    finish(output, {slug(page): name for name, _, page, _ in book}, headings, title)


def need_fonts():
    """Refuse to print in whatever letters there are: the signs of the book are not in each font."""
    if not FONT.is_file():
        raise CannotMake(f"{FONT} is missing, the font of the formulas; bring it back: git checkout -- {FONT}")
    for name in FONTS:
        try:
            found = subprocess.run(["fc-list", name, "family"], capture_output=True, text=True).stdout
        except FileNotFoundError:
            raise CannotMake("fc-list is missing, which names the fonts; apt-get install fontconfig") from None
        if not found.strip():
            raise CannotMake(f"The font {name} is missing; on Debian and Ubuntu: apt-get install fonts-dejavu-core")


def page_numbers(path):
    """The number of the page of each place that a link inside leads to, counted from 1."""
    with pikepdf.open(path) as pdf:
        number = {page.objgen: k for k, page in enumerate(pdf.pages, 1)}
        return {name.lstrip("/"): number[place[0].objgen] for name, place in pdf.Root.get("/Dests", {}).items()}


def make_epub(book, title, output):
    """Write the EPUB: a chapter a page, the pictures beside them."""
    made = epub.EpubBook()
    made.set_identifier(CONFIG["html"]["baseurl"])
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
    made.add_item(epub.EpubItem("font", "fonts/STIXTwoMath.woff2", "font/woff2", FONT.read_bytes()))
    for name, part, page, found in book:
        for thing in found.select(".lines, .page-of, .on-paper"):  # a screen is not written on, and has no numbers
            thing.decompose()
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
    name_language(output)


def name_language(output):
    """Say in which language the titles of the package are, which EbookLib does not."""
    with zipfile.ZipFile(output) as archive:
        files = [(entry, archive.read(entry)) for entry in archive.infolist()]
    with zipfile.ZipFile(output, "w") as archive:  # each file as it was packed: the first one may not be compressed
        for entry, content in files:
            if entry.filename.endswith(".opf"):
                content = content.replace(b"<package ", b'<package xml:lang="en" ', 1)
            archive.writestr(entry, content)


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


def link_beside():
    """The pages of the site that link to the published files link to those beside them: no network is needed."""
    for _, page in pages():
        path = SITE / f"{page}.html"
        text = path.read_text("utf-8")
        beside = f'href="{"../" * page.count("/")}paper/'
        path.write_text(text.replace(f'href="{CONFIG["html"]["baseurl"]}paper/', beside), "utf-8")


NOTE = (
    "Code that only draws or prints stands at the end, behind answers and hints; on the site it unfolds in its place. "
    "Code that only sets up is in the notebooks."
)
PAGE_OF = re.compile(r'<span class="page-of" data-of="([^"]*)"></span>')
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
    title = CONFIG["title"]
    try:
        book = list(whole_book())
        output.mkdir(parents=True, exist_ok=True)
        for size in SIZES:
            print_pdf(book, title, output / f"focal-loss-{size}.pdf", size)
        make_epub(book, title, output / "focal-loss.epub")
        if output == SITE / "paper":
            link_beside()
    except CannotMake as reason:
        sys.exit(str(reason))
    for path in sorted(output.iterdir()):
        print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
