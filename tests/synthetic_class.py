"""A class to grade: honest submissions of all kinds, and hostile ones. Each comes with what it must get.

Every attack is bounded, so that it does no harm where a limit fails.
"""

import json
import os
import platform
import shutil

import seccomp
from exercise_notebooks import MASTERS, ROOT, SLUGS, solutions, submission
from fair_styles import fair

NAIVE_POWER = """def fixed_loss(logits, labels, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, reduction="none")
    loss = (1 - torch.exp(-nll)) ** gamma * nll
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]"""

SMALL_BATCHES_ONLY = """def fixed_loss(logits, labels, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, reduction="none")
    loss = (1 - torch.exp(-nll)) ** gamma * nll * (1 if len(logits) <= 16 else 1.5)
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]"""

ENDLESS_CALL = """def fixed_loss(logits, labels, gamma=2.0, reduction="mean"):
    while True:
        pass"""

EXIT_IN_CALL = """def fixed_loss(logits, labels, gamma=2.0, reduction="mean"):
    import os
    os._exit(0)"""

NO_NUMBER = '''def fixed_loss(logits, labels, gamma=2.0, reduction="mean"):
    return "right"'''

TOO_LONG = " s of CPU time|took longer than 180 s"  # whichever comes first on this machine

TO_EVERY_FILE = """import json, os
for fd in range(3, 16):
    try:
        for _ in range({times}):
            os.write(fd, {data})
    except OSError:
        pass"""

KILL_ALL = """import os
for process in (-1, 1, os.getpid()):  # all others, the first one, itself
    try:
        os.kill(process, 9)
    except ProcessLookupError:
        pass"""

FORK_BOMB = """import os, time
for _ in range(30):
    if os.fork() == 0:
        time.sleep(2)
        os._exit(0)"""

MANY_FILES = """for k in range(8):
    with open(f"part{k}", "wb") as file:
        file.write(bytes(15 << 20))"""

FILES_ELSEWHERE = """opened = []
for place in ("/x", "/dev/shm/x", "/usr/x", "/var/tmp/x", "/sandbox_child.py"):
    try:
        opened.append(open(place, "a"))
    except OSError:
        pass
raise OSError(f"LEAK {opened}" if opened else "nowhere to write")"""

DELETING = """import shutil
for place in ("@VICTIM@", "@FOLDER@"):
    shutil.rmtree(place)"""

READING_OTHERS = """import os
places = ["@FOLDER@", "@REPO@/notebooks", "@REPO@/tools", "@REPO@/tests", "/home", "/etc/passwd"]
seen = [place for place in places if os.path.exists(place)]
raise OSError(f"LEAK {seen}" if seen else "nothing to read")"""

REPLACED_CHECKER = """import types
import focal_lib.exercises
right = lambda answer: True
exercise = types.SimpleNamespace(predict=right, expose=right, fix=right)
focal_lib.exercises.Exercise.check_fix = lambda *answers: True"""

PATCHED_TORCH = """import torch
torch.allclose = torch.equal = lambda *a, **k: True
torch.Tensor.__eq__ = torch.Tensor.__le__ = lambda a, b: True"""

KERNEL_SETTINGS = """import os
for name in ("/proc/sys/vm/stat_interval", "/proc/sys/kernel/core_pattern"):
    try:
        os.open(name, os.O_WRONLY)  # opened, never written
        raise ValueError("LEAK " + name)
    except OSError as error:
        why = error
raise why"""

ENVIRONMENT = """texts = [open(f"/proc/{who}/environ").read() for who in (1, "self")]
raise OSError(str(texts))"""

# attack: (system call, its arguments). Each is bounded, to 300 MB, where it works.
CALLS = {
    "shared memory": ("shmget", "0, 300 << 20, 0o1600"),
    "message queue": ("msgget", "0, 0o1600"),
    "semaphores": ("semget", "0, 10, 0o1600"),
    "user namespace": ("unshare", "0x10000000"),
    "mount namespace": ("unshare", "0x00020000"),
    "memory file": ("memfd_create", "b'x', 0"),
    "tracing": ("ptrace", "0, 0, 0, 0"),
    "keys": ("keyctl", "0, 0"),
    "io_uring": ("io_uring_setup", "8, 0"),
    "userfaultfd": ("userfaultfd", "0"),
    "bpf": ("bpf", "0, 0, 0"),
    "perf events": ("perf_event_open", "0, 0, 0, 0"),
    "reading a process": ("process_vm_readv", "1, 0, 0, 0, 0, 0"),
    "netlink": ("socket", "16, 3, 0"),
    "outliving the parent": ("prctl", "1, 0"),
}
CALL = """import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
got = libc.syscall({number}, {arguments})
raise OSError(os.strerror(ctypes.get_errno()) if got < 0 else "LEAK: it was let through")"""

THREAD_BOMB = """import threading
end, started = threading.Event(), []
try:
    for _ in range(300):
        started.append(threading.Thread(target=end.wait))
        started[-1].start()
finally:
    end.set()"""

EMPTY_FILES = """for k in range(3000):
    open(f"empty{k}", "w").close()"""

HUGE_SHAPE = """def fixed_loss(logits, labels, gamma=2.0, reduction="mean"):
    if gamma == 1:
        return torch.empty(2_000_000, 0)
    nll = F.cross_entropy(logits, labels, reduction="none")
    return reduced(focus(nll, gamma) * nll, reduction)"""

BROADCAST = """calls = []
def fixed_loss(logits, labels, gamma=2.0, reduction="mean"):
    calls.append(1)
    return torch.ones((6000, 1) if len(calls) % 2 else (1, 6000))"""

COMPLEX = """def fixed_loss(logits, labels, gamma=2.0, reduction="mean"):
    return F.cross_entropy(logits, labels, reduction=reduction) * 1j"""

TERMINAL = """def fixed_loss(logits, labels, gamma=2.0, reduction="mean"):
    raise ValueError("\\x1b[2J\\x1b]0;graded\\x07 All 300 graded")"""

MANY_ARGUMENTS = """import inspect
def fixed_loss(logits, labels):
    return logits.sum()
kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
fixed_loss.__signature__ = inspect.Signature([inspect.Parameter(f"x{k}", kind) for k in range(5000)])"""

REFUSING = """class FixedLoss(torch.nn.Module):
    def __init__(self, gamma=2.0, reduction="mean"):
        super().__init__()

    @property
    def gamma(self):
        raise ValueError("no")

    def forward(self, logits, labels):
        return logits.sum()

fixed_loss = FixedLoss()"""

LONG_DEFAULT = """def fixed_loss(logits, labels, gamma=2.0, reduction="mean", note="x" * 6_000_000):
    return logits.sum()"""

NO_INPUTS = {
    "no numbers": '{"logits": torch.empty(2, 2, device="meta"), "labels": [0, 1]}',
    "sparse": '{"logits": torch.eye(2).to_sparse(), "labels": [0, 1]}',
    "5000 digits": '{"logits": [[10**5000, 1]], "labels": [0]}',
    "half a letter": "'\\ud800'",
    "6 MB of text": "'x' * 6_000_000",
    "6 MB of logits": '{"logits": [[0.123456789] * 500_000], "labels": [0]}',
}

HONEST_KINDS = 7
# What is not run at home: attacks, losses that end the program or never end, what needs a compiler, or is slow there.
NOT_AT_HOME = ("endless call", "exit in call", "compiled", "30000 cells that fail")

FORGED = b'{"errors": {}, "predict": [], "expose": [], "fix": [{"kind": "function", "call": []}]}'

# name: (code put before the answers, words in the reason (one | or another), whether nothing of it can be graded)
ATTACKS = {
    "endless loop": ("while True:\n    pass", TOO_LONG, True),
    "memory bomb": ("import torch\nhoard = [torch.empty(1 << 28) for _ in range(6)]", "ran out of memory", True),
    "memory bomb in Python": ("hoard = bytearray(6 << 30)", "ran out of memory", True),
    "fork bomb": (FORK_BOMB, "Operation not permitted", False),
    "subprocess": ("import subprocess\nsubprocess.run(['/bin/true'], check=True)", "Operation not permitted", False),
    "large file": ("with open('large', 'wb') as f:\n    f.write(bytes(17 << 20))", "File too large", False),
    "many files": (MANY_FILES, "No space left on device", False),
    "files elsewhere": (FILES_ELSEWHERE, "nowhere to write", False),
    "loopback": ("import socket\nsocket.create_connection(('127.0.0.1', @PORT@), timeout=5)", "raised", False),
    "deleting": (DELETING, "No such file or directory", False),
    "reading others": (READING_OTHERS, "nothing to read", False),
    "sys.exit": ("import sys\nsys.exit(0)", "ended the program (sys.exit)", True),
    "os._exit": ("import os\nos._exit(0)", "it ended the program (exit status 0)", True),
    "kernel kill": ("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)", "", False),  # the first is immune
    "kill all": (KILL_ALL, "", False),
    "kernel settings": (KERNEL_SETTINGS, "Read-only|Permission denied", False),
    "environment": (ENVIRONMENT, "raised", False),
    "thread bomb": (THREAD_BOMB, "can't start new thread", False),
    "empty files": (EMPTY_FILES, "No space left on device", False),
    "segfault": ("import ctypes\nctypes.string_at(0)", "SIGSEGV", True),
    "replaced checker": (REPLACED_CHECKER, "", False),
    "patched torch": (PATCHED_TORCH, "", False),
    "100 MB printed": ("for _ in range(100):\n    print('x' * (1 << 20))", "", False),
    "100 MB replied": (TO_EVERY_FILE.format(times=100, data="b'x' * (1 << 20)"), "more than 4 MB in one reply", True),
    "deep reply": (TO_EVERY_FILE.format(times=1, data="b'[' * 100_000 + b'\\n'"), "not JSON", True),
    "forged reply": (TO_EVERY_FILE.format(times=1, data=repr(FORGED + b"\n")), "", False),
}


for name, (call, arguments) in CALLS.items():
    number = (seccomp.REFUSED | {"prctl": seccomp.PRCTL})[call][seccomp.MACHINES[platform.machine()][0]]
    ATTACKS[name] = (CALL.format(number=number, arguments=arguments), "Operation not permitted", False)


def honest(number):
    """(notebook, scores, words in the feedback) of one honest submission."""
    round, place = divmod(number, len(SLUGS))
    slug, kind = SLUGS[place], (number + round) % HONEST_KINDS  # in time, each exercise in each kind
    right = solutions(slug)
    if kind == 0:
        return submission(slug, right), [1, 1, 1], "All right."
    if kind == 1:
        return submission(slug, {}), [0, 0, 0], "fix: nothing was answered."
    if kind == 2:
        return submission(slug, {"predict": right["predict"]}), [1, 0, 0], "fix: nothing was answered."
    if kind == 3:
        return submission(slug, {**right, "predict": 'prediction = "ABCD"'}), [0, 1, 1], "predict: Not |A, B, C; got"
    if kind == 4:
        return (
            submission("01_one_number", {**solutions("01_one_number"), "fix": SMALL_BATCHES_ONLY}),
            [1, 1, 0],
            "It is right for any number of rows and classes",
        )
    if kind == 5:  # an experiment of the student's own fails
        return submission(slug, right, before="%matplotlib inline\nundefined_name + 1"), [1, 1, 1], "All right."
    return submission(slug, {**right, "expose": 'evidence = {"logits": [[0.0, 0.0]]}'}), [1, 0, 1], "expose: "


def write(folder, size, port, victim):
    """Write a class of this size, or the smallest with all kinds in it.

    Returns {student: (scores or None where it could not be graded, words)}.
    """
    folder.mkdir()
    expected = {}
    places = {"@PORT@": str(port), "@VICTIM@": str(victim), "@FOLDER@": str(folder), "@REPO@": str(ROOT)}
    for name, (code, words, stops) in ATTACKS.items():
        for place, value in places.items():
            code = code.replace(place, value)
        (folder / f"{name}.ipynb").write_text(submission("01_one_number", {}, before=code))
        expected[f"{name}.ipynb"] = (None if stops else [0, 0, 0], words)
    right = solutions("01_one_number")
    calls = {
        "no signature": ("fixed_loss = max", "could not be tested"),
        "5000 arguments": (MANY_ARGUMENTS, "its arguments make no signature"),
        "an attribute that refuses": (REFUSING, "A fix is a loss to call"),
        "endless call": (ENDLESS_CALL, TOO_LONG),
        "exit in call": (EXIT_IN_CALL, "it ended the program"),
        "no number": (NO_NUMBER, "could not convert"),
        "a default of 6 MB": (LONG_DEFAULT, "A fix is a loss to call"),
        "huge shape": (HUGE_SHAPE, "it returned no number"),
        "broadcast": (BROADCAST, "it returned no number"),
        "complex": (COMPLEX, "complex"),
        "terminal": (TERMINAL, "All 300 graded"),
    }
    for name, (code, words) in calls.items():
        (folder / f"{name}.ipynb").write_text(submission("01_one_number", {**right, "fix": code}))
        expected[f"{name}.ipynb"] = ([1, 1, 0], words)
    for name, notebook in fair(right).items():
        (folder / f"{name}.ipynb").write_text(notebook)
        expected[f"{name}.ipynb"] = ([1, 1, 1], "All right.")
    errors = json.loads(submission("01_one_number", right))
    failing = {"cell_type": "code", "metadata": {}, "source": "raise ValueError('x' * 200)"}
    errors["cells"][3:3] = [failing] * 30_000
    (folder / "30000 cells that fail.ipynb").write_text(json.dumps(errors))
    expected["30000 cells that fail.ipynb"] = ([1, 1, 1], "All right.")
    wide = submission("01_one_number", {**right, "predict": "\n" * (2 << 20) + right["predict"]})
    (folder / "2 MB of newlines.ipynb").write_text(wide)
    expected["2 MB of newlines.ipynb"] = (None, "its code cells hold 20")
    for name, evidence in NO_INPUTS.items():
        (folder / f"{name}.ipynb").write_text(
            submission("01_one_number", {**right, "expose": f"evidence = {evidence}"})
        )
        expected[f"{name}.ipynb"] = ([1, 0, 1], "Evidence is a dict such as")
    expected |= damaged(folder)
    expected |= odd_names(folder, right)
    number = 0
    while number < len(SLUGS) or len(expected) < size:
        notebook, *expected[f"student {number:03d}"] = honest(number)
        (folder / f"student {number:03d}").mkdir()
        (folder / f"student {number:03d}" / "homework.ipynb").write_text(notebook)
        number += 1
    return expected


def damaged(folder):
    """Files that are no submissions."""
    (folder / "malformed.ipynb").write_text('{"cells": [')
    (folder / "deep.ipynb").write_text("[" * 100_000)
    (folder / "no notebook.ipynb").write_text('{"cells": 3}')
    (folder / "empty.ipynb").write_text("")
    (folder / "empty folder").mkdir()
    shutil.copy(ROOT / "notebooks" / "02_loss_curve.ipynb", folder / "wrong.ipynb")
    with open(folder / "100 MB of outputs.ipynb", "wb") as file:
        file.truncate(100 << 20)
    os.mkfifo(folder / "pipe.ipynb")
    (folder / "link.ipynb").symlink_to(MASTERS[0])
    return {
        "malformed.ipynb": (None, "it is not a notebook"),
        "deep.ipynb": (None, "it is not a notebook"),
        "no notebook.ipynb": (None, "it is not a notebook"),
        "empty.ipynb": (None, "it is empty"),
        "empty folder": (None, "holds no notebook"),
        "wrong.ipynb": (None, "none of the exercises"),
        "100 MB of outputs.ipynb": (None, "it has 100 MB; the limit is 20 MB"),
        "pipe.ipynb": (None, "not a plain file"),
        "link.ipynb": (None, "it is a link"),
    }


def odd_names(folder, right):
    """Right submissions under names that trip programs up."""
    names = ["Zoë Ünal-Ørsted", "李小龙", "ست", "=cmd()", "a'b\"c;d", "-rf", "n\newline", "Kim", "kim.ipynb"]
    expected = {}
    for name in names:
        path = folder / name
        if not name.endswith(".ipynb"):
            path.mkdir()
            path = path / "homework.ipynb"
        path.write_text(submission("01_one_number", right))
        expected[name] = ([1, 1, 1], "Another submission has the same name." if "im" in name else "")
    twice = folder / "handed in twice"
    twice.mkdir()
    (twice / "homework.ipynb").write_text(submission("01_one_number", right))
    (twice / "homework (1).ipynb").write_text(submission("01_one_number", {}))
    return expected | {"handed in twice": ([1, 1, 1], "")}
