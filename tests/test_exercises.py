"""The exercises: stubs fail, solutions pass, and wrong answers are told why."""

import functools
import json
import math
import re
import stat
import subprocess
import sys

import nbformat
import pytest
import torch
import torch.nn.functional as F
from exercise_notebooks import (
    MASTER,
    ROOT,
    SLUGS,
    STUDENT,
    STUDENTS,
    answers,
    code_cells,
    focus,
    nll_of,
    reduced,
    variables,
)
from setup_cell import SETUP_CELL
from torch import nn

from focal_lib import FocalLoss, focal_loss, sigmoid_focal_loss
from focal_lib.exercises import TOTAL, Exercise, Feedback, one_of, shuffled
from focal_lib.exercises.binary import BinaryDiagnosis
from focal_lib.exercises.progress import PARTS, PROGRESS_FILE


def check(exercise, part, answer, **options):
    return getattr(exercise, f"check_{part}")(answer, **options)


# --- the ladder ----------------------------------------------------------------------------------------------------


def test_there_are_as_many_as_promised():
    assert len(SLUGS) == TOTAL >= 10, "ORIGINALS in focal_lib/exercises/originals.py has a line for each exercise"
    assert set(STUDENT) == set(MASTER), "make editions"
    for page in ("_toc.yml", "book/exercises.md"):
        named = re.findall(r"notebooks/exercises/(\w+)", (ROOT / page).read_text("utf-8"))
        assert list(dict.fromkeys(named)) == SLUGS, f"{page} names each exercise, in order"


@pytest.mark.parametrize("slug", SLUGS)
def test_each_step_has_its_heading(slug):
    headings = re.findall(r"^## (.*)$", "\n".join(cell.source for cell in nbformat.read(STUDENT[slug], 4).cells), re.M)
    assert headings == ["Predict", "Expose", "Fix", "Hints"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("slug", SLUGS)
def test_stub_fails_and_solution_passes(slug, part):
    stub, solution = variables(STUDENT[slug]), variables(MASTER[slug])
    exercise = stub["exercise"]
    said = check(exercise, part, answers(stub)[part])
    assert not said.ok and said.sign == "○"  # not wrong: not yet
    assert check(exercise, part, answers(solution)[part]).ok


@pytest.mark.parametrize("slug", SLUGS)
def test_solutions_pass_on_other_random_cases(slug):
    solution = variables(MASTER[slug])
    assert all(check(solution["exercise"], "fix", answers(solution)["fix"], seed=seed).ok for seed in (1, 2))


def test_one_has_no_bug_one_has_two_and_the_rest_have_one():
    exercises = {slug: variables(MASTER[slug])["exercise"] for slug in SLUGS}
    assert [slug for slug, exercise in exercises.items() if exercise.before.ok] == ["06_suspicious_names"]
    two = exercises["11_two_at_once"].before
    assert two.suspects[0] == "detached_focus" and "weight of the class that is predicted" in two.mistake[0]


def test_both_directions_occur():
    by_letter = {slug: variables(MASTER[slug])["exercise"].options for slug in SLUGS}
    kinds = {slug: {callable(option) for option in options.values()} for slug, options in by_letter.items()}
    assert kinds["01_one_number"] == {False} and kinds["10_wrong_side"] == kinds["03_exponent"] == {True}


# --- feedback ------------------------------------------------------------------------------------------------------


def naive_power(logits, labels, gamma=2.0, reduction="mean"):
    nll = nll_of(logits, labels)
    return reduced((1 - torch.exp(-nll)) ** gamma * nll, reduction)


def clamped(logits, labels, gamma=2.0, reduction="mean"):
    p_t = torch.exp(-nll_of(logits, labels)).clamp(1e-6, 1 - 1e-6)
    return reduced((1 - p_t) ** gamma * -torch.log(p_t), reduction)


def by_label(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    nll = nll_of(logits, labels)
    return reduced((1.0 if alpha is None else alpha[labels]) * focus(nll, gamma) * nll, reduction)


def without_none(logits, labels, alpha=0.25, gamma=2.0, reduction="mean"):
    nll = nll_of(logits, labels)
    return reduced(alpha[labels] * focus(nll, gamma) * nll, reduction)


def twice_weighted(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    nll, weighted = nll_of(logits, labels), F.cross_entropy(logits, labels, alpha, reduction="none")
    return reduced((1.0 if alpha is None else alpha[labels]) * focus(nll, gamma) * weighted, reduction)


def in_the_exponent(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, weight=alpha, reduction="none")
    return reduced(focus(nll, gamma) * nll, reduction)


def also_in_the_exponent(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    weighted = F.cross_entropy(logits, labels, weight=alpha, reduction="none")
    p_t = torch.exp(-weighted)
    return reduced((1 - p_t).clamp_min(1e-30) ** gamma * weighted, reduction)


def passed_on(logits, labels, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, reduction=reduction)
    return focus(nll, gamma) * nll


def picked_by_gather(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    nll, alpha = nll_of(logits, labels), torch.ones(logits.shape[1]) if alpha is None else alpha
    return reduced(alpha.gather(0, labels) * focus(nll, gamma) * nll, reduction)


def without_alpha(logits, labels, gamma=2.0, reduction="mean"):
    nll = nll_of(logits, labels)
    return reduced(focus(nll, gamma) * nll, reduction)


def still_detached(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    nll = nll_of(logits, labels)
    return reduced(focus(nll, gamma).detach() * F.cross_entropy(logits, labels, alpha, reduction="none"), reduction)


def dropped_rows(logits, labels, gamma=2.0, ignore_index=-100, reduction="mean"):
    nll = F.cross_entropy(logits, labels, ignore_index=-100, reduction="none")
    loss = focus(nll, gamma) * nll
    return loss.sum() / (labels != -100).sum() if reduction == "mean" else reduced(loss, reduction)


def sides_swapped(logits, labels, alpha=0.25, gamma=2.0, reduction="mean"):
    nll = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return reduced((alpha * (1 - labels) + (1 - alpha) * labels) * focus(nll, gamma) * nll, reduction)


def takes_nothing():
    return torch.zeros(())


def nothing(logits, labels, **settings):
    return None


class TrainedWeights(nn.Module):
    def __init__(self, alpha=None, gamma=2.0, reduction="mean"):
        super().__init__()
        self.alpha = None if alpha is None else nn.Parameter(alpha.clone())
        self.gamma, self.reduction = gamma, reduction

    def forward(self, logits, labels):
        nll, weighted = nll_of(logits, labels), F.cross_entropy(logits, labels, self.alpha, reduction="none")
        return reduced(focus(nll, self.gamma) * weighted, self.reduction)


class PlainAttribute(TrainedWeights):
    def __init__(self, alpha=None, gamma=2.0, reduction="mean"):
        nn.Module.__init__(self)
        self.alpha, self.gamma, self.reduction = alpha, gamma, reduction


class Frozen(PlainAttribute):
    def __init__(self, alpha=None, gamma=2.0, reduction="mean"):
        super().__init__(None, gamma, reduction)
        self.alpha = None if alpha is None else nn.Parameter(alpha.clone(), requires_grad=False)


class LeftOnTheCPU(PlainAttribute):
    def __init__(self, alpha=None, gamma=2.0, reduction="mean"):
        super().__init__(None, gamma, reduction)
        self.weights = None if alpha is None else alpha.tolist()

    def forward(self, logits, labels):
        self.alpha = None if self.weights is None else torch.tensor(self.weights, dtype=logits.dtype)
        return super().forward(logits, labels)


def over_the_last_axis(logits, labels, gamma=2.0, reduction="mean"):
    nll = F.nll_loss(F.log_softmax(logits, dim=-1), labels, reduction="none")
    return reduced(focus(nll, gamma) * nll, reduction)


@pytest.mark.parametrize("slug", SLUGS)
def test_who_pastes_the_example_of_the_format_gets_no_tick(slug):
    exercise = variables(STUDENT[slug])["exercise"]
    example = re.search(r"\{.*\}", exercise.check_expose(...).text)[0]
    assert not exercise.check_expose(eval(example)).ok


def borrows_sums(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    return focal_loss(logits, labels, alpha, gamma, reduction=reduction) if reduction == "sum" else logits.sum()


def in_blocks_of(size, together=torch.mean):
    def loss(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
        rows = [
            by_label(*pair, alpha, gamma, "none") for pair in zip(logits.split(size), labels.split(size), strict=True)
        ]
        return (
            together(torch.stack([r.mean() for r in rows]))
            if reduction == "mean"
            else reduced(torch.cat(rows), reduction)
        )

    return loss


WRONG_FIXES = [  # a fix that newcomers write, and what it must be told
    ("01_one_number", passed_on, "One fault is mended, not all. It breaks this: gamma may be any number from 0 up"),
    ("02_idle_alpha", without_none, "fails on logits and labels alone"),
    ("02_idle_alpha", without_alpha, "can do less than the code under review: it has no argument for alpha"),
    ("02_idle_alpha", in_the_exponent, "mended one fault and made another. Class weights inside the exponent"),
    ("03_exponent", twice_weighted, "mended one fault and made another. Class weights applied twice"),
    ("03_exponent", also_in_the_exponent, "The first fault is still there."),
    ("03_exponent", picked_by_gather, "can do less than the code under review: it refuses input of shape (N, C, H, W)"),
    ("04_two_sides", sides_swapped, "positives are 3 times what they should be, negatives 0.333 times"),
    (
        "14_a_thousand_noes",
        sides_swapped,
        "made another. Proof: alpha 0.25, gamma 2, reduction none: positives are 3",
    ),
    ("05_left_behind", TrainedWeights, "an optimizer that gets hold of it trains it"),
    ("05_left_behind", PlainAttribute, "neither buffer nor parameter: after .to(device) it is where it was"),
    ("05_left_behind", LeftOnTheCPU, "On another device it fails, with weights and batch moved there: RuntimeError"),
    ("07_the_table", twice_weighted, "mended one fault and made another. Class weights applied twice"),
    ("07_the_table", in_the_exponent, "mended one fault and made another. Class weights inside the exponent"),
    ("08_certain", clamped, "mended one fault and made another. Clamping kills the gradient of the worst mistakes"),
    ("09_nobody_asked", dropped_rows, "The first fault is still there"),
    ("10_wrong_side", without_alpha, "can do less than the code under review"),
    ("11_two_at_once", still_detached, "One fault is mended, not all. It breaks this: The gradient is the slope"),
    ("12_review", takes_nothing, "could not be tested, because it raised TypeError"),
    ("12_review", nothing, "fails on logits and labels alone"),
    ("12_review", focal_loss, "the library's own loss"),
    ("05_left_behind", FocalLoss, "the library's own loss"),
    ("12_review", lambda logits, labels, **settings: focal_loss(logits, labels, **settings), "the library's own loss"),
    ("05_left_behind", type("Mine", (FocalLoss,), {}), "the library's own loss"),
    ("14_a_thousand_noes", functools.partial(sigmoid_focal_loss), "the library's own loss"),
    ("02_idle_alpha", lambda logits, labels, alpha: focal_loss(logits, labels, alpha), "the library's own loss"),
    ("07_the_table", borrows_sums, "the library's own loss"),
    ("12_review", 3, "A fix is a loss to call; got int."),
    ("16_block_by_block", in_blocks_of(64), "The first fault is still there."),
    ("16_block_by_block", in_blocks_of(4, lambda means: means.sum()), "This breaks something new"),
]


@pytest.mark.parametrize(("slug", "loss", "words"), WRONG_FIXES)
def test_a_wrong_fix_is_told_why(slug, loss, words):
    feedback = variables(STUDENT[slug])["exercise"].check_fix(loss)
    assert not feedback.ok and words in feedback.text, feedback


def test_a_p_t_that_is_wrong_on_the_other_side_is_another_fault():
    given = variables(STUDENT["14_a_thousand_noes"])
    feedback = given["exercise"].check_fix(given["turned_round"])
    words = "mended one fault and made another. Proof: alpha 0.25, gamma 2, reduction none: positives are"
    assert not feedback.ok and words in feedback.text, feedback


def test_a_binary_fix_that_is_not_finite_for_certain_answers_is_right_with_a_remark():
    def naive(logits, labels, alpha=0.25, gamma=2.0, reduction="mean"):
        p = torch.sigmoid(logits)
        p_t = p * labels + (1 - p) * (1 - labels)
        nll = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        side = alpha * labels + (1 - alpha) * (1 - labels)
        return reduced(side * (1 - p_t) ** gamma * nll, reduction)

    exercise = variables(STUDENT["14_a_thousand_noes"])["exercise"]
    feedback = exercise.check_fix(naive)
    words = (
        "A remark, nothing that you must mend: for logits [50, -50], labels [1, 0] and gamma 0.5 its gradient is [nan"
    )
    assert feedback.ok and words in feedback.text, feedback
    assert BinaryDiagnosis(sigmoid_focal_loss).ok


def test_another_right_way_is_right_with_a_remark():
    """Indexing by the label is what most people write; it overlooks a weight too many, which is no reason to fail."""
    for slug in ("02_idle_alpha", "03_exponent", "07_the_table", "10_wrong_side", "11_two_at_once", "12_review"):
        feedback = variables(STUDENT[slug])["exercise"].check_fix(by_label)
        assert (
            feedback.ok
            and "A remark, nothing that you must mend: 4 weights for 3 classes were accepted" in feedback.text
        ), feedback


def test_weights_in_a_frozen_parameter_are_moved_and_not_trained():
    assert variables(STUDENT["05_left_behind"])["exercise"].check_fix(Frozen).ok


@pytest.mark.parametrize("slug", SLUGS)
def test_an_untouched_fix_gives_nothing_away(slug):
    stub = variables(STUDENT[slug])
    feedback = stub["exercise"].check_fix(answers(stub)["fix"])
    assert not feedback.ok and not any(word in feedback.text for word in ("Proof", "breaks", "fault")), feedback


def test_the_bug_is_named_once_it_is_mended():
    for slug, title in (
        ("01_one_number", "One p_t for the whole batch"),
        ("12_review", "It was: Softmax twice"),
        ("13_in_company", "What was wrong: its softmax is over the rows of the batch"),
    ):
        solution = variables(MASTER[slug])
        said = check(solution["exercise"], "fix", answers(solution)["fix"]).text
        assert title in said and "reduce=" not in said  # an argument that neither of them has


ORDINARY = {"logits": [[1.0, 0.0], [0.0, 1.0]], "labels": [0, 1]}
IN_ORDER = {"logits": [[1.0, 0.0], [0.0, 1.0]], "labels": [0, 1], "alpha": [1.0, 4.0]}
WRONG_EVIDENCE = [
    ("01_one_number", {"logits": [[1.0, 0.0]], "labels": [0]}, "one example only"),
    ("01_one_number", {"logits": [[1.0, 0.0]] * 2, "labels": [0, 0]}, "the same loss for every example"),
    ("01_one_number", {**ORDINARY, "gamma": 0.0}, "focusing switched off, by gamma 0"),
    ("02_idle_alpha", IN_ORDER, "its labels in the order of the classes"),
    ("02_idle_alpha", {**ORDINARY, "alpha": 0.5}, "A right loss refuses this input"),
    ("03_exponent", ORDINARY, "no alpha"),
    ("03_exponent", {**ORDINARY, "alpha": [1.0, 1.0]}, "the same alpha for every class"),
    ("03_exponent", {**ORDINARY, "labels": [0, 0], "alpha": [1.0, 4.0]}, "no example whose class has a weight other"),
    ("04_two_sides", {"logits": [0.0], "labels": [1.0]}, "positives only"),
    ("05_left_behind", {**ORDINARY, "alpha": [1.0, 4.0]}, "everything on the CPU"),
    ("05_left_behind", {**ORDINARY, "device": "cuda"}, '"device" is "cpu" or "meta"'),
    ("06_suspicious_names", ORDINARY, "so this proves nothing"),
    ("08_certain", {**ORDINARY, "gamma": 0.5}, "no example that the model is certain of"),
    ("08_certain", {"logits": [[50.0, 0.0]], "labels": [0]}, "gamma 2"),
    ("07_the_table", {**ORDINARY, "labels": [1, 1], "alpha": [1.0, 4.0]}, "one class only among its labels"),
    ("09_nobody_asked", ORDINARY, "no ignored label"),
    ("09_nobody_asked", {**ORDINARY, "labels": [7, 7], "ignore_index": 7}, "no label that counts"),
    ("09_nobody_asked", {"logits": torch.zeros(0, 2), "labels": []}, "It needs at least one example."),
    ("06_suspicious_names", {**ORDINARY, "labels": [0, -100]}, "The code under review ignores no labels"),
    ("01_one_number", "none", "There is an input that exposes this code"),
    ("01_one_number", [1, 2], "Evidence is a dict such as"),
    ("01_one_number", {"logits": [[1.0, 0.0]]}, "It lacks 'labels'."),
    ("01_one_number", {**ORDINARY, "size": 3}, "It has no 'size'"),
    ("01_one_number", {**ORDINARY, "alpha": [1.0, 2.0]}, "The code under review has no alpha."),
    ("01_one_number", {"logits": [[1.0], [1.0, 2.0]], "labels": [0, 1]}, "Evidence is a dict such as"),
    ("01_one_number", {"logits": [[0.0] * 20_000], "labels": [0]}, "At most 10000 logits; got 20000."),
    ("01_one_number", {"logits": [[1.0, 0.0]], "labels": [7]}, "A right loss refuses this input"),
    ("01_one_number", {"logits": [[10**400, 0.0]], "labels": [0]}, "Evidence is a dict such as"),
    ("01_one_number", {"logits": [[math.nan, 0.0]], "labels": [0]}, "The logits must be finite."),
    (
        "01_one_number",
        {"logits": torch.tensor([[1e300, 0.0]], dtype=torch.float64), "labels": [0]},
        "The logits must be finite.",
    ),
    ("01_one_number", {"logits": None, "labels": None}, "It lacks 'labels'."),
    (
        "01_one_number",
        {"logits": torch.zeros(1, 2, device="meta"), "labels": [0]},
        "It needs lists of numbers",
    ),
    ("01_one_number", {"logits": torch.zeros(1, 2).to_sparse(), "labels": [0]}, "It needs lists of numbers"),
    (
        "01_one_number",
        {"logits": [[1.0, 0.0]], "labels": [0.7]},
        "Labels are class numbers",
    ),
    ("13_in_company", {"logits": [[5.0, 0.0]], "labels": [0]}, "too little apart to prove anything"),
    ("14_a_thousand_noes", {"logits": [-12.0], "labels": [0.0]}, "too little apart to prove anything"),
]


@pytest.mark.parametrize(("slug", "evidence", "words"), WRONG_EVIDENCE)
def test_wrong_evidence_is_told_why(slug, evidence, words):
    feedback = variables(STUDENT[slug])["exercise"].check_expose(evidence)
    assert not feedback.ok and words in feedback.text, feedback


WRONG_PREDICTIONS = [
    ("01_one_number", "B", "Not B. This holds here, on every case tried: At gamma = 0, focal loss is cross-entropy."),
    ("01_one_number", "A", "Right so far; 1 missing."),
    ("01_one_number", "none", "Something does break."),
    ("01_one_number", "X", "from A, B, C, D; got 'X'"),
    ("01_one_number", "", "An answer is letters"),
    ("01_one_number", 3, "An answer is letters"),
    ("03_exponent", "B", "Not B. For logits"),
    ("03_exponent", "none", "It is one of A, B, C"),
    ("03_exponent", "X", 'An answer is a letter such as "A", from A, B'),
    ("06_suspicious_names", "A", "Not A. This holds here"),
]


@pytest.mark.parametrize(("slug", "prediction", "words"), WRONG_PREDICTIONS)
def test_a_wrong_prediction_is_told_why(slug, prediction, words):
    feedback = variables(STUDENT[slug])["exercise"].check_predict(prediction)
    assert not feedback.ok and words in feedback.text, feedback


def test_letters_may_be_written_in_any_way():
    exercise = variables(STUDENT["01_one_number"])["exercise"]
    assert all(exercise.check_predict(answer).ok for answer in ("AC", "ca", "A, C"))


def test_a_property_that_cannot_be_tested_is_not_said_to_hold():
    exercise = Exercise("x", without_alpha, A="alpha_scales_its_class")
    assert exercise.check_predict("A").text.startswith("Not A. That cannot be tested here")


def test_letters_depend_on_the_slug_alone():
    losses = [naive_power, clamped, by_label, nothing]
    assert shuffled("a", losses) == shuffled("a", losses) and one_of("a", losses) is one_of("a", losses)
    assert len({tuple(shuffled(str(k), losses).values()) for k in range(9)}) > 1
    assert len({one_of(str(k), losses) for k in range(9)}) > 1


def test_the_teaching_page_quotes_what_the_checks_really_say():
    page = (ROOT / "book" / "teaching.md").read_text().split("## Common wrong answers")[1]
    quotes = re.findall(r'\| "([^"]*)" \|$', page, re.M)
    exercise = {slug: variables(STUDENT[slug])["exercise"] for slug in SLUGS}
    said = [exercise[slug].check_fix(answer).text for slug, answer, _ in WRONG_FIXES]
    said += [exercise[slug].check_expose(answer).text for slug, answer, _ in WRONG_EVIDENCE]
    said += [exercise[slug].check_predict(answer).text for slug, answer, _ in WRONG_PREDICTIONS]
    assert len(quotes) >= 15 and [quote for quote in quotes if not any(quote in text for text in said)] == []


# --- numbers in the prose ------------------------------------------------------------------------------------------


def test_softmax_twice_has_the_floor_that_exercise_12_names():
    floor = variables(STUDENT["12_review"])["team_loss"](torch.tensor([[100.0, 0.0]]), torch.tensor([0]))
    assert 0.022 < floor < 0.023


def test_exercise_3_a_weight_of_4_acts_like_more_than_40():
    team_loss = variables(STUDENT["03_exponent"])["team_loss"]
    easy = torch.tensor([[0.0, 4.0]]), torch.tensor([1])
    four, one = (team_loss(*easy, torch.tensor([1.0, weight])) for weight in (4.0, 1.0))
    assert four / one > 40


def test_the_numbers_on_the_handout():
    p = torch.tensor([0.9, 0.298, 0.297], dtype=torch.float64)
    slope = (1 - p) ** 2 - 2 * p * (1 - p) * p.log()  # of the focal loss, relative to cross-entropy's, at gamma = 2
    assert round(float((1 - p[0]) ** -2)) == 100 and int(1 / slope[0]) == 34 and slope[1] < 1 < slope[2]


# --- progress ------------------------------------------------------------------------------------------------------


@pytest.fixture
def solved():
    return variables(MASTER["01_one_number"])


def test_progress_survives_a_restart_and_stays_in_the_folder(tmp_path, monkeypatch, solved):
    home, here = tmp_path / "home", tmp_path / "notebooks"
    home.mkdir()
    here.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(here)
    exercise = solved["exercise"]
    assert f"predict ○, expose ○, fix ○. 0 of {TOTAL} found." in repr(exercise.progress())
    assert not list(here.iterdir())
    for part in ("fix", "expose"):
        assert getattr(exercise, part)(answers(solved)[part]).ok
    assert not exercise.predict("B").ok
    code = (
        "from focal_lib.exercises import Exercise\n"
        "from focal_lib.bugs import CATALOGUE\n"
        "exercise = Exercise('01_one_number', CATALOGUE['mean_before_pt'].loss, A='is_shift_invariant')\n"
        "exercise.edited = False; print(exercise.progress())\n"
        "exercise.predict('none'); print(exercise.progress())"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, encoding="utf-8")
    assert f"predict ○, expose ✓, fix ✓. 0 of {TOTAL} found." in out.stdout
    assert f"predict ✓, expose ✓, fix ✓. 1 of {TOTAL} found." in out.stdout
    assert [path.name for path in here.iterdir()] == [PROGRESS_FILE] and not list(home.iterdir())


@pytest.mark.parametrize("damage", ["{", "[]", '{"01_one_number": 3}', '{"01_one_number": ["won"]}'])
def test_a_damaged_progress_file_is_named_and_kept(tmp_path, monkeypatch, solved, damage):
    monkeypatch.chdir(tmp_path)
    (tmp_path / PROGRESS_FILE).write_text(damage)
    feedback = solved["exercise"].predict(answers(solved)["predict"])
    assert feedback.ok and f"{PROGRESS_FILE} is damaged; delete it to start anew." in feedback.text
    assert "is damaged" in repr(solved["exercise"].progress())
    assert (tmp_path / PROGRESS_FILE).read_text() == damage


def test_a_folder_that_cannot_be_written_does_not_stop_the_feedback(tmp_path, monkeypatch, solved):
    monkeypatch.chdir(tmp_path)
    (tmp_path / (PROGRESS_FILE + ".new")).mkdir()  # root may write into folders without permission to write
    feedback = solved["exercise"].predict(answers(solved)["predict"])
    assert feedback.ok and "Progress was not saved" in feedback.text


def test_all_found(tmp_path, monkeypatch, solved):
    monkeypatch.chdir(tmp_path)
    (tmp_path / PROGRESS_FILE).write_text(json.dumps({slug: list(PARTS) for slug in SLUGS}))
    assert solved["exercise"].progress().ok and f"{TOTAL} of {TOTAL} found" in repr(solved["exercise"].progress())


def test_feedback_shows_its_verdict():
    assert repr(Feedback(True, "Yes.")) == "✓ Yes." and repr(Feedback(False, "No.")) == "✗ No."


# --- the student notebooks -----------------------------------------------------------------------------------------


@pytest.fixture(params=STUDENTS, ids=lambda path: path.stem)
def path(request):
    return request.param


def test_first_screen(path):
    first = nbformat.read(path, as_version=4).cells[0].source
    assert first.startswith(f"# {int(path.stem[:2])}. ")
    for promise in (
        "**The story.**",
        "**What it is meant to be:**",
        "**Allowed:**",
        "**Found**",
        "**Time:**",
        "**GPU:**",
    ):
        assert promise in first
    assert int(re.search(r"\*\*Time:\*\* (\d+) minutes", first)[1]) <= 20


def test_cells(path):
    cells = code_cells(path)
    assert cells[0].source == SETUP_CELL
    assert all(len([line for line in cell.source.splitlines() if line.strip()]) <= 15 for cell in cells[1:])
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    kinds = {output.output_type for cell in cells for output in cell.outputs}
    assert "error" not in kinds
    for cell in cells:
        if any("image/png" in output.get("data", {}) for output in cell.outputs):
            assert len(cell.metadata["mystnb"]["image"]["alt"]) > 20
    for name in ("prediction", "evidence"):
        assert f"{name} = ..." in [cell.source for cell in cells]


def test_three_hints_and_the_way_on(path):
    last = nbformat.read(path, as_version=4).cells[-1].source
    assert re.findall(r"<summary>(Hint \d)", last) == ["Hint 1", "Hint 2", "Hint 3"]
    link = re.search(r"\*\*Next:\*\* \[.*\]\((.*)\)", last)
    assert (path.parent / link[1]).is_file() if link else path == STUDENTS[-1]


def test_student_notebooks_need_no_grader(path):
    assert "otter" not in path.read_text().lower()
    assert not path.stat().st_mode & stat.S_IXUSR
