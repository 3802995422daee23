"""Where boxes come from: one sandbox a process, in which torch is loaded once, and a fork of it for each submission.

bubblewrap makes the sandbox; what happens in there is in sandbox_start.py. How one talks to a box is in sandbox.py.
"""

import contextlib
import functools
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import seccomp

HERE = Path(__file__).parent
OURS = [HERE / "sandbox_start.py", HERE / "sandbox_child.py"]  # what of ours runs in there; the first one starts it
STARTING_SECONDS = 300


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


class DoesNotStart(RuntimeError):
    """The sandbox itself failed, before it saw any student code."""


def one_line(text, most=400):
    """Text for a terminal, a spreadsheet or a log: no control characters, no line breaks, of bounded length."""
    text = str(text)[: most + 1]
    text = "".join(c if c.isprintable() else " " for c in text)
    return text if len(text) <= most else text[:most] + "…"


def what_is_missing():
    """Sentences on what this system does not offer; grading goes on without it."""
    if has_control_groups():
        return []
    return [
        "No control group here (systemd-run --user --scope does not work): memory is limited for each process by its "
        "address space, not for the box as a whole."
    ]


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


def command(limits, line):
    """The command line of a sandbox that makes boxes; ``line`` is the number of its end of the line to this process.

    Started by root, its boxes run under a user number that nobody has: ``--uid`` alone would change a name only.
    """
    readable = [word for folder in _folders() for word in ("--ro-bind", folder, folder)]
    above = {str(parent): None for folder in _folders() for parent in reversed(Path(folder).parents)}
    above |= {"/etc": None, "/library": None}  # made here, open to all: bubblewrap's own would be root's only
    made = [word for folder in above if folder != "/" for word in ("--dir", folder)]
    for name in ("/bin", "/lib", "/lib64"):
        if Path(name).is_symlink():
            readable += ["--symlink", os.readlink(name), name]
        elif Path(name).exists():
            readable += ["--ro-bind", name, name]
    files = {path: f"/{path.name}" for path in OURS}
    library = HERE.parent / "focal_lib"  # its losses: what students may try things out with
    files |= {path: f"/library/{path.name}" for path in [library / "losses.py", *library.glob("_[a-z]*.py")]}
    readable += [word for path, place in files.items() for word in ("--ro-bind", str(path), place)]
    # Rights to make boxes with. Of an ordinary user's they are rights over the sandbox's own namespaces only.
    rights = (
        ("SYS_ADMIN", "SETPCAP", "SETUID", "SETGID") if os.geteuid() == 0 else ("SYS_ADMIN", "SETPCAP", "SYS_RESOURCE")
    )
    user = [] if os.geteuid() == 0 else ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    variables = {"HOME": "/tmp", "OMP_NUM_THREADS": "1", "LC_ALL": "C.UTF-8", "PATH": "/usr/bin:/bin"}
    return [
        *(_control_group(limits) if has_control_groups() else []),
        *("bwrap", "--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try", *user),
        *("--hostname", "sandbox", "--die-with-parent", "--new-session", "--as-pid-1", "--cap-drop", "ALL"),
        *(word for right in rights for word in ("--cap-add", f"CAP_{right}")),
        *("--clearenv", *(word for name, value in variables.items() for word in ("--setenv", name, value))),
        *("--perms", "1777", "--size", "65536", "--tmpfs", "/tmp", *made, *readable, "--chdir", "/tmp"),
        *("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"),
        *("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--remount-ro", "/", "--"),
        *(sys.executable, "-I", f"/{OURS[0].name}", str(line)),
    ]


def _folders():
    """What Python consists of here."""
    return sorted({"/usr", sys.base_prefix, sys.prefix, str(Path(sys.prefix).resolve())})


def environment():
    """What the box's own start needs, and nothing else of whoever grades."""
    names = ("PATH", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")  # the last two for systemd-run
    return {name: os.environ[name] for name in names if name in os.environ}


class Starter:
    """The sandbox that boxes are made in: it loads torch once, and forks a box when asked."""

    def __init__(self, limits):
        self.limits, self.errors = limits, tempfile.TemporaryFile()  # noqa: SIM115 (it lives as long as this)
        self.line, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.line.settimeout(STARTING_SECONDS)
        with theirs:
            self.process = subprocess.Popen(
                command(limits, theirs.fileno()),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self.errors,  # of the start only: a box closes it before it runs student code
                pass_fds=[theirs.fileno()],
                start_new_session=True,
                env=environment(),
            )
        self._heard(self.line.recv, b"ready")

    def _heard(self, listen, wanted):
        """What is heard, where it begins as wanted; DoesNotStart with the reason where it does not."""
        try:
            heard = listen(1 << 12)
        except OSError as error:
            heard = str(error).encode()
        text = heard[0] if isinstance(heard, tuple) else heard
        if text != wanted:
            reason = self.last_words(text.decode(errors="replace"))
            self.end()
            raise DoesNotStart(reason)
        return heard

    def last_words(self, text=""):
        """One line on what went wrong at the start."""
        self.errors.seek(0)
        lines = self.errors.read(1 << 16).decode(errors="replace").strip().splitlines()
        return one_line("; ".join(filter(None, (text, lines[-1] if lines else "")))) or "nothing was said"

    def box(self):
        """A new process in there, as a :class:`Process`."""
        (input_of_it, stdin), (stdout, output_of_it), (ending, end_of_it) = os.pipe(), os.pipe(), os.pipe()
        order = {
            "folder_bytes": self.limits.folder_bytes,
            "folder_files": self.limits.folder_files,
            "below_tmp": [folder for folder in _folders() if folder.startswith("/tmp/")],
            "user": 60000 + os.getpid() % 5000 if os.geteuid() == 0 else None,
            "filter": seccomp.filter_program().hex(),
        }
        theirs = [input_of_it, output_of_it, end_of_it]

        def ask(size):
            socket.send_fds(self.line, [json.dumps(order).encode()], theirs)
            return socket.recv_fds(self.line, size, 1)

        try:
            _, (number, *_), _, _ = self._heard(ask, b"started")
            return Process(number, stdin, stdout, ending)
        except BaseException:
            theirs += [stdin, stdout, ending]
            raise
        finally:
            for end in theirs:
                os.close(end)

    @property
    def lives(self):
        return self.process.poll() is None

    def end(self):
        self.process.kill()
        self.process.wait()
        self.line.close()
        self.errors.close()


class Process:
    """A box from outside, as far as it resembles a ``subprocess.Popen``."""

    def __init__(self, number, stdin, stdout, ending):
        self.number, self.ending = number, ending
        self.stdin, self.stdout = os.fdopen(stdin, "wb", 0), os.fdopen(stdout, "rb", 0)
        with open(f"/proc/self/fdinfo/{number}") as file:
            self.pid = next(int(line.split()[1]) for line in file if line.startswith("Pid:"))

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(self.number, signal.SIGKILL)

    def wait(self, timeout):
        """How it ended, as ``Popen.wait`` says it; TimeoutError after so many seconds."""
        if not select.select([self.ending], [], [], timeout)[0]:
            raise TimeoutError
        text = os.read(self.ending, 16)
        return int(text) if text else -signal.SIGKILL  # nothing: whoever waits for it inside was ended too

    def close(self):
        """End it, and let go of it."""
        self.kill()
        self.stdin.close()
        self.stdout.close()
        with contextlib.suppress(TimeoutError):
            self.wait(10)
        os.close(self.ending)
        os.close(self.number)


started = []  # the one starter of this process, or none


def starter(limits):
    """The starter of this process; a new one where there is none, or it has ended, or it has other limits."""
    if started and not (started[0].lives and started[0].limits == limits):
        end_starter()
    if not started:
        started.append(Starter(limits))
    return started[0]


def end_starter():
    """End it, if there is one, with all of its boxes."""
    while started:
        started.pop().end()
