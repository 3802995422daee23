"""Reader's view: on the site a chapter's cells that only draw or print are folded to one line.

A cell that *is* the lesson stays open: one tagged ``lesson``, or one that defines something. In Jupyter nothing
changes: the fold is made here, from the notebook that Sphinx reads. ``reader.js`` unfolds all of them at once, on every
page, and remembers.
"""

import ast
import json
import re

CHAPTER = re.compile(r"notebooks/\d\d_\w+")
PROMPT = {"code_prompt_show": "Show the code", "code_prompt_hide": "Hide the code"}
DRAWS = re.compile(r"\bplt\.|\bplots\.|\bprint\(|\bdisplay\(|focal_lib\.widgets")


def is_lesson(cell):
    """Whether a code cell stays open: its author says so, it defines something, or it shows nothing."""
    tags = cell["metadata"].get("tags", [])
    if "lesson" in tags or any(tag.startswith(("hide-", "remove-")) for tag in tags):
        return True  # or has its own way to be shown
    code = "".join(cell["source"])
    try:
        defines = any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.parse(code).body)
    except SyntaxError:  # a line that starts with % or !
        defines = False
    return defines or not DRAWS.search(code)


def fold(app, docname, source):
    if not CHAPTER.fullmatch(docname):
        return
    notebook = json.loads(source[0])
    for cell in notebook["cells"]:
        if cell["cell_type"] != "code":
            continue
        if not is_lesson(cell):
            cell["metadata"].setdefault("tags", []).append("hide-input")
        if "hide-input" in cell["metadata"].get("tags", []):
            cell["metadata"]["mystnb"] = PROMPT | cell["metadata"].get("mystnb", {})
    source[0] = json.dumps(notebook)


def add_switch(app, pagename, templatename, context, doctree):
    if CHAPTER.fullmatch(pagename):
        app.add_js_file("reader.js", loading_method="defer")


def setup(app):
    app.connect("source-read", fold)
    app.connect("html-page-context", add_switch)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
