"""Each test that the accessibility page names is there."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_each_named_test_is_there():
    named = re.findall(r"`(tests/[\w/.]+)`", (ROOT / "book" / "accessibility.md").read_text("utf-8"))
    assert len(named) >= 9
    for path in named:
        assert "def test_" in (ROOT / path).read_text("utf-8"), path
