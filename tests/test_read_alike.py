"""An answer of any readable kind is read at home and by the grader, and alike."""

import json
import sys
from collections import ChainMap, UserDict, UserList, deque
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType

import numpy as np
import pytest
import torch
from exercise_notebooks import ROOT, SLUGS, STUDENT, variables

sys.path.insert(0, str(ROOT / "grading"))
import sandbox_child

ROWS, LABELS = [[3, 0], [0, 1]], [0, 0]
READABLE = {
    "proxy": MappingProxyType({"logits": ROWS, "labels": LABELS}),
    "user dict": UserDict(logits=ROWS, labels=LABELS),
    "chain": ChainMap({"logits": ROWS}, {"labels": LABELS}),
    "decimals": {"logits": [[Decimal(3), 0], [0, 1]], "labels": LABELS},
    "fractions": {"logits": [[Fraction(3), 0], [0, 1]], "labels": LABELS},
    "gamma in a tensor": {"logits": ROWS, "labels": LABELS, "gamma": torch.tensor([2.0])},
    "gamma in an array": {"logits": ROWS, "labels": LABELS, "gamma": np.array([[2.0]])},
    "gamma in a list": {"logits": ROWS, "labels": LABELS, "gamma": [2]},
    "gamma, decimal": {"logits": ROWS, "labels": LABELS, "gamma": Decimal(2)},
    "ranges": {"logits": [range(3, -1, -3), range(2)], "labels": deque(LABELS)},
    "user list": {"logits": UserList(ROWS), "labels": tuple(LABELS)},
    "objects": {"logits": np.array(ROWS, dtype=object), "labels": np.array(LABELS).astype(object)},
    "parameter": {
        "logits": torch.nn.Parameter(torch.tensor(ROWS).double()),
        "labels": torch.zeros(2, dtype=torch.int8),
    },
    "unsigned": {"logits": np.array(ROWS, dtype=np.uint16), "labels": np.array(LABELS, dtype=np.uint64)},
    "half": {"logits": torch.tensor(ROWS, dtype=torch.bfloat16), "labels": [False, False]},
}
UNREADABLE = {
    "huge": {"logits": [[10**30, 0], [0, 1]], "labels": LABELS},
    "huge gamma": {"logits": ROWS, "labels": LABELS, "gamma": 10**400},
    "huge label": {"logits": ROWS, "labels": [0, 10**30]},
    "complex": {"logits": [[3, 0], [0, 1j]], "labels": LABELS},
    "no gamma": {"logits": ROWS, "labels": LABELS, "gamma": []},
    "text": {"logits": [["3", "0"], ["0", "1"]], "labels": LABELS},
    "rows of dicts": {"logits": ROWS, "labels": {0: 0, 1: 0}},
    "map": {"logits": ROWS, "labels": map(int, "00")},
    "bytes": {"logits": ROWS, "labels": b"\0\0"},
    "sparse": {"logits": torch.eye(2).to_sparse(), "labels": LABELS},
}
LETTERS = {
    "keys": {"A": 1, "C": 2}.keys(),
    "deque": deque("AC"),
    "user list": UserList(["A", "C"]),
    "array": np.array(["A", "C"], dtype=object),
    "quoted": "'A', 'C'",
    "in brackets": "[A, C]",
    "marked": "`A`, `C`!",
    "full width": "Ａ、Ｃ",
}


@pytest.fixture(scope="module")
def exercise():
    return variables(STUDENT[SLUGS[0]])["exercise"]


def both(check, answer):
    """What the check says at home, and to what the grader makes of the answer."""
    sent = json.loads(json.dumps(sandbox_child.plain(answer)))
    return check(answer), check(sent)


@pytest.mark.parametrize("name", READABLE)
def test_evidence_of_any_kind_is_read(exercise, name):
    home, grader = both(exercise.check_expose, READABLE[name])
    assert home.ok and grader.ok and home.text == grader.text, (home, grader)


@pytest.mark.parametrize("name", UNREADABLE)
def test_what_is_no_evidence_is_none_for_both(exercise, name):
    home, grader = both(exercise.check_expose, UNREADABLE[name])
    assert not home.ok and not grader.ok and home.sign == grader.sign == "○", (home, grader)


@pytest.mark.parametrize("name", LETTERS)
def test_letters_of_any_kind_are_read(exercise, name):
    home, grader = both(exercise.check_predict, LETTERS[name])
    assert home.ok and grader.ok, (home, grader)
