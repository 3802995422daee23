"""Find the notebooks of a class and read them, whatever else lies in the folder."""

import hashlib
import json
import os
import re
import stat
from pathlib import Path

EXERCISES = Path(__file__).parent.parent / "notebooks" / "exercises"
MOST_BYTES = 20 << 20
MOST_NOTEBOOKS = 45  # of one student: three tries at each exercise
SKIPPED = {"__MACOSX", ".ipynb_checkpoints", ".DS_Store", ".git"}  # what systems leave behind


class CannotGrade(Exception):
    """Why, in words that follow "could not grade: "."""


def find(folder):
    """(student, path) for each notebook; path is that of the entry itself where it holds none."""
    for entry in sorted(folder.iterdir()):
        if entry.name in SKIPPED or entry.name.startswith("._") or _is_no_submission(entry):
            continue
        paths = [entry]
        if entry.is_dir() and not entry.is_symlink():
            found = (Path(where, name) for where, _, names in os.walk(entry) for name in names)
            paths = sorted(p for p in found if is_notebook(p) and not SKIPPED & set(p.relative_to(folder).parts))
        for path in paths or [entry]:
            yield entry.name, path


def is_notebook(path):
    return path.suffix.casefold() == ".ipynb" and not path.name.startswith("._")


def _is_no_submission(entry):
    """A hidden file of the system's; a hidden notebook or folder is somebody's."""
    return entry.name.startswith(".") and not is_notebook(entry) and not entry.is_dir()


def too_many(submissions):
    """The paths beyond the most that count of one student, in the order of names."""
    seen, over = {}, set()
    for student, path in submissions:
        seen[student] = seen.get(student, 0) + 1
        if seen[student] > MOST_NOTEBOOKS:
            over.add(path)
    return over


def contents(path):
    """(bytes, fingerprint) of a file, read once, so that both are of one version; raises CannotGrade."""
    if path.is_dir() and not path.is_symlink():
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
    return content, hashlib.sha256(content).hexdigest()


def fingerprint(path):
    """What tells one version of a file from the next; by kind and size alone where it cannot be read as a notebook."""
    try:
        return contents(path)[1]
    except CannotGrade:
        pass
    try:
        about = path.lstat()
        return f"{about.st_mode} {about.st_size}"
    except OSError as error:
        return str(error.errno)


def cells_of(content):
    """(slug of the exercise, [(number, source) of the code cells]) of a notebook; raises CannotGrade."""
    if not content.strip():
        raise CannotGrade("it is empty")
    try:
        cells = [cell for cell in json.loads(content)["cells"] if cell["cell_type"] == "code"]
        sources = [(k, "".join(cell["source"])) for k, cell in enumerate(cells, 1)]
    except (KeyError, RecursionError, TypeError, ValueError):
        raise CannotGrade("it is not a notebook") from None
    made = r"^\w+\s*=\s*Exercise\(\s*[\"'](\w+)[\"']"
    slugs = [slug for _, source in sources for slug in re.findall(made, source, re.M)]
    if not slugs or not (EXERCISES / f"{slugs[-1]}.ipynb").is_file():
        raise CannotGrade("it is none of the exercises: the cell that makes the Exercise is not there")
    return slugs[-1], sources
