"""What all tests need before the first begins, and which run in one process so that what they share is made once."""

import os
import re

import pytest
import torch

# Without a GPU, test_cuda.py has Triton's interpreter run the kernel. Triton looks at this when it is first imported,
# and other tests import it as well.
if not torch.cuda.is_available():
    os.environ["TRITON_INTERPRET"] = "1"

FILES = ("test_grading.py", "test_lab.py", "test_paper.py")  # they grade a class, start JupyterLab, print the book
ENGINE = re.compile(r"[\[-](chromium|firefox|webkit)[\]-]")


def group(id):
    """The name of the process's work that a test belongs to: its file, its engine, or itself."""
    file = id.partition("::")[0].rpartition("/")[2]
    engine = ENGINE.search(id)
    return file if file in FILES else engine[1] if engine else id


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """The marks of pytest-xdist 3.8 for groups have no effect with pytest 9.2."""
    if config.getvalue("dist") != "loadgroup":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class OneProcessEach(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return group(nodeid)

    return OneProcessEach(config, log)
