"""The gates fail when they should: a broken link stops the build, a broken notebook stops the tests."""

import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parent.parent


def build_command():
    """The very command that `make book` runs, with this interpreter's environment."""
    plan = subprocess.run(["make", "--dry-run", "book"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    (line,) = [line for line in plan.splitlines() if "jupyter-book build" in line]
    _, *arguments = shlex.split(line)
    return [str(Path(sys.executable).parent / "jupyter-book"), *arguments]


def build(folder, page):
    """Build a one-page book with the real configuration."""
    shutil.copy(ROOT / "_config.yml", folder)
    for part in ("_ext", "_templates", "static", "bench"):
        shutil.copytree(ROOT / "book" / part, folder / "book" / part)
    (folder / "book" / "views").mkdir()
    shutil.copy(ROOT / "book" / "views" / "example.json", folder / "book" / "views")  # the bench packs it
    shutil.copytree(ROOT / "focal_lib", folder / "focal_lib")  # and this
    (folder / "_toc.yml").write_text("format: jb-book\nroot: index\n")
    (folder / "index.md").write_text(page)
    return subprocess.run(build_command(), cwd=folder, capture_output=True, text=True)


BROKEN = {
    "[a page](no_such_page.md)": "no_such_page",
    "[a heading](#no-such-heading)": "no-such-heading",
    "{mod}`focal_lib.no_such_module`": "no_such_module",
    "{term}`no such term`": "no such term",
}


def test_every_broken_link_stops_the_build(tmp_path):
    """One page with them all: the build fails, and each is a warning, which is what fails it."""
    result = build(tmp_path, "# Page\n\n" + "\n\n".join(BROKEN) + "\n")
    assert result.returncode != 0
    warnings = [line for line in (result.stdout + result.stderr).splitlines() if "WARNING" in line]
    assert [link for link, complaint in BROKEN.items() if not any(complaint in line for line in warnings)] == []


def test_a_sound_page_builds(tmp_path):
    result = build(tmp_path, "# Page\n\nText.\n")
    assert result.returncode == 0, result.stdout + result.stderr


def validate(folder, source, stored_output, **environment):
    """Run nbval, as `make test` does, on a notebook with one cell and this stored output."""
    cell = nbformat.v4.new_code_cell(source, execution_count=1)
    cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=stored_output)]
    nbformat.write(nbformat.v4.new_notebook(cells=[cell]), folder / "notebook.ipynb")
    arguments = ["--nbval", "--nbval-sanitize-with", str(ROOT / "tests" / "nbval.cfg"), "-p", "no:cacheprovider"]
    return subprocess.run(
        [sys.executable, "-m", "pytest", *arguments, "notebook.ipynb"],
        cwd=folder,
        capture_output=True,
        env={**os.environ, **environment},
    )


def test_a_wrong_stored_output_fails(tmp_path):
    assert validate(tmp_path, "print(1 + 1)", "3\n").returncode == 1
    assert validate(tmp_path, "print(1 + 1)", "2\n").returncode == 0


NOTING_ITS_PROCESS = """import os, pytest

@pytest.mark.parametrize("k", range(8))
def test_it(k):
    with open(__file__ + ".processes", "a") as file:
        print(os.getpid(), file=file)
"""


def test_what_shares_something_slow_runs_in_one_process(tmp_path):
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    for name in ("test_paper.py", "test_others.py"):
        (tmp_path / name).write_text(NOTING_ITS_PROCESS)
    words = [sys.executable, "-m", "pytest", "-p", "xdist", "--numprocesses", "2", "--dist", "loadgroup", "."]
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    subprocess.run(words, cwd=tmp_path, check=True, capture_output=True, env=environment)
    paper, others = (set((tmp_path / f"test_{name}.py.processes").read_text().split()) for name in ("paper", "others"))
    assert len(paper) == 1 and len(paper | others) == 2


def arithmetic(name):
    """The settings that `make test ARITHMETIC=name` gives to its tests."""
    plan = subprocess.run(
        ["make", "--dry-run", "test-notebooks", f"ARITHMETIC={name}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    (line,) = [line for line in plan.splitlines() if "--nbval" in line]
    return dict(word.split("=", 1) for word in shlex.split(line) if re.match(r"[A-Z_0-9]+=", word))


# Near 77 000; the first digit after the point is the same everywhere, the sixth is not.
SUM = """import torch
numbers = torch.rand(100_000, generator=torch.Generator().manual_seed(0)).pow(0.3).double().sum()
print("\\n".join(f"{numbers:.{digits}f}" for digits in %s))"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="the settings are those of Intel and AMD")
def test_a_number_with_a_digit_too_many_fails_with_the_arithmetic_of_another_processor(tmp_path):
    said = {}
    for name in ("plain", "avx2"):
        command = [sys.executable, "-c", SUM % [1, 6]]
        said[name] = subprocess.run(
            command, capture_output=True, text=True, check=True, env={**os.environ, **arithmetic(name)}
        ).stdout.splitlines(keepends=True)
    assert said["plain"][1] != said["avx2"][1] and said["plain"][0] == said["avx2"][0]
    assert validate(tmp_path, SUM % [6], said["avx2"][1], **arithmetic("plain")).returncode == 1
    assert validate(tmp_path, SUM % [1], said["avx2"][0], **arithmetic("plain")).returncode == 0
