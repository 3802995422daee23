"""Live views on the built pages.

Each one keeps its picture beside it, for readers without JavaScript and for the moment before it wakes up; the host
script comes with the pages that have one. A plain ipywidgets control, whose code lives in Python, would be dead on the
page: its stored figure and a link that runs it take its place.
"""

import html
import json
from pathlib import Path

from docutils import nodes
from myst_nb.core.render import WIDGET_STATE_MIMETYPE, WIDGET_VIEW_MIMETYPE, sanitize_script_content
from myst_nb.sphinx_ import NbMetadataCollector
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.docutils import SphinxDirective

STORED = "book/views"  # what tools/store_views.py wrote: the views of pages that are no notebooks


class PlaceViews(SphinxPostTransform):
    """Runs before MyST-NB picks one representation of each output."""

    default_priority = 3
    formats = ("html",)

    def run(self):
        for bundle in list(self.document.findall(nodes.container)):
            if bundle.get("nb_element") != "mime_bundle":
                continue
            kinds = {child["mime_type"]: child for child in bundle.children}
            if WIDGET_VIEW_MIMETYPE in kinds:
                bundle.replace_self(self.place(kinds))
            elif "image/png" in kinds and "text/plain" in kinds:
                text = kinds["text/plain"].astext()
                if not text.startswith("<"):  # the words of an object that describes its own picture
                    for picture in kinds["image/png"].findall(nodes.image):
                        picture["alt"] = text

    def place(self, kinds):
        script = kinds[WIDGET_VIEW_MIMETYPE].children[0]
        models = notebook_state(self.env.doc2path(self.env.docname))
        start = models.get(view_id(script.astext()), {})
        alt = kinds["text/plain"].astext()
        if start.get("model_module") == "anywidget":
            self.env.metadata[self.env.docname]["live_views"] = True
            (picture,) = kinds["image/png"].children
            picture["alt"] = alt
            kind = start["state"]["_anywidget_id"].rpartition(".")[2]
            return nodes.container("", script, picture, classes=["live-view", kind])
        alt = html.escape(alt)
        figures = "".join(f'<img src="data:image/png;base64,{png}" alt="{alt}">' for png in figures_in(start, models))
        note = nodes.paragraph("", "These controls need a running Python. ")
        note += nodes.reference("", "Run it live in Colab", refuri=colab_link(self.config, self.env.docname))
        note += nodes.Text(".")
        return nodes.container("", nodes.raw("", figures, format="html"), note, classes=["needs-python"])


class LiveViewDirective(SphinxDirective):
    """``{live-view} NAME`` on a page of prose: the view stored as NAME.json, with its picture NAME.png."""

    required_arguments = 1

    def run(self):
        name = self.arguments[0]
        path = Path(self.env.srcdir, STORED, f"{name}.json")
        self.env.note_dependency(str(path))
        text = json.loads(path.read_text("utf-8"))["text"]
        self.env.metadata[self.env.docname]["live_views"] = True
        self.env.metadata[self.env.docname].setdefault("stored_views", []).append(name)
        script = f'<script type="{WIDGET_VIEW_MIMETYPE}">{json.dumps({"model_id": name})}</script>'
        picture = nodes.image(uri=f"/{STORED}/{name}.png", alt=text)
        return [nodes.container("", nodes.raw("", script, format="html"), picture, classes=["live-view", name])]


def stored_state(app, pagename):
    """Model id -> state of a page's live views."""
    names = app.env.metadata[pagename].get("stored_views")
    if names is None:
        return notebook_state(app.env.doc2path(pagename))
    states = {name: json.loads(Path(app.srcdir, STORED, f"{name}.json").read_text("utf-8")) for name in names}
    return {name: {"model_module": "anywidget", "state": model["state"]} for name, model in states.items()}


def view_id(script):
    """The model id in the script element that MyST-NB wrote."""
    return json.loads(script[script.index(">") + 1 : script.rindex("<")])["model_id"]


def notebook_state(path):
    """Model id -> state of the widgets stored in a notebook."""
    with open(path, encoding="utf-8") as file:
        metadata = json.load(file)["metadata"]
    return metadata.get("widgets", {}).get(WIDGET_STATE_MIMETYPE, {}).get("state", {})


def figures_in(model, models):
    """The figures stored in the Image widgets at or below a model, as base64 text."""
    found = [buffer["data"] for buffer in model.get("buffers", []) if buffer["path"] == ["value"] and buffer["data"]]
    for child in model["state"].get("children", []):
        found += figures_in(models[child.removeprefix("IPY_MODEL_")], models)
    return found


def colab_link(config, docname):
    """The address that the page's own launch button has."""
    theme = config.html_theme_options
    repository = theme["repository_url"].removeprefix("https://github.com/")
    path = "/".join(part for part in (theme.get("path_to_docs", "").strip("/"), f"{docname}.ipynb") if part)
    return f"{theme['launch_buttons']['colab_url']}/github/{repository}/blob/{theme['repository_branch']}/{path}"


def close_together(models):
    """The same models, so that the code which two views share stands close: compression looks back 32 KB only."""
    tables = ("_tables", "_facts")
    ordered = {}
    for i, (id, model) in enumerate(models.items()):
        large = {name: value for name, value in model["state"].items() if name in tables}
        rest = {name: value for name, value in model["state"].items() if name not in tables}
        ordered[id] = {**model, "state": rest | large if i % 2 else large | rest}
    return ordered


def add_host(app, pagename, templatename, context, doctree):
    """On the pages that have a live view: the host script, and of the stored widget state only what it reads."""
    if not app.env.metadata.get(pagename, {}).get("live_views"):
        return
    # Not deferred: deferred scripts run in order, and the theme's 1.5 MB of icons would come first.
    app.add_js_file("live-host.js", loading_method="async", fetchpriority="high")
    models = stored_state(app, pagename)
    kept = {id: model for id, model in models.items() if model["model_module"] == "anywidget"}
    script = {
        "type": WIDGET_STATE_MIMETYPE,
        "body": sanitize_script_content(json.dumps({"state": close_together(kept)})),
    }
    if "stored_views" in app.env.metadata[pagename]:
        app.add_js_file(None, **script)
    else:
        NbMetadataCollector.get_js_files(app.env, pagename)["ipywidgets_state"] = (None, script)


def setup(app):
    app.add_directive("live-view", LiveViewDirective)
    app.add_post_transform(PlaceViews)
    app.connect("html-page-context", add_host, priority=400)  # before MyST-NB writes its scripts
    return {"parallel_read_safe": True, "parallel_write_safe": True}
