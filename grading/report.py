"""All that a grading leaves for people: grades, a page for each student, one for the teacher, files for an LMS."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from exports import write_exports
from feedback import write_feedback
from overview import overview
from results import all_students, replace, write_results


def write_report(results, out, seed, exercises=(), entries=None, unknown=(), assignment="Focal loss"):
    """Write everything into a folder; returns a sentence on what was written.

    Args:
        results: (student, path, result) of each notebook.
        seed: of the hidden cases, to be kept.
        exercises: the slugs that were set. With a roster and none named, those that anybody of it handed in.
        entries: {student: :class:`roster.Entry`} of the roster; None without one.
        unknown: students whom the roster lacks.
        assignment: its name on the platform.
    """
    if entries and not exercises:
        of_class = [result["exercise"] for student, _, result in results if student not in unknown]
        exercises = sorted({slug for slug in of_class if slug})
    students = list(all_students(results, exercises, entries or (), unknown))
    students.sort(key=lambda student: student.row["student"])
    write_results([student.row for student in students], out, seed)
    write_feedback(students, out / "feedback")
    replace(out / "class.html", overview(students, assignment, unknown))
    written = "grades.csv, grades.json, class.html for you, a page for each student in feedback"
    if entries:
        known = [(s.row, entries[s.row["student"]]) for s in students if s.row["student"] in entries]
        written += ", " + ", ".join(write_exports(known, out, assignment))
    told = f"Wrote into {out}: {written}."
    if unknown:
        told += f" Not in the roster, and in no file for a platform: {', '.join(map(repr, unknown[:10]))}."
    return told
