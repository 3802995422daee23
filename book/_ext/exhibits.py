"""The museum's page: an exhibit's faulty lines are marked, its rooms are folded, and its wall has a filter."""

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

PAGE = "notebooks/06_bug_museum"
ROOM = "The exhibits of this room, one below the other"


class MarkTheFault(SphinxPostTransform):
    default_priority = 2  # before the outputs are picked apart
    formats = ("html",)

    def run(self):
        if self.env.docname != PAGE:
            return
        for block in self.document.findall(nodes.literal_block):
            lines = block.astext().split("\n")
            faults = [k for k, line in enumerate(lines, start=1) if "  # " in line]
            if block.get("language") == "python" and faults and in_an_output(block):
                block["highlight_args"] = {**block.get("highlight_args", {}), "hl_lines": faults}


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


def setup(app):
    app.add_post_transform(MarkTheFault)
    app.add_post_transform(FoldRooms)
    app.connect("html-page-context", add_filter)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
