"""Questions that teach: a markdown cell tagged ``question`` asks why; each answer unfolds into why it is wrong.

The chapters hold them in plain HTML, so that they work in Jupyter and without a script too. ``{all-questions}`` gathers
them on one page, chapter by chapter; ``questions.js`` remembers what a reader took first.
"""

import json
import re
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.util.docutils import SphinxDirective

CHAPTERS = "notebooks/[0-9][0-9]_*.ipynb"


def questions_of(path):
    """The sources of a notebook's question cells, in its order."""
    notebook = json.loads(Path(path).read_text("utf-8"))
    return ["".join(c["source"]) for c in notebook["cells"] if "question" in c["metadata"].get("tags", [])]


def title_of(path):
    """A notebook's title: the first line of its first cell, without the marks."""
    first = "".join(json.loads(Path(path).read_text("utf-8"))["cells"][0]["source"])
    return re.sub(r"[#*]", "", first.partition("\n")[0]).strip()


class AllQuestions(SphinxDirective):
    def run(self):
        sections = []
        for path in sorted(Path(self.env.srcdir).glob(CHAPTERS)):
            self.env.note_dependency(str(path))
            asked = questions_of(path)
            if not asked:
                continue
            section = nodes.section(ids=[f"of-{path.stem}"])
            section += nodes.title("", f"{path.stem[:2]} {title_of(path)}")
            for source in asked:
                (place,) = re.findall(r'<div class="question" id="([\w-]+)">', source)
                there = f'\n\n<p class="question-place"><a href="../notebooks/{path.stem}.html#{place}">'
                source = source.removesuffix("</div>") + f"{there}Where the chapter asks it</a></p>\n</div>\n"
                self.state.nested_parse(StringList(source.split("\n"), source=str(path)), 0, section)
            sections.append(section)
        return sections


def add_memory(app, pagename, templatename, context, doctree):
    if 'class="question"' in context.get("body", ""):
        app.add_js_file("questions.js", loading_method="defer")


def setup(app):
    app.add_directive("all-questions", AllQuestions)
    app.connect("html-page-context", add_memory)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
