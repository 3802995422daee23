"""Read the list of a class, and find in it whose submission a file or folder of an LMS is."""

import csv
import io
import re
import unicodedata
from dataclasses import dataclass, field

MOST_NAME = 100
SPELLINGS = {
    "name": ("name", "student", "full name", "fullname", "student name"),
    "first": ("first name", "firstname", "given name", "first"),
    "last": ("last name", "lastname", "surname", "family name", "last"),
    "id": ("id", "sid", "id number", "student id", "identifier"),
    "email": ("email", "email address", "e-mail", "mail"),
    "login": ("sis login id", "login", "username", "user name", "login id"),
    "sis": ("sis user id",),
    "section": ("section", "sections"),
}
# How an LMS names what students handed in: Moodle's bulk download, and Canvas's.
MOODLE = re.compile(r"^(?P<name>.+?)_(?P<id>\d+)_assignsubmission_file(_.*)?$")
MADE = re.compile(r"^\d{3} (?P<name>.+)$")  # a folder that classroom.py wrote
CANVAS = re.compile(r"^(?P<name>[^_]+?)(_LATE)?_(?P<id>\d+)_\d+_.+$")
NO_STUDENTS = re.compile(r"^\s*(points possible|student, test|test student)\s*$", re.I)


class BadRoster(Exception):
    """What is wrong with a roster, in one sentence."""


@dataclass(frozen=True)
class Entry:
    """One student of the roster; ``key`` is what tells this one from all others."""

    name: str
    id: str = ""
    email: str = ""
    login: str = ""
    sis: str = ""
    section: str = ""
    first: str = field(default="", compare=False)
    last: str = field(default="", compare=False)

    @property
    def key(self):
        return self.id or self.email or self.login or self.name


def read_roster(path):
    """The entries of a CSV file, in its order; raises BadRoster. Encoding and separator are found."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadRoster(f"The roster {path} cannot be read: {error.strerror}.") from None
    text = decoded(content, path)
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise BadRoster(f"The roster {path} is empty; expected a line of column names and a line a student.")
    separator = max("\t;,", key=lines[0].count)  # of none, the comma: one column
    try:
        rows = list(csv.reader(io.StringIO(text), delimiter=separator))
    except csv.Error as error:
        raise BadRoster(f"The roster {path} cannot be read as CSV: {error}.") from None
    while rows and not any(cell.strip() for cell in rows[0]):
        rows.pop(0)
    columns = columns_of(rows[0], path)
    entries = []
    for number, row in enumerate(rows[1:], len(text.splitlines()) - len(lines) + 2):
        blank = not any(cell.strip() for cell in row)
        if not blank and (entry := entry_of(row, columns, f"Line {number} of the roster {path}")):
            entries.append(entry)
    if not entries:
        raise BadRoster(f"The roster {path} names no student below its first line, {lines[0][:60]!r}.")
    seen = {}
    for entry in entries:
        same = folded(entry.key)
        if same in seen:
            more = "" if entry.id or entry.email or entry.login else " Give a column id or email to tell them apart."
            raise BadRoster(f"The roster {path} has {entry.key!r} twice, for {seen[same]!r} and {entry.name!r}.{more}")
        seen[same] = entry.name
    return entries


def decoded(content, path):
    """Text in UTF-8, UTF-16 or, where it is neither, the western code page of spreadsheets."""
    encodings = ("utf-16",) if content.startswith((b"\xff\xfe", b"\xfe\xff")) else ("utf-8-sig", "cp1252")
    if 0 in content[:2]:  # UTF-16 as well, without the mark that says so
        encodings = ("utf-16-be" if content[:1] == b"\0" else "utf-16-le",)
    for encoding in encodings:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise BadRoster(f"The roster {path} is no text in UTF-8, UTF-16 or Windows-1252; save it as CSV in UTF-8.")


def columns_of(header, path):
    """{our name: index} of the columns that are known."""
    names = [" ".join(cell.strip().casefold().replace("_", " ").split()) for cell in header]
    columns = {}
    for ours, spellings in SPELLINGS.items():
        found = [names.index(spelling) for spelling in spellings if spelling in names]
        columns |= {ours: found[0]} if found else {}
    if "name" not in columns and not {"first", "last"} <= set(columns):
        got = ", ".join(repr(cell.strip()[:40]) for cell in header[:8])
        raise BadRoster(
            f"The first line of the roster {path} must name its columns, one of them name (or first name and "
            f"last name); got {got}."
        )
    return columns


def entry_of(row, columns, where):
    """An :class:`Entry`; None for the rows of a gradebook that are no students."""
    cells = {ours: row[at].strip() if at < len(row) else "" for ours, at in columns.items()}
    name = cells.pop("name", "") or f"{cells.get('first', '')} {cells.get('last', '')}".strip()
    if NO_STUDENTS.match(name):
        return None
    if not name:
        raise BadRoster(f"{where} has no name.")
    for what, value in {"name": name, **cells}.items():
        if len(value) > MOST_NAME:
            more = f"{what} of {len(value)} characters, {value[:20]!r}…; at most {MOST_NAME} are allowed."
            raise BadRoster(f"{where} has a {more}")
        if not value.isprintable():
            raise BadRoster(f"{where} has a {what} with characters that cannot be printed: {value[:60]!r}.")
    return Entry(name=name, **cells)


# --- whose is it? --------------------------------------------------------------------------------------------------


def folded(text):
    """Text as it is compared: one form of its letters, small, single spaces."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def squashed(text):
    """Letters and digits only, as Canvas writes names into files."""
    return "".join(c for c in folded(text) if c.isalnum())


def label_of(entry_name):
    """(name, id) of what lies in a folder of submissions, without the file that an LMS adds to it."""
    stem = re.sub(r"\.(ipynb|zip)$", "", entry_name, flags=re.I)
    for pattern in (MOODLE, CANVAS):
        if found := pattern.match(stem):
            return found["name"], found["id"]
    made = MADE.match(stem)
    return (made["name"] if made else stem), ""


class Roster:
    """The entries of a class, to be found by what an LMS or a teacher names a submission."""

    def __init__(self, entries):
        self.entries = entries

    def find(self, label, number=""):
        """The one entry that this name or id belongs to; None where none does, or more than one."""
        ids = {number, label} - {""}
        by_id = [e for e in self.entries if ids & {e.id, e.id.removeprefix("Participant "), e.sis} - {""}]
        if len(by_id) == 1:
            return by_id[0]
        name = squashed(label)
        found = [e for e in self.entries if name and name in spellings_of(e)]
        return found[0] if len(found) == 1 else None


def spellings_of(entry):
    """All that this student's submission may be called."""
    names = {entry.name, entry.email, entry.login, entry.email.partition("@")[0], f"{entry.id} {entry.name}"}
    last, comma, first = entry.name.partition(",")
    if comma:
        names |= {f"{first} {last}"}
    else:
        *before, family = entry.name.split()
        names |= {f"{family} {' '.join(before)}"}
    return {squashed(name) for name in names} - {""}
