"""What pages know of the museum's bugs before a reader comes: worked out by the small torch when the book is built."""

import importlib.util
import json

import torch

from book._ext.bench import python_files
from focal_lib.bugs import CATALOGUE
from focal_lib.diagnosis import diagnose, suspects

FILES = python_files()
KNOWN = json.loads(FILES["known.json"])
SECOND = "second_derivative_is_right_or_refused"


def page_python(folder):
    """bench.py as it lies in a page, beside what it knows."""
    for name in ("bench.py", "known.json"):
        (folder / name).write_bytes(FILES[name])
    spec = importlib.util.spec_from_file_location("page_bench", folder / "bench.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def causes():
    """Of each bug, but for second derivatives, which the small torch does not have."""
    found = {id: diagnose(bug.loss) for id, bug in CATALOGUE.items()}
    told = {id: {bug: {*names} - {SECOND} for bug, names in one.explained.items()} for id, one in found.items()}
    return {id: (one.suspects, told[id], one.nearest, one.relative, one.verdict) for id, one in found.items()}


def test_what_is_known_changes_no_cause(tmp_path, monkeypatch):
    """All bugs, diagnosed by the real torch with what it works out itself, and with what the pages are given."""
    expected = causes()
    monkeypatch.setattr(suspects, "_bug_result_of", suspects._bug_result_of)  # put back afterwards
    page_python(tmp_path).remember()
    monkeypatch.setattr(suspects, "_bug_adapter", None)  # nothing is worked out any more
    assert causes() == expected
    assert set(KNOWN) == set(CATALOGUE) and all(KNOWN.values())


def test_what_is_not_known_is_worked_out(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(suspects, "_bug_result_of", lambda *given: asked.append(given))
    page_python(tmp_path).remember()
    id = next(iter(KNOWN))
    name = next(iter(KNOWN[id]))
    assert suspects._bug_result(id, name, 0, torch.float64).got == tuple(KNOWN[id][name])
    assert suspects._bug_result(id, "none such", 0, torch.float64) is None and asked == []
    suspects._bug_result(id, name, 0, torch.float32)
    suspects._bug_result(id, name, 7, torch.float64)
    assert [given[2:] for given in asked] == [(0, torch.float32, None), (7, torch.float64, None)]


def test_without_it_a_page_works_all_out(tmp_path, monkeypatch):
    before = suspects._bug_result_of
    module = page_python(tmp_path)
    (tmp_path / "known.json").unlink()
    module.remember()
    assert suspects._bug_result_of is before
