"""Make the font of the formulas, book/static/fonts/: STIX Two Math, cut down to what formulas like ours use.

Give it the package that carries the font, as `npm pack @fontsource/stix-two-math@5.3.0` saves it; any other file is
refused. Needs brotli beside fonttools. The result is committed, so building the book needs neither.
"""

import argparse
import hashlib
import io
import sys
import tarfile
from pathlib import Path

from fontTools import subset
from fontTools.ttLib import TTFont

SHA256 = "948de1b5470fbbd745fedbe6135797454fe833d94feecc6f2073cd771fe2f5fd"
FOLDER = Path(__file__).parent.parent / "book" / "static" / "fonts"
# Latin, Greek, punctuation, arrows, operators, brackets, and the slanted letters of formulas.
KEPT = [(0x20, 0x7E), (0xA0, 0xFF), (0x370, 0x3FF), (0x2010, 0x2044), (0x2190, 0x21D5), (0x2200, 0x22FF)]
KEPT += [(0x2308, 0x230B), (0x27E8, 0x27E9), (0x1D400, 0x1D467), (0x1D6A8, 0x1D71B)]


def make(package):
    """Write the font and its licence; returns the size in bytes."""
    content = Path(package).read_bytes()
    if (got := hashlib.sha256(content).hexdigest()) != SHA256:
        raise ValueError(f"{package} has SHA-256 {got}, expected {SHA256}: not the pinned package.")
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        font = TTFont(archive.extractfile("package/files/stix-two-math-latin-400-normal.woff2"))
        licence = archive.extractfile("package/LICENSE").read()
    options = subset.Options(layout_features=["*"], notdef_outline=True)
    cutter = subset.Subsetter(options)
    cutter.populate(unicodes=[code for low, high in KEPT for code in range(low, high + 1)])
    cutter.subset(font)
    font.flavor = "woff2"
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / "STIXTwoMath.LICENSE.txt").write_bytes(licence)
    font.save(FOLDER / "STIXTwoMath.woff2")
    return (FOLDER / "STIXTwoMath.woff2").stat().st_size


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("package", type=Path)
    try:
        print(f"{make(parser.parse_args().package)} bytes")
    except (OSError, ValueError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
