"""What goes back to a student: a page of their own, with questions from their own code."""

import re
import sys
from pathlib import Path

import pytest
from exercise_notebooks import ROOT, SLUGS

sys.path.insert(0, str(ROOT / "grading"))
import feedback
import grade
import results
import talk
from test_leaks import SOLUTIONS, leaks_in

EVIL = "<script>alert(1)</script>\x1b\" onload='x'"


def result(status="graded", **more):
    parts = {"predict": [1, "Right. A: 3."], "expose": [0, "nothing was answered."], "fix": [0, "No. Proof: got 1."]}
    return {"exercise": SLUGS[0], "parts": parts, "status": status, "seconds": 1.0} | more


def pages(folder, *submissions, exercises=()):
    handed_in = [(name, Path(f"{k}.ipynb"), one) for k, (name, one) in enumerate(submissions)]
    names = feedback.write_feedback(list(results.all_students(handed_in, exercises)), folder)
    assert sorted(path.name for path in folder.iterdir()) == names
    return [(folder / name).read_text() for name in names]


def test_whatever_a_student_wrote_is_escaped_everywhere(tmp_path):
    bad = result(
        parts={"fix": [0, f"{EVIL} Proof: {EVIL}"], "expose": [0, EVIL]},
        answers={"fix": EVIL, "expose": {"logits": [EVIL]}, "predict": EVIL},
        questions=[EVIL, EVIL, EVIL],
        hint={"fix": EVIL},
    )
    first, second = pages(tmp_path, (f"../{EVIL}", bad), ("ann", result(f"could not grade: {EVIL}")))
    for text in (first, second):
        assert "<script" not in text and "&lt;script&gt;" in text and "\x1b" not in text
        assert not re.search(r"<[^>]*onload='x", text) and "&#x27;x&#x27;" in text


def test_a_page_needs_nothing_from_elsewhere_and_suits_dark_rooms_and_paper(tmp_path):
    (text,) = pages(tmp_path, ("ann", result()))
    assert not re.search(r"<script|<link|src=|@import|url\(|https?:", text)
    assert "prefers-color-scheme: dark" in text and "@media print" in text and 'name="viewport"' in text


def test_the_page_says_what_was_found_and_shows_the_counter_example_by_itself(tmp_path):
    (text,) = pages(tmp_path, ("ann", result(hint={"expose": "Look at `two` rows."})), exercises=SLUGS[:2])
    assert re.search(r'Predict <span class="yes">✓ found', text) and re.search(r'Fix <span class="no">✗ not yet', text)
    assert "<pre>got 1.</pre>" in text and "The next hint (expose).</b> Look at two rows." in text
    assert "1 of 6 points" in text and "Not handed in: 0 of 3 points." in text


def test_pages_of_students_who_left_go(tmp_path):
    pages(tmp_path, ("ann", result()), ("bob", result()))
    assert len(pages(tmp_path, ("bob", result()))) == 1


# --- three questions from their own code ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def task():
    return grade.the_exercise(SLUGS[0])


def asked(task, answers, *found):
    return talk.questions(task.exercise, answers, task.sources, set(found))


def test_the_questions_are_about_the_students_own_rows_line_and_letter(task):
    fix = (
        "# mine\ndef fixed_loss(logits, labels, gamma=2.0, reduction='mean'):\n    nll = F.cross_entropy(logits, "
        "labels)  # -log p_t\n    mine = nll.exp()\n    return mine"
    )
    evidence = {"logits": [[3.0, 0.0], [0.0, 1.5]], "labels": [0, 1]}
    rows, code, letter = asked(task, {"predict": "bd", "expose": evidence, "fix": fix}, "expose")
    assert "[3, 0] with label 0 and [0, 1.5] with label 1" in rows and "Which of your 2 rows proves it?" in rows
    assert code.startswith("You wrote: mine = nll.exp() ") and "expect" in code
    assert letter.startswith("You chose B:") and "gamma = 0" in letter


def test_there_are_three_questions_whatever_was_handed_in(task):
    odd = [{}, {"expose": "none", "fix": "def (", "predict": "none"}, {"expose": {"logits": 3, "labels": None}}]
    odd += [{"expose": {"logits": [[10**400, float("nan")]], "labels": 1}, "fix": "x = " + "(" * 900, "predict": ""}]
    odd += [{"expose": [[1]], "fix": "", "predict": 3}, {"expose": {"logits": "ab", "labels": "cd"}}]
    for answers in odd:
        for found in ((), ("predict", "expose", "fix")):
            questions = asked(task, answers, *found)
            assert len(questions) == 3 and all(q.endswith("?") and len(q) < 500 for q in questions)


@pytest.mark.parametrize("slug", SLUGS)
def test_the_next_hint_belongs_to_the_first_part_that_is_missing(slug):
    sources = grade.the_exercise(slug).sources
    told = [
        talk.hint(sources, dict(zip(results.PARTS, right, strict=True))) for right in ((0, 0, 0), (1, 0, 1), (1, 1, 0))
    ]
    assert [list(one) for one in told] == [["predict"], ["expose"], ["fix"]]
    assert len({text for one in told for text in one.values()}) == 3
    assert talk.hint(sources, dict.fromkeys(results.PARTS, True)) == {}


def test_a_hint_is_words_on_a_page_that_sets_no_formulas():
    text = feedback.plain(r"Take `a` and $-\log p_t$ at $x^{0.5}$: that *is* $1 - p$, **kw and a * b * c stay.")
    assert text == "Take a and -log p_t at x^0.5: that is 1 - p, **kw and a * b * c stay."
    for slug in SLUGS:
        for found in talk.HINT.findall("\n".join(grade.the_exercise(slug).sources)):
            assert not set("$`\\") & set(feedback.plain(found)), (slug, found)


@pytest.mark.parametrize("slug", SLUGS)
def test_no_solution_is_on_the_page_of_a_student_who_found_nothing(slug, tmp_path):
    task = grade.the_exercise(slug)
    right = dict.fromkeys(results.PARTS, False)
    one = result(exercise=slug, questions=asked(task, {}), hint=talk.hint(task.sources, right))
    pages(tmp_path, (slug, one | {"parts": {part: [0, "nothing was answered."] for part in right}}))
    (path,) = tmp_path.iterdir()
    assert SOLUTIONS and list(leaks_in(path)) == []
