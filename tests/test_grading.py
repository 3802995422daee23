"""`make grade`: a class of honest and hostile submissions, stopped halfway and started again.

CLASS_SIZE=300 grades the full class (`make made-up-class`), with the limits that a teacher gets. The default is small,
holds every kind of submission once, and gives each of them less CPU time.
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

import boxes
import grade
import pytest
import results
import sandbox
import submissions
import synthetic_class
import workers
from exercise_notebooks import ROOT, SLUGS, STUDENTS

TOOL = str(ROOT / "grading" / "grade.py")
CLASS_SIZE = int(os.environ.get("CLASS_SIZE", 0))
CPU_SECONDS = ("--cpu-seconds", "20" if CLASS_SIZE else "8")


SECRET = "LEAK-of-the-teacher"
AS_ROOT = "import grade; grade.main(root_too=True)"


@pytest.fixture(scope="module", autouse=True)
def no_box_stays_behind():
    yield
    boxes.end_starter()


def start(*arguments):
    """The tool; where the tests run as root, past its refusal of root: its boxes are never root's."""
    words = [sys.executable, *([TOOL] if os.geteuid() else ["-c", AS_ROOT]), *map(str, arguments)]
    environment = {**os.environ, "GRADER_TOKEN": SECRET, "PYTHONPATH": str(ROOT / "grading")}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(words, **pipes, text=True, start_new_session=True, env=environment)


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
    named = {boxes.one_line(name): student for name, student in students.items()}
    assert {row["student"].removeprefix("'") for row in rows} == set(named) and len(rows) == len(students)
    for row in rows:
        assert int(row["score"]) == named[row["student"].removeprefix("'")]["score"]
        assert not row["student"].startswith(("=", "-", "+", "@")) and not row["feedback"].startswith("=")


def test_every_score_is_right(graded, students):
    for name, (scores, words) in graded["expected"].items():
        row = students[name]
        got = [row[f"{slug} {part}"] for slug in SLUGS for part in grade.PARTS if f"{slug} {part}" in row]
        assert got == (scores or []), (name, row)
        said = row["status"] + row["feedback"]
        assert row["score"] == sum(scores or []) and any(word in said for word in words.split("|")), (name, row)
        assert row["status"] == "graded" if scores else row["status"].startswith("could not grade: "), row


def test_home_and_grader_say_the_same(graded, students, tmp_path):
    """Of every submission that can run outside a box: attacks cannot, and damaged files do not run anywhere."""
    homework = tmp_path / "homework"
    skipped = {f"{name}.ipynb" for name in (*synthetic_class.ATTACKS, *synthetic_class.NOT_AT_HOME)}
    graded_parts = {}
    for name, (scores, _) in graded["expected"].items():
        here = graded["folder"] / name
        notebooks = list(here.iterdir()) if here.is_dir() else [here]
        if scores and name not in skipped and len(notebooks) == 1:
            copy = homework / str(len(graded_parts)) / "homework.ipynb"
            copy.parent.mkdir(parents=True)
            copy.write_bytes(notebooks[0].read_bytes())
            row = students[name]
            found = [row[f"{slug} {part}"] for slug in SLUGS for part in grade.PARTS if f"{slug} {part}" in row]
            graded_parts[str(copy.relative_to(homework))] = (name, dict(zip(grade.PARTS, found, strict=True)))
    words = [sys.executable, ROOT / "tests" / "at_home.py", homework, tmp_path / "said.json"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    said = json.loads((tmp_path / "said.json").read_text())
    assert len(graded_parts) > 30 and set(said) == set(graded_parts)
    for place, (name, scores) in graded_parts.items():
        at_home = {part: int(said[place].get(part, [False])[0]) for part in grade.PARTS}
        assert at_home == scores, (name, said[place], students[name])


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
    real = boxes.command
    monkeypatch.setattr(boxes, "command", lambda *a: ["/gone.py" if w == "/sandbox_child.py" else w for w in real(*a)])
    boxes.end_starter()
    assert "none starts here: ModuleNotFoundError: No module named 'sandbox_child'" in sandbox.why_not()
    (tmp_path / "a.ipynb").write_text(synthetic_class.submission("01_one_number", {}))
    monkeypatch.setattr(grade, "WAITS", (0.01,))
    with pytest.raises(boxes.DoesNotStart):
        grade.grade(tmp_path / "a.ipynb", seed=1)


def test_root_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    with pytest.raises(SystemExit, match=r"^Grading runs students' code and is refused as root; start it as an ordi"):
        sandbox.refuse_root()


@pytest.mark.skipif(os.geteuid() != 0, reason="is about root")
def test_the_tool_refuses_root(tmp_path):
    (tmp_path / "a.ipynb").write_text("")
    done = subprocess.run([sys.executable, TOOL, str(tmp_path)], capture_output=True, text=True)
    assert done.returncode and done.stderr.count("\n") == 1 and "refused as root" in done.stderr
    assert not tmp_path.with_name(tmp_path.name + "-grades").exists()


def test_given_cells_make_the_exercise_on_this_side():
    for path in STUDENTS:
        task = grade.the_exercise(path.stem)
        assert task.exercise.slug == path.stem and task.name in ("fixed_loss", "FixedLoss")
        assert (task.code is None) == task.exercise.before.ok  # nothing to mend, nothing to be edited


# --- workers: one that dies or hangs costs its submission only -----------------------------------------------------


def doubled(number):
    """What the workers of the test below run."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if number == 5:
        time.sleep(60)
    if number == 7:
        bytearray(16 << 30)
    return 2 * number


def test_a_worker_that_dies_or_hangs_costs_its_submission_only():
    found = {number: result for (number,), result in workers.run_all(doubled, 2, [(k,) for k in range(9)], 5)}
    assert [found[k] for k in (0, 1, 2, 4, 6, 8)] == [0, 2, 4, 8, 12, 16]
    assert "ended the grader's own process" in str(found[3]) and "gave up on it after 5 s" in str(found[5])
    assert isinstance(found[7], MemoryError)


def test_a_worker_that_cannot_be_started_is_said_and_waited_for_by_nobody(monkeypatch):
    def no_process(grade):
        raise BlockingIOError("Resource temporarily unavailable")

    monkeypatch.setattr(workers, "Worker", no_process)
    results_of_all = [result for _, result in workers.run_all(doubled, 2, [(k,) for k in range(3)], 15)]
    assert len(results_of_all) == 3
    for result in results_of_all:  # the tool stops at the first, stores nothing, and says how to go on
        assert isinstance(result, boxes.DoesNotStart) and "Resource temporarily unavailable" in str(result)


# --- results -------------------------------------------------------------------------------------------------------


def result(status="graded", seconds=1.0):
    return {"exercise": "01_one_number", "parts": {"fix": [1, "Right."]}, "status": status, "seconds": seconds}


@pytest.fixture
def journal(tmp_path):
    with open(tmp_path / "journal.jsonl", "ab+") as file:
        yield file


def test_a_journal_line_cut_before_its_end_of_line_is_kept(journal):
    results.note(journal, ("a", "x", 1, 20), result())
    journal.truncate(journal.tell() - 1)
    assert len(results.read_journal(journal)) == 1
    results.note(journal, ("b", "x", 1, 20), result())
    assert {key[0] for key in results.read_journal(journal)} == {"a", "b"}


def test_damaged_journal_lines_are_ignored_alone(journal):
    for bad in (b"[1]\n", b"null\n", b'{"key": [[]], "result": {}}\n', b'{"key": 3}\n', b"\xff\n", b'{"key": ["cut'):
        results.note(journal, ("good", len(bad), 1, 20), result())
        journal.write(bad)
    assert len(results.read_journal(journal)) == 6
    results.note(journal, ("last", "x", 1, 20), result())
    assert len(results.read_journal(journal)) == 7


def test_old_results_stay_until_new_ones_are_whole(tmp_path, monkeypatch):
    row = {"student": "ann", "score": 1, "of": 3, "status": "graded", "feedback": "", "seconds": 1.0}
    results.write_results([row], tmp_path, 1)
    before = (tmp_path / "grades.csv").read_bytes()

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError):
        results.write_results([{**row, "score": 0}], tmp_path, 1)
    assert (tmp_path / "grades.csv").read_bytes() == before


@pytest.mark.parametrize(
    "text", ["=1+1", "x;=1+1", "\t=1", "\r=1", "＝1+1", " =1", "a\x1b[2Jb", "-rf", "@x", "|calc", 'a";=1']
)
def test_a_csv_cell_is_text_in_every_spreadsheet(text):
    content = results.as_csv(["student"], [{"student": text}]).decode()
    head, row, end = content.split("\r\n")
    assert head == '"student"' and row.startswith('"') and row.endswith('"') and end == ""
    assert all(c.isprintable() for c in row)
    for separator in ",;\t":
        ((cell,),) = csv.reader([row], delimiter=separator)
        assert not cell.strip().startswith(("=", "+", "-", "@", "|", "＝"))


def test_the_grade_belongs_to_the_contents_that_were_graded(tmp_path):
    path = tmp_path / "a.ipynb"
    path.write_text('{"cells": []}')
    old = submissions.fingerprint(path)
    graded = grade.grade(path, seed=1)
    path.write_text('{"cells": [] }')
    assert graded["fingerprint"] == old != submissions.fingerprint(path)


def test_hidden_and_odd_names_are_found(tmp_path):
    folder = tmp_path / ".ipynb_checkpoints" / "class"
    names = [".Ann.ipynb", "HOMEWORK.IPYNB", "bob/.Homework.ipynb", "eva/.ipynb_checkpoints/old.ipynb", ".DS_Store"]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    found = {(student, str(path.relative_to(folder))) for student, path in submissions.find(folder)}
    assert found == {(n, n) for n in names[:2]} | {("bob", names[2]), ("eva", "eva")}


def test_notebooks_beyond_the_cap_are_told(tmp_path):
    paths = [("ann", tmp_path / f"{k:03d}.ipynb") for k in range(submissions.MOST_NOTEBOOKS + 2)]
    assert submissions.too_many([*paths, ("bob", tmp_path / "x.ipynb")]) == {path for _, path in paths[-2:]}


def test_no_place_of_this_machine_in_what_a_student_reads():
    assert grade.clean(f"File {ROOT}/x, {sys.prefix}/y \x1b[2J") == "File …/x, …/y  [2J"


# --- what goes back ------------------------------------------------------------------------------------------------


def test_scores_are_comparable_once_it_is_said_what_was_set():
    slugs = ("01_one_number", "02_idle_alpha")
    (row,) = results.rows([("ann", Path("a.ipynb"), result())], slugs)
    assert (row["score"], row["of"], row["02_idle_alpha fix"]) == (1, 6, 0) and "not handed in" in row["feedback"]
    (row,) = results.rows([("ann", Path("a.ipynb"), result())], slugs[1:])
    assert (row["score"], row["of"]) == (0, 3)  # what was not set does not count


def test_an_exercise_that_is_none_is_told(tmp_path):
    code, _, errors = run(tmp_path, "--exercises", "01_one_nunber")
    assert code == 2 and "there is no exercise '01_one_nunber'; there are 01_one_number" in errors
