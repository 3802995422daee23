"""The bench on the built site: Python, the small torch and the library, as scripts that a page loads at the first tap.

Classic scripts with base64 inside, because a page opened from a file may load nothing else. Nothing here is committed
but their source: the runtime comes from the npm package that requirements/node pins.
"""

import ast
import base64
import gzip
import io
import json
import re
import sys
import zipfile
from pathlib import Path

from sphinx.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent
LIBRARY = ["__init__", "losses", "_*", "bugs/*", "diagnosis/*", "exercises/*"]
CHUNK = 700_000  # base64 letters in one script: as many steps has the progress bar
CHECK_PAGE = "book/check"
SITES = ("html", "dirhtml")  # an e-book runs no Python
# Parts of Python's library that no loss needs.
LEFT_OUT = re.compile(
    r"(asyncio/(?!__init__|base_|events|exceptions|format_|futures|graph|coroutines|constants|locks|log|mixins|protocols"
    r"|queues|runners|sslproto|staggered|streams|subprocess|taskgroups|tasks|threads|timeouts|tools|transports|trsock"
    r"|unix_|windows|selector|proactor)|unittest|xmlrpc|wsgiref|multiprocessing|concurrent/interpreters|http"
    r"|xml|sqlite3|dbm|curses|ensurepip|idlelib|tkinter|turtle|pydoc|pdb|doctest|mailbox|imaplib|smtplib|poplib|ftplib"
    r"|tarfile|_pyrepl|pickletools|pyclbr|optparse|ipaddress|configparser|cgi|sysconfig/__main__|logging/(config|handlers)"
    r"|profile|cProfile|pstats|trace\.|venv|zipapp|statistics|plistlib|_pydecimal|nntplib|telnetlib|uuid|wave|mimetypes"
    r"|socketserver|webbrowser|netrc|sched|smtpd|this|antigravity|__phello__|tomllib|pathlib/__main__|html/entities_)"
)
POLICY = (
    "default-src 'self' file: data: blob:; script-src 'self' file: blob: 'unsafe-inline' 'wasm-unsafe-eval'; "
    "style-src 'self' file: 'unsafe-inline'; connect-src 'none'; object-src 'none'; "
    "base-uri 'self'; form-action 'self' file:"
)


def runtime():
    """The folder of the npm package."""
    folder = Path(sys.prefix, "node", "node_modules", "pyodide")
    if not folder.is_dir():
        raise ConfigError(f"The pages' Python is missing; run: npm ci --prefix {folder.parent.parent} (see Makefile)")
    return folder


def smaller_library(data):
    """Python's own library, without what no loss needs."""
    out = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(data)) as old,
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as new,
    ):
        for item in old.infolist():
            if not LEFT_OUT.match(item.filename):
                new.writestr(zipfile.ZipInfo(item.filename), old.read(item), zipfile.ZIP_DEFLATED, 9)
    return out.getvalue()


def worker_text(folder):
    """One script for the worker: Pyodide's two modules between ours.

    A classic script, as browsers start no module from a page that was opened from a file.
    """
    loader = (folder / "pyodide.mjs").read_text()
    loader, found = re.subn(r"export\{(\w+) as loadPyodide,\w+ as version\};", r"const loadPyodide=\1;", loader)
    core, also = re.subn(r"export default _createPyodideModule;", "", (folder / "pyodide.asm.mjs").read_text())
    if not found == also == 1:
        raise ConfigError("pyodide's scripts end otherwise than book/_ext/bench.py expects")
    loader = re.sub(r"//# source.*", "", loader)
    lock = {k: v for k, v in json.loads((folder / "pyodide-lock.json").read_text()).items() if k != "packages"}
    walls, ours = ((ROOT / "book" / "bench" / name).read_text() for name in ("walls.js", "worker.js"))
    core, loader = (text.replace("import.meta.url", '"https://bench.invalid/"') for text in (core, loader))
    return f"{walls}\nconst LOCK = {json.dumps(lock)};\n{core}\n{loader}\n{ours}"


def python_files():
    """Path -> text of all Python that is ours."""
    bench, library = ROOT / "book" / "bench", ROOT / "focal_lib"
    paths = {path.relative_to(bench): path for path in sorted(bench.rglob("*.py"))}
    paths[Path("torch/names.txt")] = bench / "torch" / "names.txt"
    for pattern in LIBRARY:
        for path in sorted(library.glob(f"{pattern}.py")):
            paths[Path("focal_lib") / path.relative_to(library)] = path
    return {path.as_posix(): file.read_text() for path, file in paths.items()}


def write(app, exception):
    """The scripts, beside the other static files."""
    if exception or app.builder.name not in SITES:
        return
    folder, out = runtime(), Path(app.outdir, "_static", "bench")
    out.mkdir(parents=True, exist_ok=True)
    parts = {
        "worker": gzip.compress(worker_text(folder).encode(), 9, mtime=0),
        "wasm": gzip.compress((folder / "pyodide.asm.wasm").read_bytes(), 9, mtime=0),
        "stdlib": smaller_library((folder / "python_stdlib.zip").read_bytes()),
    }
    chunks = []
    for name, data in parts.items():
        text = base64.b64encode(data).decode()
        chunks += [(name, text[i : i + CHUNK]) for i in range(0, len(text), CHUNK)]
    for i, (name, text) in enumerate(chunks):
        (out / f"part-{i}.js").write_text(f'focalBench.part({i},"{name}","{text}")')
    contents = {"parts": len(chunks), "files": python_files()}
    (out / "library.js").write_text(f"focalBench.library({json.dumps(contents)})")


def notebook(app, page):
    return json.loads(Path(app.env.doc2path(page)).read_text())


def exercise_of(cells):
    """What an exercise page needs: its cells up to the exercise, its letters, and the code to mend."""
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    shown = {
        "".join(cell["source"]): "".join("".join(o.get("data", {}).get("text/plain", "")) for o in cell["outputs"])
        for cell in cells
        if cell["cell_type"] == "code"
    }
    start = next(i for i, source in enumerate(code) if "Exercise(" in source and "import" not in source.split("\n")[0])
    before = [source for source in code[: start + 1] if "importlib" not in source and "plt.show" not in source]
    before = [re.sub(r"^import matplotlib.*\n", "", source, flags=re.M) for source in before if "optim." not in source]
    fixing = next(i for i, source in enumerate(code) if "exercise.fix(" in source)
    words = shown[code[start]]
    letters = re.findall(r"^([A-H])  (.*)$", words, re.M)
    single = not letters
    letters = letters or [(letter, "") for letter in re.findall(r"\b([A-H])\b", words.split("Which of")[-1])]
    return {
        "cells": before,
        "letters": letters,
        "single": single,
        "binary": "binary=True" in code[start],
        "stub": code[fixing - 1],
        "name": re.search(r"exercise\.fix\((\w+)", code[fixing])[1],
        "arguments": arguments(code[fixing - 1]),
    }


def arguments(stub):
    """The settings of the code to mend, but for logits and labels; a module may move to another device too."""
    thing = ast.parse(stub).body[-1]
    is_class = isinstance(thing, ast.ClassDef)
    defined = [d for d in (thing.body if is_class else [thing]) if isinstance(d, ast.FunctionDef)]
    names = [a.arg for d in defined for a in (*d.args.args, *d.args.kwonlyargs)]
    names = [n for n in dict.fromkeys(names) if n in ("alpha", "gamma", "reduction", "ignore_index")]
    return names + (["device"] if is_class else [])


def place(app, pagename, templatename, context, doctree):
    """On the pages that have a bench: its scripts, what they need to know, and the policy they live with."""
    exercise = app.builder.name in SITES and re.fullmatch(r"notebooks/exercises/\w+", pagename)
    if not (exercise or (app.builder.name in SITES and pagename == CHECK_PAGE)):
        return
    data = exercise_of(notebook(app, pagename)["cells"]) if exercise else {"examples": examples()}
    if exercise:
        data["slug"] = pagename.rsplit("/", 1)[1]
    text = json.dumps(data).replace("</", "<\\/")
    app.add_js_file(None, body=text, type="application/json", id="bench-data")
    for name in ("engine", "editor", "exercise" if exercise else "check"):
        app.add_js_file(f"bench-{name}.js", loading_method="defer")
    app.add_css_file("bench.css")
    context["metatags"] = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">' + context.get(
        "metatags", ""
    )


def examples():
    """One-tap examples: the sources' losses and the museum's, as their code stands in the library."""
    parts = "from focal_lib.bugs.parts import cross_entropy, focus, pick, reduced\n\n\n"
    found = [("Five lines that many copied", FIVE_LINES)]
    for path in sorted((ROOT / "focal_lib" / "bugs").glob("*.py")):
        text = path.read_text()
        for node in ast.parse(text).body:
            entry = getattr(node, "decorator_list", None)
            titles = [ast.literal_eval(k.value) for d in entry or () for k in d.keywords if k.arg == "title"]
            if titles:
                found.append((titles[0], parts + ast.get_source_segment(text, node) + "\n"))
    return found


FIVE_LINES = """def focal_loss(logits, target, gamma=2.0):
    ce = nn.CrossEntropyLoss()(logits, target)
    p_t = torch.exp(-ce)
    loss = (1 - p_t) ** gamma * ce
    return loss.mean()
"""


def setup(app):
    app.connect("html-page-context", place, priority=300)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
