"""`make grade`: a class of honest and hostile submissions, stopped halfway and started again.

CLASS_SIZE=300 grades the full class (`make class`), with the limits that a teacher gets. The default is small, holds
every kind of submission once, and gives each of them less CPU time.
"""

import csv
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grade
import pytest
import sandbox
import synthetic_class
import torch
from exercise_notebooks import ROOT, SLUGS, STUDENTS

TOOL = str(ROOT / "grading" / "grade.py")
CLASS_SIZE = int(os.environ.get("CLASS_SIZE", 0))
CPU_SECONDS = ("--cpu-seconds", "20" if CLASS_SIZE else "8")


def start(*arguments):
    words = [sys.executable, TOOL, *map(str, arguments)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)


def run(*arguments):
    process = start(*arguments)
    out, errors = process.communicate()
    return process.returncode, out, errors


def processes_of(session):
    """The ids of living processes in a session."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            state, _, _, its_session = (path / "stat").read_text().rpartition(")")[2].split()[:4]
        except (FileNotFoundError, ProcessLookupError):
            continue
        found += [int(path.name)] if int(its_session) == session and state != "Z" else []
    return found


@pytest.fixture(scope="module")
def graded(tmp_path_factory):
    """The class, graded in two goes: the first one is killed when it is halfway."""
    place = tmp_path_factory.mktemp("grading")
    victim = place / "victim"
    victim.mkdir()
    (victim / "thesis.txt").write_text("precious")
    folder, journal = place / "class", place / "class-grades" / "journal.jsonl"
    with socket.create_server(("127.0.0.1", 0)) as server:
        expected = synthetic_class.write(folder, CLASS_SIZE, server.getsockname()[1], victim)
        first = start(folder, *CPU_SECONDS)
        while not journal.exists() or journal.read_bytes().count(b"\n") < len(expected) // 2:
            assert first.poll() is None, first.communicate()
            time.sleep(0.1)
        os.kill(first.pid, signal.SIGKILL)
        first.communicate()
        kept = journal.read_bytes()
        journal.write_bytes(kept + b'{"key": ["cut o')  # as if the power had failed in the middle of a line
        time.sleep(1)
        orphans = processes_of(first.pid)
        code, out, errors = run(folder, *CPU_SECONDS)
        server.settimeout(0.1)
        with pytest.raises(TimeoutError):
            server.accept()  # nobody called
    print(out)
    return {
        "code": code,
        "out": out,
        "errors": errors,
        "expected": expected,
        "kept": kept.decode().splitlines(),
        "journal": journal.read_text().splitlines(),
        "orphans": orphans,
        "out_folder": journal.parent,
        "victim": victim,
        "folder": folder,
    }


@pytest.fixture(scope="module")
def students(graded):
    assert graded["code"] == 0, graded["errors"]
    found = json.loads((graded["out_folder"] / "grades.json").read_text())["students"]
    return {row["student"]: row for row in found}


def test_every_student_has_one_row(graded, students):
    assert len(graded["expected"]) >= CLASS_SIZE and set(students) == set(graded["expected"])
    with open(graded["out_folder"] / "grades.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["student"].removeprefix("'") for row in rows} == set(students) and len(rows) == len(students)
    for row in rows:
        assert int(row["score"]) == students[row["student"].removeprefix("'")]["score"]
        assert not row["student"].startswith(("=", "-", "+", "@")) and not row["feedback"].startswith("=")


def test_every_score_is_right(graded, students):
    for name, (scores, words) in graded["expected"].items():
        row = students[name]
        got = [row[f"{slug} {part}"] for slug in SLUGS for part in grade.PARTS if f"{slug} {part}" in row]
        assert got == (scores or []), (name, row)
        said = row["status"] + row["feedback"]
        assert row["score"] == sum(scores or []) and any(word in said for word in words.split("|")), (name, row)
        assert row["status"] == "graded" if scores else row["status"].startswith("could not grade: "), row


def test_nothing_was_lost_and_nothing_graded_twice(graded):
    keys = [tuple(json.loads(line)["key"][:1]) for line in graded["journal"]]
    notebooks = len(graded["expected"]) + 1  # one student handed in two
    assert len(keys) == len(set(keys)) == notebooks
    assert graded["journal"][: len(graded["kept"])] == graded["kept"] and len(graded["kept"]) < notebooks
    assert re.search(
        rf"{notebooks - len(graded['kept'])} notebooks in \d+ s: \d+ per minute on \d+ cores\.", graded["out"]
    )


def test_a_killed_grading_leaves_no_process_behind(graded):
    assert graded["orphans"] == []


def test_no_harm_was_done(graded):
    assert (graded["victim"] / "thesis.txt").read_text() == "precious"
    assert len(list(graded["folder"].iterdir())) == len(graded["expected"])
    text = "\n".join(graded["journal"])
    assert "LEAK" not in text


def test_a_finished_class_is_not_graded_again(graded, students):
    code, out, _ = run(graded["folder"], *CPU_SECONDS)
    assert code == 0 and "per minute" not in out
    again = json.loads((graded["out_folder"] / "grades.json").read_text())["students"]
    assert {row["student"]: row for row in again} == students


# --- the tool says no in one sentence ------------------------------------------------------------------------------


def test_no_such_folder(tmp_path):
    code, _, errors = run(tmp_path / "none")
    assert code == 2 and "is not a folder; expected one with a notebook or a folder per student." in errors


def test_an_empty_folder(tmp_path):
    code, _, errors = run(tmp_path)
    assert code == 2 and "is empty; expected a notebook or a folder per student." in errors


def test_results_into_a_file(tmp_path):
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "a.ipynb").write_text("")
    (tmp_path / "results").write_text("mine")
    code, _, errors = run(tmp_path / "class", "--out", tmp_path / "results")
    assert code == 2 and "is a file; expected a folder for the results." in errors


@pytest.mark.parametrize("option", ["--jobs", "--cpu-seconds"])
def test_less_than_one(tmp_path, option):
    (tmp_path / "a.ipynb").write_text("")
    code, _, errors = run(tmp_path, option, 0)
    assert code == 2 and f"{option} must be at least 1; got 0." in errors


def test_two_gradings_at_once(tmp_path):
    (tmp_path / "class").mkdir()
    (tmp_path / "class" / "a.ipynb").write_text("")
    out = tmp_path / "class-grades"
    out.mkdir()
    with open(out / "journal.jsonl", "ab") as journal:
        grade.fcntl.flock(journal, grade.fcntl.LOCK_EX)
        code, _, errors = run(tmp_path / "class")
    assert code == 2 and "another grading of this class is running." in errors


def test_without_bubblewrap_nothing_runs(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert "bubblewrap is missing" in sandbox.why_not()


def test_a_sandbox_that_does_not_start_is_no_students_fault(monkeypatch, tmp_path):
    real = sandbox.command
    monkeypatch.setattr(sandbox, "command", lambda *a: [w.replace("/sandbox_child.py", "/gone.py") for w in real(*a)])
    monkeypatch.setattr(sandbox, "CHILD", tmp_path)
    assert "none starts here: it ended the program (exit status" in sandbox.why_not()
    (tmp_path / "a.ipynb").write_text(synthetic_class.submission("01_one_number", {}))
    with pytest.raises(sandbox.DoesNotStart):
        grade.grade(tmp_path / "a.ipynb", seed=1)


# --- the limits, one by one: each is what stops the attack ---------------------------------------------------------

SMALL = sandbox.Limits(cpu_seconds=5)


def attempt(code, limits=SMALL):
    with sandbox.Sandbox(limits) as box:
        return box.ask(do="run", cells=[[1, code]], names=["prediction", "evidence", "fixed_loss"])


def test_sleeping_ends_at_the_wall_clock():
    with pytest.raises(sandbox.Ended, match="took longer than 2 s"):
        attempt("import time; time.sleep(60)", sandbox.Limits(wall_seconds=2))


def test_the_process_limit_is_what_stops_a_fork(monkeypatch):
    code = "import os\nif os.fork() == 0: os._exit(0)\nprediction = 'forked'"
    assert "PermissionError" in attempt(code)["errors"]["1"]
    harmless = sandbox.struct.pack("HBBI", sandbox.RETURN, 0, 0, sandbox.ALLOW)
    monkeypatch.setattr(sandbox, "filter_program", lambda: harmless)
    assert attempt(code)["predict"] == "forked"


def test_threads_work():
    code = (
        "import threading\nt = threading.Thread(target=lambda: globals().update(prediction='A'))\nt.start(); t.join()"
    )
    assert attempt(code)["predict"] == "A"


def test_answers_come_back_as_plain_data():
    code = "import torch\nevidence = {'logits': torch.ones(1, 2), 'labels': [0], 'note': object()}\nprediction = print"
    answer = attempt(code)
    assert answer["expose"] == {"logits": [[1.0, 1.0]], "labels": [0], "note": "(object)"}
    assert answer["predict"] == "(builtin_function_or_method)"


def test_a_loss_in_the_sandbox_behaves_as_at_home():
    source = synthetic_class.NAIVE_POWER
    here = {"torch": torch, "F": torch.nn.functional}
    exec(source, here)
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 3, 1])
    with sandbox.Sandbox(SMALL) as box:
        described = box.ask(
            do="run",
            cells=[[1, "import torch\nimport torch.nn.functional as F\n" + source]],
            names=["prediction", "evidence", "fixed_loss"],
        )["fix"]
        there = sandbox.remote_loss(box, described)
        for loss in (there, here["fixed_loss"]):
            value = loss(logits, labels, gamma=1.5, reduction="sum")
            (slope,) = torch.autograd.grad(value, logits)
            assert value.dtype == torch.float64
            if loss is there:
                first = value, slope
        assert torch.equal(first[0], value) and torch.allclose(first[1], slope)
        with pytest.raises(KeyError, match="median"):
            there(logits, labels, reduction="median")


def test_given_cells_make_the_exercise_on_this_side():
    for path in STUDENTS:
        exercise, name, _ = grade.the_exercise(path.stem)
        assert exercise.slug == path.stem and name in ("fixed_loss", "FixedLoss")
