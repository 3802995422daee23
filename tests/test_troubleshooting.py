"""Each message on the troubleshooting page is what a learner sees: it is produced here, and compared word for word."""

import re
import subprocess
import sys
import warnings
from importlib import metadata
from pathlib import Path

import pytest
import torch
from test_notebooks import ON_COLAB, run_setup_cell

from focal_lib import FocalLoss, focal_loss
from focal_lib import _versions as versions
from focal_lib.lab.data import inverse_frequency

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "book" / "troubleshooting.md").read_text()
SECTIONS = dict(re.findall(r"(?m)^## (.+)\n\n```text\n(.+)\n```", PAGE))
LOGITS = torch.zeros(2, 4)


def raised(call, *arguments):
    with pytest.raises((TypeError, ValueError)) as caught:
        call(*arguments)
    return f"{caught.type.__name__}: {caught.value}"


def setup_cell(prelude):
    return run_setup_cell(prelude).stderr.strip().splitlines()[-1]


def setup_cell_without_network():
    failing = "import subprocess; subprocess.run = lambda args, **_: subprocess.CompletedProcess(args, returncode=1)"
    return setup_cell(f"{ON_COLAB}\n{failing}")


def old_torch():
    real = metadata.version
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        patch.setattr(metadata, "version", lambda name: "2.8.0" if name == "torch" else real(name))
        versions.warn_if_unsupported()
    return f"{caught[0].category.__name__}: {caught[0].message}"


def old_python(folder):
    """`make`, with a Python that says that it is 3.9.18."""
    python = folder / "python"
    patched = "import sys; sys.version_info, sys.version = (3, 9, 18), '3.9.18 (old)'; exec(sys.argv[1])"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -c "{patched}" "$2"\n')
    python.chmod(0o755)
    made = f"{folder}/venv/book-ready"
    result = subprocess.run(
        ["make", f"PYTHON={python}", f"VENV={folder}/venv", made], cwd=ROOT, capture_output=True, text=True
    )
    assert result.returncode != 0 and not Path(made).exists()
    return result.stderr.splitlines()[0]


def lost_widget():
    """JupyterLab's own words, from its widget extension; the front end says them, not Python."""
    extension = Path(sys.prefix) / "share/jupyter/labextensions/@jupyter-widgets/jupyterlab-manager"
    script = "".join(path.read_text() for path in extension.rglob("*.js"))
    return re.search(r"Error displaying widget: model not found", script)[0]


def left_behind():
    """There need not be a GPU here: the meta device stands in for it."""
    message = raised(FocalLoss(torch.ones(4)), LOGITS.to("meta"), torch.zeros(2, dtype=torch.int64, device="meta"))
    return message.replace("meta", "cuda:0")


@pytest.mark.parametrize(
    ("section", "produce"),
    {
        "The first cell of a notebook stops": lambda _: setup_cell(""),
        "The first cell stops on Colab": lambda _: setup_cell_without_network(),
        "A warning about versions": lambda _: old_torch(),
        "`make` asks for another Python": old_python,
        "A widget is a line of text": lambda _: lost_widget(),
        "`alpha=0.25` is refused": lambda _: raised(FocalLoss, 0.25),
        "The loss works on the CPU and stops on the GPU": lambda _: left_behind(),
        "Targets have the wrong type": lambda _: raised(focal_loss, LOGITS, torch.zeros(2, dtype=torch.int32)),
        "A label has no class": lambda _: raised(focal_loss, LOGITS, torch.tensor([1, 4])),
        "A class is empty": lambda _: raised(inverse_frequency, torch.tensor([0, 1, 3])),
    }.items(),
)
def test_the_page_has_the_very_message(tmp_path, section, produce):
    assert produce(tmp_path) == SECTIONS[section]


def test_the_page_has_ten_messages_and_each_is_tested():
    tested = test_the_page_has_the_very_message.pytestmark[0].args[1]
    assert len(SECTIONS) == PAGE.count("\n## ") == 10
    assert [section for section, _ in tested] == list(SECTIONS)
