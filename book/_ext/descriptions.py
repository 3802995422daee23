"""What search engines and messages show of a page: its title and its first sentences."""

import html

from docutils import nodes

LONGEST = 200  # characters


def first_words(doctree):
    """The first paragraph that says something, cut at the end of a word."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().removeprefix("The question.").split())
        if len(text) > 40:
            return text if len(text) <= LONGEST else text[:LONGEST].rpartition(" ")[0] + " …"
    return ""


def describe(app, pagename, templatename, context, doctree):
    if doctree is None or not (text := first_words(doctree)):
        return
    address = f"{app.config.html_baseurl}{pagename}.html"
    picture = next(iter(doctree.findall(nodes.image)), {"uri": ""})["uri"]
    card = picture.partition("_images/")[2]  # the page's first figure, as it was just written
    tags = {"og:title": context.get("title", ""), "og:description": text, "og:type": "article", "og:url": address}
    if card:
        tags["og:image"] = f"{app.config.html_baseurl}_images/{card}"
    context["metatags"] += f'\n<meta name="twitter:card" content="{"summary_large_image" if card else "summary"}">'
    context["metatags"] += f'\n<meta name="description" content="{html.escape(text)}">'
    for name, content in tags.items():
        # The title comes with the markup of its formulas and its code.
        words = html.escape(html.unescape(nodes_off(content)))
        context["metatags"] += f'\n<meta property="{name}" content="{words}">'


def nodes_off(markup):
    """Text without its tags."""
    while "<" in markup:
        start, _, rest = markup.partition("<")
        markup = start + rest.partition(">")[2]
    return markup


def setup(app):
    app.connect("html-page-context", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
