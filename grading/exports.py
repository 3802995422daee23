"""Scores in the files that learning platforms take: Canvas, Moodle and Gradescope. All have one row a student."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from results import as_csv, replace

# The columns of each platform, as its own export writes them.
CANVAS = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]
MOODLE = [
    "Identifier",
    "Full name",
    "Email address",
    "Status",
    "Grade",
    "Maximum Grade",
    "Grade can be changed",
    "Last modified (submission)",
    "Last modified (grade)",
    "Feedback comments",
]
GRADESCOPE = [
    "First Name",
    "Last Name",
    "SID",
    "Email",
    "Sections",
    "Total Score",
    "Max Points",
    "Status",
    "Submission ID",
    "Submission Time",
    "Lateness (H:M:S)",
]


def write_exports(students, out, assignment):
    """Write canvas.csv, moodle.csv and gradescope.csv into a folder; returns their names.

    Args:
        students: (row, :class:`roster.Entry`) of everybody on the roster.
        out: the folder.
        assignment: the name of the assignment, as the platform has it: for Canvas with its number, ``Name (1234)``.
    """
    files = {
        "canvas.csv": ([*CANVAS, assignment], canvas(students, assignment)),
        "moodle.csv": (MOODLE, moodle(students)),
        "gradescope.csv": (GRADESCOPE, gradescope(students)),
    }
    for name, (columns, rows) in files.items():
        replace(out / name, as_csv(columns, list(rows)))
    return list(files)


def canvas(students, assignment):
    """The gradebook's rows; the first holds the points possible. Columns that are not there stay as they are."""
    most = max((row["of"] for row, _ in students), default=0)
    yield {"Student": "    Points Possible", assignment: most}
    for row, entry in students:
        known = (entry.name, entry.id, entry.sis, entry.login, entry.section)
        yield dict(zip(CANVAS, known, strict=True)) | {assignment: row["score"]}


def moodle(students):
    """The rows of the grading worksheet of an assignment; grade and feedback both, as its import wants."""
    for row, entry in students:
        yield {  # the identifier is Moodle's own: a student's number in its place is somebody else
            "Identifier": entry.id if entry.id.startswith("Participant ") else "",
            "Full name": entry.name,
            "Email address": entry.email,
            "Status": "" if row["status"] == "nothing handed in" else "Submitted for grading",
            "Grade": row["score"],
            "Maximum Grade": row["of"],
            "Grade can be changed": "Yes",
            "Last modified (submission)": "-",
            "Last modified (grade)": "-",
            "Feedback comments": row["feedback"],
        }


def gradescope(students):
    """Rows as in Gradescope's own export of scores."""
    for row, entry in students:
        last, comma, first = entry.name.partition(",")
        if not comma:
            first, _, last = entry.name.rpartition(" ")
        yield {
            "First Name": entry.first or first.strip(),
            "Last Name": entry.last or last.strip(),
            "SID": entry.id,
            "Email": entry.email,
            "Sections": entry.section,
            "Total Score": row["score"],
            "Max Points": row["of"],
            "Status": "Missing" if row["status"] == "nothing handed in" else "Graded",
        }
