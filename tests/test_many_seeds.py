"""What the scripts of the text and the detection chapter share: runs in order, a stop that can be resumed, one file."""

import time
from types import SimpleNamespace

import pytest
from joblib import Memory

from experiments.many_seeds import best_rates, finished, options, run_all


def square(x, y):
    return x * x + y


def test_runs_come_in_order_and_a_stopped_script_goes_on(tmp_path):
    cached = Memory(tmp_path, verbose=0).cache(square)
    work = [(x, 1) for x in range(5)]
    late, in_time = (SimpleNamespace(jobs=1, until=time.monotonic() + wait) for wait in (-1, 600))
    cached(0, 1)
    with pytest.raises(SystemExit, match="1 of 5 runs are done; run again to go on"):
        run_all(cached, work, late)
    assert run_all(cached, work, in_time) == [1, 2, 5, 10, 17]
    assert run_all(cached, work, late) == [1, 2, 5, 10, 17]  # all of it is there


def test_the_same_rows_give_the_same_bytes(tmp_path):
    files = [tmp_path / folder / "runs.csv.gz" for folder in ("first", "second")]
    for file in files:
        file.parent.mkdir()
        finished([(1, 0.5), (2, 0.25)], ["seed", "value"], file)
    assert files[0].read_bytes() == files[1].read_bytes()


def test_no_seeds_get_one_sentence(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr("sys.argv", ["text.py", "--seeds", "0"])
    with pytest.raises(SystemExit):
        options("what it does", tmp_path, {"losses": 10})
    assert "--seeds must be at least 1, got 0." in capsys.readouterr().err


def test_a_part_has_its_own_number_of_seeds(monkeypatch, tmp_path):
    parts = {"losses": 10, "own": 6}
    for line, expected in (([], parts), (["--part", "own"], {"own": 6}), (["--seeds", "2"], dict.fromkeys(parts, 2))):
        monkeypatch.setattr("sys.argv", ["text.py", *line])
        assert options("what it does", tmp_path, parts).parts == expected


def test_each_loss_gets_the_rate_that_is_best_on_the_tuning_seeds():
    columns = ["loss", "rate", "seed", "metric", "value"]
    values = {("a", 0.1): (0.2, 0.4), ("a", 0.2): (0.5, 0.0), ("b", 0.1): (0.1, 0.1), ("b", 0.2): (0.3, 0.2)}
    rows = [(*key, seed, "f1", value) for key, two in values.items() for seed, value in enumerate(two)]
    rows += [("a", 0.2, 0, "other", 9.0)]
    assert best_rates(rows, columns, ["loss"], "f1") == {"a": 0.1, "b": 0.2}
