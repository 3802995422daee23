"""Pack the classroom bundle: one zip with the site, the notebooks and the wheel, for a room without a network."""

import argparse
import zipfile
from pathlib import Path

from retarget import ROOT
from run_from_wheel import all_notebooks
from tqdm import tqdm

README = """\
Read: open site/index.html in a browser, by a double click. It needs no network.
Run: you need Python 3.11 or newer with JupyterLab, PyTorch, scikit-learn, Matplotlib, ipywidgets, anywidget and tqdm.
Install the book's library once, in this folder: python -m pip install --no-index --no-deps {wheel}
Start the notebooks: python -m jupyter lab notebooks
Prepare the computers before class, while there is a network; after that the bundle needs none.
"""


def bundle(wheel, site, output):
    """Write the zip to `output`; returns the names of its files. Raises FileNotFoundError where a part is missing."""
    if not wheel.is_file():
        raise FileNotFoundError(f"{wheel} is no file; expected the library's wheel: make wheel")
    if not (site / "index.html").is_file():
        raise FileNotFoundError(f"{site} has no index.html; expected the built site: make book")
    files = {f"notebooks/{path.relative_to(ROOT / 'notebooks')}": path for path in all_notebooks()}
    files |= {f"site/{path.relative_to(site)}": path for path in sorted(site.rglob("*")) if path.is_file()}
    files[wheel.name] = wheel
    top = output.stem
    output.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(output, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{top}/README.txt", README.format(wheel=wheel.name))
        for name, path in tqdm(files.items(), unit="file", leave=False):
            archive.write(path, f"{top}/{name}")
    return ["README.txt", *files]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("wheel", type=Path)
    wheel = parser.parse_args().wheel
    output = ROOT / "dist" / "focal-loss-bundle.zip"
    try:
        names = bundle(wheel, ROOT / "_build" / "html", output)
    except FileNotFoundError as reason:
        parser.error(f"{reason}.")
    print(f"{output}: {len(names)} files, {output.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
