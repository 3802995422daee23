"""The stored verdicts on published losses, and the script that makes them."""

import csv
import inspect
import subprocess
import sys
from importlib import metadata, resources
from pathlib import Path

import pytest
import torch

from experiments import loss_bugs, published
from focal_lib import diagnose, focal_loss
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


@pytest.mark.parametrize("row", [row for row in ROWS if row["package"] == "kornia"], ids=lambda row: row["loss"])
def test_the_stored_verdict_is_todays(row):
    """kornia is installed for this; its release is pinned, so only a change of ours can move the verdict."""
    assert metadata.version("kornia") == row["version"], "run experiments/published.py with this release"
    (make,) = [make for package, name, make, _ in published.PUBLISHED if (package, name) == ("kornia", row["loss"])]
    diagnosis = diagnose(published.as_function(make))
    assert diagnosis.verdict == row["verdict"]
    assert [example.split(": ")[0] for example in row["violations"].split(" ¦ ") if example] == list(
        diagnosis.violations
    )


def test_the_stored_comparison_of_checks_is_of_the_whole_catalogue_and_todays():
    """The quick checks run here; the package of each published loss is needed for the rest."""
    with resources.files("focal_lib").joinpath("results/loss_bugs.csv").open(encoding="utf-8") as file:
        stored = {row["loss"]: row for row in csv.DictReader(file)}
    ours = {name: (loss, build) for _, name, loss, build in loss_bugs.losses(published=())}
    published_ones = {f"{row['package']} {row['version']}, {row['loss']}" for row in ROWS}
    assert set(stored) == {*ours, *published_ones}, "python experiments/loss_bugs.py --catalogue"
    for name, (loss, build) in ours.items():
        for check in ("gradcheck", "gamma = 0", "golden number"):
            assert stored[name][check] == str(int(loss_bugs.alarm(loss_bugs.CHECKS[check], loss, build))), name


def test_an_adapter_shows_diagnose_the_arguments_of_its_loss():
    loss = published.as_function(published.peers.rows_masked_first)
    assert list(inspect.signature(loss).parameters) == ["input", "target", "alpha", "gamma"]
    input, target, alpha = torch.randn(4, 3), torch.tensor([0, 1, 2, 1]), torch.tensor([1.0, 2.0, 3.0])
    torch.testing.assert_close(loss(input, target, alpha=alpha, gamma=3.0), focal_loss(input, target, alpha, 3.0))


def test_help():
    run = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True, check=True)
    assert "published focal losses" in run.stdout
