"""The loss against a slow plain-Python specification, and everything else its contract promises."""

import doctest
import math
from itertools import product

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

import focal_lib.losses
from focal_lib import FocalLoss, focal_loss, sigmoid_focal_loss

GAMMAS = [0, 0.3, 0.5, 1, 2, 5]
REDUCTIONS = ["none", "sum", "mean", "weighted_mean"]


def specification(logits, target, alpha, gamma, ignore_index=-100):
    """Focal loss of each row, in plain Python floats, with 1 - p_t and log p_t computed without cancellation."""
    losses = []
    for row, t in zip(logits.tolist(), target.tolist(), strict=True):
        if t == ignore_index:
            losses.append(0.0)
            continue
        top = max(row)
        own = math.exp(row[t] - top)
        others = math.fsum(math.exp(z - top) for j, z in enumerate(row) if j != t)
        ce = math.log1p(others / own)
        losses.append((1 if alpha is None else alpha[t].item()) * (others / (own + others)) ** gamma * ce)
    return losses


@st.composite
def batches(draw):
    """Logits of every scale, targets with some ignored, with and without alpha."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    n, c = draw(st.integers(1, 20)), draw(st.integers(2, 50))
    extra = draw(st.sampled_from([(), (3,), (2, 3)]))
    scale = draw(st.sampled_from([0.1, 1.0, 5.0, 20.0]))
    logits = scale * torch.randn(n, c, *extra, dtype=torch.float64, generator=generator)
    target = torch.randint(c, (n, *extra), generator=generator)
    if draw(st.booleans()):
        target = target.masked_fill(torch.rand(target.shape, generator=generator) < 0.3, -100)
    alpha = 10 * torch.rand(c, dtype=torch.float64, generator=generator) if draw(st.booleans()) else None
    return logits, target, alpha


def rows(logits, target):
    return logits.movedim(1, -1).reshape(-1, logits.shape[1]), target.reshape(-1)


@settings(max_examples=150, deadline=None)
@given(batches(), st.sampled_from(GAMMAS))
def test_agrees_with_the_specification(batch, gamma):
    logits, target, alpha = batch
    expected = specification(*rows(logits, target), alpha, gamma)
    none = focal_loss(logits, target, alpha, gamma, reduction="none")
    assert none.shape == target.shape
    torch.testing.assert_close(
        none.reshape(-1),
        torch.tensor(expected, dtype=torch.float64),
        rtol=1e-12,
        atol=1e-14 * (1 if alpha is None else 10),
    )
    kept = [t for t in target.reshape(-1).tolist() if t != -100]
    weights = [1.0 if alpha is None else alpha[t].item() for t in kept]
    total = math.fsum(expected)
    for reduction, value in {
        "sum": total,
        "mean": total / len(kept) if kept else 0.0,
        "weighted_mean": total / math.fsum(weights) if kept else 0.0,
    }.items():
        result = focal_loss(logits, target, alpha, gamma, reduction=reduction).item()
        assert result == pytest.approx(value, rel=1e-12, abs=1e-13), reduction


@settings(max_examples=50, deadline=None)
@given(batches())
def test_gamma_zero_is_cross_entropy(batch):
    logits, target, alpha = batch
    for reduction in ("none", "sum"):
        expected = F.cross_entropy(logits, target, alpha, reduction=reduction)
        torch.testing.assert_close(focal_loss(logits, target, alpha, 0, reduction=reduction), expected)
    if (target != -100).any():
        torch.testing.assert_close(focal_loss(logits, target, None, 0), F.cross_entropy(logits, target))
        weighted = focal_loss(logits, target, alpha, 0, reduction="weighted_mean")
        torch.testing.assert_close(weighted, F.cross_entropy(logits, target, alpha))


def test_the_figures_of_the_paper():
    """Section 3.2: with gamma = 2, p_t = 0.9 costs 100 times less than cross-entropy, p_t = 0.968 about 1000 times."""
    p_t = torch.tensor([0.9, 0.968], dtype=torch.float64)
    logits = torch.stack([p_t.log(), (1 - p_t).log()], dim=1)
    target = torch.zeros(2, dtype=torch.int64)
    ratio = F.cross_entropy(logits, target, reduction="none") / focal_loss(logits, target, reduction="none")
    assert ratio[0].item() == pytest.approx(100, rel=1e-9)
    assert 900 < ratio[1].item() < 1100


def test_by_hand():
    """p = softmax([0, ln 3]) = [1/4, 3/4]. True class 0: (3/4)^2 ln 4 = 0.779790; alpha = 2 doubles it."""
    logits = torch.tensor([[0.0, math.log(3)]], dtype=torch.float64)
    target = torch.tensor([0])
    assert focal_loss(logits, target).item() == pytest.approx(0.5625 * math.log(4))
    assert focal_loss(logits, target, torch.tensor([2.0, 1.0])).item() == pytest.approx(2 * 0.5625 * math.log(4))


@pytest.mark.parametrize("gamma", [0, 0.25, 0.5, 1, 2, 5])
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_gradcheck(gamma, reduction):
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(4, 3, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    target = torch.tensor([[0, 1], [2, -100], [1, 1], [0, 2]])
    alpha = torch.tensor([0.5, 1.0, 4.0], dtype=torch.float64)

    def loss(x):
        return focal_loss(x, target, alpha, gamma, reduction=reduction)

    assert gradcheck(loss, (logits,))
    assert gradgradcheck(loss, (logits,))


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("gamma", [0, 0.25, 0.5, 1, 2])
def test_finite_at_the_extremes(gamma, dtype):
    """Saturated right, saturated wrong, and one undecided example, in one batch."""
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [0.1, 0.2, 0.3]]).to(dtype).requires_grad_()
    loss = focal_loss(logits, torch.zeros(3, dtype=torch.int64), torch.tensor([1.0, 2.0, 3.0]), gamma)
    loss.backward()
    assert loss.dtype == (torch.float64 if dtype == torch.float64 else torch.float32)
    assert loss.isfinite() and logits.grad.isfinite().all()
    assert logits.grad.dtype == dtype
    assert logits.grad[1].abs().max() > 0.3  # the worst mistake still pushes: |dL/dz| = 1 / 3 in a mean of three


@pytest.mark.parametrize("gamma", [0, 0.5, 2])
def test_a_masked_class_changes_nothing(gamma):
    logits = torch.tensor([[1.0, -2.0, 0.5], [3.0, 0.0, -1.0]], dtype=torch.float64)
    target = torch.tensor([0, 1])
    masked = torch.cat([logits, torch.full((2, 1), -math.inf, dtype=torch.float64)], dim=1).requires_grad_()
    loss = focal_loss(masked, target, gamma=gamma)
    loss.backward()
    torch.testing.assert_close(loss.detach(), focal_loss(logits, target, gamma=gamma))
    assert masked.grad.isfinite().all()
    assert (masked.grad[:, 3] == 0).all()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype):
    logits = torch.randn(64, 5, generator=torch.Generator().manual_seed(2)).to(dtype)
    target = torch.randint(5, (64,), generator=torch.Generator().manual_seed(3))
    assert torch.equal(focal_loss(logits, target), focal_loss(logits.float(), target))


def test_autocast():
    layer = torch.nn.Linear(4, 3)
    x, target = torch.randn(8, 4), torch.randint(3, (8,))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits = layer(x)
        loss = FocalLoss(torch.ones(3))(logits, target)
    assert logits.dtype == torch.bfloat16 and loss.dtype == torch.float32
    loss.backward()
    assert layer.weight.grad.isfinite().all()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nothing_left_to_count_is_zero_with_a_graph(reduction):
    for logits, target in (
        (torch.randn(3, 2, requires_grad=True), torch.full((3,), -100)),
        (torch.empty(0, 2, requires_grad=True), torch.empty(0, dtype=torch.int64)),
    ):
        for alpha in (None, torch.tensor([1.0, 3.0])):
            loss = focal_loss(logits, target, alpha, reduction=reduction)
            assert (loss == 0).all()
            loss.sum().backward()
            assert (logits.grad == 0).all()


def test_ignored_rows_may_hold_anything():
    logits = torch.tensor([[1.0, 2.0], [math.nan, math.inf]], requires_grad=True)
    target = torch.tensor([0, 7])
    loss = focal_loss(logits, target, ignore_index=7)
    loss.backward()
    torch.testing.assert_close(loss.detach(), focal_loss(logits[:1].detach(), target[:1]))
    assert logits.grad[0].isfinite().all()


def test_log_probabilities_are_logits():
    logits = torch.randn(10, 4, dtype=torch.float64)
    target = torch.randint(4, (10,))
    torch.testing.assert_close(focal_loss(logits.log_softmax(1), target), focal_loss(logits, target))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_compile(gamma):
    torch._dynamo.reset()  # what other tests compiled counts as recompiling
    compiled = torch.compile(focal_loss, fullgraph=True, backend="aot_eager")
    logits = torch.randn(6, 3, requires_grad=True)
    target = torch.tensor([0, 1, 2, -100, 1, 0])
    alpha = torch.tensor([1.0, 2.0, 3.0])
    compiled(logits, target, alpha, gamma).backward()
    gradient, logits.grad = logits.grad, None
    focal_loss(logits, target, alpha, gamma).backward()
    torch.testing.assert_close(gradient, logits.grad)


def test_vmap_and_grad():
    logits = torch.randn(4, 6, 3, dtype=torch.float64)
    target = torch.randint(3, (4, 6))
    alpha = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)

    def loss(x, t):
        return focal_loss(x, t, alpha)

    values = torch.func.vmap(loss)(logits, target)
    torch.testing.assert_close(values, torch.stack([loss(x, t) for x, t in zip(logits, target, strict=True)]))
    gradients = torch.func.vmap(torch.func.grad(loss))(logits, target)
    for k in range(4):
        x = logits[k].clone().requires_grad_()
        loss(x, target[k]).backward()
        torch.testing.assert_close(gradients[k], x.grad)
    with pytest.raises(ValueError, match="got 5"):
        torch.func.vmap(loss)(logits, torch.full_like(target, 5))


def test_module_equals_function_and_survives_a_state_dict(tmp_path):
    alpha = torch.tensor([1.0, 4.0])
    module = FocalLoss(alpha, gamma=1.5, ignore_index=3, reduction="sum")
    logits, target = torch.randn(5, 2), torch.tensor([0, 1, 3, 1, 0])
    expected = focal_loss(logits, target, alpha, 1.5, ignore_index=3, reduction="sum")
    assert torch.equal(module(logits, target), expected)

    torch.save(module.state_dict(), tmp_path / "loss.pt")
    other = FocalLoss(torch.ones(2), gamma=1.5, ignore_index=3, reduction="sum")
    other.load_state_dict(torch.load(tmp_path / "loss.pt"))
    assert torch.equal(other(logits, target), expected)
    alpha[0] = 100.0
    assert torch.equal(module(logits, target), expected)  # the module keeps its own copy
    assert "gamma=1.5" in repr(module)


def test_alpha_follows_the_module():
    module = torch.nn.ModuleDict({"loss": FocalLoss(torch.ones(3))})
    assert module.to("meta")["loss"].alpha.device.type == "meta"
    assert FocalLoss().to("meta").alpha is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device on this machine")
def test_cuda():
    alpha = torch.tensor([1.0, 2.0, 3.0])
    logits, target = torch.randn(50, 3), torch.randint(3, (50,))
    module = FocalLoss(alpha).to("cuda")
    torch.testing.assert_close(module(logits.cuda(), target.cuda()).cpu(), focal_loss(logits, target, alpha))
    with pytest.raises(ValueError, match="alpha is on cpu"):
        focal_loss(logits.cuda(), target.cuda(), alpha)


X, T, A = torch.zeros(2, 3), torch.tensor([0, 1]), torch.ones(3)
BAD_INPUT = {
    "scalar alpha": (TypeError, "one scalar cannot balance classes", lambda: focal_loss(X, T, 0.25)),
    "alpha as a list": (TypeError, "got list", lambda: focal_loss(X, T, [1.0, 2.0, 3.0])),
    "alpha too short": (ValueError, r"alpha must have shape \(3,\), got \(2,\)", lambda: focal_loss(X, T, A[:2])),
    "alpha 0-dimensional": (ValueError, r"got \(\)", lambda: focal_loss(X, T, torch.tensor(0.25))),
    "alpha negative": (ValueError, "got -1.0", lambda: focal_loss(X, T, torch.tensor([1.0, -1.0, 1.0]))),
    "alpha nan": (ValueError, "got nan", lambda: focal_loss(X, T, torch.tensor([1.0, math.nan, 1.0]))),
    "alpha elsewhere": (ValueError, "alpha is on meta", lambda: focal_loss(X, T, A.to("meta"))),
    "gamma negative": (ValueError, "gamma must be a finite number >= 0, got -1", lambda: focal_loss(X, T, gamma=-1)),
    "gamma nan": (ValueError, "got nan", lambda: focal_loss(X, T, gamma=math.nan)),
    "gamma infinite": (ValueError, "got inf", lambda: focal_loss(X, T, gamma=math.inf)),
    "gamma text": (TypeError, "gamma must be a number, got str", lambda: focal_loss(X, T, gamma="2")),
    "unknown reduction": (ValueError, "got 'average'", lambda: focal_loss(X, T, reduction="average")),
    "integer logits": (TypeError, "got torch.int64", lambda: focal_loss(X.long(), T)),
    "one logit": (ValueError, "sigmoid_focal_loss", lambda: focal_loss(X[:, :1], T)),
    "no class axis": (ValueError, r"got \(3,\)", lambda: focal_loss(X[0], T[0])),
    "soft targets": (TypeError, "soft targets", lambda: focal_loss(X, torch.rand(2, 3))),
    "float targets": (TypeError, "got torch.float32", lambda: focal_loss(X, T.float())),
    "int32 targets": (TypeError, r"target\.long\(\)", lambda: focal_loss(X, T.int())),
    "target too long": (ValueError, r"\(2,\).*got \(3,\)", lambda: focal_loss(X, torch.tensor([0, 1, 2]))),
    "class axis last": (ValueError, r"\(2, 3\)", lambda: focal_loss(torch.zeros(2, 4, 3), torch.zeros(2, 4).long())),
    "target too large": (ValueError, r"\[0, 3\).*got 3", lambda: focal_loss(X, torch.tensor([0, 3]))),
    "target negative": (ValueError, "got -1", lambda: focal_loss(X, torch.tensor([-1, -100]))),
    "module, scalar alpha": (TypeError, "one scalar", lambda: FocalLoss(0.25)),
    "module, gamma": (ValueError, "got -2", lambda: FocalLoss(gamma=-2)),
    "module, reduction": (ValueError, "got 'x'", lambda: FocalLoss(reduction="x")),
    "module, alpha length": (ValueError, r"shape \(3,\)", lambda: FocalLoss(A[:2])(X, T)),
    "sigmoid, alpha": (ValueError, "got 1.5", lambda: sigmoid_focal_loss(X, X, alpha=1.5)),
    "sigmoid, shapes": (ValueError, r"\(2, 3\).*got \(2,\)", lambda: sigmoid_focal_loss(X, T)),
    "sigmoid, target": (ValueError, "from 2.0 to 2.0", lambda: sigmoid_focal_loss(X, X + 2)),
    "sigmoid, reduction": (
        ValueError,
        "got 'weighted_mean'",
        lambda: sigmoid_focal_loss(X, X, reduction="weighted_mean"),
    ),
    "sigmoid, integers": (TypeError, "got torch.int64", lambda: sigmoid_focal_loss(X.long(), X)),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_gets_one_sentence(case):
    error, sentence, call = BAD_INPUT[case]
    with pytest.raises(error, match=sentence) as caught:
        call()
    assert "\n" not in str(caught.value)


# ---------------------------------------------------------------- the binary form


def published_definition(logits, target, alpha, gamma):
    """Lin et al., section 3: p_t = p if y = 1 else 1 - p, alpha_t likewise, term by term."""
    losses = []
    for z, y in zip(logits.tolist(), target.tolist(), strict=True):
        p = 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))
        p_t, alpha_t = (p, alpha) if y == 1 else (1 - p, 1 - alpha)
        losses.append(-alpha_t * (1 - p_t) ** gamma * math.log(p_t))
    return torch.tensor(losses, dtype=torch.float64)


def vision_formula(logits, target, alpha, gamma):
    """The order of operations of the well-known vision implementation, for agreement to the last digit."""
    p = torch.sigmoid(logits)
    ce = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    loss = ce * (1 - (p * target + (1 - p) * (1 - target))) ** gamma
    return loss if alpha is None else (alpha * target + (1 - alpha) * (1 - target)) * loss


@pytest.mark.parametrize(("alpha", "gamma"), list(product([0.25, 0.5, 0.9], [0, 0.5, 2, 5])))
def test_sigmoid_form_is_the_published_definition(alpha, gamma):
    generator = torch.Generator().manual_seed(4)
    logits = 5 * torch.randn(200, dtype=torch.float64, generator=generator)
    target = torch.randint(2, (200,), generator=generator).double()
    result = sigmoid_focal_loss(logits, target, alpha, gamma, reduction="none")
    torch.testing.assert_close(result, published_definition(logits, target, alpha, gamma), rtol=1e-9, atol=1e-12)
    assert torch.equal(sigmoid_focal_loss(logits, target.long(), alpha, gamma, "none"), result)
    assert sigmoid_focal_loss(logits, target, alpha, gamma) == result.mean()
    assert sigmoid_focal_loss(logits, target, alpha, gamma, "sum") == result.sum()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("alpha", [None, 0.25])
@pytest.mark.parametrize("soft", [False, True])
def test_sigmoid_form_to_the_last_digit(dtype, alpha, soft):
    generator = torch.Generator().manual_seed(5)
    logits = 20 * torch.randn(500, dtype=dtype, generator=generator)
    target = torch.rand(500, dtype=dtype, generator=generator)
    target = target if soft else target.round()
    for gamma in (0, 0.5, 2):
        result = sigmoid_focal_loss(logits, target, alpha, gamma, reduction="none")
        assert torch.equal(result, vision_formula(logits, target, alpha, gamma))


def test_sigmoid_form_at_gamma_zero_is_half_of_bce():
    logits, target = torch.randn(50, dtype=torch.float64), torch.rand(50, dtype=torch.float64)
    expected = F.binary_cross_entropy_with_logits(logits, target) / 2
    torch.testing.assert_close(sigmoid_focal_loss(logits, target, alpha=0.5, gamma=0), expected)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("gamma", [0, 0.25, 0.5, 1, 2])
def test_sigmoid_form_is_finite_at_the_extremes(gamma, dtype):
    logits = torch.tensor([1e4, -1e4, 0.0, 50.0]).to(dtype).requires_grad_()
    loss = sigmoid_focal_loss(logits, torch.tensor([1, 1, 0, 1]), gamma=gamma)
    loss.backward()
    assert loss.isfinite() and logits.grad.isfinite().all() and logits.grad.dtype == dtype


def test_sigmoid_form_gradcheck():
    logits = torch.randn(6, dtype=torch.float64, requires_grad=True)
    target = torch.tensor([0.0, 1.0, 1.0, 0.0, 0.3, 0.8], dtype=torch.float64)
    for gamma in (0, 0.5, 2):
        assert gradcheck(lambda x, g=gamma: sigmoid_focal_loss(x, target, gamma=g), (logits,))
        assert gradgradcheck(lambda x, g=gamma: sigmoid_focal_loss(x, target, gamma=g), (logits,))


def test_the_examples_in_the_docstrings():
    result = doctest.testmod(focal_lib.losses, extraglobs={"torch": torch})
    assert result.attempted > 0 and result.failed == 0
