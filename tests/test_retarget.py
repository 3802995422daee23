"""Retargeting: a fork leads to itself everywhere, the way back restores every byte, --check finds what disagrees.

That a retargeted clone builds is seen in test_plain_sphinx.py.
"""

import shutil
import subprocess
from pathlib import Path

import pytest
from retarget import Target, check, listed_files, main, retarget, text_files

ROOT = Path(__file__).parent.parent

HERE = Target.configured()
FORK = Target.parse("ada/focal-loss")
TARGETS = {
    "fork": "ada/focal-loss",
    "renamed fork on a branch": "ada/my_book@dev-2",
    "tag": f"{HERE.slug}@v1.0",
    "tag that YAML would read as a number": f"{HERE.slug}@1.0",
    "organisation with dots and dashes": "Focal-Loss.edu/focal.loss-book_2",
    "user site": "ada/ada.github.io",
    "the same name with more at its end": f"{HERE.owner}-2/{HERE.repo}-2",
}


def files(folder):
    return {name: (folder / name).read_bytes() for name in listed_files(folder)}


def copy_of_the_tree(folder):
    """The working tree in a git repository of its own."""
    for name in listed_files(ROOT):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    return folder


@pytest.fixture
def clone(tmp_path):
    return copy_of_the_tree(tmp_path)


def test_this_tree_agrees_with_its_configuration():
    assert check(ROOT) == []


@pytest.mark.parametrize("text", TARGETS.values(), ids=TARGETS)
def test_there_and_back_again(clone, text):
    target, original = Target.parse(text), files(clone)
    changed = retarget(clone, target)
    assert {"_config.yml", "README.md", "notebooks/02_loss_curve.ipynb"} <= set(changed)
    assert Target.configured(clone) == target
    assert check(clone) == []
    if HERE.owner not in text:
        assert not [name for name, content in text_files(clone) if HERE.owner in content]
    moved = files(clone)
    assert retarget(clone, target) == [] and files(clone) == moved
    assert retarget(clone, HERE) == changed
    assert files(clone) == original


def test_a_dirty_tree_keeps_its_edits(clone):
    readme = clone / "README.md"
    readme.write_text(readme.read_text() + f"\nMy own words, and [a link]({HERE.url}/issues).\n")
    (clone / "new.md").write_text(
        f"[New](https://colab.research.google.com/github/{HERE.slug}/blob/{HERE.ref}/a.ipynb)"
    )
    (clone / "CONTRIBUTING.md").unlink()
    dirty = files(clone)
    assert {"README.md", "new.md"} <= set(retarget(clone, FORK))
    assert readme.read_text().endswith(f"\nMy own words, and [a link]({FORK.url}/issues).\n")
    assert check(clone) == []
    retarget(clone, HERE)
    assert files(clone) == dirty


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("notebooks/01_imbalance.ipynb", HERE.pip_source, HERE.pip_source.replace(HERE.slug, "someone/else")),
        ("notebooks/05_training.ipynb", HERE.pip_source, f"git+{HERE.url}@old"),
        ("README.md", f"github/{HERE.slug}/blob/{HERE.ref}", f"github/{HERE.slug}/blob/master"),
        ("README.md", f"v2/gh/{HERE.slug}/{HERE.ref}", f"v2/gh/someone/{HERE.repo}/{HERE.ref}"),
        ("CITATION.cff", f"repository-code: {HERE.url}", "repository-code: https://github.com/someone/else"),
        ("CITATION.cff", f"url: {HERE.site}", "url: https://someone.github.io/else/"),
        ("_config.yml", HERE.site, "https://someone.github.io/else/"),
        ("_config.yml", "  baseurl", "  base_url"),
        ("pyproject.toml", HERE.url, "https://github.com/someone/else"),
    ],
)
def test_check_finds_what_disagrees(clone, name, right, wrong, capsys):
    text = (clone / name).read_text()
    assert right in text
    (clone / name).write_text(text.replace(right, wrong))
    assert main(["--check"], clone) == 1
    assert name in capsys.readouterr().out


def test_check_finds_a_configuration_that_was_changed_by_hand(clone):
    config = clone / "_config.yml"
    config.write_text(config.read_text().replace(HERE.url, "https://github.com/someone/else"))
    places = {line.partition(":")[0] for line in check(clone)}
    assert {"_config.yml", "README.md", "CITATION.cff", "pyproject.toml", "notebooks/01_imbalance.ipynb"} <= places


@pytest.mark.parametrize(
    "text", ["", "ada", "ada/", "ada/book/extra", "ada/book@", "ada/book@a/b", "ada/book.git", "a b/c"]
)
def test_what_is_no_target_is_refused_in_one_sentence(clone, text, capsys):
    original = files(clone)
    with pytest.raises(SystemExit):
        main([text], clone)
    assert len(capsys.readouterr().err.splitlines()[-1]) < 200
    assert files(clone) == original


def test_a_change_that_could_not_be_undone_is_refused(clone, capsys):
    (clone / "new.md").write_text(f"See {FORK.url} for the idea.")
    original = files(clone)
    with pytest.raises(SystemExit):
        main([str(FORK)], clone)
    assert f"new.md already mentions {FORK}" in capsys.readouterr().err
    assert files(clone) == original
