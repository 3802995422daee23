"""Store live views for the site: those of prose pages whole, those of notebooks with the present code of the views.

The site is built without torch, so what a view shows is stored. A notebook stores its views when it runs; this brings
only their JavaScript and style up to date, which needs no run. ``--check`` changes nothing and says what is stale.
"""

import argparse
import base64
import json
import sys
from array import array
from pathlib import Path

from focal_lib import widgets
from focal_lib.lab.data import load_example
from focal_lib.lab.museum import wall
from focal_lib.widgets.view import LiveView

ROOT = Path(__file__).resolve().parent.parent
STATE = "application/vnd.jupyter.widget-state+json"
MUSEUM = "../notebooks/06_bug_museum.html"  # from the welcome page
PAGES = {"FiveLines": {}, "LossCurve": {"gamma": 0, "p_t": 0.9}}  # view -> its settings, on pages of prose


def of_pages():
    """Path -> bytes of what is stored for the prose pages, the wall of bugs among it."""
    files = {}
    for name, settings in PAGES.items():
        view = getattr(widgets, name)(**settings)
        keys = [*view.traits(limits=lambda limits: limits is not None), "name", "hide"]
        keys += ["_limits", "_start", "_tables", "_facts", "_anywidget_id"]
        state = {key: getattr(view, key) for key in keys} | {"_esm": str(view._esm), "_css": str(view._css)}
        text = json.dumps({"text": view.sentence(), "state": state}, ensure_ascii=False, indent=1, sort_keys=True)
        files[ROOT / "book" / "views" / f"{name}.json"] = f"{text}\n".encode()
        files[ROOT / "book" / "views" / f"{name}.png"] = base64.b64decode(view._png())
    files[ROOT / "book" / "views" / "example.json"] = f"{json.dumps(example())}\n".encode()
    files[ROOT / "book" / "views" / "wall.html"] = f"{wall(page=MUSEUM)}\n".encode()
    return files


def example():
    """The example that chapter 05 trains on: features as base64 of float32 rows, labels as digits, training first."""
    points = load_example()
    rows = [*points.x_train.flatten().tolist(), *points.x_test.flatten().tolist()]
    labels = [*points.y_train.tolist(), *points.y_test.tolist()]
    x = base64.b64encode(array("f", rows).tobytes()).decode()
    return {"x": x, "y": "".join(map(str, labels)), "train": len(points.y_train)}


def of_notebook(path):
    """The notebook's text with the present code in the views that it stores."""
    notebook = json.loads(path.read_text("utf-8"))
    for model in notebook["metadata"].get("widgets", {}).get(STATE, {}).get("state", {}).values():
        kind = getattr(widgets, model["state"].get("_anywidget_id", "").rpartition(".")[2], None)
        if isinstance(kind, type) and issubclass(kind, LiveView):
            model["state"] |= {"_esm": str(kind._esm), "_css": str(kind._css)}
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true", help="change nothing; fail if something is stale")
    check = parser.parse_args().check
    wanted = {path: of_notebook(path).encode() for path in sorted((ROOT / "notebooks").glob("*.ipynb"))} | of_pages()
    if check:  # a picture's bytes are matplotlib's affair
        wanted = {path: content for path, content in wanted.items() if path.suffix != ".png"}
    stale = [path for path, content in wanted.items() if not path.is_file() or path.read_bytes() != content]
    for path in [] if check else stale:
        path.write_bytes(wanted[path])
        print(path.relative_to(ROOT))
    if check and stale:
        sys.exit(f"stale: {', '.join(str(path.relative_to(ROOT)) for path in stale)}; run tools/store_views.py")


if __name__ == "__main__":
    main()
