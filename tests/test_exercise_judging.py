"""Who is right gets the point, in whatever style; who is wrong does not, however small or clever the mistake."""

import random

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from exercise_notebooks import MASTER, SLUGS, STUDENT, answers, focus, reduced, variables
from fair_styles import FixedLoss
from torch import nn

from focal_lib.exercises import Exercise
from focal_lib.exercises.fixing import Fix, borrowed
from focal_lib.exercises.originals import ORIGINALS, behaviour
from focal_lib.exercises.outcomes import difference_of, outcome_of


def exercise_of(slug):
    return variables(STUDENT[slug])["exercise"]


def weighted(change, logits, labels, alpha, gamma, reduction):
    nll = F.cross_entropy(logits, labels, reduction="none")
    alpha = torch.ones(logits.shape[1], dtype=logits.dtype) if alpha is None else change(alpha)
    return reduced(alpha[labels] * focus(nll, gamma) * nll, reduction)


# --- wrong fixes ---------------------------------------------------------------------------------------------------


def with_weights(change):
    def fixed_loss(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
        return weighted(change, logits, labels, alpha, gamma, reduction)

    return fixed_loss


def with_gamma(change):
    def fixed_loss(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
        return weighted(lambda a: a, logits, labels, alpha, change(gamma), reduction)

    return fixed_loss


def right(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    return weighted(lambda a: a, logits, labels, alpha, gamma, reduction)


def first_sixteen(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    loss = right(logits, labels, alpha, gamma, "none")
    return loss.flatten()[:16].mean() if reduction == "mean" else reduced(loss, reduction)


def right_where(condition):
    def fixed_loss(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
        loss = right(logits, labels, alpha, gamma, reduction)
        return loss if condition(logits, gamma) else loss * 1.5

    return fixed_loss


WRONG = {
    "alpha.long()": with_weights(lambda a: a.long()),
    "clamp_min(1)": with_weights(lambda a: a.clamp_min(1)),
    "0 taken for 1": with_weights(lambda a: torch.where(a == 0, torch.ones_like(a), a)),
    "rounded weights": with_weights(lambda a: a.round()),
    "clamped above": with_weights(lambda a: a.clamp(max=5)),
    "gamma in halves": with_gamma(lambda g: round(2 * g) / 2),
    "whole gamma": with_gamma(lambda g: int(g) if g > 1 else g),
    "gamma to 3": with_gamma(lambda g: min(g, 3.0)),
    "first 16": first_sixteen,
    "right to 16 rows": right_where(lambda logits, gamma: len(logits) <= 16),
    "right to 3 classes": right_where(lambda logits, gamma: logits.shape[1] <= 3),
    "right in float64": right_where(lambda logits, gamma: logits.dtype == torch.float64),
    "right for the gammas of the list": right_where(lambda logits, gamma: gamma in (0, 0.5, 1, 2, 3)),
    "right for whole logits": right_where(lambda logits, gamma: bool((logits == logits.round()).all())),
    "right for small logits": right_where(lambda logits, gamma: bool((logits.abs() <= 20).all())),
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("seed", [None, 1])
def test_a_fix_that_is_right_on_small_whole_cases_only_is_refused(name, seed):
    for slug in ("03_exponent", "11_two_at_once"):
        feedback = exercise_of(slug).check_fix(WRONG[name], seed)
        assert not feedback.ok, (slug, feedback)


def test_weights_that_lost_half_their_digits_are_refused_and_float32_is_not():
    exercise = exercise_of("03_exponent")
    half, single = (with_weights(lambda a, dtype=dtype: a.to(dtype).to(a)) for dtype in (torch.float16, torch.float32))
    assert "on a batch as in training" in exercise.check_fix(half).text and exercise.check_fix(single).ok


def log_of_sigmoid(logits, labels, alpha=0.25, gamma=2.0, reduction="mean"):
    p = torch.sigmoid(logits)
    p_t = p * labels + (1 - p) * (1 - labels)
    return reduced((alpha * labels + (1 - alpha) * (1 - labels)) * (1 - p_t) ** gamma * -torch.log(p_t), reduction)


@pytest.mark.parametrize("slug", ["04_two_sides", "14_a_thousand_noes"])
def test_the_logarithm_of_a_sigmoid_is_refused(slug):
    feedback = exercise_of(slug).check_fix(log_of_sigmoid)
    assert not feedback.ok and "It differs from a right loss on a batch as in training" in feedback.text, feedback


def test_every_argument_that_was_passed_is_printed():
    text = exercise_of("03_exponent").check_fix(WRONG["alpha.long()"], 1).text
    assert all(word in text for word in ("alpha [", "gamma ", "reduction none", "of shape (", "with label")), text


# --- right fixes, in honest styles ---------------------------------------------------------------------------------


def textbook(logits, labels, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, reduction="none")
    return reduced((1 - torch.exp(-nll)) ** gamma * nll, reduction)


def textbook_weights(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, reduction="none")
    by_class = F.cross_entropy(logits, labels, weight=alpha, reduction="none")
    return reduced((1 - torch.exp(-nll)) ** gamma * by_class, reduction)


def divides_by_weights(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    loss = right(logits, labels, alpha, gamma, "none")
    weights = torch.ones_like(loss) if alpha is None else alpha[labels]
    return loss.sum() / weights.sum() if reduction == "mean" else reduced(loss, reduction)


def says_so(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    print("called")
    return right(logits, labels, alpha, gamma, reduction)


def other_names(x, y, weight=None, gamma=2.0, reduction="mean"):
    return right(x, y, weight, gamma, reduction)


def masked(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    log_p = F.log_softmax(logits, dim=1)
    one = F.one_hot(labels, logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    weights = 1.0 if alpha is None else alpha[labels]
    nll = -(one * log_p).sum(1)
    return reduced(weights * focus(nll, gamma) * nll, reduction)


class Weighted(nn.Module):
    def __init__(self, alpha=None, gamma=2.0, reduction="mean"):
        super().__init__()
        self.gamma, self.reduction = gamma, reduction
        self.register_buffer("alpha", alpha)

    def forward(self, logits, labels):
        return right(logits, labels, self.alpha, self.gamma, self.reduction)


FAIR = [
    ("01_one_number", textbook),
    ("01_one_number", FixedLoss),
    ("01_one_number", FixedLoss()),
    ("03_exponent", textbook_weights),
    ("12_review", textbook_weights),
    ("06_suspicious_names", textbook),
    ("02_idle_alpha", divides_by_weights),
    ("07_the_table", says_so),
    ("03_exponent", other_names),
    ("10_wrong_side", masked),
    ("03_exponent", Weighted),
    ("03_exponent", Weighted()),
    ("05_left_behind", Weighted()),
]


@pytest.mark.parametrize(("slug", "loss"), FAIR, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_right_fix_is_right_in_any_style(slug, loss):
    for seed in (None, 2):
        feedback = exercise_of(slug).check_fix(loss, seed)
        assert feedback.ok, feedback


@pytest.mark.parametrize("slug", SLUGS)
def test_solutions_pass_whatever_the_secret(slug):
    solution = variables(MASTER[slug])
    for _ in range(3):
        assert exercise_of(slug).check_fix(answers(solution)["fix"]).ok


def test_nothing_to_mend_may_be_said_or_shown_by_doing_nothing():
    exercise = Exercise("x", variables(STUDENT["06_suspicious_names"])["team_loss"], A="is_shift_invariant")
    assert exercise.check_fix("none").ok and not exercise.check_fix(...).ok
    exercise.answers = {part: (None, exercise.check_expose("none")) for part in ("predict", "expose")}
    assert exercise.check_fix(...).ok
    assert not exercise_of("01_one_number").check_fix("none").ok


# --- what is said --------------------------------------------------------------------------------------------------


def sigmoid_reading(logits, labels, alpha=0.25, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, reduction="none")
    return reduced(torch.where(labels == 1, alpha, 1 - alpha) * focus(nll, gamma) * nll, reduction)


def forgotten_log_softmax(logits, labels, gamma=2.0, reduction="mean"):
    nll = F.nll_loss(logits, labels, reduction="none")
    return reduced(focus(nll, gamma) * nll, reduction)


def wrong_default(logits, labels, alpha=(1.0, 4.0), gamma=2.0, reduction="mean"):
    return right(logits, labels, torch.tensor(alpha), gamma, reduction)


SAID = [
    ("02_idle_alpha", sigmoid_reading, "This is the binary form: alpha is the weight of class 1", ""),
    ("06_suspicious_names", forgotten_log_softmax, "", "Clamping"),
    ("02_idle_alpha", wrong_default, "alpha was your default, (1.0, 4.0)", ""),
]


def half_mended(logits, labels, alpha=None, gamma=2.0, reduction="mean"):
    nll = F.cross_entropy(logits, labels, reduction="none")
    by_class = F.cross_entropy(logits, labels, weight=alpha, reduction="none")
    return reduced(focus(nll, gamma).detach() * by_class, reduction)


@pytest.mark.parametrize(("slug", "loss", "words", "never"), SAID)
def test_what_is_said_of_a_wrong_fix(slug, loss, words, never):
    feedback = exercise_of(slug).check_fix(loss)
    assert not feedback.ok and words in feedback.text and (not never or never not in feedback.text), feedback


def test_it_is_said_which_fault_is_mended():
    text = exercise_of("11_two_at_once").check_fix(half_mended).text
    assert "One fault is mended, not all." in text and "Mended by now: " in text and "Doubling alpha[k]" in text, text


@pytest.mark.parametrize("answer", ["A and C", ["A", "C"], ("a", "c"), {"A", "C"}, "A & C", "A+C", "A; C", "(A, C)"])
def test_readable_letters_are_read(answer):
    assert exercise_of("01_one_number").check_predict(answer).ok


@pytest.mark.parametrize("answer", ["none", "None", " nothing ", "none."])
def test_nothing_is_read_in_all_three_steps(answer):
    exercise = exercise_of("06_suspicious_names")
    assert exercise.check_predict(answer).ok and exercise.check_expose(answer).ok and exercise.check_fix(answer).ok


def test_what_cannot_be_read_is_not_yet_wrong():
    exercise = exercise_of("01_one_number")
    assert {exercise.check_predict(3).sign, exercise.check_expose(3).sign, exercise.check_fix(3).sign} == {"○"}
    assert repr(exercise.check_predict("B")).startswith("✗")


def test_code_that_was_edited_in_place_is_recognised():
    for slug in SLUGS:
        exercise = variables(MASTER[slug])["exercise"]
        line = f'"{slug}": {behaviour(exercise.loss, exercise.binary)},'
        assert slug in ORIGINALS and not exercise.edited, (
            f"enter it in ORIGINALS, focal_lib/exercises/originals.py: {line}"
        )
    edited = Exercise("01_one_number", textbook, A="is_shift_invariant")
    for feedback in (edited.check_predict("A"), edited.check_expose("none"), edited.check_fix(textbook)):
        assert not feedback.ok and "textbook is not the original any more" in feedback.text
    assert behaviour(textbook) != ORIGINALS["01_one_number"]


# --- evidence ------------------------------------------------------------------------------------------------------

ROWS = {"logits": [[1.0, 2.0], [0.0, 1.0]], "labels": [0, 1]}


@pytest.mark.parametrize("slug", [slug for slug in SLUGS if slug not in ("04_two_sides", "14_a_thousand_noes")])
@pytest.mark.parametrize(
    "trick",
    [
        {"logits": [[1.0, 2.0]], "labels": [0], "reduction": "weighted_mean"},
        {"logits": [[0.1, 3e38], [-1.0, 0.0]], "labels": [0, 1], "gamma": 3.0},
        {**ROWS, "gamma": 1e4},
        {**ROWS, "gamma": -1.0},
        {**ROWS, "gamma": float("nan")},
    ],
)
def test_no_trick_proves_anything(slug, trick):
    assert not exercise_of(slug).check_expose(trick).ok


def test_the_argument_that_the_exercise_is_about_must_be_given():
    feedback = exercise_of("02_idle_alpha").check_expose({"logits": [[2.0, 0.0], [1.0, 0.0]], "labels": [0, 0]})
    assert not feedback.ok and "It has no alpha" in feedback.text, feedback


REFUSED = [
    ({"logits": "12", "labels": [0]}, "logits must be numbers; got text."),
    ({"logits": [[1.0], [1.0, 2.0]], "labels": [0, 1]}, "rows of logits must all have the same number"),
    ({"logits": [[1.0, 2.0], [0.0, 1.0]], "labels": [0]}, "labels must have shape (2,) for logits of shape (2, 2)"),
    ({**ROWS, "gamma": "two"}, "gamma is a number; got 'two'"),
]


@pytest.mark.parametrize(("evidence", "words"), REFUSED)
def test_a_refusal_uses_the_names_that_were_written(evidence, words):
    feedback = exercise_of("01_one_number").check_expose(evidence)
    assert not feedback.ok and words in feedback.text, feedback


@pytest.mark.parametrize("gamma", [2, np.float32(2), torch.tensor(2.0), np.int64(2)])
def test_scalars_of_any_kind_are_read(gamma):
    evidence = {"logits": np.array([[3, 0], [0, 1]]), "labels": torch.tensor([0, 0]), "gamma": gamma}
    assert exercise_of("01_one_number").check_expose(evidence).ok


def test_images_are_evidence():
    logits = [[[[3.0, 0.0]], [[0.0, 1.0]]]]  # (1, 2, 1, 2)
    assert exercise_of("01_one_number").check_expose({"logits": logits, "labels": [[[0, 0]]]}).ok


def as_06(logits, labels, alpha=None, gamma=2.0, ignore_index=-100, reduction="mean"):
    nll = F.cross_entropy(F.log_softmax(logits, dim=1), labels, ignore_index=ignore_index, reduction="none")
    by_class = F.cross_entropy(logits, labels, weight=alpha, ignore_index=ignore_index, reduction="none")
    loss = focus(nll, gamma) * by_class
    return loss.sum() / (labels != ignore_index).sum() if reduction == "mean" else reduced(loss, reduction)


def binary_right(logits, labels, alpha=0.25, gamma=2.0, reduction="mean"):
    nll = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
    return reduced((alpha * labels + (1 - alpha) * (1 - labels)) * focus(nll, gamma) * nll, reduction)


def random_evidence(draw, binary):
    n, c = draw.randint(1, 6), draw.randint(2, 5)
    size = draw.choice((1, 3, 30, 1e3, 1e4))
    logits = [[draw.choice((draw.uniform(-size, size), 0.0, size, -size)) for _ in range(c)] for _ in range(n)]
    gamma = draw.choice((0, 0.3, 1, 2, 10, draw.uniform(0, 10)))
    evidence = {"logits": logits, "gamma": gamma, "reduction": draw.choice(("none", "sum", "mean"))}
    if binary:
        labels = [[float(draw.random() < 0.5) for _ in row] for row in logits]
        return evidence | {"labels": labels, "alpha": draw.choice((0.0, 1.0, draw.random()))}
    labels = [draw.randrange(c) for _ in range(n)]
    labels = [draw.choice((label, label, -100)) for label in labels]
    return evidence | {"labels": labels, "alpha": [draw.choice((0, 1e-3, 1, 100, draw.random())) for _ in range(c)]}


@pytest.mark.parametrize(("loss", "binary"), [(as_06, False), (binary_right, True)])
def test_no_evidence_of_a_random_search_exposes_a_right_loss(loss, binary):
    exercise, draw, read = Exercise("x", loss, binary=binary), random.Random(0), 0
    for _ in range(1500):
        feedback = exercise.check_expose(random_evidence(draw, binary))
        assert not feedback.ok, feedback
        read += "so this proves nothing" in feedback.text or "too little apart" in feedback.text
    assert read > 1000  # most of it was judged, not refused


def test_what_a_loss_raises_to_end_the_program_reaches_the_caller():
    class Ended(BaseException):
        pass

    def dies(logits, labels):
        raise Ended

    with pytest.raises(Ended):
        borrowed(Fix(dies, exercise_of("01_one_number")))


def test_outcomes_call_a_loss_by_its_own_names():
    case = {"logits": torch.tensor([[1.0, 0.0]]), "labels": torch.tensor([0]), "alpha": torch.tensor([1.0, 2.0])}
    assert not difference_of(outcome_of(other_names, case), outcome_of(right, case))
