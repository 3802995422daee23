"""The figures of the chapters get a number with an address, and their size, so that nothing moves while they load.

A figure with a stored drawing becomes that drawing, in the page's own colours; the others stay pictures. One that is
too wide for a phone has a narrow drawing beside it, and the style sheet shows one of the two. How wide a figure was
drawn goes into its style, so that its words stay readable where it shrinks.
"""

import hashlib
import re
from pathlib import Path

import drawn

CHAPTER = re.compile(r"notebooks/(\d\d)_\w+")
IMAGE = re.compile(r'<img\b[^>]*\bsrc="[^"]*_images/([^"/]+\.(?:png|svg))"[^>]*?/?>')
PNG = b"\x89PNG\r\n\x1a\n"


def size_of(path):
    """(width, height) of a PNG, from its header; None for anything else."""
    with open(path, "rb") as file:
        head = file.read(24)
    if head[:8] != PNG:
        return None
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def drawings_of(path, folder):
    """The drawing that a picture is, or the stored ones that belong to it: for all screens, or a wide and a narrow."""
    name = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    wide = path if path.suffix == ".svg" else folder / f"{name}.svg"
    return [one.read_text("utf-8") for one in (wide, wide.with_stem(f"{wide.stem}-narrow")) if one.is_file()]


def draw_figures(app, pagename, templatename, context, doctree):
    if "body" not in context:
        return
    files = {name: Path(app.srcdir, uri) for uri, name in app.builder.images.items()}
    folder = Path(app.srcdir, "notebooks", "figures")
    chapter, number, colours = CHAPTER.fullmatch(pagename), 0, set()

    def finish(match):
        nonlocal number
        path = files.get(match[1])
        if path is None or "live-view" in context["body"][max(0, match.start() - 400) : match.start()]:
            return match[0]
        svgs, size = drawings_of(path, folder), size_of(path)
        if not svgs and (size is None or chapter is None):
            return match[0]
        number += 1
        place = f"figure-{int(chapter[1])}-{number}" if chapter else f"figure-{number}"
        if not svgs:
            tag = re.sub(r'\s(?:style|width|height)="[^"]*"', "", match[0]).rstrip("/> ")
            shown = f'{tag} width="{size[0]}" height="{size[1]}" style="--drawn: {size[0]}px">'
        else:
            attributes = dict(re.findall(r'\s([\w-]+)="([^"]*)"', match[0]))
            before = context["body"][: match.start()]
            linked = chapter or before.rfind("<a ") > before.rfind("</a>")  # the Tab key stops at the link
            shown, used = drawn.inlined(svgs[0], place, attributes, size, stop=not linked)
            colours.update(used)
            for svg in svgs[1:]:
                narrow = attributes | {"class": "narrow"}
                shown += drawn.inlined(svg, f"{place}-narrow", narrow, None, stop=not linked)[0]
        if not chapter:
            return shown
        link = f'<a href="#{place}">Figure {int(chapter[1])}.{number}</a>'
        return f'{shown}\x00<p class="figure-number" id="{place}">{link}</p>\x01'

    body = IMAGE.sub(finish, context["body"])
    # A figure that links to itself keeps its number outside the link.
    body = re.sub(r"\x00([^\x01]*)\x01(\s*</a>)", r"\2\1", body)
    # A caption follows the number, in one line; Sphinx counts only the figures that have one.
    caption = r'<p class="figure-number" (id="[^"]*")>((?:(?!</p>).)*)</p>(\s*<figcaption>\s*<p)>'
    body = re.sub(caption, r'\3 class="figure-number" \1>\2 ', body.replace("\x00", "").replace("\x01", ""))
    if chapter:
        body = re.sub(r'<span class="caption-number">[^<]*</span>', "", body)
    context["body"] = body + drawn.twins(colours)


def setup(app):
    app.connect("html-page-context", draw_figures)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
