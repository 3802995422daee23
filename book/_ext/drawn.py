"""A stored drawing as a part of the page: its ink is the text's, its colours have twins by night, its words are words.

`tools/drawings.py` stores the drawings; each is a whole SVG in plain colours.
"""

import colorsys
import re

# The house's colours by night, as in focal_lib/widgets/shared.css.
NIGHT = {
    "0072b2": "4aa8e0",  # focal loss
    "6e6e6e": "a3a8ae",  # cross-entropy
    "289ccc": "8fd0f5",  # majority
    "d55e00": "ff8a3d",  # minority
    "882255": "e38ad2",  # bugs
    "009e73": "4fc3a1",
    "4a99c9": "44799b",  # gamma 0.5, 1 and 5: the farther from cross-entropy, the farther from the ground
    "2f8ac4": "4c93c0",
    "003a61": "b9e2ff",
}
INK, PAPER = ("000000", "black"), ("ffffff", "white")
GROUND = "12161c"  # of the page by night, in book.css
COLOUR = re.compile(r"(?<=[ :\"])(?:#([0-9a-f]{6})\b|(black|white)\b)")
NOT_DRAWN = re.compile(
    r"<\?xml.*?\?>|<!DOCTYPE.*?>|<!--.*?-->|<metadata>.*?</metadata>|<defs>\s*<style.*?</style>\s*</defs>", re.DOTALL
)
CONTRAST = 4.5
TAB_STOP = ' tabindex="0"'


def luminance(colour):
    """Relative luminance of six hexadecimal digits, as WCAG counts it."""
    parts = [int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def by_night(colour):
    """The twin of a colour on a dark page: the house's own, or as much lighter as its contrast needs."""
    if colour in NIGHT:
        return NIGHT[colour]
    hue, light, full = colorsys.rgb_to_hls(*(int(colour[k : k + 2], 16) / 255 for k in (0, 2, 4)))
    while contrast(colour, GROUND) < CONTRAST:
        light += 0.02
        colour = "".join(f"{round(255 * part):02x}" for part in colorsys.hls_to_rgb(hue, light, full))
    return colour


def inlined(svg, place, attributes, size, stop=False):
    """(element, colours): a drawing as an element of the page, in place of an image with these attributes.

    ``size`` is its width and height in pixels; None: as the drawing says. Ids begin with ``place``. ``stop``: the Tab
    key stops at it, so that a keyboard scrolls the box it stands in. On paper the image takes its place again.
    """
    colours = set()

    def paint(found):
        colour = found[1] or found[2]
        if colour in INK:
            return "currentColor"
        if colour in PAPER:
            return "var(--paper)"
        colours.add(colour)
        return f"var(--c-{colour},#{colour})"

    svg = re.sub(NOT_DRAWN, "", svg)
    svg = re.sub(r' id="([^"]+)"', rf' id="{place}-\1"', svg)
    svg = re.sub(r"url\(#", f"url(#{place}-", svg)
    svg = re.sub(r'href="#', f'href="#{place}-', svg)
    head, svg = svg.strip().split(">", 1)
    svg = re.sub(r'(?:style|fill|stroke)="[^"]*"', lambda found: COLOUR.sub(paint, found[0]), svg)
    # The ground of a figure and of its axes is the page's.
    svg = re.sub(r'(<g>\s*<path d="[^"]*" style="fill: )var\(--paper\)("?;?[^"]*"/>)', r"\1none\2", svg, count=1)
    svg = re.sub(r"font: ((?:\w+ )*?)([\d.]+px) [^;\"]*", font, svg)
    box = re.search(r'viewBox="([^"]+)"', head)[1]
    width, height = size or (round(float(length) / 0.72) for length in box.split()[2:])  # points, at 100 dots an inch
    element = (
        f'<svg class="drawn {attributes.get("class", "")}" viewBox="{box}" width="{width}" height="{height}" '
        f'style="--drawn: {width}px" fill="currentColor" stroke-linejoin="round" role="img"{TAB_STOP * stop} '
        f'aria-label="{attributes["alt"]}" data-picture="{attributes["src"]}">{svg.strip()}'
    )
    return element, colours


def font(found):
    """Size and slant stay, the family is the page's."""
    slant = "font-style: italic; " if "oblique" in found[1] or "italic" in found[1] else ""
    weight = "font-weight: bold; " if re.search(r"bold|\b700\b", found[1]) else ""
    return f"{slant}{weight}font-size: {found[2]}"


def twins(colours):
    """A style sheet: the colours of a page's drawings by night. Paper is white."""
    rules = " ".join(f"--c-{colour}: #{by_night(colour)};" for colour in sorted(colours))
    return f'<style>@media screen {{ html[data-theme="dark"] .drawn {{ {rules} }} }}</style>' if rules else ""
