"""The bench on the built site: Python, the small torch and the library, as scripts that a page loads at the first tap.

Classic scripts with base64 inside, because a page opened from a file may load nothing else. Nothing here is committed
but their source: the runtime comes from the npm package that requirements/node pins.
"""

import ast
import base64
import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from sphinx.errors import ConfigError

ROOT = Path(__file__).parent.parent.parent
LIBRARY = ["__init__", "losses", "_*", *(f"{part}/**/*" for part in ("bugs", "diagnosis", "exercises"))]
LIBRARY += ["lab/__init__", "lab/data", "lab/training"]
EXAMPLE = ROOT / "book" / "views" / "example.json"  # stored, because scikit-learn drew it and the site is built without
MEMORY = 384 << 20  # bytes that Python may take in a page; then it raises MemoryError
CHUNK = 700_000  # base64 letters in one script: as many steps has the progress bar
CHECK_PAGE, TRAINING_PAGE, LIST_PAGE = "book/check", "notebooks/05_training", "book/exercises"
WELCOME_PAGE = "book/index"  # where the five lines of its view can be mended
SITES = ("html", "dirhtml")  # an e-book runs no Python
# Parts of Python's library that no loss needs.
LEFT_OUT = re.compile(
    r"(asyncio/(?!__init__|base_|events|exceptions|format_|futures|graph|coroutines|constants|locks|log|mixins|protocols"
    r"|queues|runners|sslproto|staggered|streams|subprocess|taskgroups|tasks|threads|timeouts|tools|transports|trsock"
    r"|unix_|windows|selector|proactor)|unittest|xmlrpc|wsgiref|multiprocessing|concurrent/interpreters|http"
    r"|xml|sqlite3|dbm|curses|ensurepip|idlelib|tkinter|turtle|pydoc|pdb|doctest|mailbox|imaplib|smtplib|poplib|ftplib"
    r"|tarfile|_pyrepl|pickletools|pyclbr|optparse|ipaddress|configparser|cgi|sysconfig/__main__|logging/(config|handlers)"
    r"|profile|cProfile|pstats|trace\.|venv|zipapp|statistics|plistlib|_pydecimal|nntplib|telnetlib|uuid|wave|mimetypes"
    r"|ctypes|modulefinder|compileall|zoneinfo|encodings/(?!__init__|aliases|utf_8|ascii|latin_1|cp437|idna|punycode"
    r"|raw_unicode|unicode_escape|utf_16|utf_32)"
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


def compiled(files, optimize=0):
    """A zip of these {name: bytes}, each .py compiled by the page's own Python, which no reader's phone then need do.

    Kept beside the runtime, as the same files are compiled for many builds. ``optimize`` 2 leaves out docstrings and
    asserts.
    """
    key = hashlib.sha256(str(optimize).encode())
    for name, data in sorted(files.items()):
        key.update(f"{name} {len(data)} ".encode() + data)
    key.update((ROOT / "book" / "bench" / "compile.mjs").read_bytes() + (runtime() / "package.json").read_bytes())
    kept = runtime().parent / ".cache" / f"page-python-{key.hexdigest()[:20]}.zip"
    if not kept.is_file():
        kept.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            plain, out = Path(folder, "plain.zip"), Path(folder, "compiled.zip")
            with zipfile.ZipFile(plain, "w") as new:
                for name, data in sorted(files.items()):
                    new.writestr(zipfile.ZipInfo(name), data)
            node = Path(sys.prefix, "bin", "node")
            command = [node, ROOT / "book" / "bench" / "compile.mjs", runtime(), plain, out, str(optimize)]
            run = subprocess.run(command, capture_output=True, text=True)
            if run.returncode:
                raise ConfigError(f"The pages' Python could not be compiled: {run.stderr.strip()[-500:]}")
            out.replace(kept)
    return kept.read_bytes()


def python_library():
    """The files of Python's own library, without what no loss needs."""
    with zipfile.ZipFile(runtime() / "python_stdlib.zip") as old:
        return {item.filename: old.read(item) for item in old.infolist() if not LEFT_OUT.match(item.filename)}


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
    core, bounded = re.subn(r"getHeapMax=\(\)=>\d+", f"getHeapMax=()=>{MEMORY}", core)
    if not bounded:
        raise ConfigError("pyodide's memory is not bounded where book/_ext/bench.py expects it")
    core, loader = (text.replace("import.meta.url", '"https://bench.invalid/"') for text in (core, loader))
    return f"{walls}\nconst LOCK = {json.dumps(lock)};\n{core}\n{loader}\n{ours}"


def python_files():
    """{path: bytes} of all Python that is ours, and of what it knows of the museum's bugs."""
    bench, library = ROOT / "book" / "bench", ROOT / "focal_lib"
    paths = {path.relative_to(bench): path for path in sorted(bench.rglob("*.py"))}
    paths[Path("torch/names.txt")] = bench / "torch" / "names.txt"
    for pattern in LIBRARY:
        for path in sorted(library.glob(f"{pattern}.py")):
            paths[Path("focal_lib") / path.relative_to(library)] = path
    files = {path.as_posix(): file.read_bytes() for path, file in paths.items()}
    return files | {"known.json": known_bugs(files)}


def known_bugs(files):
    """What bench.bugs_broken() of these files says on the small torch, as JSON; kept beside the runtime."""
    key = hashlib.sha256(json.dumps([(name, data.decode()) for name, data in sorted(files.items())]).encode())
    kept = runtime().parent / ".cache" / f"known-bugs-{key.hexdigest()[:20]}.json"
    if not kept.is_file():
        kept.parent.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            for name, data in files.items():
                Path(folder, name).parent.mkdir(parents=True, exist_ok=True)
                Path(folder, name).write_bytes(data)
            command = [sys.executable, "-c", "import bench, json; print(json.dumps(bench.bugs_broken()))"]
            run = subprocess.run(
                command, cwd=folder, env={**os.environ, "PYTHONPATH": folder}, capture_output=True, text=True
            )
            if run.returncode:
                raise ConfigError(f"The museum's bugs did not run on the pages' torch: {run.stderr.strip()[-500:]}")
            Path(folder, "out.json").write_text(run.stdout)
            Path(folder, "out.json").replace(kept)
    return kept.read_bytes()


def write(app, exception):
    """The scripts, beside the other static files."""
    if exception or app.builder.name not in SITES:
        return
    folder, out = runtime(), Path(app.outdir, "_static", "bench")
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    parts = {
        "worker": gzip.compress(worker_text(folder).encode(), 9, mtime=0),
        "wasm": gzip.compress((folder / "pyodide.asm.wasm").read_bytes(), 9, mtime=0),
        "stdlib": compiled(python_library(), optimize=2),
        "library": compiled(python_files()),
    }
    chunks = []
    for name, data in parts.items():
        text = base64.b64encode(data).decode()
        chunks += [(name, text[i : i + CHUNK]) for i in range(0, len(text), CHUNK)]
    for i, (name, text) in enumerate(chunks):
        (out / f"part-{i}.js").write_text(f'focalBench.part({i},"{name}","{text}")')
    (out / "parts.js").write_text(f"focalBench.parts({len(chunks)})")
    (out / "example.js").write_text(f"focalBench.example({EXAMPLE.read_text()})")


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
    if app.builder.name in SITES and pagename == LIST_PAGE:
        app.add_js_file("bench-list.js", loading_method="defer")
        return
    exercise = app.builder.name in SITES and re.fullmatch(r"notebooks/exercises/\w+", pagename)
    if not (exercise or (app.builder.name in SITES and pagename in (CHECK_PAGE, TRAINING_PAGE, WELCOME_PAGE))):
        return
    if pagename == TRAINING_PAGE:
        names = ("engine", "train")
    else:
        if exercise:
            data = exercise_of(notebook(app, pagename)["cells"])
        else:
            data = {"start": five_lines()} if pagename == WELCOME_PAGE else {"examples": examples()}
        data["slug"] = pagename.rsplit("/", 1)[1]
        text = json.dumps(data).replace("</", "<\\/")
        app.add_js_file(None, body=text, type="application/json", id="bench-data")
        names = ("engine", "editor", "exercise" if exercise else "check")
    for name in names:
        app.add_js_file(f"bench-{name}.js", loading_method="defer")
    app.add_css_file("bench.css")
    context["metatags"] = f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">' + context.get(
        "metatags", ""
    )


def five_lines():
    """The code that the welcome page's view shows, as people copy it."""
    facts = json.loads((ROOT / "book" / "views" / "FiveLines.json").read_text())["state"]["_facts"]
    return facts["code"].replace("{}", facts["lines"][0]) + "\n"


def published():
    """Losses as their authors published them, and a right one: [(title, code)]."""
    text = (ROOT / "book" / "bench" / "examples.md").read_text()
    return re.findall(r"^## ([^\n]*)\n\n```python\n(.*?)```", text, re.S | re.M)


def examples():
    """One-tap examples: published losses, then the museum's, as their code stands in the library."""
    parts = "from focal_lib.bugs.parts import cross_entropy, focus, pick, reduced\n\n\n"
    found = published()
    for path in sorted((ROOT / "focal_lib" / "bugs").glob("*.py")):
        text = path.read_text()
        for node in ast.parse(text).body:
            entry = getattr(node, "decorator_list", None)
            titles = [ast.literal_eval(k.value) for d in entry or () for k in d.keywords if k.arg == "title"]
            if titles:
                found.append((titles[0], parts + ast.get_source_segment(text, node) + "\n"))
    return found


def setup(app):
    app.connect("html-page-context", place, priority=300)
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
