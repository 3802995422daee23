"""The stored verdicts on published losses, and the script that makes them."""

import csv
import subprocess
import sys
from importlib import resources
from pathlib import Path

from focal_lib.bugs import CATALOGUE
from focal_lib.diagnosis.properties import PROPERTIES

SCRIPT = Path(__file__).parent.parent / "experiments" / "published.py"

with resources.files("focal_lib").joinpath("results/published.csv").open(encoding="utf-8") as file:
    ROWS = list(csv.DictReader(file))


def test_at_least_eight_libraries_with_versions_and_one_from_another_framework():
    assert len({row["package"] for row in ROWS}) >= 8
    assert all(row["version"][0].isdigit() for row in ROWS)
    assert "keras" in {row["package"] for row in ROWS}


def test_every_verdict_is_backed():
    for row in ROWS:
        violated = [example.split(": ")[0] for example in row["violations"].split(" ¦ ") if example]
        assert set(violated) <= set(PROPERTIES)
        assert (row["verdict"] == "right") == (violated == [])
        assert set(row["suspects"].split()) <= set(CATALOGUE)
        assert row["word"]
        assert not set(violated) & set(row["untested"].split())


def test_the_words_name_the_differences():
    suspects = {row["package"]: row["suspects"] for row in ROWS}
    assert "weight_inside_cross_entropy" in suspects["fastai"]
    assert {row["loss"]: row["verdict"] for row in ROWS}["focal_loss, summed over classes"] == "right"
    for row in ROWS:
        assert ("sigmoid form" in row["word"]) == ("one_against_all" in row["suspects"])


def test_help():
    run = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True, check=True)
    assert "published focal losses" in run.stdout
