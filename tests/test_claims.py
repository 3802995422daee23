"""The claims page is what its data says now, every claim has evidence, and the small facts it quotes hold."""

import functools
import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight
from torch.nn import functional as F

from focal_lib import focal_loss, sigmoid_focal_loss
from focal_lib.bugs import CATALOGUE
from focal_lib.lab import stored_runs as evidence
from focal_lib.lab.curves import per_example
from focal_lib.lab.data import inverse_frequency, load_example
from focal_lib.lab.sweep import sweep
from focal_lib.lab.training import make_model, training_steps

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("make_claims", ROOT / "tools" / "make_claims.py")
make_claims = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make_claims)


@pytest.fixture(scope="module")
def claims():
    return make_claims.read_claims()


def test_the_page_is_up_to_date(claims):
    assert (ROOT / "book" / "claims.md").read_text("utf-8") == make_claims.page(claims)


def test_every_source_has_claims_and_every_claim_a_source(claims):
    assert {claim["source"] for claim in claims} == set(make_claims.SOURCES)


def test_a_changed_number_changes_the_page(claims, monkeypatch):
    (claim,) = [c for c in claims if "oversampling" in c["says"].lower()]
    before = make_claims.entry(claim)
    shifted = evidence.load().copy()
    shifted.loc[shifted.loss == "sampler", "value"] += 0.01
    monkeypatch.setattr(evidence, "load", lambda: shifted)
    assert make_claims.entry(claim) != before


PLANTED = {
    "source": "001",
    "says": "Snow is white.",
    "verdict": "right",
    "because": "Look.",
    "shown_by": ["02_loss_curve"],
}


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"shown_by": []}, "this claim has no evidence: 'Snow is white.'"),
        ({"shown_by": ["test_data.py::test_nothing"]}, "names a test that does not exist"),
        ({"shown_by": ["99_nowhere"]}, "names a chapter that does not exist"),
        ({"shown_by": ["02_loss_curve#nothing"]}, "names a heading that does not exist"),
        ({"verdict": "maybe"}, "verdict must be one of"),
        ({"numbers": {"idle": "1"}}, "number 'idle' is not used"),
    ],
)
def test_a_claim_without_evidence_is_refused(change, sentence):
    assert "**Right.** Look." in make_claims.entry(PLANTED)
    with pytest.raises(ValueError, match=re.escape(sentence)):
        make_claims.entry({**PLANTED, **change})


def quoted_sigmoid_form(input, target, alpha=0.25, gamma=2.0):
    """The sigmoid form as source 001 quotes it, in our words; ``wrong`` is what it calls pt."""
    p = input.sigmoid()
    wrong = (1 - p) * target + p * (1 - target)
    weight = alpha * target + (1 - alpha) * (1 - target)
    return weight * wrong**gamma * F.binary_cross_entropy_with_logits(input, target, reduction="none")


def test_the_quoted_sigmoid_code_is_the_sigmoid_form():
    input, target = torch.linspace(-4, 4, 9), torch.tensor([0.0, 1.0, 0.0] * 3)
    expected = sigmoid_focal_loss(input, target, reduction="none")
    torch.testing.assert_close(quoted_sigmoid_form(input, target), expected)
    right_name = quoted_sigmoid_form(-input, target)  # p_t in place of 1 - p_t: not the same
    assert (right_name - expected).abs().max() > 0.1


def test_the_quoted_sigmoid_code_is_no_softmax():
    logits, target = torch.randn(6, 4, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1, 2, 3, 0, 1])
    with pytest.raises(RuntimeError):
        quoted_sigmoid_form(logits, target)
    one_hot = F.one_hot(target, 4).float()
    shift = quoted_sigmoid_form(logits + 3, one_hot).sum() - quoted_sigmoid_form(logits, one_hot).sum()
    assert shift.abs() > 0.1
    torch.testing.assert_close(focal_loss(logits + 3, target), focal_loss(logits, target))


def test_positional_class_weights_are_refused():
    labels = np.array([0, 0, 1])
    with pytest.raises(TypeError):
        compute_class_weight("balanced", np.unique(labels), labels)
    assert compute_class_weight("balanced", classes=np.unique(labels), y=labels) == pytest.approx([0.75, 1.5])


def test_gamma_zero_of_source_002_is_a_quarter():
    input, target = torch.randn(8, 2, generator=torch.Generator().manual_seed(1)), torch.zeros(8, 2)
    its_own = CATALOGUE["binary_scalar_alpha"].loss(input, target, gamma=0.0)
    torch.testing.assert_close(its_own, 0.25 * F.binary_cross_entropy_with_logits(input, target))


def test_source_002_refuses_class_indices():
    with pytest.raises((ValueError, RuntimeError)):
        CATALOGUE["binary_scalar_alpha"].loss(torch.zeros(4, 2), torch.tensor([0, 1, 1, 0]))


def test_at_a_minimum_each_of_two_classes_owns_half():
    """Softmax regression, trained to its minimum: the bias makes the sum of p - y, with weights or without, zero."""
    example = load_example()
    x, y = example.x_train.double(), example.y_train
    for alpha in (None, inverse_frequency(y).double()):
        layer = torch.nn.Linear(20, 2, dtype=torch.float64)
        optimizer = torch.optim.LBFGS(layer.parameters(), max_iter=500, line_search_fn="strong_wolfe")

        def closure(layer=layer, optimizer=optimizer, alpha=alpha):
            optimizer.zero_grad()
            loss = focal_loss(layer(x), y, alpha, gamma=0)
            loss.backward()
            return loss

        optimizer.step(closure)
        size = per_example(layer(x).detach(), y, alpha=alpha, gamma=0)[2]
        assert size[y == 1].sum() / size.sum() == pytest.approx(0.5, abs=1e-4)


def test_what_the_minority_owns_on_a_new_network():
    """By hand: an example's gradient in its logits has the size 1 - p_t, times its weight."""
    example = load_example()
    y = example.y_train
    with torch.no_grad():
        miss = 1 - make_model(0)(example.x_train).softmax(1)[range(len(y)), y]
    for alpha, weights in ((None, torch.ones(2)), ("inverse_frequency", len(y) / y.bincount())):
        size = weights[y] * miss
        share = 100 * size[y == 1].sum() / size.sum()
        assert make_claims.minority_share(alpha) == f"{share:.0f} %"


def test_the_weights_of_each_class_add_up_to_the_same():
    """632 examples of weight 800 / 632, and 168 of weight 800 / 168; the page's sum is over the library's weights."""
    y = load_example().y_train
    weights = inverse_frequency(y)[y]
    assert [weights[y == label].sum().item() for label in (0, 1)] == pytest.approx([800, 800])
    assert make_claims.class_weight_sums() == "800 and 800"


def test_one_alpha_for_all_is_a_learning_rate():
    """A quarter of the loss is a quarter of SGD's learning rate, bit for bit; Adam does not notice."""
    example, constant = load_example(), CATALOGUE["scalar_alpha"].build(gamma=2)

    def quarter(input, target):
        return 0.25 * focal_loss(input, target)

    def trained(loss, **options):
        model = make_model(0)
        list(training_steps(model, loss, example.x_train, example.y_train, epochs=50, **options))
        return torch.cat([p.detach().flatten() for p in model.parameters()])

    slow = trained(focal_loss, optimizer="sgd", learning_rate=0.1 / 4)
    assert torch.equal(trained(quarter, optimizer="sgd"), slow)
    assert not torch.equal(trained(focal_loss, optimizer="sgd"), slow)
    torch.testing.assert_close(trained(constant, optimizer="sgd"), slow, rtol=0, atol=1e-5)
    torch.testing.assert_close(trained(constant), trained(focal_loss), rtol=0, atol=1e-3)


def test_sampler_and_weights_agree_in_expectation():
    """Same mean; over a whole pass only the sampler spreads, in small batches it spreads less than the weights."""
    example = load_example()
    x, y, alpha = example.x_train, example.y_train, inverse_frequency(example.y_train)
    model, generator = make_model(0), torch.Generator().manual_seed(0)
    parameters = {name: p.detach() for name, p in model.named_parameters()}
    loss = lambda p, x, y: F.cross_entropy(torch.func.functional_call(model, p, (x[None],)), y[None])  # noqa: E731
    gradients = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(parameters, x, y)
    gradients = torch.cat([g.flatten(1) for g in gradients.values()], dim=1)
    weighted = alpha[y, None] * gradients / alpha[y].mean()
    whole = weighted.mean(dim=0)

    def cloud(size, sampler):
        draws = []
        for _ in range(400):
            if sampler:
                rows = torch.multinomial(alpha[y], size, replacement=True, generator=generator)
                draws.append(gradients[rows].mean(dim=0))
            else:
                rows = torch.randperm(len(y), generator=generator)[:size]
                draws.append(weighted[rows].mean(dim=0))
        draws = torch.stack(draws)
        return (draws.mean(dim=0) - whole).norm() / whole.norm(), draws.var(dim=0).sum().sqrt() / whole.norm()

    (offset, spread), (_, no_spread) = cloud(800, True), cloud(800, False)
    assert offset < 0.02 and spread > 0.05 and no_spread < 1e-4
    (offset, spread), (_, with_weights) = cloud(64, True), cloud(64, False)
    assert offset < 0.05 and with_weights > 1.2 * spread


def test_faulty_losses_fall_too():
    assert make_claims.falling_runs() == 16
    flat = functools.partial(sweep, lambda input, target: 0 * input.sum(), range(2), epochs=3, progress=False)
    assert not (flat().losses[:, -1] < flat().losses[:, 0]).any()


def best_boundary(gamma):
    """Where the linear logit that minimises the exact expected loss says a half: 20 % N(2, 1), 80 % N(-1, 2)."""
    x = torch.linspace(-15, 15, 6001, dtype=torch.float64)
    mass = [0.2 * torch.exp(-((x - 2) ** 2) / 2), 0.4 * torch.exp(-((x + 1) ** 2) / 8)]
    line = torch.nn.Linear(1, 1, dtype=torch.float64)
    optimizer = torch.optim.LBFGS(line.parameters(), max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        z = line(x[:, None])[:, 0]
        logits = torch.stack([torch.zeros_like(z), z], 1)
        losses = [
            focal_loss(logits, torch.full((len(x),), k), gamma=gamma, reduction="none") * mass[1 - k] for k in (0, 1)
        ]
        loss = sum(losses).mean()
        loss.backward()
        return loss

    optimizer.step(closure)
    return (-line.bias / line.weight).item()


def test_gamma_moves_the_boundary_of_a_model_that_cannot_fit():
    """The true log odds bend, the line cannot: so the claims page says "and a model that can fit them"."""
    assert best_boundary(0.0) == pytest.approx(1.964, abs=0.01)
    assert best_boundary(2.0) == pytest.approx(2.016, abs=0.01)
