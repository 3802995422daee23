"""The figures that chapters 01 and 02 quote, from the library's own loss."""

from pathlib import Path

import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from experiments.imbalance import minority_share
from focal_lib import focal_loss
from focal_lib.lab.curves import curve, per_example
from focal_lib.lab.data import load_example
from focal_lib.lab.training import make_model
from focal_lib.widgets import BatchShare

ROOT = Path(__file__).parent.parent
P = torch.linspace(0.001, 0.999, 9981, dtype=torch.float64)


@pytest.mark.parametrize("gamma", [0, 0.5, 1, 2, 5])
def test_curve_is_the_formula_and_its_derivative(gamma):
    """dFL/dz_t = -(1 - p) k(p) with k(p) = (1 - p)^gamma - gamma p (1 - p)^(gamma - 1) log p."""
    values, gradients = curve(P, gamma)
    torch.testing.assert_close(values, -((1 - P) ** gamma) * P.log())
    k = (1 - P) ** gamma - gamma * P * (1 - P) ** (gamma - 1) * P.log()
    torch.testing.assert_close(gradients, -(1 - P) * k)


def test_the_gradient_in_the_logits():
    """Chapter 02: dFL/dz_j = k(p_t) (p_j - [j = t]), here for four classes and the library's own loss."""
    z = torch.tensor([[0.3, -1.2, 2.0, 0.5]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(focal_loss(z, torch.tensor([3]), gamma=2.0), z)
    p = z.detach().softmax(1)
    p_t = p[0, 3]
    k = (1 - p_t) ** 2 - 2 * p_t * (1 - p_t) * p_t.log()
    torch.testing.assert_close(gradient, k * (p - F.one_hot(torch.tensor([3]), 4)))


def test_at_the_minimum_of_cross_entropy_each_class_owns_half():
    """1 : 100, fitted to the end: half of cross-entropy's gradient each, and more of gamma 2's for the minority."""
    generator = torch.Generator().manual_seed(0)
    y = (torch.arange(5050) < 50).long()
    x = torch.randn(5050, 2, generator=generator, dtype=torch.float64) + 1.5 * y[:, None]
    model = torch.nn.Linear(2, 2).double()
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=500, line_search_fn="strong_wolfe", tolerance_grad=1e-9)

    def closure():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), y)
        loss.backward()
        return loss

    optimizer.step(closure)
    shares = {
        g: (s := per_example(model(x).detach(), y, gamma=g)[2])[y == 1].sum().item() / s.sum().item() for g in (0, 2)
    }
    assert shares[0] == pytest.approx(0.5, abs=1e-3)
    assert shares[2] > 0.6


def test_the_numbers_of_chapter_02():
    points = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    loss_ratio = curve(points, 2)[0] / curve(points, 0)[0]
    gradient_ratio = curve(points, 2)[1] / curve(points, 0)[1]
    assert loss_ratio.tolist() == pytest.approx([0.81, 0.25, 0.01])
    assert gradient_ratio[1].item() == pytest.approx(0.597, abs=5e-4)
    assert gradient_ratio[2].item() == pytest.approx(0.029, abs=5e-4)
    assert round(1 / gradient_ratio[2].item()) == 35

    k = curve(P, 2)[1] / curve(P, 0)[1]
    assert k.max().item() == pytest.approx(1.225, abs=5e-4)
    assert P[k.argmax()].item() == pytest.approx(0.104, abs=5e-4)
    assert P[k > 1].max().item() == pytest.approx(0.298, abs=5e-4)

    kinds, how_many = torch.tensor([0.99, 0.3], dtype=torch.float64), torch.tensor([1000, 10])
    easy_share = [((g := curve(kinds, gamma)[1].abs() * how_many) / g.sum())[0].item() for gamma in (0, 2)]
    assert easy_share[0] > 0.5
    assert easy_share[1] < 0.001


def test_the_loss_never_exceeds_cross_entropy():
    for gamma in (0.3, 1, 2, 5):
        assert (curve(P, gamma)[0] <= curve(P, 0)[0]).all()


def test_per_example():
    """Softmax gradient: for cross-entropy it is p - onehot, whose norm with two classes is sqrt(2) (1 - p_t)."""
    logits, target = torch.randn(7, 2), torch.tensor([0, 1, 0, 1, 1, 0, 0])
    p_t, loss, size = per_example(logits, target, gamma=0)
    torch.testing.assert_close(p_t, logits.double().softmax(1)[range(7), target])
    torch.testing.assert_close(loss, F.cross_entropy(logits.double(), target, reduction="none"))
    torch.testing.assert_close(size, 2**0.5 * (1 - p_t))
    _, weighted, _ = per_example(logits, target, alpha=torch.tensor([1.0, 3.0]), gamma=0)
    torch.testing.assert_close(weighted, loss * (1 + 2 * target))


def test_before_and_after_a_network_has_adapted_to_one_in_a_thousand():
    """What chapter 02 says of the stored networks."""
    stored = pd.read_csv(ROOT / "focal_lib" / "results" / "thousand.csv")
    assert stored.groupby(["epochs", "gamma"]).seed.nunique().tolist() == [10] * 6
    of = {key: group.share for key, group in stored.groupby(["epochs", "gamma"])}
    assert (of[0, 0] < 0.01).all() and (of[0, 2] < 0.01).all()  # "counts decide"
    assert of[1000, 0].between(0.49, 0.54).all()  # "exactly half" at the minimum, which is near
    assert (of[1000, 2] > 0.99).all()  # "next to nothing"


def test_the_stored_count_is_that_of_the_preset():
    example = load_example()
    x, y = example.x_train, example.y_train
    logits = make_model(3)(x).detach() * 4
    times = torch.tensor([1000.0, 1.0], dtype=torch.float64) / y.bincount()
    for gamma in (0, 2):
        _, _, (_, _, right, wrong) = BatchShare(logits, y).shares(gamma, 1, "1:1000")
        assert minority_share(logits, y, times, gamma) == pytest.approx(right + wrong, abs=1e-9)
