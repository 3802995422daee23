"""One page of feedback for each student: self-contained HTML, light and dark, printable, no script."""

import html
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from results import replace

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Feedback for {student}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 45rem; margin: 2rem auto; padding: 0 1rem; }}
h2 {{ break-after: avoid; }}
li {{ margin: 0.5rem 0; overflow-wrap: anywhere; }}
</style>
</head>
<body>
<h1>{student}</h1>
<p>{score} of {of} points.</p>
{exercises}
</body>
</html>
"""
ABOUT = {"predict": "Predict", "expose": "Expose", "fix": "Fix"}
QUESTIONS = (
    "Which of your rows proves it, and which number in it would be different in a right loss?",
    "Which line of your fix mends it, and why did the test at gamma = 0 not find it?",
    "Name an input on which your loss and the code under review agree. Why do they?",
)


def write_feedback(students, folder):
    """Write one page a student into a folder; ``students`` are (row, {slug: result}); returns the file names.

    Files are numbered in the order of names: a student's name may be anything, a file's may not.
    """
    folder.mkdir(exist_ok=True)
    names = []
    for number, (row, results) in enumerate(students, 1):
        safe = "".join(c if c.isalnum() else "_" for c in row["student"].removesuffix(".ipynb"))[:60]
        names.append(f"{number:03d}_{safe}.html")
        replace(folder / names[-1], page(row, results).encode("utf-8", errors="backslashreplace"))
    return names


def page(row, results):
    """The page of one student. Whatever a student wrote is escaped."""
    sections = [section(slug, result) for slug, result in sorted(results.items())]
    if not sections:
        sections = [f"<p>{escape(row['status'])}</p>"]
    else:
        asked = "".join(f"<li>{escape(question)}</li>" for question in QUESTIONS)
        sections.append(f"<h2>To talk about, in two minutes</h2><ol>{asked}</ol>")
    student = escape(row["student"].removesuffix(".ipynb"))
    return PAGE.format(student=student, score=row["score"], of=row["of"], exercises="\n".join(sections))


def section(slug, result):
    title = escape(slug.replace("_", " "))
    parts = [
        f"<li>{'✓' if result['parts'][part][0] else '✗'} <b>{name}.</b> {escape(result['parts'][part][1])}</li>"
        for part, name in ABOUT.items()
        if part in result["parts"]
    ]
    return f"<h2>Exercise {title}</h2><ul>{''.join(parts)}</ul>"


def escape(text):
    """Text as HTML: no tag, no attribute, no control character."""
    return html.escape("".join(c if c.isprintable() else " " for c in str(text)))
