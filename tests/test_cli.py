"""The command line: three exit statuses, a process of its own, limits on time and memory."""

import json
import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from focal_lib.__main__ import main
from focal_lib.bugs import CATALOGUE
from focal_lib.diagnosis.properties import PROPERTIES

FILE = """
    import os, sys
    import torch
    from focal_lib import FocalLoss
    from focal_lib.bugs.batch import mean_before_pt

    from focal_lib.bugs.gradient import nan_below_gamma_one

    print("noise while it is imported")
    number = 3

    def needs_more(input, target, secret):
        return input.sum() * secret["scale"]

    def hangs(input, target):
        while True:
            pass

    def crashes(input, target):
        os.abort()

    def leaves(input, target):
        sys.exit(0)

    def hoards(input, target):
        return torch.ones(10**12).sum()
"""


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(textwrap.dedent(FILE))
    return path


def test_right(file, capsys):
    assert main([f"{file}:FocalLoss"]) == 0
    assert capsys.readouterr().out == f"FocalLoss: right. All {len(PROPERTIES)} properties hold.\n"


def test_faulty_as_json(file, capsys):
    assert main([f"{file}:mean_before_pt", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "faulty"
    assert report["suspects"] == ["mean_before_pt"]
    assert "batch_is_mean_of_singles" in report["violations"]


def test_the_level_decides_the_exit_status(file):
    assert main([f"{file}:nan_below_gamma_one"]) == 0
    assert main([f"{file}:nan_below_gamma_one", "--level", "fragile"]) == 1


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("crashes", "its process ended early (SIGABRT"),
        ("leaves", "it called sys.exit(0)"),
        ("absent", "there is no 'absent' in"),
        ("number", "number is no loss to call: it is of type int"),
        ("needs_more", "it cannot be called without secret, and no name tells what to pass there. An adapter says how"),
    ],
)
def test_could_not_test(file, name, why, capsys):
    assert main([f"{file}:{name}"]) == 2
    assert why in capsys.readouterr().out


def test_a_hang_ends_at_the_time_limit(file, capsys):
    assert main([f"{file}:hangs", "--time-limit", "1"]) == 2
    assert capsys.readouterr().out == "hangs: could not be tested, because it took longer than 1 s.\n"


@pytest.mark.skipif(sys.platform != "linux", reason="the memory limit exists on Linux only, as the help says")
def test_memory_is_limited(file, capsys):
    assert main([f"{file}:hoards", "--memory-limit", "1"]) == 2
    assert "it ran out of memory" in capsys.readouterr().out


def test_a_file_that_leaves_while_it_is_imported(tmp_path, capsys):
    path = tmp_path / "leaves.py"
    path.write_text("raise SystemExit(0)")
    assert main([f"{path}:loss"]) == 2
    assert "the file called sys.exit(0)" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [[], ["mine.py"], ["absent.py:loss"]])
def test_wrong_usage_is_told(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    assert "FILE.py:NAME" in capsys.readouterr().err


def test_list(capsys):
    assert main(["--list"]) == 0
    out = capsys.readouterr().out
    assert all(name in out for name in [*PROPERTIES, *CATALOGUE])
    assert main(["--list", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bugs"].keys() == CATALOGUE.keys()


@pytest.mark.parametrize(
    ("how", "status", "words"),
    [
        ("print('x' * 1_000_000)", 0, "it printed 'xxxx"),
        ("os.write(1, b'x' * 1_000_000)", 0, "right. All"),
        ("os.write(2, b'x' * 1_000_000)", 2, "it wrote too much"),
    ],
)
def test_megabytes_of_output_make_one_short_report(how, status, words, tmp_path):
    source = "import os\nfrom focal_lib import focal_loss\n\ndef loss(input, target, gamma=2.0):\n"
    said = ask(tmp_path, f"{source}    {how}\n    return focal_loss(input, target, gamma=gamma)\n")
    assert said[0] == status and words in said[1] and len(said[1]) < 3000 and said[2] == ""
    assert sorted(path.name for path in tmp_path.iterdir()) in (["mine.py"], ["__pycache__", "mine.py"])


# --- files that want to do something else --------------------------------------------------------------------------

ORPHAN = """
import os, time
if os.fork() == 0:
    os.setsid()
    time.sleep(40)
    os._exit(0)
while True:
    time.sleep(1)
"""
REPORT = """
import os, pathlib, sys
path = next(word for word in sys.argv if word.endswith("report.json"))
pathlib.Path(path).write_text({text!r})
os._exit(0)
"""


def ask(folder, source, *arguments):
    """The command line as a user starts it, in a folder with this file: (exit status, stdout, stderr, seconds)."""
    (folder / "mine.py").write_text(source)
    start = time.monotonic()
    command = [sys.executable, "-m", "focal_lib", "mine.py:loss", *arguments]
    root = {"PYTHONPATH": os.environ.get("PYTHONPATH", "")}
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, env={**os.environ, **root})
    return done.returncode, done.stdout, done.stderr, time.monotonic() - start


@pytest.mark.skipif(sys.platform != "linux", reason="processes that left their group are found on Linux only")
def test_an_orphan_neither_delays_nor_outlives(tmp_path):
    code, out, _, seconds = ask(tmp_path, ORPHAN, "--time-limit", "4")
    assert code == 2 and "it took longer than 4 s" in out and seconds < 35
    alive = [p for p in Path("/proc").glob("[0-9]*/cmdline") if _reads(p, str(tmp_path.name).encode())]
    assert alive == []


def _reads(path, word):
    try:
        return word in path.read_bytes()
    except OSError:
        return False


@pytest.mark.parametrize(
    "text", ["", "[1]", "{", '{"name": "x"}', '{"name": "x", "violations": 3}', "null", "[" * 99_999]
)
def test_a_bad_report_is_no_verdict(tmp_path, text):
    (tmp_path / "mine.py").write_text(REPORT.format(text=text))
    assert main([f"{tmp_path / 'mine.py'}:loss"]) == 2


def test_a_flood_on_stderr_is_cut(tmp_path):
    flood = "import sys\nfor _ in range(40):\n    sys.stderr.write('x' * (1 << 20))"
    code, out, errors, _ = ask(tmp_path, flood)
    assert code == 2 and len(out) < 1000 and len(errors) < 1000


def test_files_beside_it_do_not_run_in_the_parent(tmp_path):
    for name in ("argparse", "random", "json", "torch", "tempfile", "uuid"):
        (tmp_path / f"{name}.py").write_text("import os\nos.write(2, b'RAN')\nos._exit(1)")
    code, out, errors, _ = ask(tmp_path, "from focal_lib import focal_loss as loss")
    assert code == 0 and "right" in out and "RAN" not in errors, (out, errors)


def test_a_terminal_is_not_written_to(tmp_path):
    code, out, errors, _ = ask(tmp_path, "raise ValueError('\\x1b[2J\\x1b]0;all right\\x07')")
    assert code == 2 and "\x1b" not in out + errors and "all right" in out


@pytest.mark.parametrize("option", ["--time-limit", "--memory-limit"])
@pytest.mark.parametrize("value", ["nan", "-1", "0", "inf", "x"])
def test_limits_are_numbers_above_0(file, option, value, capsys):
    with pytest.raises(SystemExit) as stop:
        main([f"{file}:FocalLoss", option, value])
    assert stop.value.code == 2 and "number above 0" in capsys.readouterr().err


def test_the_help_says_what_the_verdict_is_worth(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert "Against malice the verdict is worth nothing: a file can forge its own." in said
