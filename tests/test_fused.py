"""The fast path against the ten lines it replaces: same values, same gradients, same contract."""

import ast
import math
import threading
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import forward_ad

from focal_lib import _fused as fused
from focal_lib import focal_loss
from focal_lib.losses import plain_focal_loss

REDUCTIONS = ["none", "sum", "mean", "weighted_mean"]
DTYPES = [torch.float64, torch.float32, torch.bfloat16, torch.float16]


def value_and_gradient(loss, input, *arguments, upstream=None):
    input = input.clone(memory_format=torch.preserve_format).requires_grad_()
    value = loss(input, *arguments)
    upstream = torch.ones_like(value) if upstream is None else upstream.to(value.dtype)
    (gradient,) = torch.autograd.grad(value, input, upstream)
    return value.detach(), gradient


def fast(input, target, alpha, gamma, ignore_index, reduction):
    some_ignored = (target == ignore_index).any().item()
    call = fused.Call(input, target, alpha, gamma, ignore_index, reduction)
    return fused.focal_loss(fused.path(call), call, plain_focal_loss, some_ignored)


def assert_agree(input, target, alpha, gamma, ignore_index, reduction, upstream=None, loss=fast):
    """Value and gradient within two rounding errors of the largest number that enters a row: see ``unit``."""
    arguments = (target, alpha, gamma, ignore_index, reduction)
    value, gradient = value_and_gradient(loss, input, *arguments, upstream=upstream)
    expected, expected_gradient = value_and_gradient(plain_focal_loss, input, *arguments, upstream=upstream)
    assert (value.dtype, value.shape) == (expected.dtype, expected.shape)
    assert (gradient.dtype, gradient.shape) == (expected_gradient.dtype, expected_gradient.shape)

    # The unit: log p_t is a difference of numbers of size 1 + |log p_t|, with a sum of C terms in it; a factor moves by
    # (1 + gamma) times that. Losses and gradients are scaled by alpha and by what comes after them.
    ce = plain_focal_loss(input.double(), target, None, 0, ignore_index, "none").nan_to_num(posinf=0)
    classes = input.shape[1]
    unit = torch.finfo(value.dtype).eps * (1 + gamma) * (1 + ce) * max(1, math.sqrt(classes) / 4)
    counted = target != ignore_index
    if alpha is not None:
        unit = unit * alpha.double()[target.where(counted, 0)]
    if reduction in ("mean", "weighted_mean"):
        weight = (
            alpha.double()[target[counted]] if alpha is not None and reduction == "weighted_mean" else counted[counted]
        )
        unit = unit / max(weight.sum().item(), torch.finfo(torch.float64).tiny)
    value_unit = unit if reduction == "none" else unit.sum()
    assert_within(value, expected, 2 * value_unit)

    unit = unit * (1 if upstream is None else upstream.double().abs())
    half = torch.finfo(gradient.dtype)  # a gradient in half precision is rounded once more
    rounding = (half.eps * expected_gradient.double().abs() + half.smallest_normal * half.eps).nan_to_num(
        posinf=math.inf
    )
    assert_within(gradient, expected_gradient, 2 * unit.unsqueeze(1) + rounding)


def assert_within(actual, expected, tolerance):
    actual, expected = actual.double(), expected.double()
    same = (actual == expected) | (actual.isnan() & expected.isnan()) | ((actual - expected).abs() <= tolerance)
    assert same.all(), f"off by {(actual - expected).abs()[~same].max()}"


@st.composite
def calls(draw, dtype):
    """Arguments of every kind: layouts, scales, saturated, masked and ignored rows, weights, reductions."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**32)))
    n, c = draw(st.integers(1, 30)), draw(st.sampled_from([2, 3, 4, 7, 8, 9, 15, 16, 23, 25, 40]))
    extra = draw(st.sampled_from([(), (), (1,), (3,), (5, 4), (2, 3, 2)]))
    scale = draw(st.sampled_from([0.1, 1.0, 5.0, 30.0, 1000.0]))
    input = (scale * torch.randn(n, c, *extra, generator=generator, dtype=torch.float64)).to(dtype)
    target = torch.randint(c, (n, *extra), generator=generator)
    if draw(st.booleans()):  # right and certain
        input.scatter_(1, target.unsqueeze(1), 60.0)
    if draw(st.booleans()):  # a class is masked, here and there the true one
        input[:, draw(st.integers(0, c - 1))] = -math.inf
    layout = draw(st.sampled_from(["contiguous", "channels last", "strided", "transposed"]))
    if layout == "channels last":
        input = input.movedim(1, -1).contiguous().movedim(-1, 1)
    elif layout == "strided":
        input = torch.stack([input, input], dim=-1)[..., 0]
    elif layout == "transposed":
        input, target = (x.transpose(0, -1).contiguous().transpose(0, -1) for x in (input, target))
    ignore_index = draw(st.sampled_from([-100, 0, 255]))
    if ignore_index != 0 and draw(st.booleans()):
        share = draw(st.sampled_from([0.3, 1.0]))
        target = target.masked_fill(torch.rand(target.shape, generator=generator) <= share, ignore_index)
    alpha = 10 * torch.rand(c, generator=generator) if draw(st.booleans()) else None
    gamma = draw(st.sampled_from([0, 0.3, 0.5, 1, 1.5, 2, 5]))
    reduction = draw(st.sampled_from(REDUCTIONS))
    upstream = 2 * torch.rand(target.shape if reduction == "none" else (), generator=generator) - 0.5
    return input, target, alpha, gamma, ignore_index, reduction, upstream if draw(st.booleans()) else None


@pytest.mark.parametrize("dtype", DTYPES)
@given(data=st.data(), block=st.sampled_from([1, 50, 300, fused.BLOCK]))
@settings(max_examples=120, deadline=None)
def test_agrees_with_the_plain_version(dtype, data, block):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "BLOCK", block)
        assert_agree(*data.draw(calls(dtype)))


@pytest.mark.parametrize("fault", ["k", "underflow", "total"])
def test_the_comparison_sees_a_wrong_fast_path(fault, monkeypatch):
    if fault == "k":  # the modulating factor taken for a constant
        right = fused._power_and_the_rest_of_k
        monkeypatch.setattr(fused, "_power_and_the_rest_of_k", lambda p_t, *rest: (right(p_t, *rest)[0], 1 - p_t))
    elif fault == "underflow":  # the losses of saturated rows read off a probability of 0
        monkeypatch.setattr(fused, "_log_pt", lambda p_t, x, index, dim, out: torch.log(p_t, out=out))
    else:  # ignored targets counted
        monkeypatch.setattr(fused, "_factor", lambda reduction, t, alpha, ignored: 1 / t.numel())
    input = torch.tensor([[3.0, -1.0, 0.5], [200.0, 0.0, 0.0], [0.0, 1.0, 2.0]])
    with pytest.raises(AssertionError, match="off by"):
        assert_agree(input, torch.tensor([2, 1, -100]), None, 2.0, -100, "mean")


@pytest.mark.parametrize("classes", [2, 5, 8, 10, 15, 16, 23, 100])
def test_as_near_to_the_exact_value_as_the_plain_version(classes):
    generator = torch.Generator().manual_seed(classes)
    input = 5 * torch.randn(20_000, classes, generator=generator)
    target = torch.randint(classes, (20_000,), generator=generator)
    exact = plain_focal_loss(input.double(), target, None, 2.0, -100, "none")
    errors = [(loss(input, target, None, 2.0, -100, "none") - exact).abs() for loss in (fast, plain_focal_loss)]
    assert errors[0].mean() <= 1.5 * errors[1].mean()
    assert errors[0].max() <= 2 * errors[1].max()


def example(dtype=torch.float32, requires_grad=True):
    generator = torch.Generator().manual_seed(0)
    input = 3 * torch.randn(500, 20, generator=generator, dtype=dtype)
    return input.requires_grad_(requires_grad), torch.randint(20, (500,), generator=generator)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_same_bits_each_time_with_and_without_a_gradient(reduction):
    input, target = example()
    alpha = torch.rand(20)
    values, gradients = zip(
        *(value_and_gradient(focal_loss, input.detach(), target, alpha) for _ in range(3)), strict=True
    )
    assert all(torch.equal(value, values[0]) for value in values)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)
    with torch.no_grad():
        assert torch.equal(focal_loss(input, target, alpha), values[0])
    assert not focal_loss(input.detach(), target, alpha).requires_grad


def test_a_second_backward_finds_its_own_buffer():
    input, target = example()
    loss = focal_loss(input, target)
    assert "FocalLoss" in loss.grad_fn.name()  # this is the fast path
    (first,) = torch.autograd.grad(loss, input, retain_graph=True)
    kept = first.clone()
    first.zero_()
    (second,) = torch.autograd.grad(3 * loss, input, retain_graph=True)
    torch.testing.assert_close(second, 3 * kept)
    loss.backward()
    assert torch.equal(input.grad, kept)
    with pytest.raises(RuntimeError, match="second time"):
        loss.backward()


def test_the_gradient_is_handed_over_without_a_copy():
    for input, target in (example(), (torch.randn(100, 3, requires_grad=True), torch.randint(3, (100,)))):
        loss = focal_loss(input, target)
        made = loss.grad_fn.gradient.data_ptr()
        loss.backward()
        assert input.grad.data_ptr() == made
        assert input.grad.stride() == input.stride()


def test_arguments_are_left_alone():
    input, target = example()
    target[::3] = -100
    alpha = torch.rand(20)
    before = input.detach().clone(), target.clone(), alpha.clone()
    loss = focal_loss(input, target, alpha, ignore_index=-100)
    loss.backward(retain_graph=True)
    loss.backward()
    assert all(torch.equal(*pair) for pair in zip((input.detach(), target, alpha), before, strict=True))


def test_logits_changed_after_the_loss_do_not_change_a_gradient_silently():
    """The gradient exists already, so the first backward is right; one that must be made again says why it cannot."""
    input, target = example()
    expected = value_and_gradient(focal_loss, input.detach(), target)[1]
    logits = input * 1
    loss = focal_loss(logits, target)
    logits.data.add_(0)
    logits.detach().mul_(2)
    (gradient,) = torch.autograd.grad(loss, input, retain_graph=True)
    assert torch.equal(gradient, expected)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_double_backward(reduction):
    results = []
    for loss in (fast, plain_focal_loss):
        input, target = example(torch.float64)
        value = loss(input, target, torch.arange(20.0), 1.5, -100, reduction)
        (gradient,) = torch.autograd.grad(value.sum(), input, create_graph=True)
        (second,) = torch.autograd.grad(gradient.pow(2).sum(), input)
        results.append((gradient.detach(), second))
    torch.testing.assert_close(results[0], results[1])


def test_batched_gradients():
    input, target = example(torch.float64)
    value = focal_loss(input, target, reduction="none")
    upstream = torch.eye(500, dtype=torch.float64)[:4]
    (batched,) = torch.autograd.grad(value, input, upstream, is_grads_batched=True, retain_graph=True)
    one_by_one = [torch.autograd.grad(value, input, row, retain_graph=True)[0] for row in upstream]
    torch.testing.assert_close(batched, torch.stack(one_by_one))

    def backward(row):
        return torch.autograd.grad(value, input, row, retain_graph=True)[0]

    torch.testing.assert_close(torch.func.vmap(backward)(upstream), batched)


@pytest.mark.filterwarnings("ignore:.*torch.jit.script.*:DeprecationWarning")  # torch's own, in make_dual
def test_forward_mode_and_the_gradient_of_alpha():
    input, target = example(torch.float64)
    with forward_ad.dual_level():
        dual = forward_ad.make_dual(input.detach(), torch.ones_like(input))
        tangent = forward_ad.unpack_dual(focal_loss(dual, target, gamma=1.0)).tangent
    assert tangent.abs() < 1e-12  # the same added to all logits changes nothing
    alpha = torch.ones(20, dtype=torch.float64, requires_grad=True)
    focal_loss(input, target, alpha, reduction="sum").backward()
    torch.testing.assert_close(alpha.grad.sum(), focal_loss(input.detach(), target, reduction="sum"))


def test_a_closure_inside_a_transform():
    input, target = example(torch.float64)
    values = torch.func.vmap(lambda factor: factor * focal_loss(input, target))(torch.arange(3.0))
    torch.testing.assert_close(values[2], 2 * focal_loss(input, target).float(), check_dtype=False)


def test_mixed_precision_with_a_loss_scale():
    """Gradients of a mean are below float16's range until the scale has multiplied them."""
    generator = torch.Generator().manual_seed(0)
    input = torch.randn(100_000, 4, generator=generator).half().requires_grad_()
    target = torch.randint(4, (100_000,), generator=generator)
    scale = 2.0**16
    (scale * focal_loss(input, target)).backward()
    _, expected = value_and_gradient(
        plain_focal_loss, input.detach(), target, None, 2.0, -100, "mean", upstream=torch.tensor(scale)
    )
    torch.testing.assert_close(input.grad, expected)


@pytest.fixture
def threads():
    """Several threads, whatever the machine has, and few numbers at a time."""
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fused, "BLOCK", 12)
        patch.setattr(fused, "STEP", 1)
        patch.setattr(fused, "_crowded", lambda: True)
        yield 3
    torch.set_num_threads(before)


@pytest.mark.parametrize("threads", [2, 3, 4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize(
    "shape",
    [(300_001, 4), (150_001, 10), (50_001, 33), (13_001, 100), (3, 5, 401, 403), (2, 30, 199, 198)],
)
def test_on_a_crowded_machine_threads_take_blocks_and_change_no_bit(shape, dtype, threads, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    input = torch.randn(shape, dtype=dtype)
    target = torch.randint(shape[1], (shape[0], *shape[2:]))
    workers, fill, everyone = set(), fused._fill, threading.Barrier(threads)

    def fill_together(*rest):
        if threading.get_ident() not in workers:
            workers.add(threading.get_ident())
            if fused._crowded():
                everyone.wait(60)  # or one thread might be done before another has begun
        fill(*rest)

    monkeypatch.setattr(fused, "_fill", fill_together)
    monkeypatch.setattr(fused, "_crowded", lambda: False)
    try:
        shared = value_and_gradient(focal_loss, input, target, None, 1.7)
        assert workers == {threading.get_ident()}
        workers.clear()
        monkeypatch.setattr(fused, "_crowded", lambda: True)
        again = value_and_gradient(focal_loss, input, target, None, 1.7)
        assert len(workers) == threads and torch.get_num_threads() == threads
        assert all(torch.equal(left, right) for left, right in zip(shared, again, strict=True))
        workers.clear()
        with torch.inference_mode():
            assert torch.equal(focal_loss(input, target, None, 1.7), shared[0])
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("text, answer", [("0.5 0.5 0.5 3/80 99", True), ("9.0 9.0 9.0 2/80 99", False), (None, False)])
def test_who_runs_at_this_moment_tells_a_crowded_machine(text, answer, monkeypatch, tmp_path):
    """Two cores; the load of the last minutes does not count, and where nobody tells, it is not crowded."""
    told = tmp_path / "loadavg"
    if text:
        told.write_text(text)
    monkeypatch.setattr(fused.os, "cpu_count", lambda: 2)
    monkeypatch.setattr(fused, "open", lambda path: told.open(), raising=False)
    assert fused._crowded() is answer


def test_an_error_in_a_thread_is_raised_in_the_caller(threads, monkeypatch):
    def broken(*rest):
        raise MemoryError("no more")

    monkeypatch.setattr(fused, "_fill", broken)
    with pytest.raises(MemoryError, match="no more"):
        focal_loss(*example())
    assert torch.get_num_threads() == threads


def applies(input, target, alpha=None):
    return fused.path(fused.Call(input, target, alpha, 2.0, -100, "mean")) is not None


def test_who_takes_the_fast_path():
    input, target = example()
    alpha = torch.ones(20)
    assert applies(input, target, alpha)
    assert applies(torch.nn.Parameter(input.detach()), target)
    assert not applies(input.to("meta"), target.to("meta"))
    assert not applies(input, target, alpha.requires_grad_())
    assert not applies(input[:0], target[:0])
    assert not applies(input.detach().as_subclass(type("Mine", (torch.Tensor,), {})), target)
    inside = []
    torch.func.vmap(lambda x: inside.append(applies(x, target[0])) or x)(input)
    assert inside == [False]
    compiled = torch.compile(lambda x: x + applies(x, target), backend="eager", fullgraph=True)
    assert torch.equal(compiled(input), input)


@pytest.mark.parametrize("name", ["_transforming", "_is_legacy_batched"])
def test_without_a_private_name_of_torch_the_ten_lines_serve(name, monkeypatch):
    input, target = example()
    expected = value_and_gradient(plain_focal_loss, input.detach(), target, None, 2.0, -100, "mean")
    monkeypatch.setattr(fused, name, None)
    assert not applies(input, target)
    value, gradient = value_and_gradient(focal_loss, input.detach(), target)
    assert torch.equal(value, expected[0]) and torch.equal(gradient, expected[1])


def test_the_reading_version_comes_first():
    source = Path(focal_loss.__code__.co_filename).read_text()
    first = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    assert first.name == "plain_focal_loss"
