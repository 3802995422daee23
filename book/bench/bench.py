"""What the pages ask of Python: judge a loss, and answer an exercise. Each function takes and gives plain data.

It runs in the page's worker on the small torch, and in the tests on the real one.
"""

import ast
import contextlib
import inspect
import io
import json
import linecache
import sys
import threading
import traceback
import types

MOST = 200_000  # characters of pasted code; more is no loss
FILE = "your code"


class Refused(Exception):
    """What was wrong with the reader's code, in one sentence."""


class _Thread:
    """A thread where there are none: it runs at once."""

    def __init__(self, target=None, args=(), kwargs=None, **_):
        self.run = lambda: target(*args, **(kwargs or {}))

    def start(self):
        before = sys.getprofile()
        try:
            self.run()
        finally:
            sys.setprofile(before)

    def join(self, timeout=None):
        pass


def without_threads():
    """The page has one thread only."""
    threading.Thread = _Thread


def call(name, arguments):
    """Answer one question of the page, as JSON text."""
    return json.dumps(QUESTIONS[name](*json.loads(arguments)))


# ---- the reader's code


def _checked(source):
    if not source.strip():
        raise Refused("There is no code yet. Paste a focal loss, or choose an example.")
    if len(source) > MOST:
        raise Refused(f"This is {len(source):,} characters long; at most {MOST:,} are read. Paste the loss alone.")
    if source.lstrip().startswith("{") and '"cells"' in source:
        raise Refused("This is a notebook, not Python. Paste the cell that holds the loss.")
    try:
        return compile(source, FILE, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        where = f" in line {line}" if line else ""
        what = getattr(error, "msg", None) or str(error)
        raise Refused(f"Python cannot read this{where}: {what}.") from None


def _own_line(error):
    """The reader's own line in which an error arose."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    return f" in line {lines[-1]}" if lines else ""


def run(source, space=None):
    """The names that the reader's code defines, and what it printed."""
    code = _checked(source)
    linecache.cache[FILE] = (len(source), None, source.splitlines(True), FILE)
    module = sys.modules["reader"] = types.ModuleType("reader")
    module.__dict__.update(space or _ready())
    module.__dict__["__name__"] = "reader"
    out = io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            exec(code, module.__dict__)
    except ModuleNotFoundError as error:
        raise Refused(
            f"It imports {error.name}{_own_line(error)}, which is not on this page. torch is, as far as losses need it."
        ) from None
    except SystemExit:
        raise Refused(f"It ends the program{_own_line(error) if (error := sys.exception()) else ''}.") from None
    except Exception as error:
        text = (str(error).strip().splitlines() or [""])[0]
        raise Refused(f"It stops{_own_line(error)}: {type(error).__name__}: {text}") from None
    return module.__dict__, out.getvalue()


def _ready():
    """What pasted code uses without importing it, as in the middle of a file."""
    import math

    import torch
    import torch.nn.functional as F
    from torch import nn

    return {"torch": torch, "F": F, "nn": nn, "math": math}


def losses_in(source, space):
    """The names of functions of at least two arguments and of modules in the code, the likeliest first."""
    from torch import nn

    found = []
    for node in ast.parse(source).body:
        thing = space.get(getattr(node, "name", None))
        if (inspect.isclass(thing) and issubclass(thing, nn.Module)) or (
            inspect.isfunction(thing) and len(inspect.signature(thing).parameters) >= 2
        ):
            found.append(node.name)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            if isinstance(space.get(name), nn.Module):
                found.append(name)
    found = list(dict.fromkeys(found))
    return sorted(found, key=lambda name: ("focal" not in name.lower(), "loss" not in name.lower(), -found.index(name)))


def check(source, name=None):
    """Judge the loss of this name, or the likeliest one."""
    from focal_lib.diagnosis import diagnose

    try:
        space, printed = run(source)
        names = losses_in(source, space)
        if not names:
            raise Refused("No loss here: no function of (input, target), and no class derived from nn.Module.")
        name = name if name in names else names[0]
        diagnosis = diagnose(space[name])
    except Refused as error:
        return {"refused": str(error)}
    return {
        "name": name,
        "names": names,
        "verdict": diagnosis.verdict,
        "html": diagnosis._repr_html_(),
        "text": str(diagnosis),
        "printed": printed[:2000],
    }


# ---- exercises

_exercise = {}


def open_exercise(cells):
    """Run an exercise's own cells, up to the exercise itself."""
    space = {"__name__": "__main__"}
    for i, source in enumerate(cells):
        file = f"exercise {i}"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        exec(compile(source, file, "exec", dont_inherit=True), space)
    _exercise.update(space=space, exercise=space["exercise"])
    return {"shown": repr(space["exercise"])}


def _said(feedback):
    return {"ok": feedback.ok, "text": repr(feedback)}


def predict(answer):
    """What the exercise says of these letters."""
    return _said(_exercise["exercise"].check_predict(answer))


def expose(text):
    """What the exercise says of this evidence: a Python literal, or ``none``."""
    try:
        evidence = "none" if text.strip().strip("\"'").lower() == "none" else ast.literal_eval(text)
    except (SyntaxError, ValueError):
        return {"ok": False, "text": "✗ Numbers only, such as 0.5 or -3, in each field."}
    return _said(_exercise["exercise"].check_expose(evidence))


def compare(text):
    """The loss under review and a right one on this input, side by side."""
    from focal_lib.exercises.outcomes import outcome_of, say

    exercise = _exercise["exercise"]
    try:
        case = exercise._read(ast.literal_eval(text))
    except (SyntaxError, OverflowError, TypeError, ValueError, RuntimeError) as error:
        return {"refused": (str(error).splitlines() or [""])[0]}
    ours, right = (outcome_of(loss, case, exercise.binary) for loss in (exercise.loss, exercise._right))
    return {"ours": say(ours), "right": say(right)}


def fix(source, name):
    """What the exercise says of a mended loss."""
    try:
        space, _ = run(source, dict(_exercise["space"]))
        if name not in space:
            raise Refused(f"There is no {name} in your code; keep the name of what you mend.")
        loss = space[name]
    except Refused as error:
        return {"ok": False, "text": f"✗ {error}"}
    return _said(_exercise["exercise"].check_fix(loss))


QUESTIONS = {
    "check": check,
    "open_exercise": open_exercise,
    "predict": predict,
    "expose": expose,
    "compare": compare,
    "fix": fix,
}
