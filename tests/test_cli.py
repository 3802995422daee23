"""The command line: three exit statuses, a process of its own, limits on time and memory."""

import json
import sys
import textwrap

import pytest

from focal_lib.__main__ import main
from focal_lib.bugs import CATALOGUE
from focal_lib.diagnosis.properties import PROPERTIES

FILE = """
    import os, sys
    import torch
    from focal_lib import FocalLoss
    from focal_lib.bugs.batch import mean_before_pt

    print("noise while it is imported")

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
    assert capsys.readouterr().out == "FocalLoss: right. All 31 properties that could be tested hold.\n"


def test_faulty_as_json(file, capsys):
    assert main([f"{file}:mean_before_pt", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert report["verdict"] == "faulty"
    assert report["suspects"] == ["mean_before_pt"]
    assert "batch_is_mean_of_singles" in report["violations"]


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("crashes", "its process ended early (SIGABRT"),
        ("leaves", "it called sys.exit(0)"),
        ("absent", "there is no 'absent' in"),
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
