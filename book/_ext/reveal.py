"""Bets come before answers: on the site what follows a **Predict** stays folded until the reader asks for it.

The fold begins with the output of the first code cell after the prompt, or after a heading that begins with *Reveal* or
*Bet*, and ends
with the section. A live view stays in sight: it answers only when it is moved. In Jupyter nothing changes.
"""

import html
import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

CHAPTER = re.compile(r"notebooks/\d\d_\w+")
SUMMARY = "I have decided: show me"
WIDGET = "application/vnd.jupyter.widget-view+json"


def asks(node):
    return isinstance(node, nodes.paragraph) and node.astext().lstrip().startswith("Predict")


def is_output(node):
    return isinstance(node, nodes.Element) and node.get("nb_element") == "cell_code_output"


class FoldAnswers(SphinxPostTransform):
    """Runs before MyST-NB picks one representation of each output."""

    default_priority = 1
    formats = ("html",)

    def run(self):
        if not CHAPTER.fullmatch(self.env.docname):
            return
        for section in list(self.document.findall(nodes.section)):
            self.fold(section)

    def fold(self, section):
        asked = section[0].astext().startswith(("Reveal", "Bet "))
        rest = None
        for node in list(section.children):
            if isinstance(node, nodes.section):
                break
            if rest is not None:
                section.remove(node)
                rest += node
            elif asks(node) and not asked:
                asked = True
            elif (
                asked and isinstance(node, nodes.container) and (outputs := [x for x in node.children if is_output(x)])
            ):
                if any(child.get("mime_type") == WIDGET for child in node.findall(nodes.container)):
                    return
                rest = nodes.container(classes=["reveal-rest"])
                shown = nodes.container(classes=["cell"])
                for output in outputs:
                    node.remove(output)
                    shown += output
                rest += shown
                at = section.index(node) + 1
        if rest is None:
            return
        opened = nodes.raw("", f'<details class="reveal"><summary>{html.escape(SUMMARY)}</summary>', format="html")
        section[at:at] = [opened, rest, nodes.raw("", "</details>", format="html")]


def setup(app):
    app.add_post_transform(FoldAnswers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
