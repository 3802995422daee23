"""Runs inside the sandbox: executes one student's cells, then answers calls of the student's functions.

A request is a line of JSON on stdin, a reply a line of JSON on what was stdout. This process can lie, crash or hang:
the other side takes numbers from it and nothing else. Of this repository only this file and the library's losses are in
the sandbox: the rest of `focal_lib` and matplotlib are stand-ins here, which note what the checks were called with.
"""

import builtins
import contextlib
import ctypes
import hashlib
import importlib
import importlib.abc
import importlib.machinery
import inspect
import io
import json
import linecache
import numbers
import os
import resource
import sys
import types
import typing
from collections.abc import Mapping, Sequence, Set

import torch

STAND_INS = ("focal_lib", "matplotlib")
LOSSES = ("FocalLoss", "focal_loss", "plain_focal_loss", "sigmoid_focal_loss")
PARTS = ("predict", "expose", "fix")
SETTINGS = ("alpha", "gamma", "reduction", "ignore_index")
ANY_NUMBER, ANY_NAME = int(inspect.Parameter.VAR_POSITIONAL), int(inspect.Parameter.VAR_KEYWORD)
KEPT_GRAPHS = 64
DEEPEST = 7  # lists in lists: logits of images have four
MOST_ANSWER, MOST_ERRORS = 1 << 19, 1000  # characters of an answer as JSON; cells whose error is told
DTYPES = {
    str(getattr(torch, name)): getattr(torch, name)
    for name in ("float64", "float32", "float16", "bfloat16", "int64", "int32", "bool")
}


# --- what stands in for modules and for IPython ---------------------------------------------------------------------


class Nothing:
    """Takes part in any code and does nothing."""

    def __call__(self, *args, **kwargs):
        return self

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __iter__(self):
        return iter(())


class Exercise(Nothing):
    """Keeps what its checks were called with, wherever the answer was written."""

    called: typing.ClassVar = {part: [] for part in PARTS}

    def __init__(self, *args, **kwargs):
        pass

    def predict(self, answer=...):
        self.called["predict"].append(answer)

    def expose(self, evidence=...):
        self.called["expose"].append(evidence)

    def fix(self, loss=..., *args, **kwargs):
        self.called["fix"].append(loss)


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in STAND_INS:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def exec_module(self, module):
        library = module.__name__ in ("focal_lib", "focal_lib.losses")

        def get(name):
            if name == "Exercise":
                return Exercise
            return getattr(the_losses(), name) if library and name in LOSSES else getattr(Nothing(), name)

        module.__getattr__ = get


def the_losses():
    """The library's own losses, for trying things out; under another name, because a stand-in has theirs."""
    if "library" not in sys.modules:
        package = types.ModuleType("library")
        package.__path__ = ["/library"]
        sys.modules["library"] = package
    return importlib.import_module("library.losses")


@contextlib.contextmanager
def library_calls():
    """Gives a set: the library's functions that run meanwhile. Watches only where a student got hold of them."""
    called = set()
    if "library.losses" not in sys.modules:
        yield called
        called.update({"library"} & set(sys.modules))  # got hold of in this very call
        return
    before = sys.getprofile()
    own = "/library/"
    sys.setprofile(lambda frame, *_: frame.f_code.co_filename.startswith(own) and called.add(frame.f_code.co_name))
    try:
        yield called
    finally:
        sys.setprofile(before)


class Shell(Nothing):
    """What ``get_ipython()`` gives: magics that time code run it, all others do nothing."""

    def __init__(self, variables):
        self.user_ns = variables

    def run_line_magic(self, name, line, *args, **kwargs):
        if name in ("time", "timeit", "prun"):
            return run_as_cell(line, self.user_ns, f"%{name}")

    def run_cell_magic(self, name, line, cell):
        if name in ("time", "timeit", "prun", "capture"):
            run_as_cell(cell, self.user_ns, f"%%{name}")
        elif name == "writefile":
            with open(line.split()[-1], "w") as file:
                file.write(cell)

    def getoutput(self, *args, **kwargs):
        return []

    def system(self, *args, **kwargs):
        pass


def compiled(source, filename):
    """Code of a cell as IPython would read it; plain Python costs no import of IPython."""
    try:
        code = compile(source, filename, "exec")
    except SyntaxError as error:
        from IPython.core.inputtransformer2 import TransformerManager

        changed = TransformerManager().transform_cell(source)
        if changed.rstrip() == source.rstrip():
            raise error
        source, code = changed, compile(changed, filename, "exec")
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    return code


def run_as_cell(source, variables, filename):
    """Execute code; returns the value of it where it is one expression."""
    try:
        code = compile(source.strip(), filename, "eval")
    except SyntaxError:
        exec(compiled(source, filename), variables)
        return None
    return eval(code, variables)


# --- requests ------------------------------------------------------------------------------------------------------


def limit(cpu_seconds, memory_bytes, file_bytes, threads):
    limits = {"CPU": cpu_seconds, "AS": memory_bytes, "FSIZE": file_bytes, "NPROC": threads, "NOFILE": 64}
    for name, value in {**limits, "CORE": 0, "MSGQUEUE": 0, "MEMLOCK": 0, "SIGPENDING": 64}.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))
    ctypes.CDLL(None).prctl(1, 9)  # die with the parent: a change of user forgets it; the filter lets nobody undo it


class Stop(BaseException):
    """The end, with a reason for the student."""


def run_cells(cells, variables):
    """Execute cells one after another, as Run All would, but past errors; returns {cell number: error}."""
    errors = {}
    for number, source in cells:
        try:
            exec(compiled(source, f"cell {number}"), variables)
        except SystemExit:
            raise Stop(f"cell {number} ended the program (sys.exit)") from None
        except BaseException as error:
            if out_of_memory(error):
                raise Stop(f"cell {number} ran out of memory") from None
            if len(errors) < MOST_ERRORS:
                errors[number] = f"{type(error).__name__}: {error}"[:200]
    return errors


def out_of_memory(error):
    return isinstance(error, MemoryError) or "allocate memory" in str(error)


def plain(value, depth=DEEPEST):
    """An answer as plain data: numbers, text, lists and dicts of them; None for one not given."""
    if value is ... or value is None or isinstance(value, Nothing):
        return None
    if isinstance(value, (str, bool, int, float)):
        return value if not isinstance(value, int) or abs(value) < 1 << 64 else float("inf")
    try:
        if isinstance(value, torch.device):
            return str(value)
        if hasattr(value, "tolist"):
            return plain(value.tolist(), depth)
        if isinstance(value, numbers.Number):  # a fraction, a decimal
            return float(value)
        if depth and isinstance(value, Mapping):
            return {str(key): plain(item, depth - 1) for key, item in value.items()}
        if depth and isinstance(value, (Sequence, Set)) and not isinstance(value, bytes):
            return [plain(item, depth - 1) for item in value]
    except Exception:
        pass  # a tensor without numbers, an object that refuses: it costs this answer, not the others
    return f"({type(value).__name__})"


def short(answer, instead):
    """An answer, or what stands for one that is too long to send: it costs itself, not the others."""
    return answer if len(json.dumps(answer)) <= MOST_ANSWER else instead


def to_tensor(packed):
    if not isinstance(packed, dict):
        return packed
    if packed["device"] == "meta":
        return torch.empty(packed["shape"], dtype=DTYPES[packed["dtype"]], device="meta")
    return torch.tensor(packed["data"], dtype=DTYPES[packed["dtype"]]).reshape(packed["shape"])


def from_tensor(tensor):
    if not isinstance(tensor, torch.Tensor):
        return float(tensor)
    if str(tensor.dtype) not in DTYPES:
        raise TypeError(f"it returned {tensor.dtype}")
    data = None if tensor.device.type == "meta" else tensor.detach().flatten().tolist()
    return {"dtype": str(tensor.dtype), "shape": list(tensor.shape), "data": data, "device": tensor.device.type}


def parameters(function):
    """What can be passed to a function: [name, has it a default, the default as plain data, what kind it is]."""
    if getattr(function, "__init__", None) is torch.nn.Module.__init__ and inspect.isclass(function):
        return []  # it says that it takes anything, and takes nothing
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # built in, and does not tell
        return []
    return [
        [p.name, p.default is not p.empty, None if p.default is p.empty else plain(p.default), int(p.kind)]
        for p in known
    ]


def code_of(loss, seen=()):
    """What of a function's or a class's code an edit changes, as a short text; None for other things.

    An ``autograd.Function`` that it calls is part of it, once.
    """
    seen = (*seen, loss)
    methods = list(vars(loss).values()) if inspect.isclass(loss) else [loss]
    methods = [m for m in (getattr(m, "__func__", m) for m in methods) if inspect.isfunction(m)]
    methods = [m for m in methods if not (m.__name__ or "").startswith("__annotate")]
    parts = [f"{inspect.signature(m)} {_constants(m.__code__)}" for m in methods]
    called = [m.__globals__.get(name) for m in methods for name in m.__code__.co_names]
    called = [c for c in called if inspect.isclass(c) and issubclass(c, torch.autograd.Function) and c not in seen]
    parts += [code_of(c, seen) or "" for c in called]
    return hashlib.sha256("\n".join(parts).encode()).hexdigest() if parts else None


def _constants(code):
    inner = [_constants(c) if inspect.iscode(c) else repr(c) for c in code.co_consts]
    return f"{code.co_code.hex()} {code.co_names} {inner}"


def described(fix):
    """What the other side has to know about a fix to call it."""
    if not callable(fix):
        return {"kind": "value", "call": plain(fix), "code": None}
    about = {"kind": "function", "code": code_of(fix), "build": [], "attributes": {}, "parameters": []}
    if inspect.isclass(fix):
        entry = fix.forward if hasattr(fix, "forward") else fix.__call__
        return about | {"kind": "class", "call": parameters(entry)[1:], "build": parameters(fix)}
    if not isinstance(fix, torch.nn.Module):
        return about | {"call": parameters(fix)}
    build = parameters(type(fix))
    names = {name for name, *_, kind in build if kind not in (ANY_NUMBER, ANY_NAME)}
    names |= set(SETTINGS) if any(kind == ANY_NAME for *_, kind in build) else set()
    own = {name: getattr(fix, name) for name in names if hasattr(fix, name)}
    own = {name: from_tensor(v) if isinstance(v, torch.Tensor) else plain(v) for name, v in own.items()}
    trained = [name for name, p in fix.named_parameters() if p.requires_grad]
    return about | {
        "kind": "instance",
        "call": parameters(fix.forward),
        "build": build,
        "attributes": own,
        "parameters": trained,
    }


def as_described(fix):
    """As :func:`described`; of something that cannot be, its type: it costs the fix, not the other answers."""
    instead = {"kind": "value", "call": f"({type(fix).__name__})", "code": None}
    try:
        return short(described(fix), instead)
    except Exception:
        return instead


class Answers:
    """The requests, one method each."""

    def __init__(self):
        self.variables, self.built, self.graphs, self.fixes = {"__name__": "__main__"}, {}, {}, []
        shell = Shell(self.variables)
        builtins.get_ipython = lambda: shell
        builtins.display = Nothing()

    def run(self, cells, names):
        """All cells; then the answers: what each check was last called with, and the variable where it differs."""
        errors = run_cells(cells, self.variables)
        found = {}
        for part, name in zip(PARTS, names, strict=True):
            given = [answer for answer in Exercise.called[part] if answer is not ...][-1:]
            given.append(self.variables.get(name, ...))
            found[part] = [a for a in given if a is not ... and a is not None and not isinstance(a, Nothing)]
        self.fixes = list({id(fix): fix for fix in found.pop("fix")}.values())
        answers = {part: [short(plain(answer), "(too long)") for answer in given] for part, given in found.items()}
        return {"errors": errors, **answers, "fix": [as_described(fix) for fix in self.fixes]}

    def build(self, fix, module, settings):
        kind = self.fixes[fix] if inspect.isclass(self.fixes[fix]) else type(self.fixes[fix])
        self.built[module] = built = kind(**{name: to_tensor(value) for name, value in settings.items()})
        known = built.named_parameters() if isinstance(built, torch.nn.Module) else ()
        return {"parameters": [name for name, p in known if p.requires_grad]}

    def call(self, graph, module, logits, labels, settings, grad):
        loss = self.built[module["built"]] if "built" in module else self.fixes[module["fix"]]
        loss = loss.to(logits["device"]) if isinstance(loss, torch.nn.Module) else loss
        settings = {name: to_tensor(value) for name, value in settings.items()}
        before = {"logits": to_tensor(logits), "labels": to_tensor(labels), **settings}
        given = {n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in before.items()}
        leaf = given["logits"].requires_grad_(grad)
        with library_calls() as borrowed:
            value = loss(leaf, given["labels"], **{name: given[name] for name in settings})
        self.graphs[graph] = (value, leaf)
        for old in [number for number in self.graphs if number <= graph - KEPT_GRAPHS]:
            del self.graphs[old]
        changed = {
            name: from_tensor(given[name])
            for name, old in before.items()
            if isinstance(old, torch.Tensor) and old.device.type != "meta" and not torch.equal(old, given[name])
        }
        has_graph = isinstance(value, torch.Tensor) and value.requires_grad
        return {"value": from_tensor(value), "graph": has_graph, "changed": changed, "borrowed": bool(borrowed)}

    def gradient(self, graph, upstream):
        value, leaf = self.graphs[graph]
        (slope,) = torch.autograd.grad(value, leaf, to_tensor(upstream), retain_graph=True, allow_unused=True)
        return {"gradient": from_tensor(torch.zeros_like(leaf) if slope is None else slope)}


def answer(answers, request):
    """One request, answered: a line of JSON. Whatever happens in student code becomes a reply."""
    try:
        what = request.pop("do")
        if what == "limit":
            reply = limit(**request) or {}
        elif what == "run":
            reply = answers.run(**request)
        else:
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                reply = getattr(answers, what)(**request)
            reply["printed"] = printed.getvalue()[:200]
        return json.dumps(reply)
    except Stop as stop:
        return json.dumps({"stop": str(stop)})
    except Exception as error:
        if out_of_memory(error):
            return json.dumps({"stop": "a call of the loss ran out of memory"})
        return json.dumps({"error": [type(error).__name__, str(error)[:500]]})
    except BaseException as error:
        return json.dumps({"stop": f"a call of the loss ended the program ({type(error).__name__})"})


def as_it_is(model=None, **settings):
    """What stands in for ``torch.compile``, called or used as a decorator."""
    return as_it_is if model is None else model


def main():
    requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what student code prints goes nowhere
        os.dup2(nowhere, stream)
    torch.set_num_threads(1)
    torch.compile = as_it_is  # there is no compiler here, and the numbers are the same
    sys.meta_path.insert(0, StandIns())
    answers = Answers()
    for line in requests:
        replies.write(answer(answers, json.loads(line)) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
