"""Runs inside the sandbox: executes one student's cells, then answers calls of the student's functions.

A request is a line of JSON on stdin, a reply a line of JSON on what was stdout. This process can lie, crash or hang:
the other side takes numbers from it and nothing else. Nothing of this repository but this file is in the sandbox:
`focal_lib` and matplotlib are stand-ins here that do nothing.
"""

import importlib.abc
import importlib.machinery
import inspect
import json
import os
import resource
import sys

import torch

STAND_INS = ("focal_lib", "matplotlib")
KEPT_GRAPHS = 64
DTYPES = {
    str(getattr(torch, name)): getattr(torch, name) for name in ("float64", "float32", "float16", "bfloat16", "int64")
}


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


class StandIns(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in STAND_INS:
            return importlib.machinery.ModuleSpec(name, self, is_package=True)

    def exec_module(self, module):
        module.__getattr__ = lambda name: getattr(Nothing(), name)


def limit(cpu_seconds, memory_bytes, file_bytes):
    limits = {"CPU": cpu_seconds, "AS": memory_bytes, "FSIZE": file_bytes, "CORE": 0, "NOFILE": 64}
    for name, value in limits.items():
        resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (value, value))


class Stop(BaseException):
    """The end, with a reason for the student."""


def run_cells(cells, variables):
    """Execute cells one after another, as Run All would, but past errors; returns {cell number: error}."""
    errors = {}
    for number, source in cells:
        try:
            exec(compile(without_magics(source), f"cell {number}", "exec"), variables)
        except SystemExit:
            raise Stop(f"cell {number} ended the program (sys.exit)") from None
        except BaseException as error:
            if out_of_memory(error):
                raise Stop(f"cell {number} ran out of memory") from None
            errors[number] = f"{type(error).__name__}: {error}"[:200]
    return errors


def out_of_memory(error):
    return isinstance(error, MemoryError) or "allocate memory" in str(error)


def without_magics(source):
    return "\n".join("" if line.startswith(("%", "!")) else line for line in source.split("\n"))


def plain(value, depth=4):
    """An answer as plain data: numbers, text, lists and dicts of them; None for one not given."""
    if value is ... or value is None:
        return None
    if isinstance(value, (str, bool, int, float)):
        return value
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth)
    if depth and isinstance(value, dict):
        return {str(key): plain(item, depth - 1) for key, item in value.items()}
    if depth and isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in value]
    return f"({type(value).__name__})"


def to_tensor(packed):
    if not isinstance(packed, dict):
        return packed
    if packed["device"] == "meta":
        return torch.empty(packed["shape"], dtype=DTYPES[packed["dtype"]], device="meta")
    return torch.tensor(packed["data"], dtype=DTYPES[packed["dtype"]]).reshape(packed["shape"])


def from_tensor(tensor):
    if not isinstance(tensor, torch.Tensor):
        return float(tensor)
    data = None if tensor.device.type == "meta" else tensor.detach().flatten().tolist()
    return {"dtype": str(tensor.dtype), "shape": list(tensor.shape), "data": data, "device": tensor.device.type}


def parameters(function):
    """What can be passed to a function: [name, has it a default, the default as plain data]."""
    known = []
    for p in inspect.signature(function).parameters.values():
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD):
            has_default = p.default is not p.empty
            known.append([p.name, has_default, plain(p.default) if has_default else None])
    return known


class Answers:
    """The requests, one method each."""

    def __init__(self):
        self.variables, self.built, self.graphs = {"__name__": "__main__"}, {}, {}

    def run(self, cells, names):
        errors = run_cells(cells, self.variables)
        prediction, evidence, fix = (self.variables.get(name, ...) for name in names)
        self.fix = fix
        described = None if fix is ... or isinstance(fix, Nothing) else {"call": plain(fix)}
        if callable(fix) and described:
            is_class = inspect.isclass(fix)
            described = {"class": is_class, "call": parameters(fix.forward if is_class else fix)}
            described["build"] = parameters(fix) if is_class else []
        return {"errors": errors, "predict": plain(prediction), "expose": plain(evidence), "fix": described}

    def build(self, settings):
        module = self.fix(**{name: to_tensor(value) for name, value in settings.items()})
        self.built[len(self.built)] = module
        return {
            "module": len(self.built) - 1,
            "parameters": [name for name, p in module.named_parameters() if p.requires_grad],
        }

    def call(self, module, logits, labels, settings, grad):
        loss = self.fix if module is None else self.built[module].to(logits["device"])
        settings = {name: to_tensor(value) for name, value in settings.items()}
        before = {"logits": to_tensor(logits), "labels": to_tensor(labels), **settings}
        given = {n: v.clone() if isinstance(v, torch.Tensor) else v for n, v in before.items()}
        leaf = given["logits"].requires_grad_(grad)
        value = loss(leaf, given["labels"], **{name: given[name] for name in settings})
        number = len(self.graphs)
        self.graphs[number] = (value, leaf)
        self.graphs.pop(number - KEPT_GRAPHS, None)
        changed = {
            name: from_tensor(given[name])
            for name, old in before.items()
            if isinstance(old, torch.Tensor) and old.device.type != "meta" and not torch.equal(old, given[name])
        }
        has_graph = isinstance(value, torch.Tensor) and value.requires_grad
        return {"value": from_tensor(value), "graph": number if has_graph else None, "changed": changed}

    def gradient(self, graph, upstream):
        value, leaf = self.graphs[graph]
        (slope,) = torch.autograd.grad(value, leaf, to_tensor(upstream), retain_graph=True, allow_unused=True)
        return {"gradient": from_tensor(torch.zeros_like(leaf) if slope is None else slope)}


def main():
    requests, replies = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):  # what student code prints goes nowhere
        os.dup2(nowhere, stream)
    torch.set_num_threads(1)
    sys.meta_path.insert(0, StandIns())
    answers = Answers()
    for line in requests:
        request = json.loads(line)
        try:
            what = request.pop("do")
            reply = limit(**request) or {} if what == "limit" else getattr(answers, what)(**request)
        except Stop as stop:
            reply = {"stop": str(stop)}
        except Exception as error:
            reply = {"error": [type(error).__name__, str(error)[:500]]}
            if out_of_memory(error):
                reply = {"stop": "a call of the loss ran out of memory"}
        except BaseException as error:
            reply = {"stop": f"a call of the loss ended the program ({type(error).__name__})"}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main()
