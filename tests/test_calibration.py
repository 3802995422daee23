"""What gamma teaches, and the way back: closed forms against the loss itself, and against scikit-learn."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from focal_lib import focal_loss
from focal_lib.lab.calibration import calibration_slope, taught, temperature, way_back
from focal_lib.lab.curves import minimiser

GAMMAS = (0.0, 0.5, 1.0, 2.0, 5.0)


def random_rows(classes, rows=20, seed=0):
    return torch.distributions.Dirichlet(torch.full((classes,), 0.7, dtype=torch.float64)).sample((rows,))


@pytest.mark.parametrize("gamma", GAMMAS)
@pytest.mark.parametrize("classes", [2, 3, 10])
def test_what_is_taught_minimises_the_expected_loss(gamma, classes):
    """At the minimum the gradient of the expected loss in the logits, which the library computes, is zero."""
    torch.manual_seed(classes)
    q = random_rows(classes)
    logits = taught(q, gamma).log().requires_grad_()
    each = [focal_loss(logits, torch.full((len(q),), k), gamma=gamma, reduction="none") for k in range(classes)]
    (gradient,) = torch.autograd.grad((q * torch.stack(each, dim=1)).sum(), logits)
    assert gradient.abs().max() < 1e-9
    # The check can fail: at the true probabilities the gradient is not zero, unless gamma is.
    at_truth = q.log().requires_grad_()
    each = [focal_loss(at_truth, torch.full((len(q),), k), gamma=gamma, reduction="none") for k in range(classes)]
    (gradient,) = torch.autograd.grad((q * torch.stack(each, dim=1)).sum(), at_truth)
    assert (gradient.abs().max() > 1e-3) == (gamma > 0)


@pytest.mark.parametrize("gamma", GAMMAS)
def test_the_way_back_is_the_way_back(gamma):
    torch.manual_seed(0)
    q = random_rows(4, 50)
    torch.testing.assert_close(way_back(taught(q, gamma), gamma), q, rtol=0, atol=1e-8)


def test_two_classes_agree_with_the_minimiser_on_a_grid():
    truth = torch.tensor([0.1, 0.6, 0.9], dtype=torch.float64)
    rows = torch.stack([1 - truth, truth], dim=1)
    for gamma in GAMMAS:
        torch.testing.assert_close(taught(rows, gamma)[:, 1], minimiser(truth, gamma=gamma), rtol=0, atol=5e-4)


def test_alpha_is_divided_out_too():
    alpha, truth = torch.tensor([1.0, 4.0]), torch.tensor([0.3], dtype=torch.float64)
    learned = minimiser(truth, alpha=alpha, gamma=2.0)
    back = way_back(torch.stack([1 - learned, learned], dim=1), 2.0, alpha)
    assert back[0, 1].item() == pytest.approx(0.3, abs=1e-3)


def test_many_classes_make_an_unsure_network_too_sure():
    """The numbers that chapter 11 prints: 0.05 among 1 000 classes, 0.9 among two."""
    many = torch.tensor([[0.05, 0.95 / 999]], dtype=torch.float64)
    assert taught(many, 2.0, (1, 999))[0, 0].item() == pytest.approx(0.0588, abs=5e-5)
    assert taught(many, 5.0, (1, 999))[0, 0].item() == pytest.approx(0.0666, abs=5e-5)
    assert taught(torch.tensor([[0.9, 0.1]]), 2.0)[0, 0].item() == pytest.approx(0.694, abs=5e-4)
    # with counts as if each class were written out
    rows = torch.cat([many[:, :1], many[:, 1:].expand(1, 999)], dim=1)
    torch.testing.assert_close(taught(rows, 2.0)[:, 0], taught(many, 2.0, (1, 999))[:, 0])


def test_several_gammas_at_once():
    torch.manual_seed(1)
    q = random_rows(3, 5)
    both = taught(q, torch.tensor([0.5, 2.0])[:, None, None])
    torch.testing.assert_close(both, torch.stack([taught(q, 0.5), taught(q, 2.0)]))


def test_a_certain_network_stays_certain():
    assert way_back(torch.tensor([[1.0, 0.0]]), 2.0).tolist() == [[1.0, 0.0]]
    assert way_back(torch.tensor([[1.0, 0.0]]), 0.5).isfinite().all()


def test_focal_loss_is_bounded_by_entropy():
    """FL >= CE - gamma * entropy of what is said, on average over the labels (Mukhoti et al. 2020, section 4)."""
    torch.manual_seed(2)
    q, p = random_rows(5, 200), random_rows(5, 200).clamp(min=1e-9)
    p = p / p.sum(1, keepdim=True)
    for gamma in (1.0, 2.0, 5.0):
        loss = -(q * (1 - p) ** gamma * p.log()).sum(1)
        bound = -(q * p.log()).sum(1) + gamma * (p * p.log()).sum(1)
        assert (loss >= bound - 1e-12).all()
        # with the entropy's sign turned the bound would not hold
        assert not (loss >= -(q * p.log()).sum(1) - gamma * (p * p.log()).sum(1)).all()


def test_temperature_finds_the_factor_that_was_put_in():
    torch.manual_seed(3)
    z = 2 * torch.randn(2, 20_000, 3)
    y = torch.distributions.Categorical(logits=z).sample()
    found = temperature(torch.stack([z[0] * 3, z[1] / 2]), y)
    assert found.tolist() == pytest.approx([3, 0.5], rel=0.05)
    assert temperature(z[:1] * 100, y[:1]).item() == pytest.approx(20, rel=1e-3)  # the end of the search


def test_calibration_slope_is_the_slope_of_a_logistic_regression():
    torch.manual_seed(4)
    z = torch.randn(2, 3000, 2)
    y = torch.distributions.Categorical(logits=torch.stack([z[0] * 0.5, z[1] * 2])).sample()
    found = calibration_slope(z.softmax(-1), y)
    for k in range(2):
        x = torch.logit(z[k].double().softmax(-1)[:, 1:]).numpy()
        expected = LogisticRegression(C=np.inf, tol=1e-8).fit(x, y[k]).coef_[0, 0]
        assert found[k].item() == pytest.approx(expected, rel=1e-3)
    assert 0.4 < found[0] < 0.6 and 1.8 < found[1] < 2.2
    many = torch.randn(1, 4000, 5) * 1.5
    labels = torch.distributions.Categorical(logits=many).sample()
    assert calibration_slope(many.softmax(-1), labels).item() == pytest.approx(1, abs=0.1)
    separable = torch.tensor([[[0.9, 0.1], [0.2, 0.8]]])
    assert calibration_slope(separable, torch.tensor([[0, 1]])).item() <= 10


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: way_back(torch.tensor([[0.5, 0.4]])), "each row of p must have the sum 1, got 0.9000"),
        (lambda: way_back(torch.tensor([[1.5, -0.5]])), "p must hold probabilities, got 1.5"),
        (lambda: way_back(torch.tensor([[float("nan"), 0.5]])), "p must hold probabilities, got nan"),
        (lambda: way_back(torch.tensor([[0.5, 0.5]]), -1.0), "gamma must be a finite number >= 0, got -1.0"),
        (lambda: way_back(torch.tensor([[0.5, 0.5]]), 2.0, torch.tensor([1.0, 0.0])), "2 weights above 0, got"),
        (lambda: taught(torch.tensor([[0.5, 0.1]]), 2.0, (1, 4)), "each row of q must have the sum 1, got 0.9000"),
        (
            lambda: taught(torch.tensor([0.5, 0.5]), 2.0, (1, 2, 3)),
            r"one count for each of the 2 columns, got \[1, 2, 3\]",
        ),
        (lambda: temperature(torch.zeros(2, 2), torch.tensor([0, 2])), r"target must lie in \[0, 2\), got 2"),
        (lambda: temperature(torch.zeros(2, 2), torch.tensor([-1, 0])), r"target must lie in \[0, 2\), got -1"),
        (lambda: temperature(torch.zeros(2, 2), torch.tensor([0])), r"target must have shape \(2,\), got \(1,\)"),
        (lambda: calibration_slope(torch.full((2, 2), float("nan")), torch.tensor([0, 1])), "p must hold prob.* nan"),
        (lambda: calibration_slope(torch.full((2, 2), 0.5), torch.tensor([0, 2])), r"must lie in \[0, 2\), got 2"),
        (lambda: calibration_slope(torch.zeros(0, 2), torch.tensor([], dtype=int)), "at least one example, got none"),
        (lambda: temperature(torch.tensor([[float("nan"), 0.0]]), torch.tensor([0])), "logits must be finite"),
    ],
)
def test_bad_input_gets_one_sentence(call, sentence):
    with pytest.raises(ValueError, match=sentence):
        call()


def test_the_answers_of_chapter_11():
    half, many = torch.tensor([[0.5, 0.5]]), torch.tensor([[0.9, 0.1 / 999]], dtype=torch.float64)
    assert taught(half, 5.0)[0, 0].item() == pytest.approx(0.5)
    assert taught(many, 2.0, (1, 999))[0, 0] < 0.9  # lowered, where 0.05 is raised
    assert way_back(torch.tensor([1.0, 0.0])).tolist() == [1, 0]
