"""Runs on whichever torch comes first on the path: answers tests/test_small_torch.py, one JSON line a question."""

import contextlib
import io
import json
import sys
import warnings

import torch
import torch.nn.functional as F
from torch import nn


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


def diagnosed(source, name):
    """What the library says of a loss in this source."""
    from focal_lib.diagnosis import diagnose

    space = {"__name__": "mine"}
    exec(source, space)
    return str(diagnose(space[name]))


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


COMMANDS = {"call": call, "verdict": verdict, "listing": listing, "diagnosed": diagnosed, "exercise": exercise}


def answer(question):
    name, *arguments = question
    return COMMANDS[name](*arguments)


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(answer(json.loads(line))), flush=True)
