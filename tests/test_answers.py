"""Every answer to the exercises at the end of the chapters, computed anew; and no chapter without its answers.

Chapter 10's answers are computed in test_rivals.py, beside the comparison they are about.
"""

import math
import re
from functools import partial
from pathlib import Path

import nbformat
import pytest
import torch
from sklearn.metrics import accuracy_score, balanced_accuracy_score
from torch.nn import functional as F

from experiments.text import small_bert
from focal_lib import FocalLoss, diagnose, focal_loss
from focal_lib.bugs import CATALOGUE
from focal_lib.lab import museum
from focal_lib.lab.curves import curve, per_example
from focal_lib.lab.data import load_example
from focal_lib.lab.detection import dense_loss, make_scenes
from focal_lib.lab.stored_runs import difference
from focal_lib.lab.text import LABELS, encode, fine_tune, load_notes, predict, scores
from focal_lib.lab.training import make_model, train

CHAPTERS = sorted((Path(__file__).parents[1] / "notebooks").glob("[0-9]*.ipynb"))


def last_cell(path):
    return [cell.source for cell in nbformat.read(path, 4).cells if cell.cell_type == "markdown"][-1]


def answers(number):
    """The answers of a chapter, a list."""
    (path,) = [path for path in CHAPTERS if path.name.startswith(f"{number:02}_")]
    text = last_cell(path).partition("{dropdown} Answers\n")[2].partition(":::")[0]
    return re.split(r"(?m)^\d\. ", text)[1:]


@pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
def test_each_exercise_has_its_answer(path):
    asked, _, answered = last_cell(path).partition(":::{dropdown} Answers")
    questions = re.findall(r"(?m)^(\d)\. ", asked.partition("**Exercises**")[2])
    assert questions and re.findall(r"(?m)^(\d)\. ", answered) == questions


@pytest.fixture(scope="module")
def example():
    return load_example()


def gradient_of_right_examples(example, epochs, above=0.5):
    run = train(F.cross_entropy, example, seed=0, device="cpu", epochs=epochs)
    p_t, _, size = per_example(run.logits(example.x_train), example.y_train, gamma=0)
    return (size[p_t > above].sum() / size.sum()).item()


def test_chapter_01(example):
    always_one = torch.ones_like(example.y_test)
    assert "39 / 200 = 0.195" in answers(1)[0] and accuracy_score(example.y_test, always_one) == 0.195
    assert balanced_accuracy_score(example.y_test, always_one) == 0.5
    assert "a fifth" in answers(1)[1] and gradient_of_right_examples(example, 100, above=0.9) == pytest.approx(
        0.2, abs=0.02
    )
    assert "It grows" in answers(1)[2]
    assert gradient_of_right_examples(example, 300) > gradient_of_right_examples(example, 100) + 0.02


def test_chapter_02():
    kinds, how_many = torch.tensor([0.99, 0.3], dtype=torch.float64), torch.tensor([1000, 10])

    def hard_share(gamma):
        sizes = curve(kinds, gamma)[1].abs() * how_many
        return (sizes[1] / sizes.sum()).item()

    assert answers(2)[0].strip() == "γ = 1." and pytest.approx(0.1) == (1 - 0.9) ** 1
    assert "0.65" in answers(2)[1] and hard_share(0.64) < 0.9 <= hard_share(0.66)
    p_t = torch.linspace(0.1, 0.9, 80_001, dtype=torch.float64)
    larger = p_t[curve(p_t, 5.0)[1].abs() > curve(p_t, 0.0)[1].abs()]
    assert "0.197" in answers(2)[2] and larger.max() == pytest.approx(0.197, abs=0.0005)


def test_chapter_03(example):
    trained = train(lambda z, y: 4 * focal_loss(z, y), example, device="cpu", optimizer="sgd", epochs=3).model
    # The same steps by hand at four times the learning rate.
    model = make_model(0)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.4)
    for _ in range(3):
        optimizer.zero_grad()
        focal_loss(model(example.x_train), example.y_train).backward()
        optimizer.step()
    for one, other in zip(trained.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(one, other)
    assert "0.4 where SGD had 0.1" in answers(3)[0]

    logits, ones, alpha = (
        torch.randn(5, 2, generator=torch.Generator().manual_seed(0)),
        torch.ones(5).long(),
        [1.0, 4.0],
    )
    weighted = focal_loss(logits, ones, torch.tensor(alpha), reduction="weighted_mean")
    assert "plain mean" in answers(3)[1]
    torch.testing.assert_close(weighted, focal_loss(logits, ones))

    p_t, heavy = torch.linspace(0.01, 0.99, 50, dtype=torch.float64), torch.tensor(alpha, dtype=torch.float64)
    inside = CATALOGUE["weight_inside_cross_entropy"].loss
    assert "γ = 0" in answers(3)[2]
    for mine, theirs in zip(
        curve(p_t, 0.0, partial(inside, alpha=heavy)), curve(p_t, 0.0, partial(focal_loss, alpha=heavy)), strict=True
    ):
        torch.testing.assert_close(mine, theirs)


def version_4(input, target, gamma=2.0, how="none"):
    ce = F.cross_entropy(input, target, reduction=how)
    return ((-torch.expm1(-ce.clamp_min(torch.finfo(ce.dtype).eps ** 2))) ** gamma * ce).mean()


def clamped_version_2(input, target, gamma=2.0):
    p_t = input.softmax(dim=1).gather(1, target[:, None])[:, 0].clamp(1e-7, 1)
    return (-((1 - p_t) ** gamma) * p_t.log()).mean()


def version_5(input, target, alpha=None, gamma=2.0):
    if alpha is not None and len(alpha) != input.shape[1]:
        raise ValueError(f"{len(alpha)} weights for {input.shape[1]} classes")
    loss = focal_loss(input, target, gamma=gamma, reduction="none")
    return (loss if alpha is None else alpha[target] * loss).mean()


def test_chapter_04():
    def one_number(input, target, gamma=2.0):
        return version_4(input, target, gamma, how="mean")

    found, before = diagnose(one_number), diagnose(version_4)
    assert before.ok
    assert {"gives_the_golden_numbers", "batch_is_mean_of_singles"} <= set(found.violations)
    assert "gamma_zero_is_cross_entropy" not in {**found.violations, **found.untested}
    assert "gradient_is_full_when_wrong_by_100" in answers(4)[1]
    assert "gradient_is_full_when_wrong_by_100" in diagnose(clamped_version_2).violations
    assert "len(alpha) != input.shape[1]" in answers(4)[2]
    assert "wrong_alpha_length_is_refused" not in diagnose(version_5).violations


def test_chapter_05(example):
    assert "0.02 on the fixed and 0.01 on the resampled" in answers(5)[0]
    for data, size in (("fixed", 0.02), ("resampled", 0.01)):
        worse = difference("focal γ=5, weights", "focal γ=2, weights", "balanced_accuracy", data=data)
        assert worse.high < 0 and round(-worse.mean, 2) == size
    for bug in ("scalar alpha", "binary scalar alpha"):
        assert difference(bug, "focal γ=2", "balanced_accuracy", optimizer="sgd").high < -0.05
        assert difference(bug, "focal γ=2", "balanced_accuracy").low > -0.06
    assert "a quarter" in answers(5)[1]
    ours, theirs = (
        train(loss, example, seed=3, device="cpu").logits(example.x_test)
        for loss in (FocalLoss(gamma=0), torch.nn.CrossEntropyLoss())
    )
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_chapter_06():
    found = museum.found_by()

    def count(*chosen):
        return sum(bool(set(chosen) & set(names)) for names in found.values())

    two = ("gives_the_golden_numbers", "alpha_scales_its_class")
    assert (
        f"{count(*two, 'wrong_alpha_length_is_refused')}, and without the last of the three {count(*two)}"
        in answers(6)[1]
    )
    # With one example, these four give what a right loss gives.
    single, target = torch.tensor([[1.0, 0.0]]), torch.tensor([1])
    right = focal_loss(single, target).item()
    for id in ("mean_before_pt", "n_by_n", "sum_called_mean", "ignored_rows_in_the_mean"):
        assert CATALOGUE[id].build()(single, target).mean().item() == pytest.approx(right), id
    rows = {id: frozenset(names) for id, names in found.items()}
    assert rows["ignored_rows_in_the_mean"] == rows["ignored_rows_as_class_zero"]
    assert rows["weight_inside_cross_entropy"] == rows["weight_applied_twice"] == rows["alpha_unused"]


def test_chapter_07():
    class Mended(torch.nn.Module):
        def __init__(self, alpha=None, gamma=2):
            super().__init__()
            self.register_buffer("alpha", alpha)
            self.gamma = gamma

        def forward(self, inputs, targets):
            ce_loss = F.cross_entropy(inputs, targets, reduction="none")
            tiny = torch.finfo(ce_loss.dtype).eps ** 2
            loss = (-torch.expm1(-ce_loss.clamp_min(tiny))) ** self.gamma * ce_loss
            if self.alpha is None:
                return loss.mean()
            if len(self.alpha) != inputs.shape[1]:
                raise ValueError(f"{len(self.alpha)} weights for {inputs.shape[1]} classes")
            return (self.alpha[targets] * loss).mean()

    assert diagnose(Mended).ok
    plain = diagnose(torch.nn.CrossEntropyLoss)
    assert (plain.verdict, plain.relative) == ("another loss", "cross-entropy, without a focus")
    assert diagnose(torch.nn.CrossEntropyLoss, gamma=0).verdict == "right"


def test_chapter_08():
    logits = torch.randn(20, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_()
    target = torch.arange(20) % 4
    for gamma in (0.0, 5.0):  # the order of the losses is the order of p_t
        loss = focal_loss(logits, target, gamma=gamma, reduction="none")
        p_t = logits.softmax(1)[range(20), target]
        assert torch.equal(loss.argsort(descending=True), p_t.argsort())
    log_p = logits.log_softmax(1)
    torch.testing.assert_close(F.cross_entropy(log_p, target), F.nll_loss(log_p, target))


def test_chapter_08_after_two_epochs(monkeypatch):
    """Answer 1: hardly a gap, and hardly ever "stop"."""
    monkeypatch.setenv("TQDM_DISABLE", "1")
    train, test = load_notes().split(seed=0)
    tokenizer, model = small_bert(train.texts, 0)
    ids, mask = encode(train.texts, tokenizer)
    fine_tune(model, F.nll_loss, ids, mask, train.labels, epochs=2)
    said = predict(model, *encode(test.texts, tokenizer))
    gap = scores(predict(model, ids, mask), train.labels)["accuracy"] - scores(said, test.labels)["accuracy"]
    assert "nearly vanishes" in answers(8)[0] and abs(gap) < 0.02
    assert 'hardly ever says "stop"' in answers(8)[0] and (said.argmax(1) == LABELS.index("stop")).sum() < 10


def test_chapter_09():
    scenes = make_scenes(64, seed=0)
    half = torch.zeros_like(scenes.targets)  # logit 0: p = 0.5 everywhere
    losses = [dense_loss(half, scenes.targets, scenes.counted, alpha=None, gamma=gamma) for gamma in (0.0, 2.0)]
    assert (losses[1] / losses[0]).item() == pytest.approx(0.25)  # the question before: all of them by the same 1/4
    background, object_ = -2031 * math.log(0.99), -math.log(0.01)
    assert f"2 031 · {-math.log(0.99):.5f} = {background:.1f}, the object −log 0.01 = {object_:.1f}" in answers(9)[0]
    assert answers(9)[0].strip().endswith(f"{background:.1f} of {background + object_:.1f}.")
    assert f"Find the {100 * background / (background + object_):.1f} %" in last_cell(CHAPTERS[8])
    assert (scenes.counted - scenes.targets).sum((1, 2, 3)).median() == 2031
    cells = scenes.counted.sum((1, 2, 3)) / scenes.targets.sum((1, 2, 3))
    assert cells.max() / cells.min() < 1.03  # for each object nearly the same number of answers
    assert answers(9)[2].startswith("0.75")
