"""Diagnose the focal loss in a file: ``python -m focal_lib FILE.py:NAME``.

Exit status: 0 the loss is right, 1 it is faulty, 2 it could not be tested (no such file or name, a hang, a crash, a
call of sys.exit, too much memory). The file runs in a process of its own, with a limit on its time and, where the
system can do that (Linux), on its memory. This keeps accidents out; it is no sandbox against malice.
"""

import argparse
import importlib.util
import json
import os
import signal
import subprocess
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

from .bugs import CATALOGUE
from .diagnosis import Diagnosis, diagnose
from .diagnosis.properties import PROPERTIES

STATUS = {"right": 0, "faulty": 1, "could not test": 2}


def main(arguments=None):
    parser = argparse.ArgumentParser("python -m focal_lib", description="Is this focal loss right?")
    parser.add_argument("loss", nargs="?", metavar="FILE.py:NAME", help="a Module class, an instance or a function")
    parser.add_argument("--list", action="store_true", help="list the properties and the known bugs")
    parser.add_argument("--json", action="store_true", help="report as JSON")
    parser.add_argument("--time-limit", type=float, default=60, metavar="S", help="seconds (default: 60)")
    parser.add_argument("--memory-limit", type=float, default=4, metavar="GIB", help="beyond torch's own (default: 4)")
    options = parser.parse_args(arguments)
    if options.list:
        print(json.dumps(_listing(), indent=2) if options.json else _as_text(_listing()))
        return 0
    if options.loss is None:
        parser.error("FILE.py:NAME is missing, for example my_loss.py:FocalLoss")
    file, _, name = options.loss.rpartition(":")
    if not file or not Path(file).is_file():
        parser.error(f"{options.loss!r} must be FILE.py:NAME with an existing file")
    diagnosis = _diagnose_apart(file, name, options.time_limit, options.memory_limit)
    print(json.dumps(diagnosis.as_dict(), indent=2) if options.json else diagnosis)
    return STATUS[diagnosis.verdict]


def _listing():
    return {
        "properties": {name: p.statement for name, p in PROPERTIES.items()},
        "bugs": {id: bug.title for id, bug in CATALOGUE.items()},
    }


def _as_text(listing):
    lines = []
    for heading, entries in listing.items():
        lines += [f"{heading} ({len(entries)})", *(f"  {name}: {text}" for name, text in entries.items()), ""]
    return "\n".join(lines[:-1])


def _diagnose_apart(file, name, time_limit, memory_limit):
    """Diagnose in a process of its own; whatever becomes of it, the answer is a Diagnosis."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        command = [sys.executable, "-m", "focal_lib.__main__", "--apart", file, name, str(report), str(memory_limit)]
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,  # what the file prints while it is imported is not part of the report
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that a limit ends its own children too
        )
        try:
            _, errors = child.communicate(timeout=time_limit)
        except subprocess.TimeoutExpired:
            _kill(child)
            return Diagnosis(name, stopped=f"it took longer than {time_limit:g} s")
        if report.is_file():
            found = json.loads(report.read_text())
            return Diagnosis(**{field.name: found[field.name] for field in fields(Diagnosis)})
        last = (errors.strip().splitlines() or ["nothing was said"])[-1]
        how = signal.Signals(-child.returncode).name if child.returncode < 0 else f"exit status {child.returncode}"
        return Diagnosis(name, stopped=f"its process ended early ({how}: {last})")


def _kill(child):
    if os.name == "posix":
        os.killpg(child.pid, signal.SIGKILL)
    else:
        child.kill()
    child.communicate()


def _apart(file, name, report, memory_limit):
    """The other process: load the file, diagnose, and write the report."""
    _limit_memory(float(memory_limit))
    sys.path.insert(0, str(Path(file).resolve().parent))
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        sys.exit(f"the file called sys.exit({error.code})")
    if not hasattr(module, name):
        sys.exit(f"there is no {name!r} in {file}")
    Path(report).write_text(json.dumps(diagnose(getattr(module, name)).as_dict()))


def _limit_memory(gibibytes):
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return  # no such limit on this system: the time limit has to do
    limit = used + int(gibibytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    sys.exit(_apart(*sys.argv[2:]) if sys.argv[1:2] == ["--apart"] else main())
