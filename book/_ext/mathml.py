"""Formulas as MathML, which browsers draw themselves: no script, and nothing that moves while the page loads."""

import re

from docutils import nodes
from latex2mathml.converter import convert


def mathml(formula, display="inline"):
    """MathML of a LaTeX formula. Names of functions get the thin spaces that TeX would give them."""
    text = re.sub(
        r"(<mi>(?:log|exp|max|min)</mi>)(?!<mo stretchy=\"false\">\()",
        r'\1<mspace width="0.17em"/>',
        convert(formula, display=display),
    )
    return re.sub(r"(?<=</msu[bp]>)(?=<mi>(?:log|exp|max|min)</mi>)", '<mspace width="0.17em"/>', text)


def visit_inline(translator, node):
    translator.body.append(mathml(node.astext()))
    raise nodes.SkipNode


def visit_block(translator, node):
    # What stands side by side on a wide screen stands one below the other on a phone.
    parts = "".join(mathml(part.strip(), "block") for part in node.astext().split("\\qquad"))
    translator.body.append(f'<div class="math">{parts}</div>\n')
    raise nodes.SkipNode


def setup(app):
    app.add_html_math_renderer("mathml", (visit_inline, None), (visit_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
