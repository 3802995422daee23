"""`import focal_lib` is silent on supported versions and warns in one line on older ones."""

import os
import subprocess
import sys
import warnings
from importlib import metadata

import pytest

from focal_lib import _versions as versions


def test_importing_warns_of_nothing_here():
    result = subprocess.run([sys.executable, "-W", "error", "-c", "import focal_lib"], capture_output=True, text=True)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_importing_beside_an_old_package_warns_in_one_line(tmp_path):
    """An old numpy is told by its metadata; nothing of it is imported."""
    (tmp_path / "numpy-1.26.4.dist-info").mkdir()
    (tmp_path / "numpy-1.26.4.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: numpy\nVersion: 1.26.4\n"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    result = subprocess.run(
        [sys.executable, "-c", "import focal_lib"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert result.returncode == 0
    (line,) = [line for line in result.stderr.splitlines() if "Warning" in line]
    assert line.endswith("UserWarning: focal_lib needs numpy 2.0 or newer (this is 1.26.4).")


@pytest.mark.parametrize(
    ("installed", "warned"),
    [
        ("2.8.1+cpu", True),
        ("1.13", True),
        ("2.9", False),
        ("2.9.0", False),
        ("2.11.0+cu128", False),
        ("3.0.0rc1", False),
    ],
)
def test_only_an_older_version_is_warned_of(monkeypatch, installed, warned):
    monkeypatch.setattr(metadata, "requires", lambda name: ["torch>=2.9", "no-such-package>=1"])
    real = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: installed if name == "torch" else real(name))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        versions.warn_if_unsupported()
    assert [f"torch 2.9 or newer (this is {installed})" in str(warning.message) for warning in caught] == [
        True
    ] * warned


def test_from_a_source_folder_nothing_is_checked(monkeypatch):
    def missing(name):
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", missing)
    versions.warn_if_unsupported()
