"""Above a chapter's title which of how many it is, and its minutes; bugs in the search; a page for lost readers.

The last line of a notebook, *Next*, is for Jupyter: on the site the page's foot leads on."""

import html
import json
import re
from pathlib import Path

from docutils import nodes
from live_views import colab_link
from sphinx.transforms.post_transforms import SphinxPostTransform

CHAPTER = re.compile(r"notebooks/(\d\d)_\w+")
# What is no running text, or a name that may be longer than a line of a phone; and where such a name may break.
LONG = re.compile(r"<(pre|script|style|svg|math)\b.*?</\1>|<[^>]*>|(?P<name>[^\s<>&]{16,})", re.DOTALL)
SIGN = re.compile(r"(?:_|/|::)(?=\w)")
BRACKET = re.compile(r"(?:[_/(,]|::)(?=[\w'\"])|\.(?=[a-z])")  # in a name that fills a line
INTERVAL = re.compile(r"(?<=<p>)([\d.]+) (\([\d.]+–[\d.]+\))(?=</p>)")
FRAME = re.compile(r'<a href="[^"#]*#([\w-]+)" data-words="([^"]*)">.*?</span>(.*?)</a>')


def broken(found):
    name = found["name"] or ""
    return (BRACKET if len(name) > 28 else SIGN).sub(r"\g<0><wbr>", name) or found[0]


def break_names(app, pagename, templatename, context, doctree):
    """A long name may break behind its signs rather than anywhere, and an interval in a cell not at all."""
    for part in {"body", "toc"} & set(context):
        context[part] = LONG.sub(broken, context[part])
        context[part] = INTERVAL.sub(r'\1 <span class="whole">\2</span>', context[part])


class DropNext(SphinxPostTransform):
    default_priority = 5
    formats = ("html",)

    def run(self):
        for paragraph in list(self.document.findall(nodes.paragraph)):
            if self.env.docname.startswith("notebooks/") and paragraph.astext().startswith("Next:"):
                paragraph.parent.remove(paragraph)


def add_kicker(app, pagename, templatename, context, doctree):
    found = CHAPTER.fullmatch(pagename)
    if not found:
        return
    chapters = [name for name in app.env.found_docs if CHAPTER.fullmatch(name)]
    time = re.search(r"Time:</strong> ([^.,<]*minutes)", context["body"])
    words = f"Chapter {int(found[1])} of {len(chapters)}" + (f" · {time[1]}" if time else "")
    kind = "kicker folds" if 'class="admonition hide' in context["body"] else "kicker"
    body = context["body"].replace("<h1>", f'<p class="{kind}">{words}</p>\n<h1>', 1)
    colab, copy = colab_link(app.config, pagename), f"../_sources/{pagename}.ipynb"
    ways = f'<a href="{colab}">run this chapter in Colab</a>, or <a href="{copy}" download>download it</a>'
    asked = "<p><strong>Exercises</strong></p>"
    context["body"] = body.replace(asked, f'{asked}\n<p class="run-it">For those that ask for code, {ways}.</p>', 1)


def add_bugs_to_search(app, pagename, templatename, context, doctree):
    """What the museum's wall knows of each bug, on the search page."""
    wall = Path(app.srcdir, "book/views/wall.html")
    if pagename != "search" or not wall.is_file():  # a book without a museum
        return
    wall = wall.read_text("utf-8")
    bugs = [[id, html.unescape(title), html.unescape(words)] for id, words, title in FRAME.findall(wall)]
    app.add_js_file(None, body=f"window.bookBugs = {json.dumps(bugs)}".replace("</", "<\\/"))
    app.add_js_file("search-bugs.js", loading_method="defer")


def write_404(app, exception):
    """What the host shows for an address that leads nowhere; it stands at every depth, so its links are whole."""
    if exception is None and app.builder.name == "html":
        page = Path(__file__).with_name("404.html").read_text("utf-8")
        title = html.escape(app.config.html_title or app.config.project)
        written = page.replace("@TITLE@", title).replace("@BASE@", app.config.html_baseurl)
        Path(app.outdir, "404.html").write_text(written, encoding="utf-8")


def setup(app):
    app.add_post_transform(DropNext)
    app.connect("html-page-context", break_names)
    app.connect("html-page-context", add_kicker)
    app.connect("html-page-context", add_bugs_to_search)
    app.connect("build-finished", write_404)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
