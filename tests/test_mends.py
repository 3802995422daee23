"""The right code of every exhibit: what its mend makes of the faulty code is right, and solves no exercise."""

import dataclasses
import functools

import pytest
from test_leaks import SOLUTIONS, squeeze

from focal_lib import diagnose
from focal_lib.bugs import CATALOGUE
from focal_lib.lab.museum import faults, right_code

# The mend leaves the smoothing as it was, which makes another loss of it, by default.
SMOOTHED = {"smoothing_inside_p_t": "another loss"}


def verdict_of(bug):
    return diagnose(bug.mended_loss).verdict


@pytest.mark.parametrize("id", CATALOGUE)
def test_a_mended_loss_is_right(id):
    bug = CATALOGUE[id]
    found, before = diagnose(bug.mended_loss), diagnose(bug.loss)
    assert found.verdict == SMOOTHED.get(id, "right"), found
    if id not in SMOOTHED:
        assert bug.exposed_by not in found.violations and set(found.levels.values()) <= {"manners"}
    assert before.stopped or set(found.violations) <= set(before.violations), "the mend breaks what held before"


def test_what_is_told_of_a_smoothing_vanishes_without_it_and_of_its_mend_another_loss_is_left():
    bug = CATALOGUE["smoothing_inside_p_t"]
    told = {*diagnose(bug.loss).explained[bug.id]}
    assert not told & {*diagnose(functools.partial(bug.loss, label_smoothing=0.0)).violations}
    left = told & {*diagnose(bug.mended_loss).violations}
    assert 0 < len(left) < len(told)
    assert bug.fix.startswith("Do not smooth.") and "then it is another loss" in bug.fix


def test_a_spoiled_mend_is_seen():
    bug = CATALOGUE["easy_side_kept"]
    spoiled = dataclasses.replace(bug, mend={"torch.exp(-ce) ** gamma": "torch.exp(-gamma * ce)"})
    assert verdict_of(bug) == "right" and verdict_of(spoiled) == "faulty"


@pytest.mark.parametrize("text", ["no such text", "input"])
def test_a_text_to_mend_stands_in_the_code_once(text):
    bug = dataclasses.replace(CATALOGUE["softmax_twice"], mend={text: ""})
    with pytest.raises(ValueError, match=f"softmax_twice: a text to mend must stand in its code once, got '{text}'"):
        print(bug.mended)


@pytest.mark.parametrize("id", CATALOGUE)
def test_marks_and_diff_are_those_of_the_mend(id):
    bug = CATALOGUE[id]
    lines, diff = bug.code.split("\n"), right_code(bug).split("\n")
    places = faults(bug)
    assert places and all(lines[line][start:end].strip() == lines[line][start:end] != "" for line, start, end in places)
    assert {line for line, *_ in places} == {k for k, line in enumerate(old_lines(diff)) if line.startswith("-")}
    assert [line[1:] for line in diff if line[0] != "-"] == bug.mended.rstrip().split("\n")
    assert not any("  # " in line for line in diff)


def old_lines(diff):
    return [line for line in diff if line[0] != "+"]


def test_marks_are_tokens():
    marked = {id: [bug.code.split("\n")[k][a:b] for k, a, b in faults(bug)] for id, bug in CATALOGUE.items()}
    assert marked["product_instead_of_power"] == ["*"]
    assert marked["softmax_twice"] == [".softmax(1)"]
    assert marked["scalar_alpha"] == ["0.25", "alpha"]
    assert marked["first_rows_upstream"] == ["0"]
    assert marked["alpha_overwritten"] == ["self.", "self."]
    assert marked["mean_before_pt"][0] == "F.cross_entropy(input, target)"  # to which something is only added


@pytest.mark.parametrize("solution", SOLUTIONS, ids=lambda solution: solution.slug)
def test_the_museum_holds_no_solution_of_an_exercise(solution):
    """A right line of it may be one of a solution's, where the words of its fix have said that line all along.

    That such a line is not in the exercise's own notebook, test_leaks sees to.
    """
    for bug in CATALOGUE.values():
        assert not [text for text in solution.anywhere if text in squeeze(bug.mended)], bug.id
        right = {squeeze(line[1:]) for line in right_code(bug).split("\n") if line[0] == "+"}
        assert all(line in squeeze(bug.fix) for line in right & solution.own), bug.id
