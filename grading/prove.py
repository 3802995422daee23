"""Prove a variant before it is handed out: what is given out fails, the solution passes, the bug is intended."""

import contextlib
import io
import os
import re
import sys
import tempfile
from pathlib import Path

import matplotlib
import torch

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
from variants import recipe  # noqa: E402

from focal_lib.bugs import CATALOGUE, LOOKALIKES  # noqa: E402
from focal_lib.exercises.fixing import Fix  # noqa: E402
from focal_lib.exercises.outcomes import first_difference, names_of  # noqa: E402

SEED = 20201130  # of the hidden cases of a proof
SHORTEST_LINE = 25  # of code, without spaces: shorter ones occur anywhere
MOST_COLUMNS = 110  # of a line of generated code


class NotProved(Exception):
    """What of a variant does not hold, in one sentence."""


def prove(variant):
    """Run a variant as a student gets it, then its solution; raises NotProved. Returns {"bug", "broken"}."""
    where = f"variant {variant.number} of {variant.slug}"
    cells = ["".join(c["source"]) for c in variant.notebook["cells"] if c["cell_type"] == "code"]
    variables = run(cells, where)
    exercise = variables["exercise"]
    for part, (_, feedback) in exercise.answers.items():
        if feedback.ok:
            raise NotProved(f"{where}: {part} passes as it is given out: {feedback.text}")
    if exercise.edited:
        raise NotProved(f"{where} is taken for one that was edited in place.")
    bug = intended(variant, exercise, where)
    for part, answer in solved(variant, variables).items():
        feedback = judged(exercise, part, answer)
        if not feedback.ok:
            raise NotProved(f"{where}: the solution of {part} fails: {feedback.text}")
    no_leak(variant, where)
    return {"bug": bug, "broken": sorted(counted(exercise))}


def run(cells, where):
    """Execute cells in an empty folder; returns their variables."""
    matplotlib.use("Agg")
    torch.set_num_threads(1)
    variables = {"__name__": "__main__"}
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), contextlib.redirect_stdout(io.StringIO()):
        for source in cells:
            try:
                exec(compile(source, where, "exec"), variables)
            except Exception as error:
                first = source.strip().splitlines()[0]
                raise NotProved(f"{where}: the cell {first!r} raises {type(error).__name__}: {error}") from error
    return variables


def solved(variant, variables):
    """The answers of the solution, as a student's notebook would hold them."""
    namespace = dict(variables)
    exec(variant.solution["fix"], namespace)
    name = "FixedLoss" if "FixedLoss" in variant.solution["fix"] else "fixed_loss"
    return {
        "predict": variant.solution["predict"],
        "expose": eval(variant.solution["expose"]),
        "fix": namespace[name],
    }


def judged(exercise, part, answer):
    return exercise.check_fix(answer, seed=SEED) if part == "fix" else getattr(exercise, f"check_{part}")(answer)


def intended(variant, exercise, where):
    """The bug that the diagnosis names first; it must be the recipe's, and as hard as its siblings."""
    broken = exercise.before.violations
    found = {option for option in exercise.options.values() if option in broken}
    if found != set(variant.fault["breaks"]):
        raise NotProved(f"{where} breaks {sorted(found)} of its options; intended was {variant.fault['breaks']}.")
    wanted, named = variant.fault["bug"], (exercise.before.suspects or [""])[0]
    innocent = wanted in LOOKALIKES and computes_as(exercise, LOOKALIKES[wanted].loss)
    if not named and (innocent or wanted not in {**CATALOGUE, **LOOKALIKES}):  # the last are no bugs of the museum's
        named = wanted
    if named != wanted:
        raise NotProved(f"{where}: the diagnosis names {named!r}; intended was {wanted!r}.")
    if len(found) != len(recipe(variant.slug)["breaks"]):
        raise NotProved(f"{where} has {len(found)} options to be found; its siblings have another number.")
    return named


def computes_as(exercise, loss):
    """Whether the code under review gives the numbers of this innocent loss, with and without weights."""
    both = {"logits", "labels"} | names_of(exercise.loss).keys() & names_of(loss).keys()
    cases = ({n: value for n, value in case.items() if n in both} for case in exercise.kind.inputs())
    return first_difference(exercise.loss, loss, cases) is None


def counted(exercise):
    """The promises that the code breaks and that a fix must keep: what makes it hard."""
    return Fix(exercise.loss, exercise, SEED).must_hold


def no_leak(variant, where):
    """Nothing of the solution stands in the notebook, and no line is too long to be read."""
    lines = "\n".join("".join(cell["source"]) for cell in variant.notebook["cells"]).splitlines()
    text = squeezed("\n".join(line[1:] if line[:1] in "+-" else line for line in lines))  # of a diff too
    whole, own = secrets_of(variant)
    found = [s for s in whole if s in text] + [s for s in own if s in {squeezed(line.lstrip("+-")) for line in lines}]
    if found:
        raise NotProved(f"{where} holds a piece of its solution: {found[0][:60]!r}.")
    for cell in variant.notebook["cells"]:
        for line in "".join(cell["source"]).splitlines() if cell["cell_type"] == "code" else ():
            if len(line) > MOST_COLUMNS and not line.lstrip().startswith(("#", "raise", '"', "original")):
                raise NotProved(f"{where} has a line of {len(line)} columns: {line.strip()[:60]!r}.")


def secrets_of(variant):
    """What of a solution must stand in no notebook: (evidence, prediction and code, lines of its own)."""
    given = set()
    for cell in variant.notebook["cells"]:
        if cell["cell_type"] == "code":
            given |= {squeezed(line) for line in "".join(cell["source"]).splitlines()}
    solution = variant.solution
    own = [squeezed(line) for line in solution["fix"].splitlines()[1:]]
    whole = [squeezed(solution["fix"]), squeezed(f'prediction = "{solution["predict"]}"')]
    if solution["expose"] != '"none"':
        whole.append(squeezed(solution["expose"]))
    return whole, [line for line in own if len(line) >= SHORTEST_LINE and line not in given]


def squeezed(text):
    return re.sub(r"\s+", "", re.sub(r"#.*", "", text))


def proved(slug, number):
    """For a pool of processes: make and prove; returns (slug, number, what was proved or the sentence)."""
    from variants import make

    os.environ["TQDM_DISABLE"] = "1"
    try:
        return slug, number, prove(make(slug, number))
    except NotProved as reason:
        return slug, number, str(reason)
