"""Run the checks of every notebook in `exercises`, as the notebook does: python check.py."""

import json
import os
import sys
import tempfile
from pathlib import Path

from focal_lib.exercises.progress import PARTS


def exercise_in(notebook):
    """The Exercise that a notebook makes, after all its cells ran; and the first error of a cell, or None."""
    variables, error = {"__name__": "__main__"}, None
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            lines = [line for line in "".join(cell["source"]).splitlines() if not line.lstrip().startswith(("%", "!"))]
            try:
                exec("\n".join(lines), variables)
            except Exception as found:
                error = error or f"{type(found).__name__}: {found}"
    return variables.get("exercise"), error


def report(notebook):
    """The lines to be said about a notebook, and how many of its parts are found."""
    lines = [f"## {notebook.stem.replace('_', ' ')}", ""]
    try:
        exercise, error = exercise_in(notebook)
    except (KeyError, TypeError, ValueError):
        return [*lines, "This is not a notebook: save it once more, and push.", ""], 0
    if exercise is None or not hasattr(exercise, "answers"):
        return [*lines, f"The cell with Exercise(...) did not run. {error or ''}", ""], 0
    for part in PARTS:
        feedback = exercise.answers[part][1] if part in exercise.answers else "○ not checked"
        lines.append(f"- **{part}** {feedback}".replace("\n", " "))
    if error:
        lines.append(f"- The first cell that failed: {error}")
    return [*lines, ""], len(exercise.found)


def main():
    os.environ.setdefault("MPLBACKEND", "Agg")
    here = Path(__file__).parent
    notebooks = sorted((here / "exercises").glob("*.ipynb"))
    if not notebooks:
        sys.exit("There is no notebook in the folder exercises; your teacher puts them there.")
    found, lines = 0, []
    for notebook in notebooks:
        with tempfile.TemporaryDirectory() as folder:  # for the progress file
            os.chdir(folder)
            text, parts = report(notebook.resolve())
            os.chdir(here)
        lines, found = lines + text, found + parts
    lines.append(f"**{found} of {len(PARTS) * len(notebooks)} parts found.**")
    if summary := os.environ.get("GITHUB_STEP_SUMMARY"):
        Path(summary).write_text("\n".join(lines), "utf-8")
    print("\n".join(lines))
    sys.exit(found < len(PARTS) * len(notebooks))


if __name__ == "__main__":
    main()
