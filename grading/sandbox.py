"""A process that can do no harm, for a student's code. How a loss in it is called is in remote.py.

bubblewrap gives it namespaces of its own: no network, no other processes, no files but Python's (read-only) and a
small folder in memory. A system-call filter (seccomp.py) forbids new processes and every kind of memory that no limit
counts; limits bound CPU time, memory, threads and file sizes. What comes back are lines of JSON, of bounded length,
within bounded time; nothing is unpickled. The threat model, defence by defence, is in README.md.
"""

import builtins
import functools
import json
import os
import platform
import selectors
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import seccomp

CHILD = Path(__file__).with_name("sandbox_child.py")
STARTING_SECONDS = 300
COVERED = "/sys"  # where the small folder is mounted before it becomes the box's /tmp; nothing in a box needs /sys

KNOWN_ERRORS = (
    "TypeError",
    "ValueError",
    "IndexError",
    "KeyError",
    "AttributeError",
    "NameError",
    "NotImplementedError",
)


@dataclass(frozen=True)
class Limits:
    """Of one submission."""

    cpu_seconds: int = 20
    wall_seconds: float = 180  # from when it is ready: starting may take long on a busy machine
    memory_bytes: int = 4 << 30  # of address space; importing torch takes less than one
    file_bytes: int = 16 << 20  # a file
    folder_bytes: int = 64 << 20  # all files
    folder_files: int = 1000
    threads: int = 64
    reply_bytes: int = 4 << 20


class Ended(BaseException):
    """The process is gone; the text is the reason. Not an Exception: no check may take it for a result."""


class DoesNotStart(RuntimeError):
    """The sandbox itself failed, before it saw any student code."""


def one_line(text, most=400):
    """Text for a terminal, a spreadsheet or a log: no control characters, no line breaks, of bounded length."""
    text = str(text)[: most + 1]
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= most else text[:most] + "…"


# --- the process ---------------------------------------------------------------------------------------------------


def why_not():
    """One sentence on why there can be no sandbox on this machine; None if there can."""
    for program in ("bwrap", "setpriv", "unshare"):
        if shutil.which(program) is None:
            package = "bubblewrap" if program == "bwrap" else "util-linux"
            return f"{package} is missing; install it, for example with: apt install {package}"
    if platform.machine() not in seccomp.MACHINES:
        return f"the system-call filter knows {' and '.join(seccomp.MACHINES)}, not {platform.machine()}"
    try:
        with Sandbox():
            return None
    except DoesNotStart as reason:
        return f"none starts here: {reason}"


def what_is_missing():
    """Sentences on what this system does not offer; grading goes on without it."""
    said = []
    if not has_control_groups():
        said.append(
            "No control group here (systemd-run --user --scope does not work): memory is limited for each process by "
            "its address space, not for the box as a whole."
        )
    if not can_mount():
        said.append("No mounting for ordinary users here: how many files a box makes is not limited, only their size.")
    return said


def _works(*words):
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=20).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


@functools.cache
def has_control_groups():
    return _works(*_control_group(Limits()), "true")


def _control_group(limits):
    most = limits.memory_bytes + limits.folder_bytes
    user = [] if os.geteuid() == 0 else ["--user"]
    settings = (f"MemoryMax={most}", "MemorySwapMax=0", f"TasksMax={limits.threads + 16}")
    return ["systemd-run", *user, "--scope", "--quiet", "--collect", *(f"--property={s}" for s in settings), "--"]


@functools.cache
def can_mount():
    return _works(*_small_folder(Limits()), "true")


def _small_folder(limits):
    """Run what follows with a new folder in memory at COVERED: bubblewrap's own has no limit on the number of files."""
    user = ["--propagation", "private"] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    options = f"size={limits.folder_bytes},nr_inodes={limits.folder_files},mode=1777,nosuid,nodev"
    script = 'mount -t tmpfs -o "$1" none "$2" && shift 2 && exec "$@"'
    return ["unshare", *user, "--mount", "sh", "-c", script, "sh", options, COVERED]


@functools.cache
def _bubblewrap_can(option):
    return option in subprocess.run(["bwrap", "--help"], capture_output=True, text=True).stdout


def command(limits, program):
    """The command line of the sandbox; ``program`` is an open file with the filter.

    Started by root, the box runs under a user number that nobody has: ``--uid`` alone would change a name only. Then
    bubblewrap stays as its first process, out of reach as another user's, to end it when the grading is gone.
    """
    folders = {"/usr", sys.base_prefix, sys.prefix, str(Path(sys.prefix).resolve())}
    above = {str(parent): None for folder in sorted(folders) for parent in reversed(Path(folder).parents)}
    above |= {"/etc": None, "/library": None}  # made here, open to all: bubblewrap's own would be root's only
    readable = [word for folder in above if folder != "/" for word in ("--dir", folder)]
    readable += [word for folder in sorted(folders) for word in ("--ro-bind", folder, folder)]
    for name in ("/bin", "/lib", "/lib64"):
        if Path(name).is_symlink():
            readable += ["--symlink", os.readlink(name), name]
        elif Path(name).exists():
            readable += ["--ro-bind", name, name]
    library = CHILD.parent.parent / "focal_lib"
    for file in [library / "losses.py", *library.glob("_[a-z]*.py")]:  # what students may try things out with
        readable += ["--ro-bind", str(file), f"/library/{file.name}"]
    small = can_mount()
    temporary = (
        ["--bind", COVERED, "/tmp"]
        if small
        else ["--perms", "1777", "--size", str(limits.folder_bytes), "--tmpfs", "/tmp"]
    )
    root = os.geteuid() == 0
    if root:
        user = [word for right in ("SETUID", "SETGID", "SETPCAP") for word in ("--cap-add", f"CAP_{right}")]
        nobody = str(60000 + os.getpid() % 5000)
        drop = ["setpriv", "--reuid", nobody, "--regid", nobody, "--clear-groups", "--bounding-set=-all"]
        drop += ["--inh-caps=-all"]
    else:
        user, drop = ["--unshare-user", "--uid", "65534", "--gid", "65534"], []
        user += ["--as-pid-1"]  # or the first process in there would be bubblewrap, as the same user and unfiltered
        user += ["--disable-userns"] if _bubblewrap_can("--disable-userns") else []
    return [
        *(_control_group(limits) if has_control_groups() else []),
        *(_small_folder(limits) if small else []),
        *("bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"),
        *("--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL", *user),
        *(
            "--clearenv",
            "--setenv",
            "HOME",
            "/tmp",
            "--setenv",
            "OMP_NUM_THREADS",
            "1",
            "--setenv",
            "LC_ALL",
            "C.UTF-8",
        ),
        *("--setenv", "PATH", "/usr/bin:/bin", "--seccomp", str(program.fileno()), *temporary, "--chdir", "/tmp"),
        *readable,  # after /tmp, because Python may be installed below it
        *("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--ro-bind", str(CHILD), "/sandbox_child.py"),
        *("--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev", "--remount-ro", "/dev"),
        *("--remount-ro", "/", "--", *drop, sys.executable, "-I", "/sandbox_child.py"),
    ]


def environment():
    """What the box's own start needs, and nothing else of whoever grades."""
    names = ("PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")  # the last two for systemd-run
    return {name: os.environ[name] for name in names if name in os.environ}


class Sandbox:
    """One process for one submission. Use it in a ``with`` statement."""

    def __init__(self, limits=None):
        self.limits, self.buffer, self.calls, self.borrowed = limits or Limits(), b"", 0, False
        self.deadline = time.monotonic() + STARTING_SECONDS
        names = ("cpu_seconds", "memory_bytes", "file_bytes", "threads")
        with tempfile.TemporaryFile() as program, tempfile.TemporaryFile() as errors:
            program.write(seccomp.filter_program())
            program.seek(0)
            self.process = subprocess.Popen(
                command(self.limits, program),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,  # of the start only: the child closes it before it runs student code
                pass_fds=[program.fileno()],
                bufsize=0,
                start_new_session=True,
                env=environment(),
            )
            os.set_blocking(self.process.stdin.fileno(), False)
            try:
                self.ask(do="limit", **{name: getattr(self.limits, name) for name in names})
            except Ended as reason:
                self.__exit__()
                errors.seek(0)
                lines = errors.read(1 << 16).decode(errors="replace").strip().splitlines()
                raise DoesNotStart(f"{reason}; {one_line(lines[-1]) if lines else 'nothing was said'}") from None
        self.deadline = time.monotonic() + self.limits.wall_seconds

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self.process.kill()
        self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

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
        """How the process ended, in words. bubblewrap reports a signal as 128 + its number."""
        try:
            status = self.process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            return "it closed its end of the line"
        number = -status if status < 0 else status - 128
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
