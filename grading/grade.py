"""Grade a class: python grading/grade.py FOLDER, with one notebook or one folder of notebooks per student in it.

Each notebook runs in a sandbox of its own (sandbox.py). The verdicts come from this side: hidden random cases go in,
numbers come out. Results: grades.csv (one row a student) and grades.json, in FOLDER-grades. Every finished notebook is
in the journal there at once, so that grading can be stopped at any moment and started again.
"""

import argparse
import contextlib
import csv
import ctypes
import fcntl
import functools
import hashlib
import io
import json
import multiprocessing
import os
import re
import signal
import stat
import sys
import time
import unicodedata
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tqdm import tqdm

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
import sandbox  # noqa: E402

from focal_lib.exercises.exercise import PARTS  # noqa: E402

EXERCISES = Path(__file__).parent.parent / "notebooks" / "exercises"
MOST_BYTES = 20 << 20
SKIPPED = {"__MACOSX", ".ipynb_checkpoints"}


class CannotGrade(Exception):
    """Why, in words that follow "could not grade: "."""


# --- finding and reading submissions -------------------------------------------------------------------------------


def find(folder):
    """(student, path) for each notebook; path is that of the entry itself where it holds none."""
    for entry in sorted(folder.iterdir()):
        if entry.name.startswith(".") or entry.name in SKIPPED:
            continue
        paths = [entry]
        if entry.is_dir() and not entry.is_symlink():
            found = (Path(where, name) for where, _, names in os.walk(entry) for name in names)
            paths = sorted(p for p in found if p.suffix == ".ipynb" and not SKIPPED & set(p.parts)) or [entry]
        for path in paths:
            yield entry.name, path


def read(path):
    """(slug of the exercise, [(number, source) of the code cells], hash); raises CannotGrade."""
    if path.is_dir():
        raise CannotGrade("the folder holds no notebook")
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise CannotGrade("it is not a plain file")
            if about.st_size > MOST_BYTES:
                raise CannotGrade(f"it has {about.st_size >> 20} MB; the limit is {MOST_BYTES >> 20} MB")
            content = file.read(MOST_BYTES)
    except OSError as error:
        raise CannotGrade("it is a link" if path.is_symlink() else f"it cannot be read ({error.strerror})") from None
    if not content.strip():
        raise CannotGrade("it is empty")
    try:
        cells = [cell for cell in json.loads(content)["cells"] if cell["cell_type"] == "code"]
        sources = [(k, "".join(cell["source"])) for k, cell in enumerate(cells, 1)]
    except (KeyError, RecursionError, TypeError, ValueError):
        raise CannotGrade("it is not a notebook") from None
    slugs = [slug for _, source in sources for slug in re.findall(r"Exercise\(\s*[\"'](\w+)[\"']", source)]
    if not slugs or not (EXERCISES / f"{slugs[0]}.ipynb").is_file():
        raise CannotGrade("it is none of the exercises: the cell that makes the Exercise is not there")
    return slugs[0], sources


def fingerprint(path):
    """What tells one version of a file from the next; by name and size alone where it is too large to read."""
    try:
        about = path.lstat()
        if stat.S_ISREG(about.st_mode) and about.st_size <= MOST_BYTES:
            return hashlib.sha256(path.read_bytes()).hexdigest()
        return f"{about.st_mode} {about.st_size}"
    except OSError as error:
        return str(error.errno)


# --- grading one notebook ------------------------------------------------------------------------------------------


@functools.cache
def the_exercise(slug):
    """From our own student edition: the Exercise, the name of the loss to be mended, and the sources of all cells."""
    variables, names = {}, []
    sources = ["".join(c["source"]) for c in json.loads((EXERCISES / f"{slug}.ipynb").read_text())["cells"]]
    with contextlib.redirect_stdout(io.StringIO()):
        for source in sources:
            names += re.findall(r"^exercise\.fix\((\w+)\)", source, re.M)
            if "exercise" not in variables and re.match(r"import|from|def|class|suspect|pictures|exercise", source):
                exec(source, variables)
    return variables["exercise"], names[0], set(sources)


def grade(path, seed, limits=None):
    """One notebook: {"exercise", "parts": {part: [score, sentence]}, "status", "seconds"}."""
    start = time.monotonic()
    result = {"exercise": None, "parts": {}, "status": "graded"}
    try:
        result["exercise"], cells = read(path)
        exercise, name, given = the_exercise(result["exercise"])
        with sandbox.Sandbox(limits) as box:
            answers = box.ask(do="run", cells=cells, names=["prediction", "evidence", name])
            own = {str(number): source for number, source in cells if source not in given}
            if all(re.match(r"\s*(prediction|evidence) *=", source) for source in own.values()):
                answers["fix"] = None  # the code under review, as it was given out
            answers["errors"] = {number: error for number, error in answers["errors"].items() if number in own}
            for part in PARTS:
                ok, text = check(exercise, part, answers, box, seed)
                result["parts"][part] = [int(ok), one_line(text)]
    except (CannotGrade, sandbox.Ended) as reason:
        result["status"] = one_line(f"could not grade: {reason}")
    except sandbox.DoesNotStart:
        raise  # not the student's fault
    except Exception as error:  # a reply that no honest child sends
        result["status"] = one_line(f"could not grade: {type(error).__name__}: {error}")
    return {**result, "seconds": round(time.monotonic() - start, 1)}


def check(exercise, part, answers, box, seed):
    """(right or not, why) for one part of a submission."""
    answer = answers[part]
    if answer is None:
        errors = [f"cell {number} raised {error}" for number, error in list(answers["errors"].items())[:1]]
        return False, " ".join(["nothing was answered.", *errors])
    if part != "fix":
        feedback = getattr(exercise, f"check_{part}")(answer)
        return feedback.ok, feedback.text
    try:
        loss = sandbox.remote_loss(box, answer) if "class" in answer else answer["call"]
        feedback = exercise.check_fix(loss, seed=seed)
        return feedback.ok, feedback.text
    except sandbox.Ended as reason:
        return False, f"could not be graded: {reason}"


def one_line(text):
    text = "".join(c if c.isprintable() else " " for c in str(text))
    return text if len(text) <= 400 else text[:400] + "…"


# --- grading a class -----------------------------------------------------------------------------------------------


def die_with_parent():
    """Ask the kernel to end this worker once the grading is gone, whatever it died of."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def read_journal(file):
    """What earlier runs finished: {key: result}. A last line that was cut off is dropped."""
    done, end = {}, 0
    file.seek(0)
    for line in file.read().splitlines(keepends=True):
        try:
            entry = json.loads(line)
        except ValueError:
            break
        done[tuple(entry["key"])] = entry["result"]
        end += len(line)
    file.truncate(end)
    return done


def grade_all(folder, journal, jobs, seed, limits):
    """Grade what the journal does not hold yet; returns [(student, path, result)] of the whole class."""
    submissions = [(student, path) for student, path in find(folder)]
    settings = seed, limits.cpu_seconds
    keys = {path: (str(path.relative_to(folder)), fingerprint(path), *settings) for _, path in submissions}
    done = read_journal(journal)
    todo = [path for _, path in submissions if keys[path] not in done]
    start, context = time.monotonic(), multiprocessing.get_context("spawn")
    os.environ["TQDM_DISABLE"] = "1"  # in the workers, whose bars would cross ours
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=die_with_parent) as pool:
        waiting = {pool.submit(grade, path, seed, limits): path for path in todo}
        bar = tqdm(as_completed(waiting), "grading", total=len(submissions), initial=len(submissions) - len(todo))
        for future in bar:
            key, result = keys[waiting[future]], future.result()
            journal.write(json.dumps({"key": key, "result": result}).encode() + b"\n")
            journal.flush()
            os.fsync(journal.fileno())
            done[key] = result
    if todo:
        seconds = time.monotonic() - start
        print(f"{len(todo)} notebooks in {seconds:.0f} s: {60 * len(todo) / seconds:.0f} per minute on {jobs} cores.")
    return [(student, path, done[keys[path]]) for student, path in submissions]


def rows(results):
    """One row a student: of several notebooks for one exercise, the one with the highest score counts."""
    students = {}
    for student, path, result in results:
        students.setdefault(student, []).append((path, result))
    look = {name: unicodedata.normalize("NFC", name).casefold().removesuffix(".ipynb") for name in students}
    for student, notebooks in students.items():
        row = {"student": student, "score": 0, "of": 0, "status": "graded", "feedback": "", "seconds": 0.0}
        best, remarks = {}, []
        for path, result in notebooks:
            row["seconds"] = round(row["seconds"] + result["seconds"], 1)
            if result["status"] != "graded":
                remarks.append(f"{path.name}: {result['status']}.")
            elif result["exercise"] not in best or total(result) > total(best[result["exercise"]]):
                best[result["exercise"]] = result
        for slug, result in sorted(best.items()):
            for part, (score, sentence) in result["parts"].items():
                row[f"{slug} {part}"] = score
                remarks += [] if score else [f"{slug} {part}: {sentence}"]
        row["score"], row["of"] = sum(map(total, best.values())), 3 * len(best)
        if not best:
            row["status"] = notebooks[0][1]["status"]
        if list(look.values()).count(look[student]) > 1:
            remarks.append("Another submission has the same name.")
        row["feedback"] = " ".join(remarks) or "All right."
        yield row


def total(result):
    return sum(score for score, _ in result["parts"].values())


def write_results(rows, out, seed):
    rows = sorted(rows, key=lambda row: row["student"])
    first = ["student", "score", "of", "status", "feedback", "seconds"]
    columns = first + sorted({name for row in rows for name in row} - set(first))
    with open(out / "grades.csv", "w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows({name: inert(value) for name, value in row.items()} for row in rows)
    (out / "grades.json").write_text(json.dumps({"seed": seed, "students": rows}, indent=1), encoding="utf-8")


def inert(value):
    """Text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@")) else value


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("submissions", type=Path, metavar="FOLDER")
    parser.add_argument("--out", type=Path, help="default: FOLDER-grades, beside FOLDER")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="default: one per core")
    parser.add_argument("--seed", type=int, default=1, help="of the hidden random cases (default: 1)")
    parser.add_argument("--cpu-seconds", type=int, default=20, help="that one submission may use (default: 20)")
    arguments = parser.parse_args()
    folder = arguments.submissions.resolve()
    if not folder.is_dir():
        parser.error(f"{arguments.submissions} is not a folder; expected one with a notebook or a folder per student.")
    if not any(find(folder)):
        parser.error(f"{arguments.submissions} is empty; expected a notebook or a folder per student.")
    out = arguments.out or folder.with_name(folder.name + "-grades")
    if out.exists() and not out.is_dir():
        parser.error(f"{out} is a file; expected a folder for the results.")
    for name in ("jobs", "cpu_seconds"):
        if getattr(arguments, name) < 1:
            parser.error(f"--{name.replace('_', '-')} must be at least 1; got {getattr(arguments, name)}.")
    if reason := sandbox.why_not():
        parser.error(f"students' code needs a sandbox, and {reason}")
    out.mkdir(parents=True, exist_ok=True)
    with open(out / "journal.jsonl", "ab+") as journal:
        try:
            fcntl.flock(journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            parser.error(f"{out} is in use: another grading of this class is running.")
        try:
            limits = sandbox.Limits(cpu_seconds=arguments.cpu_seconds)
            results = grade_all(folder, journal, arguments.jobs, arguments.seed, limits)
        except sandbox.DoesNotStart as reason:
            sys.exit(f"Grading stopped, because a sandbox does not start: {reason}. Start again to go on.")
    write_results(rows(results), out, arguments.seed)
    print(f"Wrote {out / 'grades.csv'} and grades.json.")


if __name__ == "__main__":
    main()
