"""One page of feedback for each student: what was found, the counter-example for what was not, the next hint.

No solution is on it. It ends with three questions for a talk of two minutes, drawn from the student's own answers.
"""

import json
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from page import escape, whole
from results import replace

ABOUT = {"predict": "Predict", "expose": "Expose", "fix": "Fix"}
WROTE = {"predict": "Your prediction", "expose": "Your evidence", "fix": "Your code"}


def write_feedback(students, folder):
    """Write one page a student into a folder; ``students`` are those of ``results``; returns the file names.

    Files are numbered in the order of names: a student's name may be anything, a file's may not. Pages of an earlier
    run that have no student any more are taken away.
    """
    folder.mkdir(exist_ok=True)
    names = []
    for number, student in enumerate(students, 1):
        safe = "".join(c if c.isalnum() else "_" for c in student.row["student"].removesuffix(".ipynb"))[:60]
        names.append(f"{number:03d}_{safe}.html")
        replace(folder / names[-1], page(*student))
    for path in folder.glob("[0-9][0-9][0-9]*_*.html"):
        if path.name not in names:
            path.unlink()
    return names


def page(row, results, notes):
    """The page of one student, as bytes. Whatever a student wrote is escaped."""
    student = row["student"].removesuffix(".ipynb")
    parts = [f"<h1>{escape(student)}</h1>", f'<p class="score">{row["score"]} of {row["of"]} points</p>']
    parts += [section(slug, result) for slug, result in sorted(results.items())]
    if row["status"] != "graded" and not notes:
        parts.append(f"<p>{escape(row['status'])}</p>")
    if notes:
        items = "".join(f"<li>{escape(note)}</li>" for note in notes)
        parts.append(f"<h2>What could not be counted</h2><ul>{items}</ul>")
    return whole(f"Feedback for {student}", "\n".join(parts))


def title_of(slug):
    number, _, name = slug.partition("_")
    return f"{escape(number.lstrip('0'))}: {escape(name.replace('_', ' '))}"


def plain(text):
    """Text of a notebook without its marks for formulas, code and stress: no script sets them on this page."""
    text = re.sub(r"\$([^$]+)\$", lambda found: re.sub(r"[\\{}]", "", found[1]), text)
    return re.sub(r"(?<![\w*])\*(\w+)\*(?![\w*])", r"\1", text).replace("`", "")


def section(slug, result):
    parts = [f"<h2>Exercise {title_of(slug)}</h2>"]
    if not result["parts"]:
        parts.append(f'<p class="no">Not handed in: 0 of {len(ABOUT)} points.</p>')
    for part, name in ABOUT.items():
        if part in result["parts"]:
            parts.append(said(name, part, result))
    for part, text in result.get("hint", {}).items():
        parts.append(f'<p class="hint"><b>The next hint ({escape(part)}).</b> {escape(plain(text))}</p>')
    if asked := result.get("questions"):
        items = "".join(f"<li>{escape(question)}</li>" for question in asked)
        parts.append(f'<div class="part"><h3>To talk about, in two minutes</h3><ol>{items}</ol></div>')
    return "\n".join(parts)


def said(name, part, result):
    """One part: right or not, what was written, why, and the counter-example by itself."""
    ok, sentence = result["parts"][part]
    why, _, proof = sentence.partition(" Proof: ")
    proof, _, mended = proof.partition(" Mended by now: ")
    why += f" Mended by now: {mended}" if mended else ""
    sign = '<span class="yes">✓ found</span>' if ok else '<span class="no">✗ not yet</span>'
    text = f'<div class="part"><h3>{name} {sign}</h3>'
    if answer := result.get("answers", {}).get(part):
        shown = answer if isinstance(answer, str) else json.dumps(answer)
        text += f'<p class="soft">{WROTE[part]}:</p><pre>{escape(shown, lines=True)}</pre>'
    text += f"<p>{escape(why)}</p>"
    return text + (f"<p>The counter-example:</p><pre>{escape(proof)}</pre></div>" if proof else "</div>")
