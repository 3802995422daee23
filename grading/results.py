"""What a grading leaves behind: a journal while it runs, then grades.csv and grades.json."""

import csv
import io
import json
import os
import re
import sys
import unicodedata
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
from boxes import one_line

PARTS = ("predict", "expose", "fix")  # in the order of the notebooks
FORMULA = re.compile(r"^[\s'\"]*[=+\-@|%＝＋－＠]")  # with their full-width forms, which spreadsheets take as well


# --- the journal ---------------------------------------------------------------------------------------------------


def read_journal(file):
    """What earlier runs finished: {key: result}. A damaged line is ignored alone; a last one cut off is mended."""
    done = {}
    file.seek(0)
    content = file.read()
    for line in content.split(b"\n"):
        if entry := _entry(line):
            done[tuple(entry["key"])] = entry["result"]
    rest = content.rpartition(b"\n")[2]
    if rest and _entry(rest):
        file.write(b"\n")  # whole but for its end: the next line must not be glued to it
    elif rest:
        file.truncate(len(content) - len(rest))
    return done


def _entry(line):
    try:
        entry = json.loads(line)
        hash(tuple(entry["key"]))
        whole = {"exercise", "parts", "status", "seconds"} <= set(entry["result"])
    except (KeyError, RecursionError, TypeError, ValueError):
        return None
    return entry if whole and isinstance(entry["result"]["parts"], dict) else None


def note(file, key, result):
    file.write(json.dumps({"key": key, "result": result}).encode() + b"\n")
    file.flush()
    os.fsync(file.fileno())


# --- one row a student ---------------------------------------------------------------------------------------------


def rows(results, exercises=()):
    """One row a student: of several notebooks for one exercise, the one with the highest score counts."""
    return [student.row for student in all_students(results, exercises)]


class Student(NamedTuple):
    """One student's row, {slug: the result that counts}, and sentences on what could not be counted."""

    row: dict
    best: dict
    notes: list


def all_students(results, exercises=(), roster=(), unknown=()):
    """A :class:`Student` for each name, those of a roster too who handed in nothing; ``unknown`` are in no roster.

    With ``exercises``, those of the assignment: what was not handed in counts as 0, what was not set does not count, so
    that scores are comparable.
    """
    students = {}
    for student, path, result in results:
        students.setdefault(student, []).append((path, result))
    look = {name: unicodedata.normalize("NFC", name).casefold().removesuffix(".ipynb") for name in students}
    for student, notebooks in students.items():
        row = {"student": student, "score": 0, "of": 0, "status": "graded", "feedback": "", "seconds": 0.0}
        best, remarks, notes = {}, [], []
        for path, result in notebooks:
            row["seconds"] = round(row["seconds"] + result["seconds"], 1)
            if result["status"] != "graded":
                notes.append(f"{path.name}: {result['status']}.")
            elif result["exercise"] not in best or total(result) > total(best[result["exercise"]]):
                best[result["exercise"]] = result
        for slug, result in sorted(best.items()):
            for part, (score, sentence) in result["parts"].items():
                row[f"{slug} {part}"] = score
                remarks += [] if score else [f"{slug} {part}: {sentence}"]
        for slug in exercises:
            if slug not in best:
                row |= {f"{slug} {part}": 0 for part in PARTS}
                remarks.append(f"{slug}: not handed in.")
                best[slug] = {"parts": {}, "seconds": 0.0, "status": "not handed in"}
        counted = {slug: result for slug, result in best.items() if not exercises or slug in exercises}
        row["score"], row["of"] = sum(map(total, counted.values())), 3 * len(exercises or best)
        if not any(result["parts"] for result in best.values()):
            row["status"] = notebooks[0][1]["status"]
        if list(look.values()).count(look[student]) > 1:
            notes.append("Another submission has the same name.")
        if student in unknown:
            notes.append("The roster has nobody of this name or number, or more than one.")
        row["feedback"] = " ".join([*notes, *remarks]) or "All right."
        yield Student(row, counted, notes)
    nothing = {f"{slug} {part}": 0 for slug in exercises for part in PARTS}
    for student in roster:
        if student not in students:
            row = {"student": student, "score": 0, "of": 3 * len(exercises), "status": "nothing handed in"}
            yield Student({**row, "feedback": "Nothing was handed in.", "seconds": 0.0, **nothing}, {}, [])


def total(result):
    return sum(score for score, _ in result["parts"].values())


def write_results(rows, out, seed):
    """grades.csv and grades.json, each written beside and moved into place: no half-written one."""
    rows = sorted(rows, key=lambda row: row["student"])
    first = ["student", "score", "of", "status", "feedback", "seconds"]
    parts = {name for row in rows for name in row} - set(first)
    columns = first + sorted(parts, key=lambda name: (name.split(" ")[0], PARTS.index(name.split(" ")[1])))
    replace(out / "grades.csv", as_csv(columns, rows))
    replace(out / "grades.json", json.dumps({"seed": seed, "students": rows}, indent=1).encode())


def as_csv(columns, rows):
    """A CSV file as bytes, safe in every spreadsheet and locale: fields quoted, no formula, no control character."""
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, quoting=csv.QUOTE_ALL)
    writer.writeheader()
    writer.writerows({name: inert(value) for name, value in row.items()} for row in rows)
    return text.getvalue().encode("utf-8", errors="backslashreplace")


def inert(value):
    """Text that no spreadsheet takes for a formula and no terminal for a command."""
    if not isinstance(value, str):
        return value
    text = one_line(value, 100_000)
    return f"'{text}" if FORMULA.match(text) else text


def replace(path, content):
    """Write a file beside and move it into place."""
    beside = Path(f"{path}.new")
    with open(beside, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    os.replace(beside, path)
