"""The set-up of `make test` says what it will do or what is missing; what was interrupted is mended next time."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ENVIRONMENT = ROOT / "tools" / "make_environment.sh"
PACKAGES = ROOT / "tools" / "install_system_packages.sh"
STAGES = ROOT / "tools" / "run_stages.sh"
BASH = "/bin/bash"


def program(folder, name, body):
    """Put a program into `folder`, which then shadows the real one."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(f"#!{BASH}\n{body}\n")
    (folder / name).chmod(0o755)


def make_environment(folder, *arguments, **environment):
    environment = {**os.environ, "PYTHON": sys.executable, **environment}
    return subprocess.run([ENVIRONMENT, folder, *arguments], capture_output=True, text=True, env=environment)


def sentence(result):
    """The one line that a failed set-up ends with."""
    assert result.returncode != 0
    (line,) = result.stderr.splitlines()
    return line


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    folder = tmp_path_factory.mktemp("set-up") / "environment"
    result = make_environment(folder, "--no-index", "pip")
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
    return folder


def test_a_whole_environment_is_kept(environment):
    (environment / "kept").touch()
    result = make_environment(environment, "--no-index", "pip")
    assert result.returncode == 0 and "nothing" not in result.stdout and (environment / "kept").exists()


def test_without_a_network_one_sentence_says_so_and_the_next_run_starts_from_nothing(environment):
    nowhere = {"PIP_INDEX_URL": "http://127.0.0.1:9", "PIP_RETRIES": "0", "PIP_CONFIG_FILE": os.devnull}
    result = make_environment(environment, "--extra-index-url=", "no-such-package", **nowhere)
    assert sentence(result).startswith(f"pip could not install what {environment} needs; is there a network?")
    (environment / "half").touch()
    result = make_environment(environment, "--no-index", "pip")
    assert result.returncode == 0 and "was interrupted; it starts from nothing" in result.stdout
    assert not (environment / "half").exists()


def test_a_python_that_is_too_old_or_missing_is_named_in_one_sentence(tmp_path):
    program(tmp_path / "bin", "old", "echo 3.9.2; exit 1")
    for arguments in ((), ("--no-index", "pip")):  # asked alone, before anything long, and while installing
        result = make_environment(tmp_path / "environment", *arguments, PYTHON=str(tmp_path / "bin" / "old"))
        assert sentence(result).startswith("This needs Python 3.11 or newer, not 3.9.2;")
        result = make_environment(tmp_path / "environment", *arguments, PYTHON="no-such-python")
        assert sentence(result).startswith("There is no no-such-python here;")
        assert not (tmp_path / "environment").exists()


def packages(folder, *wanted, **options):
    """Run the system's step where only what is in `folder` and a few tools of bash's are found."""
    for name in ("grep", "true", "echo"):
        program(folder, name, f'exec /bin/{name} "$@"')
    command = [BASH, "-s", *wanted]  # read from standard input: another user may not see the file
    with PACKAGES.open() as script:
        return subprocess.run(
            command, stdin=script, capture_output=True, text=True, cwd="/", env={"PATH": str(folder)}, **options
        )


def test_nothing_is_installed_or_said_when_nothing_is_missing(tmp_path):
    for name in ("chromium", "firefox", "WebKitWebDriver", "Xvfb", "java", "bwrap"):
        program(tmp_path, name, "exit 0")
    program(tmp_path, "apt-get", "exit 1")
    result = packages(tmp_path, "browsers", "grading")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_what_is_missing_is_named_with_its_reason_before_it_is_installed(tmp_path):
    program(tmp_path, "bwrap", "exit 0")
    program(tmp_path, "apt-get", 'echo "apt-get $*"')
    program(tmp_path, "sudo", '[[ $1 == -n ]] && exit; "$@"')
    result = packages(tmp_path, "browsers", "grading")
    assert result.returncode == 0, result.stderr
    first, update, install = result.stdout.splitlines()
    assert (
        first.startswith("The tests need chromium")
        and "(the checker of the e-book runs on it). Installing them now:" in first
    )
    assert "xvfb (a screen for it), default-jre-headless" in first
    assert update.startswith("apt-get update") and install.startswith("apt-get install --yes")
    assert "webkit2gtk-driver xvfb" in install and "bubblewrap" not in install


def test_elsewhere_than_on_debian_one_sentence_says_what_to_install(tmp_path):
    said = sentence(packages(tmp_path, "grading"))
    assert said.startswith("The tests need bubblewrap (the sandbox") and "package manager" in said


def test_without_root_one_sentence_says_what_is_missing(tmp_path):
    """As another user where these tests run as root; sudo would ask for a password."""
    program(tmp_path, "apt-get", "exit 0")
    program(tmp_path, "sudo", "exit 1")
    tmp_path.chmod(0o755)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o111)
    said = sentence(packages(tmp_path, "grading", **({} if os.geteuid() else {"user": 65534})))
    assert "Ask whoever may run: apt-get install" in said and "bubblewrap" in said


def test_an_installation_that_fails_is_told_in_one_sentence(tmp_path):
    program(tmp_path, "apt-get", "exit 100")
    program(tmp_path, "sudo", '[[ $1 == -n ]] && exit; "$@"')
    assert sentence(packages(tmp_path, "grading")).startswith("These packages could not be installed")


def test_a_machine_that_forbids_the_sandbox_is_told_so(tmp_path):
    program(tmp_path, "bwrap", "echo no namespaces >&2; exit 1")
    said = sentence(packages(tmp_path, "grading"))
    assert said.startswith("bubblewrap may not make a sandbox here; it said: no namespaces.")


def stages(folder, *names):
    body = 'echo "making $2"; case $2 in *bad*) echo "FAILED tests/test_x.py::test_$2"; exit 1;; esac'
    program(folder, "make", body)
    return subprocess.run([STAGES, *names], capture_output=True, text=True, env={**os.environ, "MAKE": folder / "make"})


def test_all_parts_run_and_the_end_names_every_failure(tmp_path):
    result = stages(tmp_path, "bad1", "good", "bad2", "timed")
    assert result.returncode == 1
    said = result.stdout.splitlines()
    assert [line for line in said if line.startswith("making")] == [
        f"making test-{name}" for name in ("bad1", "good", "bad2", "timed")
    ]
    end = said[said.index(next(line for line in said if line.startswith("Failed: bad1 bad2"))) :]
    assert [line.strip() for line in end if "FAILED" in line] == [
        f"FAILED tests/test_x.py::test_test-bad{number}" for number in (1, 2)
    ]


def test_when_all_parts_pass_the_end_says_so(tmp_path):
    result = stages(tmp_path, "good", "timed")
    assert result.returncode == 0 and result.stdout.endswith("All passed.\n")
    assert "=== 2 of 2: timed:" in result.stdout


def test_every_part_is_a_target_and_its_browsers_or_sandbox_are_asked_for_first():
    plan = subprocess.run(
        ["make", "--no-print-directory", "--dry-run", "test-timed"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert plan.stdout.startswith("tools/install_system_packages.sh browsers\n")
    for name in ("lint", "unit", "notebooks", "browsers", "grading"):
        subprocess.run(
            ["make", "--no-print-directory", "--dry-run", f"test-{name}"], cwd=ROOT, check=True, capture_output=True
        )


def test_an_unknown_arithmetic_is_refused():
    result = subprocess.run(["make", "test", "ARITHMETIC=odd"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode != 0 and "ARITHMETIC must be native, avx2 or plain, not odd" in result.stderr
