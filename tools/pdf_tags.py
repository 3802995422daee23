"""What PDF/UA asks for and Chromium leaves out of the PDF that it prints."""

import pikepdf
from pikepdf import Array, ContentStreamInstruction, Dictionary, Name, Operator

# Names of PDF 2.0 that Chromium uses in a file of an older version, and what they are there.
ROLES = {"Strong": "Span", "Em": "Span"}
BEGINS = ("BT", "m", "re")  # a text, or a path
ENDS = ("ET", "S", "s", "f", "F", "f*", "B", "B*", "b", "b*", "n")


def finish(path, titles, headings, title):
    """Mend the file: decoration marked, words for links, bodies of list items, names of tags, metadata.

    `titles` gives the title of each page by the slug that its places begin with; `headings` are those of the outline.
    """
    with pikepdf.open(path, allow_overwriting_input=True) as pdf:
        for page in pdf.pages:
            page.Contents = pdf.make_stream(pikepdf.unparse_content_stream(as_artifacts(page)))
            for link in page.get("/Annots", ()):
                if "/A" in link and "/URI" in link.A:
                    link.Contents = link.A.URI
                else:
                    place = str(link.get("/Dest", link.get("/A", {}).get("/D", ""))).lstrip("/").partition("--")[0]
                    link.Contents = f"To: {titles.get(place, 'Contents')}"
        pdf.Root.StructTreeRoot.RoleMap = Dictionary({f"/{name}": Name(f"/{role}") for name, role in ROLES.items()})
        for element in elements(pdf):
            if element.S == Name.LI:
                give_body(pdf, element)
        with pdf.open_outline() as outline:  # where a heading breaks into two lines, Chromium loses the space
            respace(outline.root, {"".join(heading.split()): heading for heading in headings})
        with pdf.open_metadata(set_pikepdf_as_editor=False) as metadata:
            metadata["dc:title"], metadata["dc:language"], metadata["pdfuaid:part"] = title, ["en"], "1"
        pdf.save(path, min_version="1.7", object_stream_mode=pikepdf.ObjectStreamMode.generate)


def elements(pdf):
    """Every element of the tree of tags."""
    return [thing for thing in pdf.objects if isinstance(thing, Dictionary) and "/S" in thing and "/P" in thing]


def kids(element):
    found = element.get("/K", Array())
    return list(found) if isinstance(found, Array) else [found]


def give_body(pdf, item):
    """Chromium puts what a list item says beside its number; it belongs into a body of its own."""
    labels = [kid for kid in kids(item) if isinstance(kid, Dictionary) and kid.get("/S") == Name.Lbl]
    rest = [kid for kid in kids(item) if kid not in labels]
    body = pdf.make_indirect(Dictionary(Type=Name.StructElem, S=Name.LBody, P=item, K=Array(rest)))
    if "/Pg" in item:
        body.Pg = item.Pg
    for kid in rest:
        if isinstance(kid, Dictionary) and "/S" in kid:
            kid.P = body
    item.K = Array([*labels, body])


def respace(items, headings):
    for item in items:
        item.title = headings.get("".join(item.title.split()), item.title)
        respace(item.children, headings)


def as_artifacts(page):
    """The drawing instructions of a page; what belongs to no element, page number and lines, marked as decoration."""
    depth, open_ = 0, False
    for instruction in pikepdf.parse_content_stream(page):
        name = str(instruction.operator)
        depth += (name in ("BDC", "BMC")) - (name == "EMC")
        if name in BEGINS and depth == 0 and not open_:
            yield ContentStreamInstruction([Name.Artifact], Operator("BMC"))
            open_ = True
        yield instruction
        if name in ENDS and open_:
            yield ContentStreamInstruction([], Operator("EMC"))
            open_ = False
