"""Run a command apart, within limits, and take nothing of it on trust; for the command line."""

import contextlib
import json
import math
import os
import signal
import subprocess
import tempfile
import uuid
from dataclasses import fields
from pathlib import Path

MOST_BYTES = 16 << 20  # of a file that the other process writes: its report, and what it says on stderr
MARK = "FOCAL_LIB_APART"  # in the environment of the other process and of all that it starts


def run(command, seconds):
    """(exit status or None at the time limit, last line on stderr). Whatever the command started is ended after it."""
    mark = uuid.uuid4().hex
    with tempfile.TemporaryFile() as said:  # a file, not a pipe: whoever keeps a pipe open keeps us waiting
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # what the file prints while it is imported is not part of the report
            stderr=said,
            start_new_session=True,
            env={**os.environ, MARK: mark},
        )
        try:
            status = child.wait(seconds)
        except subprocess.TimeoutExpired:
            status = None
        finally:
            _end(child, mark)
        said.seek(max(0, said.seek(0, os.SEEK_END) - 4096))
        lines = said.read().decode(errors="replace").strip().splitlines()
    return status, printable(lines[-1])[:300] if lines else "nothing was said"


def _end(child, mark):
    """End the command, its group, and on Linux whoever left the group but still carries the mark."""
    if os.name == "posix":
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)
    child.kill()
    child.wait()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if f"{MARK}={mark}".encode() in environment.read_bytes().split(b"\0"):
                os.kill(int(environment.parent.name), signal.SIGKILL)


def limit_files():
    """Let this process write no large file: no flood fills the disk."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))


def read_report(path, kind):
    """The fields of this dataclass from a JSON file; None if it is no report of that kind."""
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(MOST_BYTES))
        made = kind(**{field.name: found[field.name] for field in fields(kind)})
        default = kind("")
        same = all(
            isinstance(getattr(made, field.name), type(getattr(default, field.name)))
            for field in fields(kind)
            if getattr(default, field.name) is not None
        )
        texts = (made.nearest, made.relative, made.stopped)
        return made if same and all(isinstance(text, str | None) for text in texts) else None
    except (KeyError, OSError, RecursionError, TypeError, ValueError):
        return None


def printable(text):
    """Text that no terminal obeys: line breaks stay, other control characters go."""
    return "".join(c if c.isprintable() or c == "\n" else " " for c in text)


def positive(text):
    """A limit from the command line: a finite number above 0."""
    value = float(text)
    if not (math.isfinite(value) and value > 0):
        raise ValueError
    return value


positive.__name__ = "number above 0"  # how argparse calls it
