"""A process that can do no harm, for a student's code. How a loss in it is called is in remote.py.

bubblewrap gives it namespaces of its own: no network, no other processes, no files but Python's (read-only) and a
small folder in memory; boxes.py starts it. A system-call filter (seccomp.py) forbids new processes and every kind of
memory that no limit counts; limits bound CPU time, memory, threads and file sizes. What comes back are lines of JSON,
of bounded length, within bounded time; nothing is unpickled. The threat model is in README.md.
"""

import builtins
import json
import os
import platform
import selectors
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import seccomp
from boxes import STARTING_SECONDS, DoesNotStart, Limits, end_starter, one_line, starter

KNOWN_ERRORS = (
    "TypeError",
    "ValueError",
    "IndexError",
    "KeyError",
    "AttributeError",
    "NameError",
    "NotImplementedError",
)


class Ended(BaseException):
    """The process is gone; the text is the reason. Not an Exception: no check may take it for a result."""


# --- the process ---------------------------------------------------------------------------------------------------


def why_not():
    """One sentence on why there can be no sandbox on this machine; None if there can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is missing; install it, for example with: apt install bubblewrap"
    if platform.machine() not in seccomp.MACHINES:
        return f"the system-call filter knows {' and '.join(seccomp.MACHINES)}, not {platform.machine()}"
    try:
        with Sandbox():
            return None
    except DoesNotStart as reason:
        return f"none starts here: {reason}"
    finally:
        end_starter()  # each worker has one of its own


class Sandbox:
    """One process for one submission. Use it in a ``with`` statement."""

    def __init__(self, limits=None):
        self.limits, self.buffer, self.calls, self.borrowed = limits or Limits(), b"", 0, False
        self.deadline = time.monotonic() + STARTING_SECONDS
        names = ("cpu_seconds", "memory_bytes", "file_bytes", "threads")
        first = starter(self.limits)
        self.process = first.box()
        os.set_blocking(self.process.stdin.fileno(), False)
        try:
            self.ask(do="limit", **{name: getattr(self.limits, name) for name in names})
        except Ended as reason:
            self.__exit__()
            raise DoesNotStart(first.last_words(str(reason))) from None
        self.deadline = time.monotonic() + self.limits.wall_seconds

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.close()

    def __deepcopy__(self, memo):
        return self  # a copied loss still lives in the same process

    def count(self):
        """A number for the next graph or module: the process is told it, and never asked."""
        self.calls += 1
        return self.calls

    def ask(self, **request):
        """Send a request; returns the reply. Raises what the student's code raised, or Ended."""
        try:
            self._send(json.dumps(request).encode() + b"\n")
            reply = json.loads(self._line())
        except BrokenPipeError:
            raise Ended(self._epitaph()) from None
        except (ValueError, RecursionError):
            raise Ended("what its process sent is not JSON") from None
        if not isinstance(reply, dict):
            raise Ended("what its process sent is not a reply")
        if "stop" in reply:
            raise Ended(one_line(reply["stop"], 200))
        if printed := reply.pop("printed", None):
            print(one_line(printed))  # so that a loss which prints is seen to print on this side too
        if "error" in reply:
            kind, text = reply["error"] if isinstance(reply["error"], list) else ("", "")
            raise getattr(builtins, kind if kind in KNOWN_ERRORS else "RuntimeError")(one_line(text, 500))
        return reply

    def _wait(self, selector):
        if not selector.select(max(0, self.deadline - time.monotonic())):
            raise Ended(f"it took longer than {self.limits.wall_seconds:g} s")

    def _send(self, line):
        rest = memoryview(line)
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdin, selectors.EVENT_WRITE)
            while rest:
                self._wait(selector)
                rest = rest[os.write(self.process.stdin.fileno(), rest[: 1 << 16]) :]

    def _line(self):
        """The next line that the process sends."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                if len(self.buffer) > self.limits.reply_bytes:
                    raise Ended(f"its process sent more than {self.limits.reply_bytes >> 20} MB in one reply")
                self._wait(selector)
                chunk = os.read(self.process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise Ended(self._epitaph())
                self.buffer += chunk
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def _epitaph(self):
        """How the process ended, in words."""
        try:
            status = self.process.wait(timeout=10)
        except TimeoutError:
            return "it closed its end of the line"
        number = -status
        if number in (signal.SIGXCPU, signal.SIGKILL):
            return f"its process was killed; it may use {self.limits.cpu_seconds} s of CPU time"
        if number in set(signal.Signals):
            return f"its process ended with {signal.Signals(number).name}"
        return f"it ended the program (exit status {status})"


def refuse_root():
    """Exit with one sentence where the superuser grades: a hole in the kernel would then cost the whole machine."""
    if os.geteuid() == 0:
        sys.exit(
            "Grading runs students' code and is refused as root; start it as an ordinary user, for example with: "
            "sudo -u someone make grade SUBMISSIONS=folder"
        )
