"""Zips that students or an LMS hand in: only their notebooks are taken out, under names of ours, within limits."""

import zipfile
import zlib
from pathlib import PurePosixPath

MOST_ENTRIES = 5000
MOST_NOTEBOOKS = 2000
MOST_BYTES = 20 << 20  # of one notebook, as everywhere
MOST_IN_ALL = 2 << 30


class CannotUnpack(Exception):
    """Why, in words that follow "could not grade: "."""


def unpack(path, folder, by_student=False):
    """Write the notebooks of a zip into a folder, as 001_name.ipynb; returns their paths.

    ``by_student``: it is a whole class, as an LMS gives it out, and the first part of each name is a student: a
    notebook, zip or folder, which is written under that name into the folder.
    """
    written, size = [], 0
    try:
        with zipfile.ZipFile(path) as archive:
            infos = archive.infolist()
            if len(infos) > MOST_ENTRIES:
                raise CannotUnpack(f"the zip has {len(infos)} entries; the limit is {MOST_ENTRIES}")
            for info in infos:
                parts = [p for p in PurePosixPath(info.filename.replace("\\", "/")).parts if p not in ("/", "..", ".")]
                wanted = (".ipynb", ".zip") if by_student else (".ipynb",)
                if info.is_dir() or not parts or not parts[-1].casefold().endswith(wanted):
                    continue
                if parts[-1].startswith("._") or "__MACOSX" in parts or ".ipynb_checkpoints" in parts:
                    continue
                if len(written) >= MOST_NOTEBOOKS:
                    raise CannotUnpack(f"the zip has more than {MOST_NOTEBOOKS} notebooks")
                with archive.open(info) as file:
                    content = file.read(MOST_BYTES + 1)  # its own word on its size may be a lie
                size += len(content)
                if size > MOST_IN_ALL:
                    raise CannotUnpack(f"the zip holds more than {MOST_IN_ALL >> 30} GB")
                written.append(place(folder, parts, len(written) + 1, by_student))
                written[-1].write_bytes(content)
    except (OSError, RuntimeError, ValueError, NotImplementedError, zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise CannotUnpack(f"it is no zip that can be read ({type(error).__name__})") from None
    if not written:
        raise CannotUnpack("the zip holds no notebook")
    return written


def place(folder, parts, number, by_student):
    """Where an entry of a zip goes: below the folder, whatever its name says."""
    last = safe(parts[-1])
    below = folder / safe(parts[0]) if by_student and len(parts) > 1 else folder
    below.mkdir(parents=True, exist_ok=True)
    return below / (last if by_student and below == folder else f"{number:03d}_{last}")


def safe(name):
    """A part of a name as the name of a file: printable, no slash, short; its ending is kept."""
    name = "".join(c if c.isprintable() and c not in '/\\:*?"<>|' else "_" for c in name).lstrip(".") or "_"
    while len(name.encode()) > 120:
        name = name[: len(name) // 2 - 4] + name[len(name) // 2 + 4 :]
    return name
