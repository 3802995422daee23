"""A process that can do no harm, and a way to call a student's loss that lives in it.

bubblewrap gives it namespaces of its own: no network, no other processes, no files but Python's (read-only) and a
small folder in memory. A system-call filter forbids new processes; limits bound CPU time, memory and file sizes. What
comes back are lines of JSON, of bounded length, within bounded time; nothing is unpickled.
"""

import builtins
import inspect
import json
import os
import platform
import selectors
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

CHILD = Path(__file__).with_name("sandbox_child.py")
STARTING_SECONDS = 300


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
    reply_bytes: int = 4 << 20


class Ended(BaseException):
    """The process is gone; the text is the reason. Not an Exception: no check may take it for a result."""


class DoesNotStart(RuntimeError):
    """The sandbox itself failed, before it saw any student code."""


# --- no new processes ----------------------------------------------------------------------------------------------

# The numbers of the system calls that make processes: (architecture, clone, clone3, others).
SYSTEM_CALLS = {"x86_64": (0xC000003E, 56, 435, (57, 58)), "aarch64": (0xC00000B7, 220, 435, ())}
LOAD, JUMP_IF_EQUAL, JUMP_IF_BITS, JUMP_IF_AT_LEAST, RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
ALLOW, REFUSE, NOT_THERE = 0x7FFF0000, 0x00050001, 0x00050026  # let it be; EPERM; ENOSYS
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16  # offsets in what the kernel hands to the filter
CLONE_THREAD = 0x00010000
OTHER_NUMBERS = 0x40000000  # x86_64's second set of system calls


def filter_program():
    """A seccomp filter in the kernel's own format: threads may be made, processes may not."""
    architecture, clone, clone3, others = SYSTEM_CALLS[platform.machine()]
    program = [
        (LOAD, 0, 0, ARCHITECTURE),
        (JUMP_IF_EQUAL, 1, 0, architecture),
        (RETURN, 0, 0, REFUSE),
        (LOAD, 0, 0, NUMBER),
        (JUMP_IF_AT_LEAST, 0, 1, OTHER_NUMBERS),
        (RETURN, 0, 0, REFUSE),
        (JUMP_IF_EQUAL, 0, 1, clone3),  # its flags are out of a filter's sight; the C library falls back to clone
        (RETURN, 0, 0, NOT_THERE),
    ]
    for other in others:
        program += [(JUMP_IF_EQUAL, 0, 1, other), (RETURN, 0, 0, REFUSE)]
    program += [
        (JUMP_IF_EQUAL, 1, 0, clone),
        (RETURN, 0, 0, ALLOW),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (JUMP_IF_BITS, 0, 1, CLONE_THREAD),
        (RETURN, 0, 0, ALLOW),
        (RETURN, 0, 0, REFUSE),
    ]
    return b"".join(struct.pack("HBBI", *instruction) for instruction in program)


# --- the process ---------------------------------------------------------------------------------------------------


def why_not():
    """One sentence on why there can be no sandbox on this machine; None if there can."""
    if shutil.which("bwrap") is None:
        return "bubblewrap is missing; install it, for example with: apt install bubblewrap"
    if platform.machine() not in SYSTEM_CALLS:
        return f"the system-call filter knows {' and '.join(SYSTEM_CALLS)}, not {platform.machine()}"
    try:
        with Sandbox():
            return None
    except DoesNotStart as reason:
        return f"none starts here: {reason}"


def command(limits, program):
    """The command line of the sandbox; ``program`` is an open file with the filter."""
    folders = {"/usr", sys.base_prefix, sys.prefix, str(Path(sys.prefix).resolve())}
    readable = [word for folder in sorted(folders) for word in ("--ro-bind", folder, folder)]
    for name in ("/bin", "/lib", "/lib64"):
        if Path(name).is_symlink():
            readable += ["--symlink", os.readlink(name), name]
        elif Path(name).exists():
            readable += ["--ro-bind", name, name]
    return [
        *("bwrap", "--unshare-all", "--unshare-user", "--uid", "65534", "--gid", "65534", "--hostname", "sandbox"),
        *("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"),
        *("--setenv", "HOME", "/tmp", "--setenv", "OMP_NUM_THREADS", "1", "--setenv", "LC_ALL", "C.UTF-8"),
        *("--seccomp", str(program.fileno()), "--size", str(limits.folder_bytes), "--tmpfs", "/tmp", "--chdir", "/tmp"),
        *readable,  # after /tmp, because Python may be installed below it
        *("--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache", "--ro-bind", str(CHILD), "/sandbox_child.py"),
        *("--proc", "/proc", "--dev", "/dev", "--remount-ro", "/dev", "--remount-ro", "/"),
        *("--", sys.executable, "-I", "/sandbox_child.py"),
    ]


class Sandbox:
    """One process for one submission. Use it in a ``with`` statement."""

    def __init__(self, limits=None):
        self.limits, self.buffer = limits or Limits(), b""
        self.deadline = time.monotonic() + STARTING_SECONDS
        names = ("cpu_seconds", "memory_bytes", "file_bytes")
        with tempfile.TemporaryFile() as program, tempfile.TemporaryFile() as errors:
            program.write(filter_program())
            program.seek(0)
            self.process = subprocess.Popen(
                command(self.limits, program),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,  # of the start only: the child closes it before it runs student code
                pass_fds=[program.fileno()],
                bufsize=0,
                start_new_session=True,
            )
            try:
                self.ask(do="limit", **{name: getattr(self.limits, name) for name in names})
            except Ended as reason:
                self.__exit__()
                errors.seek(0)
                lines = errors.read().decode(errors="replace").strip().splitlines()
                raise DoesNotStart(f"{reason}; {lines[-1] if lines else 'nothing was said'}") from None
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

    def ask(self, **request):
        """Send a request; returns the reply. Raises what the student's code raised, or Ended."""
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            reply = json.loads(self._line())
        except BrokenPipeError:
            raise Ended(self._epitaph()) from None
        except (ValueError, RecursionError):
            raise Ended("what its process sent is not JSON") from None
        if not isinstance(reply, dict):
            raise Ended("what its process sent is not a reply")
        if "stop" in reply:
            raise Ended(str(reply["stop"])[:200])
        if "error" in reply:
            kind, text = reply["error"]
            raise getattr(builtins, kind if kind in KNOWN_ERRORS else "RuntimeError")(str(text)[:500])
        return reply

    def _line(self):
        """The next line that the process sends."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.process.stdout, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                if len(self.buffer) > self.limits.reply_bytes:
                    raise Ended(f"its process sent more than {self.limits.reply_bytes >> 20} MB in one reply")
                if not selector.select(max(0, self.deadline - time.monotonic())):
                    raise Ended(f"it took longer than {self.limits.wall_seconds:g} s")
                chunk = os.read(self.process.stdout.fileno(), 1 << 16)
                if not chunk:
                    raise Ended(self._epitaph())
                self.buffer += chunk
        line, _, self.buffer = self.buffer.partition(b"\n")
        return line

    def _epitaph(self):
        """How the process ended, in words. bubblewrap reports a signal as 128 + its number."""
        status = self.process.wait(timeout=10)
        number = -status if status < 0 else status - 128
        if number in (signal.SIGXCPU, signal.SIGKILL):
            return f"its process was killed; it may use {self.limits.cpu_seconds} s of CPU time"
        if number > 0:
            return f"its process ended with {signal.Signals(number).name}"
        return f"it ended the program (exit status {status})"


# --- a loss in it --------------------------------------------------------------------------------------------------


def pack(value):
    if isinstance(value, torch.Tensor):
        data = None if value.device.type == "meta" else value.detach().flatten().tolist()
        return {"dtype": str(value.dtype), "shape": list(value.shape), "data": data, "device": value.device.type}
    return value


def unpack(packed):
    """A tensor from a reply; TypeError if it is none. Its numbers are only that."""
    try:
        if not isinstance(packed, dict):
            return torch.tensor(float(packed))
        dtype, shape = getattr(torch, str(packed["dtype"]).removeprefix("torch.")), [int(n) for n in packed["shape"]]
        if packed["data"] is None:
            return torch.empty(shape, dtype=dtype, device="meta")
        return torch.tensor(packed["data"], dtype=dtype).reshape(shape)
    except (AttributeError, KeyError, OverflowError, RuntimeError, TypeError, ValueError) as error:
        raise TypeError(f"it returned no number ({error})") from None


class _Call(torch.autograd.Function):
    """One call of the student's loss: its value, and its gradient when asked for."""

    @staticmethod
    def forward(ctx, logits, labels, sandbox, module, settings):
        packed = {name: pack(value) for name, value in settings.items()}
        wants = bool(logits.requires_grad)
        reply = sandbox.ask(
            do="call", module=module, logits=pack(logits), labels=pack(labels), settings=packed, grad=wants
        )
        for name, changed in reply["changed"].items():  # a loss that writes into its arguments does so here too
            target = {"labels": labels, **settings}.get(name)
            if isinstance(target, torch.Tensor):
                target.copy_(unpack(changed))
        value = unpack(reply["value"])
        ctx.sandbox, ctx.graph = sandbox, reply["graph"]
        if ctx.graph is None:
            ctx.mark_non_differentiable(value)
        return value

    @staticmethod
    def backward(ctx, upstream):
        reply = ctx.sandbox.ask(do="gradient", graph=ctx.graph, upstream=pack(upstream))
        return unpack(reply["gradient"]), None, None, None, None


def signature(known):
    """A signature from what the sandbox says about it; TypeError if that makes none."""
    try:
        return inspect.Signature(
            inspect.Parameter(
                str(name),
                inspect.Parameter.POSITIONAL_OR_KEYWORD,
                default=default if optional else inspect.Parameter.empty,
            )
            for name, optional, default in known
        )
    except (TypeError, ValueError) as error:
        raise TypeError(f"its arguments make no signature ({error})") from None


def remote_loss(sandbox, described):
    """The student's loss as a function or a Module class of this process."""
    if not described["class"]:
        call_signature = signature(described["call"])

        def loss(*args, **kwargs):
            given = call_signature.bind(*args, **kwargs).arguments
            names = list(call_signature.parameters)
            logits, labels = given.pop(names[0]), given.pop(names[1])
            return _Call.apply(logits, labels, sandbox, None, given)

        loss.__signature__ = call_signature
        return loss

    build_signature = signature(described["build"])

    class Loss(nn.Module):
        def __init__(self, *args, **kwargs):
            super().__init__()
            given = build_signature.bind(*args, **kwargs).arguments
            reply = sandbox.ask(do="build", settings={name: pack(value) for name, value in given.items()})
            self.module = reply["module"]
            for number, _ in enumerate(reply["parameters"][:8]):
                self.register_parameter(f"parameter_{number}", nn.Parameter(torch.zeros(())))

        def forward(self, logits, labels):
            return _Call.apply(logits, labels, sandbox, self.module, {})

    Loss.__signature__ = build_signature
    return Loss
