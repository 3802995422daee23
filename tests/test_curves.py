"""The figures that chapters 01 and 02 quote, from the library's own loss."""

import pytest
import torch
import torch.nn.functional as F

from focal_lib import focal_loss
from focal_lib.lab.curves import curve, per_example

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
