"""The class at a glance: one page for the teacher, scores, misconceptions, what could not be graded, likenesses."""

import json
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import misconceptions
from feedback import ABOUT, title_of
from page import escape, whole
from results import PARTS
from talk import spelled

MOST_KINDS, MOST_NAMED = 40, 8


def overview(students, folder_name, unknown=()):
    """The page as bytes. ``students`` are those of ``results``; whom the roster lacks, ``unknown``, is not counted."""
    everyone, students = students, [s for s in students if s.row["student"] not in unknown]
    strangers = [s for s in everyone if s.row["student"] in unknown]
    graded = [s for s in students if any(result["parts"] for result in s.best.values())]
    parts = [f"<h1>{escape(folder_name)}</h1>", first_line(students, graded, strangers), by_exercise(students)]
    parts += [misunderstood(students), not_graded(everyone), alike(everyone)]
    parts += [scores("Everybody, lowest scores first", students), scores("Not on the roster", strangers)]
    return whole(f"{folder_name}: the class at a glance", "\n".join(part for part in parts if part), "72rem")


def first_line(students, graded, strangers=()):
    text = f"{len(students)} students, {len(graded)} with at least one graded notebook"
    if graded:
        shares = [s.row["score"] / s.row["of"] for s in graded if s.row["of"]]
        seconds = sum(s.row["seconds"] for s in students)
        text += f"; half of these have {statistics.median(shares):.0%} of their points or more"
        text += f". The grader took {seconds / 60:.1f} minutes of processor and waiting, all in all"
    if strangers:
        text += f". {len(strangers)} more, not on the roster, handed in: they stand at the end, counted in no number"
    return f'<p class="score">{text}.</p>'


def table(head, rows, numbers=()):
    """HTML of a table; its cells are HTML already. ``numbers``: indices of columns that hold numbers."""
    side = [' class="n"' if k in numbers else "" for k in range(len(head))]
    names = "".join(f"<th{c} scope='col'>{name}</th>" for c, name in zip(side, head, strict=True))
    lines = ["".join(f"<td{c}>{cell}</td>" for c, cell in zip(side, row, strict=True)) for row in rows]
    body = "".join(f"<tr>{line}</tr>" for line in lines)
    kind = "many" if len(head) > 4 else "few"
    return f'<div class="wide"><table class="{kind}"><thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>'


def by_exercise(students):
    slugs = sorted({slug for s in students for slug in s.best})
    rows = []
    for slug in slugs:
        results = [s.best[slug] for s in students if slug in s.best and s.best[slug]["parts"]]
        row = [title_of(slug), len(results)]
        for part in ABOUT:
            right = sum(result["parts"].get(part, (0,))[0] for result in results)
            share = right / len(results) if results else 0
            row.append(f'{right} <span class="bar" style="width:{4 * share:.2f}rem"></span>')
        seconds = [result["seconds"] for result in results]
        rows.append([*row, f"{statistics.median(seconds):.1f}" if seconds else ""])
    head = ["Exercise", "handed in", *[f"{name}: right" for name in ABOUT.values()], "seconds, median"]
    return "<h2>By exercise and part</h2>" + table(head, rows, (1, 5)) if rows else ""


def misunderstood(students):
    rows = []
    for kind, cases in misconceptions.counted(students)[:MOST_KINDS]:
        who = sorted({student for student, *_ in cases})
        places = sorted({(slug, PARTS.index(part)) for _, slug, part, _ in cases})
        where = ", ".join(f"{slug.split('_')[0].lstrip('0')} {PARTS[k]}" for slug, k in places)
        example = min((sentence for *_, sentence in cases), key=len)
        rows.append([f"<b>{escape(kind.name)}</b>", len(who), escape(where), escape(example[:400]), escape(kind.say)])
    head = ["Misconception", "students", "where", "for example, the check said", "in class"]
    return "<h2>Misconceptions</h2>" + table(head, rows, (1,)) if rows else ""


def not_graded(students):
    rows = [[escape(s.row["student"]), escape(note)] for s in students for note in s.notes]
    rows += [[escape(s.row["student"]), escape(s.row["status"])] for s in students if not_counted(s)]
    return "<h2>Not graded, and why</h2>" + table(["Student", "why"], rows) if rows else ""


def not_counted(student):
    return student.row["status"] != "graded" and not student.notes


def alike(students):
    """Submissions whose code and evidence are the same, comments and layout aside: a hint, no more."""
    groups = {}
    for s in students:
        for slug, result in s.best.items():
            answers = result.get("answers", {})
            if answers.get("fix") and answers.get("expose"):
                same = json.dumps([slug, spelled(answers["fix"]), answers["expose"]], sort_keys=True)
                groups.setdefault((slug, same), []).append(s.row["student"])
    rows = [
        [title_of(slug), len(who), escape(", ".join(sorted(who)[:MOST_NAMED]) + (" …" if who[MOST_NAMED:] else ""))]
        for (slug, _), who in sorted(groups.items())
        if len(who) > 1
    ]
    why = (
        "Code and evidence are the same, but for comments and layout. That is a hint to talk, and no proof: the right "
        "fix is short, and small whole numbers are few."
    )
    return f"<h2>Alike</h2><p>{why}</p>" + table(["Exercise", "students", "who"], rows, (1,)) if rows else ""


def scores(title, students):
    rows = [
        [escape(s.row["student"]), s.row["score"], s.row["of"], escape(s.row["status"]), s.row["seconds"]]
        for s in sorted(students, key=lambda s: (s.row["score"] / (s.row["of"] or 1), s.row["student"]))
    ]
    return f"<h2>{title}</h2>" + table(["Student", "score", "of", "", "seconds"], rows, (1, 2, 4)) if rows else ""
