"""Words of a page: numbers stay with their unit, a term's first use leads to the glossary, verdicts are badges.

Indices and exponents in plain text, such as p_t and 4^2, are set as what they are.
"""

import collections
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes
from sphinx.transforms import SphinxTransform

NOTEBOOK = re.compile(r"notebooks/.*")
KEPT = (nodes.literal, nodes.literal_block, nodes.math, nodes.math_block, nodes.raw, nodes.comment)
TIED = re.compile(
    r"(?<=\d) (?=%|(?:s|ms|kB|KB|MB|GB|MiB|GiB|px|\d{3})\b)"  # 65 537 too
    r"|(?<=[γαπ]) (?==)|(?<=[γαπ] =) (?=\d)|(?<=[γαπ]\u00a0=) (?=\d)"
)
# A short formula in words, such as 1 − α, log(π / (1 − π)) and 1/√n, is not broken either.
SHORT = re.compile(r"(?<![^\s(])([(\[]?[\w.½∞]{1,4}[)\]]?) ([−·/+=<>≤≥]) (?=[(\[√]?[\w.½∞]{1,6}(?![\w-]))")
FRACTION = re.compile(r"(?<=\b1/)(?=[^\W\d]|√)")
# An index, or an exponent; between brackets it is more than one sign.
RAISED = re.compile(r"\b([pz]|(?<!\w)α|alpha)_([tj])\b|\^(?:\(([^()]+)\)|([\d.]*\d|[γw]|gamma\b))")
VERDICTS = ("right", "half right", "wrong", "not shown")
OPAQUE = (*KEPT, nodes.title, nodes.reference, nodes.strong, nodes.caption, addnodes.pending_xref)


def terms(text):
    """word -> the entry that explains it, from the source of a glossary."""
    found = {}
    for block in re.findall(r"```\{glossary\}\n(.*?)```", text, flags=re.DOTALL):
        for entry in (line for line in block.split("\n") if line and not line.startswith(" ")):
            for name in re.sub(r" \([^)]*\)", "", entry).split(", "):
                found[name] = entry
    return found


def inside(node, kinds):
    while node is not None:
        if isinstance(node, kinds):
            return True
        node = node.parent
    return False


class TieUnits(SphinxTransform):
    default_priority = 880  # after everything that reads the words

    def apply(self, **kwargs):
        for text in list(self.document.findall(nodes.Text)):
            tied = SHORT.sub("\\1\u00a0\\2\u00a0", TIED.sub("\u00a0", text))
            tied = FRACTION.sub("\u2060", tied)  # no room, and no line ends there
            tied = tied.replace(" -- ", " – ")  # what Sphinx writes behind an argument
            if tied != text and not inside(text, KEPT):
                text.parent.replace(text, nodes.Text(tied))


class LinkTerms(SphinxTransform):
    default_priority = 870

    def apply(self, **kwargs):
        if not NOTEBOOK.fullmatch(self.env.docname):
            return
        path = Path(self.env.srcdir, "book/glossary.md")
        self.env.note_dependency(str(path))
        left = terms(path.read_text("utf-8"))
        for paragraph in self.document.findall(nodes.paragraph):
            for text in list(paragraph.findall(nodes.Text)):
                if left and not inside(text, OPAQUE):
                    self.link(text, left)

    def link(self, text, left):
        """Replaces the first word of a text that is still in ``left`` by a reference; goes on behind it."""
        names = "|".join(re.escape(name) for name in sorted(left, key=len, reverse=True))  # longest first
        found = re.search(rf"(?<![\w-])(?<!half )(?<!Half )(?:{names})(?![\w-])", text)
        if not found:
            return
        entry = left[found[0]]
        for name in [name for name in left if left[name] == entry]:
            del left[name]
        word = nodes.inline("", found[0], classes=["xref", "std", "std-term"])
        place = {"refdomain": "std", "reftype": "term", "reftarget": entry, "refexplicit": True, "refwarn": True}
        reference = addnodes.pending_xref("", word, refdoc=self.env.docname, **place)
        rest = nodes.Text(text[found.end() :])
        parent, at = text.parent, text.parent.index(text)
        parent[at : at + 1] = [nodes.Text(text[: found.start()]), reference, rest]
        self.link(rest, left)


class MarkVerdicts(SphinxTransform):
    """On the page of claims a verdict is a badge, and a line above counts them."""

    default_priority = 875

    def apply(self, **kwargs):
        if self.env.docname != "book/claims":
            return
        found = collections.Counter()
        for word in list(self.document.findall(nodes.strong)):
            verdict = word.astext().rstrip(".").lower()
            if verdict in VERDICTS and word.parent.astext().startswith(word.astext()) and word.astext().endswith("."):
                found[verdict] += 1
                word["classes"] += ["verdict", f"verdict-{verdict.replace(' ', '-')}"]
        counted = ", ".join(f"{found[verdict]} {verdict}" for verdict in VERDICTS if found[verdict])
        first = next(iter(self.document.findall(nodes.paragraph)))
        first.parent.insert(first.parent.index(first) + 1, nodes.paragraph("", f"{found.total()} claims: {counted}."))


class SetFormulas(SphinxTransform):
    default_priority = 885

    def apply(self, **kwargs):
        for text in list(self.document.findall(nodes.Text)):
            if RAISED.search(text) and not inside(text, KEPT):
                at = text.parent.index(text)
                text.parent[at : at + 1] = list(raised(str(text)))


def raised(text):
    """The nodes of a text: its letters with an index, its exponents, and what is between."""
    end = 0
    for found in RAISED.finditer(text):
        yield nodes.Text(text[end : found.start()])
        if found[1]:
            yield nodes.emphasis("", found[1])
            yield nodes.subscript("", found[2])
        else:
            yield nodes.superscript("", found[3] or found[4])
        end = found.end()
    yield nodes.Text(text[end:])


def setup(app):
    app.add_transform(LinkTerms)
    app.add_transform(MarkVerdicts)
    app.add_transform(TieUnits)
    app.add_transform(SetFormulas)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
