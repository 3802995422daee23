"""Rivals of focal loss: problems as stated, losses and scores by hand and by scikit-learn, the stored comparison."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy import stats
from sklearn import metrics

from experiments import rivals as protocol
from focal_lib.lab import stored_rivals as rivals
from focal_lib.lab.rivals import (
    LOSSES,
    class_counts,
    class_weights,
    criterion,
    deal,
    make_problem,
    mirror_loss,
    shifted,
)
from focal_lib.lab.scores import score_runs
from focal_lib.lab.sweep import sweep

ROOT = Path(__file__).parent.parent


def test_class_counts_by_hand():
    assert class_counts(100, 2, 0.2) == [80, 20]
    assert class_counts(100, 2, 0.01) == [98, 2]  # never fewer than two
    counts = class_counts(1000, 10, 0.05)
    assert sum(counts) == 1000 and counts == sorted(counts, reverse=True)
    assert counts[0] / counts[-1] == pytest.approx(19, rel=0.05)
    assert class_counts(100, 10, 0.5) == [10] * 10


@pytest.mark.parametrize("classes", [2, 10])
def test_a_problem_has_the_stated_counts_and_noise_only_where_one_learns(classes):
    noisy, clean = (make_problem(3, classes=classes, prevalence=0.2, n=200, noise=noise) for noise in (0.3, 0.0))
    for part, size in {"train": 200, "held": 100, "test": 1000}.items():
        counts = class_counts(size, classes, 0.2)
        for problem in (noisy, clean):
            assert getattr(problem, f"y_{part}").bincount().tolist() == counts
            assert getattr(problem, f"x_{part}").shape == (size, 10)
        assert torch.equal(getattr(noisy, f"x_{part}")[:2], getattr(clean, f"x_{part}")[:2]) or part != "train"
    changed = (noisy.y_train != clean.y_train).double().mean()
    assert 0.05 < changed < 0.3  # some of the dealt labels fall on their own class
    assert not torch.equal(make_problem(4, classes=classes).x_test, make_problem(5, classes=classes).x_test)
    if classes == 2:  # "with two equal classes half of these end up wrong, with a rare class fewer"
        pairs = [[make_problem(3, prevalence=p, n=4000, noise=n).y_train for n in (0.3, 0)] for p in (0.5, 0.05)]
        assert [(a != b).double().mean() for a, b in pairs] == pytest.approx([0.15, 0.6 * 0.05 * 0.95], abs=0.01)


def test_parts_share_no_example():
    x = torch.arange(300.0)[:, None]
    problem = deal(x, torch.arange(300) % 3, {"train": [30] * 3, "held": [20] * 3, "test": [40] * 3}, 0.0, seed=1)
    everything = torch.cat([problem.x_train, problem.x_held, problem.x_test]).flatten()
    assert len(everything.unique()) == len(everything) == 270


def test_class_weights_by_hand():
    assert class_weights([75, 25]).tolist() == pytest.approx([2 / 3, 2])
    assert class_weights([400, 100], "1/sqrt n")[1] / class_weights([400, 100], "1/sqrt n")[0] == pytest.approx(2)
    one, other = class_weights([10_000, 10], "effective number").tolist()
    assert other / one == pytest.approx((1 - 0.999**10_000) / (1 - 0.999**10), rel=1e-4)
    for kind in ("1/n", "1/sqrt n", "effective number"):  # the average over the examples is 1
        weights = class_weights([70, 20, 10], kind)
        assert (weights * torch.tensor([70, 20, 10])).sum().item() == pytest.approx(100)


def test_the_losses_by_hand():
    torch.manual_seed(0)
    z, y, counts = torch.randn(6, 3), torch.tensor([0, 0, 0, 1, 1, 2]), [3, 2, 1]
    ce = F.cross_entropy(z, y, reduction="none")
    share = torch.tensor([3, 2, 1]) / 6
    p = z.softmax(1)
    raised = p * share / (p * share).sum(1, keepdim=True)
    assert torch.allclose(criterion("adjusted in the loss", counts)(z, y), -raised[range(6), y].log(), atol=1e-6)
    assert torch.allclose(criterion("weights 1/n", counts)(z, y), ce * (6 / torch.tensor([3.0, 2, 1]) / 3)[y])
    assert torch.allclose(criterion("focal", counts)(z, y), (1 - (-ce).exp()) ** 2 * ce, atol=1e-6)
    assert torch.allclose(shifted(z, counts).softmax(1), p / share / (p / share).sum(1, keepdim=True), atol=1e-6)


def test_the_mirrors_gradient_is_that_of_1_minus_p():
    torch.manual_seed(1)
    z, y = torch.randn(8, 4, dtype=torch.float64, requires_grad=True), torch.arange(8) % 4
    (mirror,) = torch.autograd.grad(mirror_loss(z, y).sum(), z)
    (plain,) = torch.autograd.grad((1 - z.softmax(1)[range(8), y]).sum(), z)
    torch.testing.assert_close(mirror, plain)


@pytest.mark.parametrize("name", LOSSES)
def test_each_loss_trains_in_a_sweep_of_ten_classes(name):
    problems = [make_problem(seed, classes=10, n=100, test=60) for seed in (0, 1)]
    loss = criterion(name, problems[0].y_train.bincount().tolist())
    done = sweep(
        loss,
        [0, 1],
        data=problems,
        per_example=callable(loss),
        learning_rate=0.03,
        hidden=16,
        epochs=15,
        progress=False,
    )
    assert done.logits().shape == (2, 60, 10)
    assert (done.losses[:, -1] < done.losses[:, 0]).all()


def test_scores_of_many_runs_are_scikit_learns():
    torch.manual_seed(2)
    for classes in (2, 4):
        z, y = torch.randn(3, 200, classes).round(decimals=1), torch.randint(classes, (3, 200))  # with ties
        p = z.double().softmax(-1)
        found = score_runs(p, y)
        for k in range(3):
            said, truth, one = p[k].argmax(1).numpy(), y[k].numpy(), p[k].numpy()
            assert found["balanced_accuracy"][k].item() == pytest.approx(metrics.balanced_accuracy_score(truth, said))
            assert found["macro_f1"][k].item() == pytest.approx(metrics.f1_score(truth, said, average="macro"))
            area = np.mean([metrics.roc_auc_score(truth == c, one[:, c]) for c in range(classes)])
            assert found["auc"][k].item() == pytest.approx(area)
            squared = ((one - np.eye(classes)[truth]) ** 2).sum(1).mean() / 2
            assert found["brier"][k].item() == pytest.approx(squared)
        if classes == 2:
            assert found["brier"][0].item() == pytest.approx(metrics.brier_score_loss(y[0], p[0, :, 1]))


def dealt(x, **counts):
    return deal(x, torch.arange(9) % 3, counts or {"train": [1] * 3}, noise=0.0, seed=0)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: make_problem(0, prevalence=0), "prevalence must be above 0 and at most 0.5, got 0"),
        (
            lambda: make_problem(0, classes=10, n=12),
            "10 classes of at least 2 examples do not fit into n = 12 examples",
        ),
        (lambda: make_problem(0, n=4), "2 classes of at least 2 examples do not fit into n // 2 = 2 examples"),
        (lambda: make_problem(0, test=3), "2 classes of at least 2 examples do not fit into test = 3 examples"),
        (lambda: make_problem(0, overlap="some"), "overlap must be one of small, large; got 'some'"),
        (lambda: make_problem(0, noise=1.5), "noise must be a share between 0 and 1, got 1.5"),
        (lambda: class_counts(21, 10, 0.01), "the commonest of 10 classes would be left with -1 of n = 21 examples"),
        (lambda: make_problem(0, classes=65, n=1000), "make_problem has room for at most 64 classes, got 65"),
        (
            lambda: dealt(torch.full((9, 2), float("nan"))),
            "x must hold finite features, got nan in example 0, feature 0",
        ),
        (lambda: dealt(torch.zeros(9, 2), train=[1] * 4), r"one count for each of the 3 classes, got \[1, 1, 1, 1\]"),
        (lambda: dealt(torch.zeros(9, 2), train=[4] * 3), "too few examples for the counts"),
        (lambda: shifted(torch.zeros(2, 3), [1, 2]), r"counts above 0, one for each of the 3 classes, got \[1, 2\]"),
        (lambda: shifted(torch.zeros(2, 2), [1, 0]), r"counts above 0, one for each of the 2 classes, got \[1, 0\]"),
        (
            lambda: score_runs(torch.full((1, 4, 2), 0.5), torch.tensor([[0, 1, 0, 2]])),
            r"target must lie in \[0, 2\), got 2",
        ),
        (lambda: class_weights([10, 0]), r"each class needs at least one example, got counts \[10, 0\]"),
        (lambda: class_weights([10, 2], beta=1.0), r"beta must be in \[0, 1\), got 1.0"),
        (lambda: criterion("dice", [1, 1]), "name must be one of cross-entropy, .*; got 'dice'"),
        (
            lambda: score_runs(torch.full((1, 4, 2), float("nan")), torch.tensor([[0, 1, 0, 1]])),
            "each run needs finite probabilities and examples of each class",
        ),
    ],
)
def test_bad_input_gets_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


@pytest.mark.parametrize("data", protocol.REAL)
def test_the_real_data_that_tunes_is_never_scored(data, monkeypatch):
    """What deal() may cut into a tuning problem, and what into a scored one, shares no example."""
    pools = []
    monkeypatch.setattr(protocol, "deal", lambda x, *rest: pools.append(x) or deal(x, *rest))
    for seed in (*protocol.TUNING_SEEDS[:2], *protocol.SEEDS[:2]):
        protocol.real_problem(data, 0.2, 0.1, seed)
    tuning, again, scored, other = ({tuple(row) for row in pool.tolist()} for pool in pools)
    assert tuning == again and scored == other and not tuning & scored


# The stored comparison, and what chapter 10 says of it


def test_every_problem_method_and_score_is_there_once():
    rows = rivals.load()
    keys = [*protocol.KEYS, "score", "method"]
    expected = {
        (*setting, score, method)
        for setting in protocol.SETTINGS
        for score in protocol.SCORES
        for method in protocol.METHODS
    }
    assert len(rows) == len(expected) and set(rows[keys].itertuples(index=False, name=None)) == expected
    assert list(rivals.METHODS) == sorted(protocol.METHODS, key=rivals.METHODS.index)
    assert rows[rows.score != "churn"].seeds.min() >= 200 and rows[rows.score == "churn"].seeds.unique() == [40]
    assert set(rows["rate"]) == set(protocol.RATES)
    assert rows[rows.score.isin(("balanced_accuracy", "macro_f1", "auc", "brier", "churn"))]["mean"].between(0, 1).all()


def test_a_cheap_problem_is_reproduced(monkeypatch):
    """Twenty seeds anew of one real problem agree with the stored means, to what twenty seeds can say."""
    monkeypatch.setattr(protocol, "SEEDS", range(20))
    monkeypatch.setattr(protocol, "REFITS", 4)
    monkeypatch.setattr(protocol, "LOSSES", ("cross-entropy", "focal"))
    monkeypatch.setattr(protocol, "ALIASES", {})
    chosen = ("cross-entropy", "threshold", "temperature", "adjusted afterwards", "focal", "focal, way back")
    monkeypatch.setattr(protocol, "METHODS", {name: protocol.METHODS[name] for name in chosen})
    anew = protocol.rows.func(("breast cancer", 2, 0.2, 0, "none", 0.0))
    for row in anew[anew.score.isin(("balanced_accuracy", "brier", "auc"))].itertuples():
        stored = rivals.average(row.method, row.score, task="breast cancer", prevalence=0.2)
        assert row.mean == pytest.approx(stored.mean, abs=0.03)
        assert row.rate in protocol.RATES


def test_intervals_are_of_pairs():
    """By hand: of a score against itself nothing, of a pair the standard deviation that is stored once."""
    which = {"task": "2 classes", "prevalence": 0.05, "problem": "plain"}
    assert rivals.difference("focal", "focal", "brier", **which).high == 0
    one, other = (rivals.difference(*pair, "brier", **which) for pair in (("focal", "mirror"), ("mirror", "focal")))
    assert (one.mean, one.low) == pytest.approx((-other.mean, -other.high)) and one.seeds == 200
    rows = rivals.load().query(
        "data == 'synthetic' and classes == 2 and prevalence == 0.05 and n == 450 and noise == 0 and score == 'brier'"
    )
    spread = rows.query("overlap == 'small' and method == 'mirror'")["sd_focal"].item()
    assert one.high - one.mean == pytest.approx(stats.t.ppf(0.975, 199) * spread / 200**0.5)
    assert rows.query("overlap == 'small' and method == 'focal'")["sd_mirror"].isna().all()


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: rivals.difference("dice", "focal", "brier"), "method must be one of cross-entropy, .*; got 'dice'"),
        (lambda: rivals.average("focal", "f7"), "score must be one of balanced_accuracy, .*; got 'f7'"),
        (
            lambda: rivals.winner("brier", task="digits", prevalence=0.01),
            r"digits with prevalence 0.01 and 'plain' was not",
        ),
        (
            lambda: rivals.winner("brier", task="iris"),
            "task must be one of 2 classes, 10 classes, breast cancer, digits; got 'iris'",
        ),
    ],
)
def test_what_was_not_run_gets_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


ALL = rivals.problems()
UNEQUAL = [one for one in ALL if one[1] < 0.5]
EQUAL = [one for one in ALL if one[1] == 0.5]


def most(counts):
    return max(counts, key=counts.get)


def test_who_wins():
    counting = {"adjusted in the loss", "adjusted afterwards", "weights 1/n", "effective number", "sampler"}
    balanced = rivals.wins("balanced_accuracy", UNEQUAL)
    assert most(balanced) == "adjusted in the loss"
    assert sum(balanced.get(name, 0) for name in counting) == 29 and len(UNEQUAL) == 30
    assert most(rivals.wins("macro_f1", UNEQUAL)) == "weights 1/sqrt n"
    brier = rivals.wins("brier")
    assert sorted(brier, key=brier.get)[-4:] == ["smoothing", "mirror", "focal, way back", "cross-entropy"]
    assert brier["cross-entropy"] == 11  # of 42: "nobody wins often"
    assert rivals.wins("brier", [one for one in ALL if one[2] == "noise 30"])["mirror"] == 5  # of ten
    for rival in ("adjusted in the loss", "adjusted afterwards", "weights 1/n", "weights 1/sqrt n", "sampler"):
        better, _, worse = rivals.record(rival, "cross-entropy", "brier")
        assert worse > len(ALL) / 2 and better <= 5  # "the Brier score hardly ever"
    assert most(rivals.wins("churn")) == "mirror" and rivals.wins("churn")["mirror"] == 21
    steady = [one for one in ALL if most(rivals.wins("churn", [one])) == "mirror"]
    assert rivals.record("mirror", "cross-entropy", "balanced_accuracy", steady) == (3, 0, 18)
    for score in ("balanced_accuracy", "macro_f1"):
        assert rivals.wins(score, EQUAL)["smoothing"] >= 8
    assert all(rivals.wins(score).get("focal", 0) <= 2 for score in rivals.SCORES)


def test_a_tie_counts_for_the_first_and_an_unsure_win_counts():
    tied = {"task": "breast cancer", "prevalence": 0.5, "problem": "noise 10"}
    means = [rivals.average(method, "balanced_accuracy", **tied).mean for method in rivals.METHODS]
    assert means.count(max(means)) == 8 and means[0] == max(means)
    assert rivals.winner("balanced_accuracy", **tied).method == "cross-entropy"
    unsure = [one for one in ALL if rivals.winner("brier", **dict(zip(tied, one, strict=True))).level]
    assert unsure and sum(rivals.wins("brier", unsure).values()) == len(unsure)
    assert (rivals.load()["mean"].round(4) == rivals.load()["mean"]).all()  # "to all four stored digits"


def test_what_focal_loss_does():
    two = rivals.problems("2 classes")
    rare, common = [one for one in two if one[1] <= 0.05], [one for one in two if one[1] >= 0.2]
    assert rivals.record("focal", "cross-entropy", "balanced_accuracy", rare) == (10, 0, 0)
    assert rivals.record("focal", "cross-entropy", "brier", rare) == (0, 0, 10)  # "worsened their probabilities"
    assert rivals.record("focal", "cross-entropy", "balanced_accuracy", common)[0] == 0
    assert rivals.record("focal", "cross-entropy", "balanced_accuracy", rivals.problems("10 classes")) == (0, 0, 4)
    real = [one for one in ALL if one[0] in protocol.REAL and one[1] == 0.05]
    assert len(real) == 6 and rivals.record("focal", "cross-entropy", "balanced_accuracy", real)[0] == 0
    won = [
        one
        for one in ALL
        if one[0] in protocol.REAL and rivals.record("focal", "cross-entropy", "balanced_accuracy", [one])[0]
    ]
    assert won == [("digits", 0.2, "noise 30"), ("digits", 0.5, "noise 10"), ("digits", 0.5, "noise 30")]
    ahead = {score: rivals.record("weights 1/sqrt n", "focal", score)[0] for score in rivals.SCORES}
    assert (ahead["balanced_accuracy"], ahead["macro_f1"], ahead["brier"]) == (39, 33, 29)
    assert len(EQUAL) == 12  # where these weights are plain cross-entropy
    assert rivals.record("focal", "threshold", "balanced_accuracy") == (3, 3, 36)
    assert rivals.record("focal", "threshold", "macro_f1") == (13, 10, 19)
    better, level, _ = rivals.record("focal", "cross-entropy", "brier")
    assert better + level <= 3


def test_plain_focal_loss_is_trained_too_far_for_its_auc():
    both = rivals.load().query("score == 'auc'").pivot(index=rivals.KEYS, columns="method", values=["mean", "rate"])
    raw, back = (both.xs(name, axis=1, level="method") for name in ("focal", "focal, way back"))
    larger = raw["rate"] > back["rate"]
    assert larger.sum() == 27 and (raw["mean"] < back["mean"])[larger].sum() == 24


def test_a_temperature_on_these_held_out_parts_costs_brier_score():
    better, _, worse = rivals.record("temperature", "cross-entropy", "slope_miss")
    assert better > worse  # "more often than it harms it"
    assert rivals.record("temperature", "cross-entropy", "brier")[2] > 0.75 * len(ALL)


def test_what_gamma_adds_to_weights_and_what_the_way_back_gives():
    better, level, worse = rivals.record("focal, weights 1/n", "weights 1/n", "balanced_accuracy")
    assert worse > better + level
    better, _, worse = rivals.record("focal, weights 1/n", "weights 1/n", "macro_f1")
    assert 0 < worse - better <= 5
    better, level, worse = rivals.record("focal, way back", "focal", "brier")
    assert (better, level, worse) == (len(ALL) - 6, 3, 3)
    assert rivals.record("focal, way back", "focal", "brier", rivals.problems("10 classes"))[2] == worse
    better, _, worse = rivals.record("focal, way back", "focal", "slope_miss")
    assert better == worse  # "as often as"
    better, _, worse = rivals.record("focal, way back", "cross-entropy", "brier")
    assert 0 < better < worse


def test_the_mirror_forgives_wrong_labels():
    noisy = [one for one in ALL if "noise" in one[2]]
    assert rivals.record("focal", "cross-entropy", "brier", noisy) == (0, 0, len(noisy))
    same = {kind: [(*one[:2], kind) for one in noisy[::2]] for kind in ("plain", "noise 10", "noise 30")}
    assert all(len(set(some)) == 10 and set(some) <= set(ALL) for some in same.values())
    assert rivals.record("focal", "cross-entropy", "brier", same["plain"])[2] == 8
    balanced = [rivals.record("focal", "cross-entropy", "balanced_accuracy", some) for some in same.values()]
    assert balanced == [(2, 3, 5), (3, 0, 7), (4, 1, 5)]  # "no harm that we could see"
    assert rivals.record("mirror", "cross-entropy", "balanced_accuracy", same["plain"]) == (0, 1, 9)
    equal = [one for one in same["plain"] if one in EQUAL]
    assert rivals.record("mirror", "cross-entropy", "balanced_accuracy", equal) == (0, 1, 2)
    assert rivals.record("mirror", "cross-entropy", "balanced_accuracy", [o for o in ALL if o not in noisy])[2] == 21
    for score in ("balanced_accuracy", "brier"):  # ahead in the real data, behind with two synthetic classes
        for task, expected in {"breast cancer": (1, 0, 0), "digits": (1, 0, 0), "2 classes": (0, 0, 1)}.items():
            assert rivals.record("mirror", "cross-entropy", score, [(task, 0.5, "noise 30")]) == expected
    assert rivals.record("mirror", "cross-entropy", "balanced_accuracy")[2] > 0.75 * len(ALL)
    for score in ("balanced_accuracy", "macro_f1", "brier"):
        won = rivals.winner(score, task="digits", prevalence=0.5, problem="noise 30")
        assert won == rivals.Winner("mirror", ())


def test_the_threshold_beside_those_who_count():
    for rival in ("weights 1/n", "sampler", "adjusted in the loss", "adjusted afterwards"):
        better, _, worse = rivals.record(rival, "threshold", "macro_f1")
        assert better < worse
        better, _, worse = rivals.record(rival, "threshold", "balanced_accuracy")
        assert better >= 23 and worse <= 8
    assert rivals.record("weights 1/sqrt n", "threshold", "macro_f1") == (29, 13, 0)
    better, _, worse = rivals.record("weights 1/sqrt n", "threshold", "balanced_accuracy")
    assert better < worse
    gains = [
        rivals.difference("threshold", "cross-entropy", s, prevalence=0.01) for s in ("macro_f1", "balanced_accuracy")
    ]
    assert [str(gain)[:6] for gain in gains] == ["+0.036", "+0.179"]


def test_the_answers_at_equal_shares():
    level = (
        "threshold",
        "temperature",
        "adjusted afterwards",
        "adjusted in the loss",
        "weights 1/n",
        "weights 1/sqrt n",
    )
    for method in (*level, "effective number"):
        found = rivals.difference(method, "cross-entropy", "balanced_accuracy", prevalence=0.5)
        assert found.low == found.high == 0
    assert rivals.difference("sampler", "cross-entropy", "balanced_accuracy", prevalence=0.5).high != 0
    ends = rivals.load()["rate"].isin([min(protocol.RATES), max(protocol.RATES)]).mean()
    assert 0.28 < ends < 0.32  # "three in ten of the chosen rates"
    weights = [
        (t, p, k)
        for t, p, k in ALL
        if rivals.winner("brier", task=t, prevalence=p, problem=k).method.startswith("weights")
    ]
    assert weights == [("digits", 0.05, "plain"), ("digits", 0.2, "plain")]
