"""Variants of exercises: the same room and difficulty, with another bug or spelling, story, names, numbers and order.

A variant is made from its exercise and a number, always the same one. The recipes, with the right code, are in
notebooks/masters/variants. The signed id in a notebook says which variant it is and whose; README.md has the rest.
"""

import copy
import difflib
import functools
import hashlib
import hmac
import json
import random
import re
import sys
import tomllib
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(Path(__file__).parent), str(ROOT)]
from rewrite import names_for, renamed, rewritten  # noqa: E402
from roster import folded  # noqa: E402

from focal_lib.exercises.originals import behaviour  # noqa: E402

EDITIONS = ROOT / "notebooks" / "exercises"
RECIPES = ROOT / "notebooks" / "masters" / "variants"
NUMBERS = 1_000_000  # so many numbers there are; two of them may give the same variant
ID = re.compile(r"^(?P<slug>\w+)-(?P<number>\d{6})-(?P<signature>[0-9a-f]{20})$")
WHO = (
    "team",
    "start-up",
    "lab",
    "student project",
    "clinic",
    "newspaper",
    "bank",
    "city library",
    "farm",
    "observatory",
)
THINGS = (
    "classifier of support tickets",
    "sorter of workshop notes",
    "model of rare plant diseases",
    "filter for spam",
    "detector of faulty welds",
    "model of crossing animals",
    "reader of handwritten forms",
    "model of star spectra",
)
TESTS = {
    "gamma_zero": "torch.testing.assert_close(team_loss(logits, labels, gamma=0.0), F.cross_entropy(logits, labels))",
    "alpha_one": "right = F.cross_entropy(logits, labels)\n"
    "torch.testing.assert_close(team_loss(logits, labels, alpha=1.0, gamma=0.0), right)",
    "module": "torch.testing.assert_close(TeamLoss(gamma=0.0)(logits, labels), F.cross_entropy(logits, labels))",
    "finite": "assert team_loss(1e4 * logits, labels).isfinite()",
}
TESTS["symmetric"] = TESTS["gamma_zero"]
FOR_YOU = (
    "**Where:** in Jupyter, or in Colab (*File*, *Upload notebook*). This notebook is made for you alone: hand in this "
    "file, with the name that it has."
)


class Variant(NamedTuple):
    """A variant: the notebook to give out, and what solves it."""

    slug: str
    number: int
    notebook: dict
    fault: dict
    solution: dict  # {"predict": letters, "expose": text of a dict, "fix": source}


def with_variants():
    """The slugs of the exercises that have variants."""
    return sorted(path.stem for path in RECIPES.glob("*.toml"))


@functools.cache
def recipe(slug):
    return tomllib.loads((RECIPES / f"{slug}.toml").read_text("utf-8"))


def bugs(slug):
    """The faults of a recipe, as lists: one for each bug, with its spellings."""
    found = {}
    for fault in recipe(slug)["faults"]:
        found.setdefault(fault["bug"], []).append(fault)
    return list(found.values())


@functools.cache
def edition(slug):
    return json.loads((EDITIONS / f"{slug}.ipynb").read_text("utf-8"))


# --- the signed id -------------------------------------------------------------------------------------------------


def signed(key, slug, number, student):
    """The id of a variant: its exercise, its number, and a signature that only the key's holder can make."""
    return f"{slug}-{number:06d}-{_signature(key, slug, number, student)}"


def _signature(key, slug, number, student):
    text = "\0".join((slug, f"{number:06d}", folded(student)))
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()[:20]


def read_id(text):
    """(slug, number, signature) of an id; None if it is none, such as the plain name of an exercise."""
    found = ID.match(text)
    return (found["slug"], int(found["number"]), found["signature"]) if found else None


def is_signed(key, slug, number, signature, student):
    """Whether this variant was given to this student."""
    return hmac.compare_digest(signature, _signature(key, slug, number, student))


def draw_number(seed, student, slug, attempt=0):
    """The number of a student's variant: the same for the same seed, whoever else is in the class."""
    return random.Random(f"{seed}/{folded(student)}/{slug}/{attempt}").randrange(NUMBERS)


def version():
    """What decides which variant a number is, as a short text: recipes, editions and the code that makes variants."""
    files = [*sorted(RECIPES.glob("*.toml")), *sorted(EDITIONS.glob("*.ipynb")), Path(__file__)]
    files.append(Path(__file__).with_name("rewrite.py"))
    return hashlib.sha256(b"\0".join(path.read_bytes() for path in files)).hexdigest()


def digest(variant):
    """What tells a variant, made without an id, from any other that its number may once have stood for."""
    return hashlib.sha256(json.dumps(variant.notebook["cells"]).encode()).hexdigest()[:16]


# --- one variant ---------------------------------------------------------------------------------------------------


def make(slug, number, id=""):
    """The :class:`Variant` of this number. ``id`` goes into the notebook."""
    draw = random.Random(f"{slug}/{number}")
    fault = {k: v for k, v in recipe(slug).items() if k != "faults"} | draw.choice(draw.choice(bugs(slug)))
    names = names_for(draw)
    name = names["TeamLoss" if "class TeamLoss" in fault["code"] else "team_loss"]
    code = rewritten(fault["code"], names, draw)
    fix_name = "FixedLoss" if "class " in code else "fixed_loss"
    options = _options(fault, draw)
    story = draw.choice(fault["stories"])
    story = story.format_map(_Blanks(who=draw.choice(WHO), thing=draw.choice(THINGS), number=draw.randint(3, 9)))
    test = _test(fault.get("test", "gamma_zero"), name, draw)
    right = rewritten(fault["right"], names, draw) if fault["right"] else ""
    notebook = copy.deepcopy(edition(slug))
    source = {
        "id": id or slug,
        "story": story,
        "code": code,
        "test": test,
        "diff": _diff(rewritten(fault["before"], names, draw), code) if "before" in fault else "",
        "exercise": _exercise_cell(id or slug, name, code, options, names),
        "stub": _called(code, name, fix_name) if right else 'fixed_loss = ...  # a mended loss; or "none"',
        "hints": fault["hints"],
        "own_hints": fault["hints"] is not recipe(slug)["hints"],
        "instead": fault.get("instead", []),
    }
    notebook["cells"] = list(_cells(notebook["cells"], source, names))
    for k, cell in enumerate(notebook["cells"], 1):
        cell["id"] = f"v{k:02d}"
    letters = "".join(letter for letter, option in options.items() if option in fault["breaks"])
    fix = _called(right, name, fix_name) if right else f"fixed_loss = {name}"
    solution = {"predict": letters or "none", "expose": fault["evidence"], "fix": fix}
    return Variant(slug, number, notebook, fault, solution)


class _Blanks(dict):
    """What a story leaves open; formulas with braces stay."""

    def __missing__(self, key):
        return "{" + key + "}"


def _options(fault, draw):
    """{letter: property}: all that break, others that hold, in any order."""
    held = [name for name in fault["holds"] if name not in fault["breaks"]]
    chosen = [*fault["breaks"], *draw.sample(held, min(len(held), 4 - len(fault["breaks"])))]
    draw.shuffle(chosen)
    return dict(zip("ABCD", chosen, strict=False))


def _test(kind, name, draw):
    """The team's own test, on rows of its own: it passes."""
    classes = draw.randint(2, 3)
    rows = [[draw.randint(-6, 6) / 2 for _ in range(classes)] for _ in range(draw.randint(2, 3))]
    labels = [draw.randrange(classes) for _ in rows]
    if kind == "symmetric":  # there, both axes are alike
        a, b = draw.sample(range(-4, 5), 2)
        rows, labels = [[float(a), float(b)], [float(b), float(a)]], [0, 1]
    test = renamed(TESTS[kind], {"team_loss": name, "TeamLoss": name})
    return f"logits = torch.tensor({rows})\nlabels = torch.tensor({labels})\n{test}"


def _called(code, name, new):
    return re.sub(rf"\b{name}\b", new, code)


def _exercise_cell(id, name, code, options, names):
    """The cell that makes the Exercise, with how the code behaves, so that an edit in place is noticed."""
    variables = {}
    exec(renamed(HELPERS, names) + "\n" + code, variables)
    numbers = ["float('nan')" if n is not None and n != n else repr(n) for n in behaviour(variables[name])]
    chosen = "".join(f'    {letter}="{option}",\n' for letter, option in options.items())
    original = "    original=[" + ", ".join(numbers).replace("'", '"') + "],\n"
    return f'exercise = Exercise(\n    "{id}",\n    {name},\n{original}{chosen})\nexercise'


HELPERS = """import torch
import torch.nn.functional as F  # noqa: E402
from torch import nn  # noqa: E402


def focus(nll, gamma):
    return (-torch.expm1(-nll.clamp_min(1e-30))) ** gamma


def reduced(loss, reduction):
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]
"""


def _diff(old, new):
    """What a change made of a right code that is not the solution, as a pull request shows it."""
    old, new = old.splitlines(), new.splitlines()
    lines = difflib.unified_diff([new[0], *old[1:]], new, n=9, lineterm="")  # it did not touch the signature
    return "\n".join(line for line in lines if not line.startswith(("---", "+++", "@@")))


def _cells(cells, source, names):
    """The cells of the student edition, with what the variant has in their places."""
    for cell in cells:
        text = "".join(cell["source"])
        if cell["cell_type"] == "code":
            cell |= {"outputs": [], "execution_count": None}
            if re.match(r"(def team_loss|class TeamLoss)\b", text):
                yield cell | {"source": source["code"]}
                yield {"cell_type": "markdown", "metadata": {}, "source": "Their own test, which passes:"}
                yield {**cell, "source": source["test"]}
                continue
            text = _code(text, source, names)
        else:
            text = _prose(text, source, names)
        yield cell | {"source": text}


def _code(text, source, names):
    text = _instead(text, source)
    if "exercise = Exercise(" in text:
        return source["exercise"]
    if re.match(r"(def fixed_loss|class FixedLoss|fixed_loss =)", text):
        return source["stub"]
    wanted = ("team_loss", "TeamLoss", "focus", "reduced")
    return renamed(text, {old: names[old] for old in wanted})


def _instead(text, source):
    """What the edition says of its own bug, as the recipe says it of this one."""
    for old, new in source["instead"]:
        text = text.replace(old, new)
    return text


def _prose(text, source, names):
    text = _instead(text, source)
    if "**The story.**" in text:
        text = re.sub(
            r"\*\*The story\.\*\*.*?\n\n", lambda _: f"**The story.** {source['story']}\n\n", text, flags=re.S
        )
        text = re.sub(r"\*\*Where:\*\*.*?(\n\n|\Z)", lambda found: FOR_YOU + found[1], text, flags=re.S)
        text = re.sub(r"```diff\n.*?\n```", lambda _: f"```diff\n{source['diff']}\n```", text, flags=re.S)
    if "<summary>Hint 1</summary>" in text:
        text = _hints(text, source)
    return renamed(text, {old: names[old] for old in ("team_loss", "TeamLoss")})


def _hints(text, source):
    """The recipe's hints; what to keep stays where it is about the same bug."""
    parts = re.split(r"(?=<details><summary>)", text.split("**Next:**")[0].rstrip())
    keep = [part for part in parts[1:] if "Hint " not in part.split("</summary>")[0]]
    new = [
        f"<details><summary>Hint {k}</summary>\n\n{hint}\n\n</details>\n\n" for k, hint in enumerate(source["hints"], 1)
    ]
    return "".join([parts[0], *new, *([] if source["own_hints"] else keep)]).rstrip()
