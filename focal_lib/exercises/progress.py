"""How far a learner has come: a small file beside the notebook."""

import json
from pathlib import Path

from .feedback import Feedback
from .originals import ORIGINALS

__all__ = ["PARTS", "PROGRESS_FILE", "TOTAL"]

TOTAL = len(ORIGINALS)
PARTS = ("predict", "expose", "fix")
PROGRESS_FILE = "focal_progress.json"


def note(slug, part, feedback):
    """Keep that this part was found; returns the feedback, with a word where that could not be kept."""
    if not feedback.ok:
        return feedback
    try:
        found = read_progress()
        found[slug] = [p for p in PARTS if p == part or p in found.get(slug, [])]
        draft = Path(PROGRESS_FILE + ".new")
        draft.write_text(json.dumps(found, indent=1))
        draft.replace(PROGRESS_FILE)
    except (OSError, ValueError) as error:
        return Feedback(True, f"{feedback.text}\n  (Progress was not saved: {error})")
    return feedback


def progress_line(slug, wrong=()):
    """The parts of one exercise and the exercises found so far; ``wrong`` are parts whose last answer was wrong."""
    try:
        found = read_progress()
    except (OSError, ValueError) as error:
        return Feedback(False, f"No progress to show: {error}")
    signs = {part: "✓" if part in found.get(slug, []) else "✗" if part in wrong else "○" for part in PARTS}
    done = sum(set(PARTS) <= set(solved) for solved in found.values())
    parts = ", ".join(f"{part} {sign}" for part, sign in signs.items())
    return Feedback(done == TOTAL, f"Here: {parts}. {done} of {TOTAL} found.", "★")


def read_progress():
    """``{slug: [parts found]}`` from the file; ValueError if it is damaged."""
    path = Path(PROGRESS_FILE)
    try:
        found = json.loads(path.read_text()) if path.exists() else {}
        assert all(set(solved) <= set(PARTS) for solved in found.values())
    except (AssertionError, AttributeError, TypeError, ValueError):
        raise ValueError(f"{path} is damaged; delete it to start anew.") from None
    return found
