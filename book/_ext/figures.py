"""The figures of a chapter get a number with an address, and their size, so that nothing moves while they load.

How wide a figure was drawn goes into its style: the style sheet keeps its words readable on a phone.
"""

import re
from pathlib import Path

CHAPTER = re.compile(r"notebooks/(\d\d)_\w+")
IMAGE = re.compile(r'<img\b[^>]*\bsrc="[^"]*_images/([^"/]+\.png)"[^>]*?/?>')
PNG = b"\x89PNG\r\n\x1a\n"


def size_of(path):
    """(width, height) of a PNG, from its header; None for anything else."""
    with open(path, "rb") as file:
        head = file.read(24)
    if head[:8] != PNG:
        return None
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def number_figures(app, pagename, templatename, context, doctree):
    found = CHAPTER.fullmatch(pagename)
    if not found:
        return
    files = {name: Path(app.srcdir, uri) for uri, name in app.builder.images.items()}
    number = 0

    def finish(match):
        nonlocal number
        size = size_of(files[match[1]]) if match[1] in files else None
        if size is None or "live-view" in context["body"][max(0, match.start() - 400) : match.start()]:
            return match[0]
        number += 1
        tag = re.sub(r'\s(?:style|width|height)="[^"]*"', "", match[0]).rstrip("/> ")
        place = f"figure-{int(found[1])}-{number}"
        drawn = f'{tag} width="{size[0]}" height="{size[1]}" style="--drawn: {size[0]}px">'
        link = f'<a href="#{place}">Figure {int(found[1])}.{number}</a>'
        return f'{drawn}\x00<p class="figure-number" id="{place}">{link}</p>\x01'

    body = IMAGE.sub(finish, context["body"])
    # A figure that links to itself keeps its number outside the link.
    body = re.sub(r"\x00([^\x01]*)\x01(\s*</a>)", r"\2\1", body)
    context["body"] = body.replace("\x00", "").replace("\x01", "")


def setup(app):
    app.connect("html-page-context", number_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
