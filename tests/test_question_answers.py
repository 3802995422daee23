"""What the answers of the questions claim beyond their chapters' outputs, computed; each section that teaches asks."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from questions import questions_of

from focal_lib import diagnose, focal_loss
from focal_lib.bugs import CATALOGUE
from focal_lib.lab import detection, stored_rivals, stored_runs
from focal_lib.lab.calibration import taught, temperature
from focal_lib.lab.curves import curve

ROOT = Path(__file__).parent.parent
CHAPTERS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def weights_inside(input, target, alpha=None, gamma=2.0):
    ce = F.cross_entropy(input, target, weight=alpha, reduction="none")
    return ((-torch.expm1(-ce.clamp_min(1e-30))) ** gamma * ce).mean()


def one_p_t(input, target, gamma=2.0):
    ce = F.cross_entropy(input, target)
    return (1 - torch.exp(-ce)) ** gamma * ce


def single_alpha(inputs, targets, alpha=0.25):
    ce = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    return alpha * (1 - torch.exp(-ce)) ** 2 * ce


def test_a_single_alpha_weights_nobody_and_a_refusal_is_loud():
    x = torch.tensor([0.3, -1.2, 2.0], dtype=torch.float64)
    yes, no = single_alpha(x, torch.ones_like(x)), single_alpha(-x, torch.zeros_like(x))
    torch.testing.assert_close(yes, no)
    with pytest.raises(ValueError):
        single_alpha(torch.zeros(2, 3), torch.tensor([0, 2]))
    said = (ROOT / "notebooks" / "07_diagnose.ipynb").read_text("utf-8")
    assert "takes_class_indices (manners)" in said and "gamma_zero_is_cross_entropy (wrong)" in said


class Steep(torch.autograd.Function):
    """The identity, with a gradient that is one hundredth too large."""

    @staticmethod
    def forward(ctx, x):
        return x.clone()

    @staticmethod
    def backward(ctx, grad):
        return 1.01 * grad


def test_gradcheck_passes_a_wrong_loss_in_any_batch_and_is_exact_enough():
    for rows in (2, 50):
        x = torch.randn(rows, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
        y = torch.arange(rows) % 3
        assert torch.autograd.gradcheck(lambda x, y=y: one_p_t(x, y), x)
        assert (one_p_t(x, y) - focal_loss(x, y)).abs() > 0.01
        assert not torch.autograd.gradcheck(Steep.apply, x, raise_exception=False)


def test_gamma_zero_clears_a_loss_that_is_wrong_elsewhere():
    x, y = torch.tensor([[1.0, 0.0, -1.0], [0.0, 2.0, 0.0]]), torch.tensor([0, 2])
    torch.testing.assert_close(one_p_t(x, y, gamma=0), F.cross_entropy(x, y))
    torch.testing.assert_close(one_p_t(x, y, gamma=0), focal_loss(x, y, gamma=0))
    assert (one_p_t(x, y) - focal_loss(x, y)).abs() > 0.1


def test_what_an_adapter_does_not_pass_on_is_not_tested():
    unseen = diagnose(lambda input, target, gamma=2.0: weights_inside(input, target, gamma=gamma))
    assert unseen.verdict == "right" and "it has no argument for alpha" in str(unseen)
    assert diagnose(weights_inside).verdict == "faulty"
    x, y = torch.tensor([[1.0, 0.0, -1.0]]), torch.tensor([1])
    torch.testing.assert_close(weights_inside(x, y, torch.ones(3)), focal_loss(x, y))


def test_the_loss_falls_with_p_t_for_every_gamma():
    p = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    for gamma in (0, 0.5, 1, 2, 5):
        assert (curve(p, gamma)[0].diff() < 0).all()


def test_the_heads_own_gradient_is_what_is_left():
    assert 256 * 32_000 * 4 / 2**20 == 31.25  # "31 MiB"


def test_no_to_everything_is_right_nearly_always_and_finds_nothing():
    scenes = detection.make_scenes(100, seed=10_000)
    says_no = torch.full_like(scenes.targets, -5.0)
    assert detection.average_precision(says_no, scenes) < 0.01
    assert round(100 * (scenes.targets[scenes.counted == 1] == 0).double().mean().item(), 2) == 99.95
    # An empty cell at p = 0.01 costs next to nothing, an object's cell hundreds of thousands of times as much.
    empty, there = (curve(torch.tensor([p], dtype=torch.float64), 2)[0].item() for p in (0.99, 0.01))
    assert there > 1e5 * empty


def test_adam_cancels_no_rate():
    def after(rate, factor):
        x = torch.tensor([1.0], dtype=torch.float64, requires_grad=True)
        adam = torch.optim.Adam([x], lr=rate)
        for _ in range(5):
            adam.zero_grad()
            (factor * x**2).sum().backward()
            adam.step()
        return x.item()

    assert after(0.01, 1) == pytest.approx(after(0.01, 7), abs=1e-6)
    assert abs(after(0.01, 1) - after(0.02, 1)) > 0.04


def test_logits_without_the_shares_answer_as_if_all_classes_were_equally_common():
    likelihood = torch.tensor([[0.2, 0.3], [0.5, 0.1]], dtype=torch.float64)  # of two inputs, in two classes
    shares = torch.tensor([0.9, 0.1], dtype=torch.float64)
    posterior = (likelihood * shares).log()
    learned = posterior - shares.log()  # with the shares added in training this is where cross-entropy is lowest
    equal = (likelihood * 0.5).log()
    torch.testing.assert_close(learned.softmax(1), equal.softmax(1))
    assert posterior.argmax(1).tolist() == [0, 0] and learned.argmax(1).tolist() == [1, 0]


def test_a_paired_difference_has_less_luck_in_it():
    names = ("cross-entropy", "focal γ=2")
    one, other = (stored_runs.stored_scores(name, "balanced_accuracy", data="resampled") for name in names)
    assert len(one) == len(other) >= 200
    assert np.std(np.subtract(other, one)) < 0.8 * np.hypot(np.std(one), np.std(other))


def test_a_temperature_of_few_examples_costs_a_network_that_is_right():
    """Where nothing has to be mended, what is chosen on 40 examples makes the mean Brier score worse."""
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(200, 240, generator=generator, dtype=torch.float64)
    logits = torch.stack([torch.zeros_like(z), 2 * z], -1)
    p = logits.softmax(-1)[..., 1]
    y = (torch.rand(p.shape, generator=generator, dtype=torch.float64) < p).long()
    divided = logits[:, 40:] / temperature(logits[:, :40], y[:, :40])[:, None, None]
    cost = ((divided.softmax(-1)[..., 1] - y[:, 40:]) ** 2 - (p[:, 40:] - y[:, 40:]) ** 2).mean(1)
    assert stored_runs.interval(cost.numpy()).low > 0
    assert stored_rivals.record("temperature", "cross-entropy", "brier")[2] == 33


def test_the_truth_is_not_where_the_expected_focal_loss_is_lowest():
    truth = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)

    def expected(p, gamma):
        return (truth * curve(p, gamma)[0]).sum().item()

    assert expected(taught(truth, 2), 2) < expected(truth, 2)
    assert expected(truth, 0) < expected(taught(truth, 2), 0)


# Sections without a question of their own, each with the reason.
NOT_ASKED = {
    "01": {"The data": "sets the scene", "Predict": "is a question"},
    "02": {
        "One example": "asks three; they are answered under the two reveals",
        "The curve": "is for moving",
        "Reveal: the loss": "the first of the three answers",
    },
    "03": {"Three bets": "are questions", "The first source's questions": "are questions, with their answers"},
    "04": {"The row of checks": "what the chapter watches"},
    "05": {
        "The experiment": "sets the scene",
        "Predict": "is a question",
        "Train one yourself": "is for trying",
    },
    "06": {
        "How to look at an exhibit": "tells how",
        "The wall": "is for looking",
        "Which of these trainings went wrong?": "is a question",
        "Last room: looks guilty, is innocent": "whether one is, chapter 08 asks",
        "Exit: which check finds what?": "is a question",
        "And accuracy?": "why one run tells little, chapter 05 asks",
        "Which bug made this picture?": "is a question",
    },
    "07": {
        "Keep it right": "a line to copy",
        "What a diagnosis cannot do": "a list of limits",
    },
    "08": {
        "The question that started it": "asks three; they are answered further down",
        "The data": "what they allow is asked in the next section",
        "The model": "how it is built, for those who want to use their own",
    },
    "09": {"One image, a thousand cells": "sets the scene"},
    "10": {
        "Predict": "is a question",
        "Does the field agree?": "what it finds is asked under who wins where",
    },
}


def silent(path):
    """Headings of a chapter's sections without a question, but for Keep and those that NOT_ASKED names."""
    cells = json.loads(path.read_text("utf-8"))["cells"]
    whole = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    sections = re.split(r"^## ", whole, flags=re.MULTILINE)[1:]
    asks = {section.partition("\n")[0]: 'class="question"' in section for section in sections}
    excused = NOT_ASKED.get(path.stem[:2], {})
    assert set(excused) <= set(asks), "NOT_ASKED names a section that is not there"
    assert not any(asks[heading] for heading in excused), "NOT_ASKED names a section that asks"
    return [heading for heading, does in asks.items() if not does and heading not in {*excused, "Keep"}]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_each_section_that_teaches_asks(path):
    assert silent(path) == []


def test_a_section_without_its_question_is_found(tmp_path):
    copy = tmp_path / "11_calibration.ipynb"
    notebook = json.loads((ROOT / "notebooks" / copy.name).read_text("utf-8"))
    notebook["cells"] = [cell for cell in notebook["cells"] if cell["id"] != "q-taught"]
    copy.write_text(json.dumps(notebook), "utf-8")
    assert silent(copy) == ["What is taught"] and len(questions_of(copy)) == 2


def test_a_star_for_two_is_gamma_one_and_a_factor():
    """What q-star says, of the catalogue's loss."""
    input, target = torch.randn(8, 3, dtype=torch.float64), torch.arange(8) % 3
    got = CATALOGUE["product_instead_of_power"].loss(input, target, gamma=2.0)
    assert torch.allclose(got, 2 * focal_loss(input, target, gamma=1.0))


def test_weights_of_one_hide_most_of_their_room():
    """What q-all-ones says: with every weight 1 the values are right."""
    input, target = torch.randn(8, 3, dtype=torch.float64), torch.arange(8) % 3
    right = focal_loss(input, target)
    room = [bug for bug in CATALOGUE.values() if bug.room == "weights"]
    hidden = [bug.id for bug in room if torch.allclose(bug.build(alpha=torch.ones(3).double())(input, target), right)]
    assert 2 * len(hidden) > len(room)
    assert {"weight_inside_cross_entropy", "alpha_applied_twice"} & set(hidden)
