"""What the pages ask of Python: judge a loss, and answer an exercise. Each function takes and gives plain data.

It runs in the page's worker on the small torch, and in the tests on the real one.
"""

import ast
import base64
import contextlib
import functools
import html
import inspect
import io
import json
import linecache
import pathlib
import re
import sys
import threading
import time
import traceback
import types
from array import array

MOST = 200_000  # characters of pasted code; more is no loss
FILE = "your code"
KNOWN = "known.json"  # what book/_ext/bench.py makes of bugs_broken


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


# ---- what code may change for itself alone: the next question finds Python, torch and the judge as they were

OURS = ("builtins", "math", "torch", "focal_lib", "bench")
CHANGEABLE = 1 << 9  # Py_TPFLAGS_HEAPTYPE: a class that Python code made
_kept = []


def keep():
    """Remember what the modules hold, before the reader's code runs."""
    loaded = [module for name, module in list(sys.modules.items()) if name.partition(".")[0] in OURS]
    classes = {
        thing
        for module in loaded
        for thing in vars(module).values()
        if issubclass(type(thing), type) and thing.__module__.partition(".")[0] in OURS and thing.__flags__ & CHANGEABLE
    }
    tables = [sys.modules, *(vars(module) for module in loaded)]
    _kept[:] = [(names, None, dict(names)) for names in tables] + [(None, one, dict(vars(one))) for one in classes]


def put_back(kept=_kept, setattr=type.__setattr__):
    """Undo what the reader's code changed or deleted in them; what it added stays, as no one else asks for it.

    It calls nothing by a name that the code could have taken away: a deleted builtin is gone for us as well.
    """
    for names, one, was in kept:
        if one is None:
            names.update(was)
            continue
        now = one.__dict__
        for name in was:
            if now.get(name) is not was[name]:
                setattr(one, name, was[name])
    kept.clear()


def call(name, arguments, put_back=put_back):
    """Answer one question of the page, as JSON text."""
    put_back()
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


def _first_line(error):
    return (str(error).strip().splitlines() or [""])[0]


def _own_line(error):
    """The reader's own line in which an error arose."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILE]
    return f" in line {lines[-1]}" if lines else ""


def _with_quotes(text):
    """The text; and what to write, where a word lacked its quotes."""
    word = re.search(r"NameError.*: name '(none|sum|mean)' is not defined", text)
    return f'{text.rstrip(".")}. Write "{word[1]}", in quotes.' if word else text


@contextlib.contextmanager
def own_lines():
    """A function that adds to each error that a report quotes the reader's line in which it arose."""
    lines, events = {}, getattr(sys, "monitoring", None)  # Python 3.12 and later, as in the page

    def unwound(code, offset, error):
        if code.co_filename == FILE:
            said = f": {_first_line(error)}"
            lines.setdefault((type(error).__name__, said), _own_line(error))

    def add(text, escape=str):
        for (kind, said), line in lines.items():
            text = text.replace(f"raised {kind}{escape(said)}", f"raised {kind}{line}{escape(said)}")
        return text

    if events:
        events.use_tool_id(events.DEBUGGER_ID, "bench")
        events.register_callback(events.DEBUGGER_ID, events.events.PY_UNWIND, unwound)
        events.set_events(events.DEBUGGER_ID, events.events.PY_UNWIND)
    try:
        yield add
    finally:
        if events:
            events.free_tool_id(events.DEBUGGER_ID)


def run(source, space=None):
    """The names that the reader's code defines, and what it printed."""
    code = _checked(source)
    linecache.cache[FILE] = (len(source), None, source.splitlines(True), FILE)
    module = sys.modules["reader"] = types.ModuleType("reader")
    module.__dict__.update(space or _ready())
    module.__dict__["__name__"] = "reader"
    out = io.StringIO()
    keep()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            exec(code, module.__dict__)
    except ModuleNotFoundError as error:
        raise Refused(
            f"It imports {error.name}{_own_line(error)}, which is not on this page. torch is, as far as losses need it."
        ) from None
    except SystemExit:
        raise Refused(f"It ends the program{_own_line(error) if (error := sys.exception()) else ''}.") from None
    except MemoryError as error:
        raise Refused(f"It runs out of the memory that this page gives Python{_own_line(error)}.") from None
    except Exception as error:
        raise Refused(
            _with_quotes(f"It stops{_own_line(error)}: {type(error).__name__}: {_first_line(error)}")
        ) from None
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

    remember()
    try:
        space, printed = run(source)
        names = losses_in(source, space)
        if not names:
            raise Refused("No loss here: no function of (input, target), and no class derived from nn.Module.")
        name = name if name in names else names[0]
        with own_lines() as with_lines:
            diagnosis = diagnose(space[name])
    except Refused as error:
        return {"refused": str(error)}
    return {
        "name": name,
        "names": names,
        "verdict": diagnosis.verdict,
        "html": with_lines(diagnosis._repr_html_(), html.escape),
        "text": with_lines(str(diagnosis)),
        "printed": printed[:2000],
    }


# ---- what the museum's bugs break: a reader's loss is compared with each of them


def bugs_broken():
    """``{bug: {property: what it gave there}}`` of all known bugs, for float64 and the small cases of seed 0."""
    import torch

    from focal_lib.bugs import CATALOGUE
    from focal_lib.diagnosis import suspects

    def broken(id):
        results = {name: suspects._bug_result(id, name, 0, torch.float64) for name in suspects.PROPERTIES}
        return {name: list(r.got) for name, r in results.items() if isinstance(r, suspects.Violation)}

    return {id: broken(id) for id in CATALOGUE}


@functools.cache
def remember():
    """Know what :func:`bugs_broken` found when the book was built, where it lies beside this file.

    No phone then runs all the bugs of the museum before its first verdict. Other dtypes are worked out as ever.
    """
    try:
        known = json.loads(__loader__.get_data(str(pathlib.Path(__file__).with_name(KNOWN))))
    except OSError:
        return
    import torch

    from focal_lib.diagnosis import suspects

    work_out = suspects._bug_result_of

    def known_or_not(id, name, seed, dtype, classes):
        if seed or classes or dtype != torch.float64 or id not in known:
            return work_out(id, name, seed, dtype, classes)
        return suspects.Violation(name, tuple(known[id][name])) if name in known[id] else None

    suspects._bug_result_of = known_or_not


# ---- exercises

_exercise = {}


def open_exercise(cells):
    """Run an exercise's own cells, up to the exercise itself."""
    remember()
    space = {"__name__": "__main__"}
    for i, source in enumerate(cells):
        file = f"exercise {i}"
        linecache.cache[file] = (len(source), None, source.splitlines(True), file)
        exec(compile(source, file, "exec", dont_inherit=True), space)
    _exercise.update(space=space, exercise=space["exercise"])
    return {"shown": repr(space["exercise"])}


def _said(part, answer, feedback):
    """The feedback as plain data. It is remembered as in a notebook: what was found before counts for a fix."""
    _exercise["exercise"].answers[part] = answer, feedback
    return {"ok": feedback.ok, "text": repr(feedback)}


def predict(answer):
    """What the exercise says of these letters."""
    return _said("predict", answer, _exercise["exercise"].check_predict(answer))


def expose(text):
    """What the exercise says of this evidence: a Python literal, or ``none``."""
    from focal_lib.exercises.reading import read_evidence

    if text == "none":
        return _said("expose", text, _exercise["exercise"].check_expose(text))
    try:
        evidence = _literal(text)
        read_evidence(evidence, _exercise["exercise"].loss, _exercise["exercise"].kind)
    except UNREADABLE as error:  # boxes were filled in: how to write a dict is of no help
        return {"ok": False, "text": f"○ {_first_line(error)}"}
    return _said("expose", evidence, _exercise["exercise"].check_expose(evidence))


UNREADABLE = (Refused, OverflowError, TypeError, ValueError, RuntimeError)


def _literal(text):
    try:
        return ast.literal_eval(text)
    except (SyntaxError, ValueError):
        raise Refused("Numbers only, such as 0.5 or -3, in each field.") from None


def compare(text):
    """The loss under review and a right one on this input, side by side."""
    from focal_lib.exercises.outcomes import outcome_of, say
    from focal_lib.exercises.reading import read_evidence

    exercise = _exercise["exercise"]
    try:
        case = read_evidence(_literal(text), exercise.loss, exercise.kind)
    except UNREADABLE as error:
        return {"refused": _first_line(error)}
    ours, right = (outcome_of(loss, case) for loss in (exercise.loss, exercise.right))
    return {"ours": say(ours), "right": say(right)}


def fix(source, name):
    """What the exercise says of a mended loss, and what its code printed."""
    try:
        space, printed = run(source, dict(_exercise["space"]))
        if name not in space:
            raise Refused(f"There is no {name} in your code; keep the name of what you mend.")
        loss = space[name]
        with own_lines() as with_lines:
            feedback = _exercise["exercise"].check_fix(loss)
    except Refused as error:
        return {"ok": False, "text": f"✗ {error}"}
    return {"ok": feedback.ok, "text": _with_quotes(with_lines(repr(feedback))), "printed": printed.rstrip()[:2000]}


# ---- training: chapter 05's network, some epochs at a time, so that the page can draw and cancel

_training = {}


def train_start(example, gamma, weights, epochs, seed):
    """Begin a run of chapter 05: ``example`` is what book/_ext/bench.py ships; gamma 0 is cross-entropy."""
    import torch

    from focal_lib import FocalLoss
    from focal_lib.lab.data import inverse_frequency
    from focal_lib.lab.training import make_model, training_steps

    numbers = array("f", base64.b64decode(example["x"]))
    x, y = torch.tensor(numbers.tolist()).view(-1, 20), torch.tensor([int(label) for label in example["y"]])
    split = example["train"]
    x_train, y_train = x[:split], y[:split]
    criterion = FocalLoss(inverse_frequency(y_train) if weights else None, gamma)
    model = make_model(seed)
    steps = training_steps(model, criterion, x_train, y_train, epochs)
    _training.update(model=model, steps=steps, x=x[split:], y=y[split:])
    return None


def train_more(seconds=0.3):
    """Train on for about so long: the losses since, whether that was all, and the matrix on held-out data."""
    import torch

    losses, end, done = [], time.perf_counter() + seconds, True
    for loss in _training["steps"]:
        losses.append(loss)
        if time.perf_counter() > end:
            done = False
            break
    with torch.no_grad():
        found = _training["model"](_training["x"]).argmax(1).tolist()
    matrix = [[0, 0], [0, 0]]
    for true, said in zip(_training["y"].tolist(), found, strict=True):
        matrix[true][said] += 1
    return {"losses": losses, "done": done, "matrix": matrix}


QUESTIONS = {
    "check": check,
    "open_exercise": open_exercise,
    "predict": predict,
    "expose": expose,
    "compare": compare,
    "fix": fix,
    "train_start": train_start,
    "train_more": train_more,
}
