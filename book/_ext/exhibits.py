"""The museum's page: an exhibit's faulty tokens are marked, its right code is a diff, its wall has a filter.

The table of published losses, in the chapter after it, leads to the exhibits.
"""

import html
import re
from pathlib import Path

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

PAGE = "notebooks/06_bug_museum"
PUBLISHED = "notebooks/07_diagnose"
ROW = re.compile("<tr>" + r"<t([dh])>([^<]*)</t\1>" + r"<t\1>([^<]*)</t\1>" * 4 + "</tr>")
FAULTS = re.compile('data-faults="([^"]*)"')
TOKEN = re.compile("(<span[^>]*>)([^<]*)</span>|([^<]+)")
ROOM = "The exhibits of this room, one below the other"


class MarkTheFault(SphinxPostTransform):
    """Code of an exhibit has its faulty tokens marked, that of a look-alike its suspicious lines."""

    default_priority = 2  # before the outputs are picked apart
    formats = ("html",)

    def run(self):
        if self.env.docname != PAGE:
            return
        places = []
        for node in list(self.document.findall()):
            if isinstance(node, nodes.raw) and (found := FAULTS.search(node.astext())):
                places = [tuple(map(int, re.split("[:-]", place))) for place in found[1].split()]
            if not isinstance(node, nodes.literal_block) or not in_an_output(node):
                continue
            code, language = node.astext(), node.get("language")
            lines = [k for k, line in enumerate(code.split("\n"), start=1) if "  # " in line]
            if language == "diff":
                node.replace_self(nodes.raw("", right_code(code), format="html"))
            elif language == "python" and places:
                shown = self.app.builder.highlighter.highlight_block(code, "python", location=node)
                shown = f'<div class="highlight-python notranslate">{marked(shown, code, places)}</div>'
                node.replace_self(nodes.raw("", shown, format="html"))
                places = []
            elif language == "python" and lines:
                node["highlight_args"] = {**node.get("highlight_args", {}), "hl_lines": lines}


def marked(shown, code, places):
    """Highlighted ``code`` with ``<mark>`` around what is at ``places``: (line, from, to), counted from 0."""
    starts = [0, *(found.end() for found in re.finditer("\n", code))]
    begins, ends = ({starts[place[0]] + place[k] for place in places} for k in (1, 2))
    head, opening, rest = shown.partition("<pre><span></span>")
    body, closing, tail = rest.partition("</pre>")
    at, done = 0, []
    for tag, colored, plain in TOKEN.findall(body):
        text = html.unescape(colored or plain)
        # The highlighter takes two brackets for one token.
        cuts = [cut - at for cut in sorted(begins | ends) if at < cut < at + len(text)]
        for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
            piece = html.escape(text[start:end])
            done += ["<mark>"] * (at + start in begins)
            done += [f"{tag}{piece}</span>" if tag else piece]
            done += ["</mark>"] * (at + end in ends)
        at += len(text)
    return "".join([head, opening, *done, closing, tail])


def right_code(diff):
    """A diff as HTML. Its signs are the style sheet's, and what it takes away is not copied."""
    kinds = {"-": "del", "+": "ins", " ": "span"}
    lines = [(kinds[line[:1] or " "], html.escape(line[1:])) for line in diff.rstrip().split("\n")]
    code = "".join(f"<{kind}>{line}\n</{kind}>" for kind, line in lines)
    return f'<div class="highlight-python notranslate"><div class="highlight mend"><pre>{code}</pre></div></div>'


class FoldRooms(SphinxPostTransform):
    """The exhibits of a room, one below the other, are folded: the wall shows each of them in its place."""

    default_priority = 2
    formats = ("html",)

    def run(self):
        if self.env.docname != PAGE:
            return
        for cell in self.document.findall(nodes.container):
            if cell.get("nb_element") != "cell_code" or not cell.astext().lstrip().startswith("visit("):
                continue
            outputs = [k for k, child in enumerate(cell.children) if child.get("nb_element") == "cell_code_output"]
            if outputs:
                cell.append(nodes.raw("", "</details>", format="html"))
                cell.insert(
                    outputs[0], nodes.raw("", f'<details class="room"><summary>{ROOM}</summary>', format="html")
                )


def in_an_output(node):
    while node is not None:
        if node.get("nb_element") == "cell_code_output" if isinstance(node, nodes.Element) else False:
            return True
        node = node.parent
    return False


def add_filter(app, pagename, templatename, context, doctree):
    if pagename == PAGE:
        app.add_js_file("wall.js", loading_method="defer")


def dress_published(app, pagename, templatename, context, doctree):
    """Published losses: library and loss in one cell, the verdict a badge, each cause a link to its exhibit."""
    wall = Path(app.srcdir, "book/views/wall.html")
    if pagename != PUBLISHED or not wall.is_file():
        return
    exhibits = set(re.findall(r'#(\w+)" data-words', wall.read_text("utf-8")))
    names = []

    def cause(name):
        words = name.replace("_", "_<wbr>")
        return f'<a href="06_bug_museum.html#{name}">{words}</a>' if name in exhibits else words

    def row(found):
        kind, library, loss, verdict, causes, words = found.groups()
        if kind == "h":
            names[:] = [f"{library} and {loss}", verdict, causes, words]
            return "<thead><tr>" + "".join(f'<th scope="col">{name}</th>' for name in names) + "</tr></thead>"
        badge = f'<span class="verdict verdict-{verdict.partition(" (")[0].replace(" ", "-")}">{verdict}</span>'
        led = ", ".join(cause(name) for name in causes.split(", "))
        cells = "".join(
            f'<td data-name="{name}">{cell}</td>' for name, cell in zip(names[1:], (badge, led, words), strict=True)
        )
        return f'<tr><th scope="row">{library}<br><code>{loss}</code></th>{cells}</tr>'

    table = re.compile(r'<table style="[^"]*">((?:(?!</table>).)*likely cause.*?)</table>', re.DOTALL)
    context["body"] = table.sub(
        lambda found: f'<table class="published">{ROW.sub(row, found[1])}</table>', context["body"]
    )


def setup(app):
    app.add_post_transform(MarkTheFault)
    app.add_post_transform(FoldRooms)
    app.connect("html-page-context", add_filter)
    app.connect("html-page-context", dress_published)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
