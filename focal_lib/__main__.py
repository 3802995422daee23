"""Diagnose the focal loss in a file: ``python -m focal_lib FILE.py:NAME``.

Exit status: 0 no promise of ``--level`` or worse is broken, 1 one is, or it is another loss, 2 it could not be tested
(no such file or name, a hang, a crash, a call of sys.exit, too much memory, a report that is none). The file runs in a
process of its own, with a limit on its time and, where the system can do that (Linux), on its memory. This keeps
accidents out; it is no sandbox against malice: a file can do what you can do, and can forge its own verdict. What a
stranger's file says about itself here is worth nothing.
"""

import argparse
import importlib.util
import json
import signal
import sys
import tempfile
from pathlib import Path

from ._apart import limit_files, positive, printable, read_report, run
from .bugs import CATALOGUE
from .diagnosis import Diagnosis, diagnose
from .diagnosis.properties import LEVELS, PROPERTIES


def main(arguments=None):
    parser = argparse.ArgumentParser(
        "python -m focal_lib",
        description="Is this focal loss right?",
        epilog="The file runs as you, with limits against accidents and no sandbox. Against malice the verdict is "
        "worth nothing: a file can forge its own. To grade what others wrote, use the grader (grading/README.md).",
    )
    parser.add_argument("loss", nargs="?", metavar="FILE.py:NAME", help="a Module class, an instance or a function")
    parser.add_argument("--list", action="store_true", help="list the properties and the known bugs")
    parser.add_argument("--json", action="store_true", help="report as JSON")
    parser.add_argument(
        "--level", choices=LEVELS, default="wrong", help="the mildest fault that gives exit status 1 (default: wrong)"
    )
    parser.add_argument("--gamma", type=float, help="the gamma inside a loss without an argument for it")
    parser.add_argument("--time-limit", type=positive, default=60, metavar="S", help="seconds (default: 60)")
    parser.add_argument(
        "--memory-limit", type=positive, default=4, metavar="GIB", help="beyond torch's own (default: 4)"
    )
    options = parser.parse_args(arguments)
    if options.list:
        print(json.dumps(_listing(), indent=2) if options.json else _as_text(_listing()))
        return 0
    if options.loss is None:
        parser.error("FILE.py:NAME is missing, for example my_loss.py:FocalLoss")
    file, _, name = options.loss.rpartition(":")
    if not file or not Path(file).is_file():
        parser.error(f"{options.loss!r} must be FILE.py:NAME with an existing file")
    diagnosis = _diagnose_apart(file, name, options)
    print(json.dumps(diagnosis.as_dict(), indent=2) if options.json else printable(str(diagnosis)))
    return 2 if diagnosis.stopped else int(not diagnosis.passes(options.level))


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


def _diagnose_apart(file, name, options):
    """Diagnose in a process of its own; whatever becomes of it, the answer is a Diagnosis."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        # Not "-m", which puts the current folder first: a file there may be named as a module that we need.
        place = str(Path(__file__).parent.parent)
        start = f"import sys; sys.path.append({place!r}); from focal_lib.__main__ import apart; apart()"
        command = [sys.executable, "-P", "-c", start, file, name, str(report), str(options.memory_limit)]
        command.append(str(options.gamma or ""))
        status, last = run(command, options.time_limit)
        if status is None:
            return Diagnosis(name, stopped=f"it took longer than {options.time_limit:g} s")
        if report.is_file():
            return read_report(report, Diagnosis) or Diagnosis(name, stopped="what its process wrote is no report")
        how = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return Diagnosis(name, stopped=f"its process ended early ({how}: {last})")


def apart():
    """The start of the other process."""
    sys.exit(_apart(*sys.argv[1:]))


def _apart(file, name, report, memory_limit, gamma):
    """The other process: load the file, diagnose, and write the report."""
    _limit_memory(float(memory_limit))
    limit_files()
    sys.path.append(str(Path(file).resolve().parent))
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except SystemExit as error:
        sys.exit(f"the file called sys.exit({error.code})")
    if not hasattr(module, name):
        sys.exit(f"there is no {name!r} in {file}")
    if not callable(loss := getattr(module, name)):
        sys.exit(f"{name} is no loss to call: it is of type {type(loss).__name__}")
    Path(report).write_text(json.dumps(diagnose(loss, gamma=float(gamma) if gamma else None).as_dict()))


def _limit_memory(gibibytes):
    try:
        import resource

        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    except (ImportError, OSError):
        return  # no such limit on this system: the time limit has to do
    limit = used + int(gibibytes * 2**30)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


if __name__ == "__main__":
    sys.exit(main())
