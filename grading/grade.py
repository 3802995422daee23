"""Grade a class: python grading/grade.py FOLDER, with one notebook or one folder of notebooks per student in it.

Each notebook runs in a sandbox of its own (sandbox.py). The verdicts come from this side: hidden random cases go in,
numbers come out. Results: grades.csv (one row a student) and grades.json, in FOLDER-grades. Every finished notebook is
in the journal there at once, so that grading can be stopped at any moment and started again. What this defends
against, and what not, is in README.md beside this file.
"""

import argparse
import contextlib
import copy
import fcntl
import functools
import io
import json
import os
import re
import secrets
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
import boxes  # noqa: E402
import classroom  # noqa: E402
import remote  # noqa: E402
import sandbox  # noqa: E402
import talk  # noqa: E402
import variants  # noqa: E402
import workers  # noqa: E402
from boxes import one_line  # noqa: E402
from report import write_report  # noqa: E402
from results import note, read_journal  # noqa: E402
from roster import BadRoster, Roster, read_roster  # noqa: E402
from sandbox_child import code_of  # noqa: E402
from submissions import (  # noqa: E402
    EXERCISES,
    MOST_NOTEBOOKS,
    CannotGrade,
    cells_of,
    contents,
    exercise_of,
    find,
    fingerprint,
    named,
    too_many,
    unpacked,
)
from unpack import CannotUnpack, unpack  # noqa: E402

from focal_lib.exercises import Feedback  # noqa: E402
from focal_lib.exercises.exercise import PARTS, Exercise  # noqa: E402

WAITS = (1, 2, 4, 8, 16, 32)  # seconds before a sandbox that does not start is tried again: the machine may be busy
MOST_ANSWER = 4000  # characters of an answer that is kept
BORROWED = "It is, or calls, the library's own loss. Mend the code under review, in torch."


# --- grading one notebook ------------------------------------------------------------------------------------------


class Task(NamedTuple):
    """What was given out: the Exercise, the name of the loss to be mended, all cells' texts, the code of that loss."""

    exercise: Exercise
    name: str
    sources: list
    code: str | None


@functools.lru_cache(64)
def the_exercise(slug, number=None):
    """The :class:`Task` of our own student edition, or of the variant of this number."""
    variables, names = {}, []
    path = EXERCISES / f"{slug}.ipynb"
    notebook = json.loads(path.read_text()) if number is None else variants.make(slug, number).notebook
    sources = ["".join(c["source"]) for c in notebook["cells"]]
    with contextlib.redirect_stdout(io.StringIO()):
        for source in sources:
            names += re.findall(r"^exercise\.fix\((\w+)\)", source, re.M)
            needed = r"\A(import|from|def|class|suspect)|^exercise = Exercise\("
            if "exercise" not in variables and re.search(needed, source, re.M):
                exec(source, variables)
        for source in sources:
            if re.search(rf"^(def|class) {names[0]}\b", source, re.M):
                exec(source, variables)
    return Task(variables["exercise"], names[0], sources, code_of(variables.get(names[0])))


def grade(path, seed, limits=None, student=None, key=None):
    """One notebook: {"exercise", "parts": {part: [score, sentence]}, "status", "seconds", "fingerprint", and more}.

    "answers" is what was judged, where it is short; "questions" and "hint" are for the page that goes back. ``student``
    and ``key`` say whose variant it must be, where variants were given out.
    """
    start = time.monotonic()
    result = {"exercise": None, "parts": {}, "answers": {}, "status": "graded", "fingerprint": None}
    try:
        content, result["fingerprint"] = contents(path)
        name, cells = cells_of(content)
        result["exercise"], number = exercise_of(name, student, key)
        with opened(limits) as box:
            task = the_exercise(result["exercise"], number)
            for part, feedback, answer in verdicts(task, cells, box, seed):
                result["parts"][part] = [int(feedback.ok), clean(feedback.text)]
                if answer is not None and len(json.dumps(answer)) <= MOST_ANSWER:
                    result["answers"][part] = answer
            right = {part: bool(score) for part, (score, _) in result["parts"].items()}
            found = {part for part, ok in right.items() if ok}
            asked = talk.questions(task.exercise, result["answers"], task.sources, found)
            result |= {"questions": [clean(question) for question in asked], "hint": talk.hint(task.sources, right)}
    except (CannotGrade, sandbox.Ended) as reason:
        result["status"] = clean(f"could not grade: {reason}")
    except boxes.DoesNotStart:
        raise  # not the student's fault
    except Exception as error:  # a reply that no honest child sends
        result["status"] = clean(f"could not grade: {type(error).__name__}: {error}")
    return {**result, "seconds": round(time.monotonic() - start, 1)}


def opened(limits):
    """A sandbox; tried again for a minute where none starts."""
    for wait in (*WAITS, None):
        try:
            return sandbox.Sandbox(limits)
        except boxes.DoesNotStart:
            if wait is None:
                raise
            time.sleep(wait)


def verdicts(task, cells, box, seed):
    """Yields (part, Feedback, what was judged) of a submission."""
    exercise, name, given, code = task
    answers = box.ask(do="run", cells=cells, names=["prediction", "evidence", name])
    own = {str(number): source for number, source in cells if source not in given}
    errors = answers["errors"] if isinstance(answers["errors"], dict) else {}
    errors = [(own[number], text) for number, text in errors.items() if number in own]
    variables = dict(zip(PARTS, ("prediction", "evidence", name), strict=True))
    exercise = copy.copy(exercise)
    exercise.answers = {}  # of this submission: they may say that there is nothing to mend
    for part in PARTS:
        found = answers[part] if isinstance(answers[part], list) else []
        found = [(n, answer) for n, answer in enumerate(found[:2]) if not (part == "fix" and untouched(answer, code))]
        said = [(answer, check(exercise, part, n, answer, box, seed)) for n, answer in found]
        if not said and part == "fix" and (left_alone := exercise.check_fix(...)).ok:
            said = [(..., left_alone)]
        nothing = None, Feedback(False, unanswered(variables[part], errors))
        answer, feedback = next((pair for pair in said if pair[1].ok), (said or [nothing])[0])
        if said:
            exercise.answers[part] = answer, feedback
        yield part, feedback, source_of(name, cells) if part == "fix" else answer


def untouched(fix, code):
    """Whether a fix is the code under review as it was given out."""
    return code is not None and fix.get("code") == code


def makes(name, source):
    """Whether code makes a variable of this name."""
    return re.search(rf"^[ \t]*((def|class)\s+{name}\b|{name}\s*=)", source, re.M)


def source_of(name, cells):
    """The last cell that makes a variable; None if there is none."""
    return next((source for _, source in reversed(cells) if makes(name, source)), None)


def unanswered(variable, errors):
    """Why a part is without an answer: with the error of the cell that should hold it, else of the first."""
    errors = [e for e in errors if makes(variable, e[0])] or errors
    said = [
        f"The cell that starts with {one_line(s.strip().split(chr(10))[0], 60)!r} raised {e}" for s, e in errors[:1]
    ]
    return " ".join(["nothing was answered.", *said])


def check(exercise, part, which, answer, box, seed):
    """Feedback on one answer."""
    if part != "fix":
        return getattr(exercise, f"check_{part}")(answer)
    try:
        value = answer["kind"] == "value"
        loss = answer["call"] if value else remote.remote_loss(box, answer, which)
        feedback = exercise.check_fix(loss, seed=seed)
        return Feedback(False, BORROWED) if box.borrowed else feedback
    except (sandbox.Ended, remote.NotCallable) as reason:
        return Feedback(False, f"could not be graded: {reason}")


def clean(text):
    """One line without the places of this machine."""
    places = (str(EXERCISES.parent.parent), sys.prefix, sys.base_prefix, str(Path.home()))
    for place in sorted(places, key=len, reverse=True):  # one may lie in another
        text = str(text).replace(place, "…") if len(place) > 1 else str(text)
    return one_line(text)


# --- grading a class -----------------------------------------------------------------------------------------------


def failed(status):
    return {"exercise": None, "parts": {}, "status": clean(f"could not grade: {status}"), "seconds": 0.0}


def grade_all(folder, out, journal, jobs, seed, limits, roster=None, secret=None):
    """Grade what the journal does not hold yet.

    Returns:
        (seed, [(student, path, result)] of the whole class, {student: entry} of the roster, [students it lacks]).
    """
    submissions, closed = unpacked(find(folder), out / "unpacked")
    submissions, entries, unknown = named(submissions, roster)
    done = read_journal(journal)
    if seed is None:  # one that nobody can know, and the same one where an earlier run is continued
        seed = next((key[2] for key in reversed(done) if len(key) == 4), secrets.randbelow(1 << 31))
    over = too_many(submissions)
    results = {path: failed(f"a student may hand in {MOST_NOTEBOOKS} notebooks at most") for path in over}
    results |= {path: failed(why) for path, why in closed.items()}
    whose = {path: student for student, path in submissions}
    place = {path: str(path.relative_to(folder if path.is_relative_to(folder) else out)) for _, path in submissions}
    todo = []
    for path in [path for path in place if path not in results]:
        key = (place[path], fingerprint(path), seed, limits.cpu_seconds)
        entry = entries.get(whose[path])
        if key in done:
            results[path] = done[key]
        else:
            todo.append((path, seed, limits, entry and entry.key, secret))
    start, os.environ["TQDM_DISABLE"] = time.monotonic(), "1"  # in the workers, whose bars would cross ours
    seconds = boxes.STARTING_SECONDS + 3 * limits.wall_seconds + sum(WAITS)
    finished = workers.run_all(grade, jobs, todo, seconds)
    for (path, *_), result in tqdm(finished, "grading", total=len(place), initial=len(place) - len(todo)):
        if isinstance(result, boxes.DoesNotStart):
            running = ", ".join(repr(place[p]) for p, *_ in todo if p not in results)[:400]
            raise boxes.DoesNotStart(f"{result}; still to grade: {running}")
        if isinstance(result, Exception):
            result = failed(result if isinstance(result, workers.Gone) else f"{type(result).__name__}: {result}")
        graded = result.pop("fingerprint", None) or fingerprint(path)
        note(journal, (place[path], graded, seed, limits.cpu_seconds), result)
        results[path] = result
    if todo:
        seconds = time.monotonic() - start
        print(f"{len(todo)} notebooks in {seconds:.0f} s: {60 * len(todo) / seconds:.0f} per minute on {jobs} cores.")
    return seed, [(student, path, results[path]) for student, path in submissions], entries, unknown


def main(root_too=False):
    """The command line. ``root_too`` is for the tests, which run as root in places: the box never does."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("submissions", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, help="default: FOLDER-grades, beside FOLDER")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="default: one per core")
    parser.add_argument(
        "--seed", type=int, help="of the hidden random cases (default: a secret one, kept in grades.json)"
    )
    parser.add_argument("--cpu-seconds", type=int, default=20, help="that one submission may use (default: 20)")
    parser.add_argument(
        "--exercises",
        nargs="+",
        default=[],
        metavar="N",
        help="what was set, such as 1 or 01_one_number: what is missing counts as 0 (default: what each handed in)",
    )
    parser.add_argument("--roster", type=Path, help="a CSV file of the class, with a column name")
    parser.add_argument("--assignment", default="Focal loss", help='its name on the platform, such as "Loss (1234)"')
    parser.add_argument("--class", dest="made", type=Path, help="the folder that make class wrote")
    arguments = parser.parse_args()
    arguments.secret = None
    try:
        if arguments.made:
            arguments.roster, arguments.secret, set_ones = classroom.read(arguments.made)
            arguments.exercises = arguments.exercises or set_ones
        arguments.roster = arguments.roster and Roster(read_roster(arguments.roster))
    except (BadRoster, classroom.BadClass) as reason:
        parser.error(str(reason))
    known = sorted(path.stem for path in EXERCISES.glob("*.ipynb"))
    numbers = {slug.partition("_")[0].lstrip("0"): slug for slug in known}
    arguments.exercises = [numbers.get(text.lstrip("0"), text) for text in arguments.exercises]
    if unknown := [slug for slug in arguments.exercises if slug not in known]:
        parser.error(f"there is no exercise {unknown[0]!r}; there are {', '.join(known)}.")
    folder = arguments.submissions.resolve()
    if folder.suffix.casefold() == ".zip" and folder.is_file():
        folder = class_of_zip(folder, parser)
    if not folder.is_dir():
        parser.error(f"{arguments.submissions} is not a folder; expected one with a notebook or a folder per student.")
    if not any(find(folder)):
        parser.error(f"{arguments.submissions} is empty; expected a notebook or a folder per student.")
    out = arguments.out = arguments.out or folder.with_name(folder.name + "-grades")
    if out.exists() and not out.is_dir():
        parser.error(f"{out} is a file; expected a folder for the results.")
    for name in ("jobs", "cpu_seconds"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1; got {getattr(arguments, name)}.")
    if not root_too:
        sandbox.refuse_root()
    if reason := sandbox.why_not():
        parser.error(f"students' code needs a sandbox, and {reason}")
    for sentence in boxes.what_is_missing():
        print(sentence)
    try:
        grade_into(out, folder, arguments, parser)
    except boxes.DoesNotStart as reason:
        sys.exit(f"Grading stopped, because no sandbox starts: {reason}. Start again to go on.")
    except OSError as error:
        sys.exit(f"Grading stopped, because {out} cannot be written ({error.strerror}). What is graded stays graded.")


def class_of_zip(path, parser):
    """The folder beside a platform's zip of a whole class, into which it is unpacked anew."""
    folder = path.with_suffix("")
    if folder.exists():
        print(f"{folder} is there already and is graded as it is; take it away to unpack {path.name} anew.")
        return folder
    try:
        unpack(path, folder, by_student=True)
    except CannotUnpack as reason:
        parser.error(f"{path}: {reason}.")
    return folder


def grade_into(out, folder, arguments, parser):
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "journal.jsonl", "ab+") as journal:
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            parser.error(f"{out} is in use: another grading of this class is running.")
        limits = boxes.Limits(cpu_seconds=arguments.cpu_seconds)
        seed, *graded = grade_all(
            folder, out, journal, arguments.jobs, arguments.seed, limits, arguments.roster, arguments.secret
        )
        results, entries, unknown = graded
        print(write_report(results, out, seed, arguments.exercises, entries, unknown, arguments.assignment))


if __name__ == "__main__":
    main()
