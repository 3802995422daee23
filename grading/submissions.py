"""Find the notebooks of a class and read them, whatever else lies in the folder."""

import hashlib
import json
import os
import re
import shutil
import stat
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import variants
from roster import label_of
from unpack import CannotUnpack, unpack

EXERCISES = Path(__file__).parent.parent / "notebooks" / "exercises"
MOST_BYTES = 20 << 20
MOST_CODE = 1 << 20  # characters in its code cells: outputs may be large, what somebody wrote is not
MOST_NOTEBOOKS = 45  # of one student: three tries at each exercise
SKIPPED = {"__MACOSX", ".ipynb_checkpoints", ".DS_Store", ".git"}  # what systems leave behind


class CannotGrade(Exception):
    """Why, in words that follow "could not grade: "."""


def find(folder):
    """(name of the entry, path) for each notebook or zip; path is that of the entry itself where it holds none."""
    for entry in sorted(folder.iterdir()):
        if entry.name in SKIPPED or entry.name.startswith("._") or _is_no_submission(entry):
            continue
        paths = [entry]
        if entry.is_dir() and not entry.is_symlink():
            found = (Path(where, name) for where, _, names in os.walk(entry) for name in names)
            paths = sorted(
                p for p in found if (is_notebook(p) or is_zip(p)) and not SKIPPED & set(p.relative_to(folder).parts)
            )
        for path in paths or [entry]:
            yield entry.name, path


def is_notebook(path):
    return path.suffix.casefold() == ".ipynb" and not path.name.startswith("._")


def is_zip(path):
    return path.suffix.casefold() == ".zip" and not path.name.startswith("._") and path.is_file()


def unpacked(submissions, folder):
    """([(name, path)] with the notebooks of a zip in its place, {path of a zip: why it could not be unpacked})."""
    all_of_them, failed = [], {}
    shutil.rmtree(folder, ignore_errors=True)
    for number, (name, path) in enumerate(submissions, 1):
        paths = [path]
        if is_zip(path) and not path.is_symlink():
            try:
                paths = unpack(path, folder / f"{number:04d}")
            except CannotUnpack as reason:
                failed[path] = str(reason)
        all_of_them += [(name, p) for p in paths]
    return all_of_them, failed


def named(submissions, roster=None):
    """([(student, path)], {student: entry}, [names that the roster lacks]): whose each submission is.

    What an LMS adds to a name is taken off, so that two files of one student are one student's.
    """
    students, entries, unknown = [], {}, []
    often = {}
    for entry in roster.entries if roster else ():
        often.setdefault(entry.name, []).append(entry)
    for entry in roster.entries if roster else ():
        entries[entry.name if len(often[entry.name]) == 1 else f"{entry.name} ({entry.key})"] = entry
    called = {entry: student for student, entry in entries.items()}
    for name, path in submissions:
        label, number = label_of(name)
        entry = roster.find(label, number) if roster else None
        student = called[entry] if entry else f"{label} ({number})" if number else name
        if roster and not entry and student not in unknown:
            unknown.append(student)
        students.append((student, path))
    return students, entries, unknown


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
    """(name of the exercise or id of its variant, [(number, source) of the code cells]) of a notebook.

    Raises:
        CannotGrade: it is no notebook, or not one of ours.
    """
    if not content.strip():
        raise CannotGrade("it is empty")
    try:
        cells = [cell for cell in json.loads(content)["cells"] if cell["cell_type"] == "code"]
        sources = [(k, "".join(cell["source"])) for k, cell in enumerate(cells, 1)]
    except (KeyError, RecursionError, TypeError, ValueError):
        raise CannotGrade("it is not a notebook") from None
    if (size := sum(len(source) for _, source in sources)) > MOST_CODE:
        raise CannotGrade(f"its code cells hold {size >> 10} KB of text; the limit is {MOST_CODE >> 10} KB")
    made = r"^\w+\s*=\s*Exercise\(\s*[\"']([\w-]+)[\"']"
    slugs = [slug for _, source in sources for slug in re.findall(made, source, re.M)]
    known = slugs and (EXERCISES / f"{(variants.read_id(slugs[-1]) or slugs[-1:])[0]}.ipynb").is_file()
    if not known:
        raise CannotGrade("it is none of the exercises: the cell that makes the Exercise is not there")
    return slugs[-1], sources


def exercise_of(name, student, key):
    """(slug, number of the variant or None) of what a notebook says it is; raises CannotGrade where it may not be.

    Args:
        name: of an exercise, or the id of a variant.
        student: the key of whoever handed it in, as the roster has it; None if that is not known.
        key: the secret of the class, where variants were given out; else None.
    """
    found = variants.read_id(name)
    if key is None and found:
        raise CannotGrade("it is a variant made for one student: grade with the class folder that it was made in")
    if key is None:
        return name, None
    if not found:
        raise CannotGrade("it is the exercise of the book, not the variant that this student was given")
    slug, number, signature = found
    if student is None or not variants.is_signed(key, slug, number, signature, student):
        raise CannotGrade("its id says that it was given to somebody else, or was changed")
    return slug, number
