"""Every figure of a notebook as a drawing too: `notebooks/figures/` has an SVG for each picture that a run stored.

A notebook keeps its PNG alone, which every front end shows and which stays small. The site takes the drawing of the
same run instead (`book/_ext/figures.py`): its name is the beginning of the picture's SHA-256. A figure that is too
wide for a phone has a narrow drawing as well.
"""

import base64
import functools
import hashlib
import os
import re
import tempfile
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "notebooks" / "figures"
# The drawing is made of a copy of the figure: to draw one twice moves its axes, and the picture must stay what every
# other run shows.
NARROW = "<!-- the same for a phone -->"
OF_A_COPY = """
import IPython.core.pylabtools as tools
def print_figure(figure, fmt="png", *, plain=tools.print_figure, **options):
    if fmt != "svg":
        return plain(figure, fmt, **options)
    import pickle
    import matplotlib.pyplot as plt
    copied = pickle.loads(pickle.dumps(figure))
    from focal_lib.lab import plots
    drawing = plain(copied, fmt, **options)
    if plots.for_phones(copied):
        drawing += "{NARROW}" + plain(copied, fmt, **options)
    plt.close(copied)
    return drawing
def exhibit(push):
    import IPython.core.pylabtools as tools
    import matplotlib.pyplot as plt
    figure = push.figure()
    drawing = tools.print_figure(figure, "svg", bbox_inches=None)
    plt.close(figure)
    return drawing
tools.print_figure = print_figure
get_ipython().display_formatter.formatters["image/svg+xml"].for_type_by_name("focal_lib.lab.museum", "Push", exhibit)
del tools, print_figure, exhibit
"""
OF_A_COPY = OF_A_COPY.replace("{NARROW}", NARROW)
KERNEL = ["--InlineBackend.figure_formats={'png', 'svg'}", f"--IPKernelApp.exec_lines=[{OF_A_COPY!r}]"]
# Words stay words; ids that do not change from run to run.
STYLE = "svg.fonttype: none\nsvg.hashsalt: figures\n"
LIVE = "application/vnd.jupyter.widget-view+json"


def name_of(picture):
    """The name of the drawing that belongs to a PNG, given as bytes."""
    return f"{hashlib.sha256(picture).hexdigest()[:16]}.svg"


def narrow(name):
    """The name of the drawing for a phone beside the one of this name."""
    return name.replace(".svg", "-narrow.svg")


@functools.cache
def prepare():
    """Let the kernels that start from now on draw words as words."""
    path = Path(tempfile.mkdtemp(), "matplotlibrc")
    path.write_text(STYLE, encoding="utf-8")
    os.environ["MATPLOTLIBRC"] = str(path)


def pictures(notebook):
    """The outputs of a notebook that are a static picture."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            data = output.get("data", {})
            if "image/png" in data and LIVE not in data:
                yield data


def light(svg):
    """The drawing without what no browser reads, its numbers with two decimals."""
    svg = re.sub(r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    used = set(re.findall(r"(?:url\(#|href=\"#)([^\")]+)", svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in used else "", svg)
    svg = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(?<=[\s\"(,-])\d+\.\d{3,}", short, tag[0]), svg)
    return re.sub(r"\s*\n\s*", "\n", svg).strip() + "\n"


def short(number):
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")


def take(notebook):
    """Move the drawings of a run out of the notebook, into files."""
    FOLDER.mkdir(exist_ok=True)
    for data in pictures(notebook):
        if "image/svg+xml" in data:
            name = name_of(base64.b64decode(data["image/png"]))
            for path, drawing in zip((name, narrow(name)), data.pop("image/svg+xml").split(NARROW), strict=False):
                (FOLDER / path).write_text(light(drawing), encoding="utf-8")


def forget():
    """Delete the drawings of pictures that no notebook has any longer."""
    kept = set()
    for path in (ROOT / "notebooks").rglob("*.ipynb"):
        found = pictures(nbformat.read(path, as_version=4))
        kept |= {name_of(base64.b64decode(data["image/png"])) for data in found}
    for path in FOLDER.glob("*.svg"):
        if path.name not in kept | {narrow(name) for name in kept}:
            path.unlink()
