"""Runs on whichever torch comes first on the path: answers tests/test_small_torch.py, one JSON line a question."""

import ast
import contextlib
import functools
import importlib.util
import io
import json
import sys
import warnings
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from focal_lib.diagnosis.properties import PROPERTIES


def answer_without_second_derivatives(command, *arguments):
    """The small torch has none: there that property is untested, and says so. On both it is left out here."""
    everything = dict(PROPERTIES)
    del PROPERTIES["second_derivative_is_right_or_refused"]
    try:
        return command(*arguments)
    finally:
        PROPERTIES.clear()
        PROPERTIES.update(everything)  # in its order


def plain(value):
    """A result as plain data: shape, dtype and numbers of tensors, everything else as it is."""
    if isinstance(value, torch.Tensor):
        numbers = [repr(x) for x in value.detach().flatten().tolist()]
        return {"shape": list(value.shape), "dtype": str(value.dtype), "values": numbers}
    if isinstance(value, (tuple, list)):
        return [plain(v) for v in value]
    return value if isinstance(value, (bool, int, str, float, type(None))) else str(value)


def call(source, inputs):
    """Evaluate an expression of named tensors; its value, and the gradient of its weighted sum for each float input."""
    names = {}
    for name, (values, dtype, grad) in inputs.items():
        names[name] = torch.tensor(values, dtype=getattr(torch, dtype), requires_grad=grad)
    names |= {"torch": torch, "F": F, "nn": nn}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            space = dict(names)
            exec(source, space)
            value = space["result"]
            answer = {"value": plain(value)}
            first = value[0] if isinstance(value, tuple) else value
            tracked = {n: t for n, t in names.items() if isinstance(t, torch.Tensor) and t.requires_grad}
            if isinstance(first, torch.Tensor) and first.requires_grad:
                factors = torch.arange(1, first.numel() + 1, dtype=first.dtype).reshape(first.shape) / 4
                found = torch.autograd.grad((first * factors).sum(), list(tracked.values()), allow_unused=True)
                answer["gradients"] = {n: plain(g) for n, g in zip(tracked, found, strict=True)}
            elif isinstance(first, torch.Tensor):
                answer["gradients"] = {}
            return answer
    except Exception as error:
        return {"error": type(error).__name__, "text": str(error).split("\n")[0]}


def verdict(group, id):
    """What the library says of a known loss."""
    from focal_lib.bugs import CATALOGUE, LOOKALIKES
    from focal_lib.diagnosis import diagnose

    entry = {"bugs": CATALOGUE, "lookalikes": LOOKALIKES}[group][id]
    diagnosis = diagnose(entry.loss)
    return {"text": str(diagnosis), "html": diagnosis._repr_html_(), "json": diagnosis.as_dict()}


def listing():
    from focal_lib.bugs import CATALOGUE, LOOKALIKES

    return [["bugs", id] for id in CATALOGUE] + [["lookalikes", id] for id in LOOKALIKES]


# What learners are told, in the lists of these tests: how to ask, list -> (part, file).
ANSWERS = {
    "WRONG_FIXES": ("fix", "test_exercises"),
    "WRONG_EVIDENCE": ("expose", "test_exercises"),
    "WRONG_PREDICTIONS": ("predict", "test_exercises"),
    "WRONG": ("fix", "test_exercise_judging"),
    "FAIR": ("fix", "test_exercise_judging"),
    "SAID": ("fix", "test_exercise_judging"),
}
NOT_WRITTEN = "cannot be written here: "


@functools.cache
def bench():
    """book/bench/bench.py, by its path: an extension of the book has the same name."""
    path = Path(__file__).parents[1] / "book" / "bench" / "bench.py"
    spec = importlib.util.spec_from_file_location("page_bench", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@functools.cache
def _entries(file):
    """The lists of a test file, entry by entry, since one of them may be what a torch lacks: name -> values."""
    tree, found = ast.parse(Path(__file__).with_name(f"{file}.py").read_text()), {}
    space = {"__name__": file}
    for node in tree.body:
        name = node.targets[0].id if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) else None
        if getattr(node, "name", "").startswith("test_"):
            continue
        if name not in ANSWERS:
            exec(compile(ast.Module([node], []), file, "exec"), space)
            continue
        if isinstance(node.value, ast.Dict):  # fixes of one exercise
            entries = [ast.List([ast.Constant("03_exponent"), fix], ast.Load()) for fix in node.value.values]
        else:
            entries = node.value.elts
        found[name] = []
        for entry in entries:
            try:
                code = compile(ast.fix_missing_locations(ast.Expression(entry)), file, "eval")
                found[name].append(eval(code, space)[:2])
            except AttributeError as error:
                found[name].append((NOT_WRITTEN, str(error)))
    return found


@functools.cache
def _exercise(slug):
    """An exercise, opened as its page does it."""
    from book._ext.bench import exercise_of

    path = Path(__file__).parents[1] / "notebooks" / "exercises" / f"{slug}.ipynb"
    bench().open_exercise(exercise_of(json.loads(path.read_text())["cells"])["cells"])
    return bench()._exercise["exercise"]


def answers():
    """All answers that learners' checks are tested with: [list, number, words to know it by]."""
    listed = {name: _entries(file)[name] for name, (_, file) in ANSWERS.items()}
    return [[name, i, f"{name}-{i}-{slug}"] for name, found in listed.items() for i, (slug, _) in enumerate(found)]


def told(name, i):
    """What a learner is told of one of these answers."""
    part, file = ANSWERS[name]
    slug, value = _entries(file)[name][i]
    if slug == NOT_WRITTEN:
        return slug + value
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return repr(getattr(_exercise(slug), f"check_{part}")(value, **({"seed": 1} if part == "fix" else {})))


def checked(source):
    """What the page of book/check.md shows of pasted code."""
    return bench().check(source)


def trained(data, gamma, weights, epochs, seed):
    """The losses of a run of chapter 05 as the page trains it, and its answers on held-out data."""
    bench().train_start(data, gamma, weights, epochs, seed)
    found = bench().train_more(3600)
    return [found["losses"], found["matrix"], found["done"]]


def exercise(cells):
    """What a notebook's cells print and show, one text for each."""
    space, said = {"__name__": "__main__"}, []
    for source in cells:
        out = io.StringIO()
        try:
            with contextlib.redirect_stdout(out), warnings.catch_warnings():
                warnings.simplefilter("ignore")
                *head, last = source.rstrip().split("\n")
                shows = bool(last) and not last.startswith((" ", ")", "}", "]", "def ", "#", "return"))
                shows = shows and "=" not in last.split("(")[0] and not last.startswith(("import", "from", "for"))
                exec("\n".join(head if shows else [*head, last]), space)
                said.append(out.getvalue() + (repr(eval(last, space)) if shows else ""))
        except Exception as error:
            said.append(f"{type(error).__name__}: {error}")
    return said


COMMANDS = {f.__name__: f for f in (call, verdict, listing, answers, told, checked, trained, exercise)}


def answer(question):
    name, *arguments = question
    if name in ("call", "listing"):
        return COMMANDS[name](*arguments)
    return answer_without_second_derivatives(COMMANDS[name], *arguments)


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
