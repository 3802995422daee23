"""The kernel for GPUs against the ten lines: on a GPU where there is one, else on the CPU by Triton's interpreter.

The interpreter runs the kernel's own source on numpy arrays, so it sees wrong numbers, addresses and masks, but neither
what the compiler refuses nor how fast it is. That is why the kernel is compiled here too, for two GPUs that need not be
there.
"""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from test_fused import REDUCTIONS, assert_agree, calls, example, value_and_gradient

from focal_lib import _fused, focal_loss
from focal_lib.losses import plain_focal_loss

ROOT = Path(__file__).parents[1]
GPU = torch.cuda.is_available()
DEVICE = "cuda" if GPU else "cpu"
# Numpy warns where it computes inf - inf or 0 * inf; a GPU makes the same nan and says nothing.
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning:triton.*")
needs_gpu = pytest.mark.skipif(not GPU, reason="needs an NVIDIA GPU")
pytest.importorskip("triton")

from focal_lib import _cuda  # noqa: E402


@pytest.fixture(autouse=True)
def everything_takes_the_kernel(monkeypatch):
    """Also tensors on a CPU, which the interpreter can treat."""
    monkeypatch.setattr(_fused, "_Cpu", _cuda)


@pytest.fixture(autouse=True)
def bfloat16_is_rounded(monkeypatch):
    """A GPU rounds to the nearest number; the interpreter would cut the last digits off."""
    interpreter = pytest.importorskip("triton.runtime.interpreter")
    cut = interpreter._convert_float

    def convert(input, input_dtype, output_dtype, mode):
        if input.dtype == np.float32 and str(output_dtype) == "bf16":
            return torch.from_numpy(input.copy()).bfloat16().view(torch.uint16).numpy()
        return cut(input, input_dtype, output_dtype, mode)

    monkeypatch.setattr(interpreter, "_convert_float", convert)


def kernel(input, target, alpha, gamma, ignore_index, reduction):
    call = _fused.Call(input, target, alpha, gamma, ignore_index, reduction)
    return _fused.focal_loss(_cuda, call, plain_focal_loss, True)


def on_device(call):
    return [x.to(DEVICE) if isinstance(x, torch.Tensor) else x for x in call]


@pytest.mark.parametrize("dtype", _cuda.DTYPES)
@given(
    data=st.data(),
    alone=st.sampled_from([0, _cuda.ALONE]),
    tile=st.sampled_from([32, 2048]),
    most=st.sampled_from([(8, 4), (16, 16), (64, 64)]),
)
@settings(max_examples=60 if GPU else 25, deadline=None)  # the interpreter takes a second for one
def test_agrees_with_the_ten_lines(dtype, data, alone, tile, most):
    """Every layout, scale, weight and reduction of test_fused, in one program or many, in one chunk or many."""
    *call, upstream = on_device(data.draw(calls(dtype)))
    assume(_cuda.takes(_fused.Call(*call)))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"ALONE": alone, "ROWS_TILE": tile, "MAPS_TILE": tile, "COUNTERS": 4}.items():
            patch.setattr(_cuda, name, value)
        patch.setattr(_cuda, "ROWS_CLASSES", most)
        patch.setattr(_cuda, "MAPS_CLASSES", most)
        assert_agree(*call, upstream=upstream, loss=kernel)


@pytest.mark.parametrize("shape", [(5000, 3), (4096, 4), (3, 20_000), (2, 19, 40, 30), (2, 40, 9), (70, 11, 1)])
@pytest.mark.parametrize("dtype", _cuda.DTYPES)
def test_agrees_in_the_tiles_it_really_takes(shape, dtype):
    generator = torch.Generator().manual_seed(0)
    input = (3 * torch.randn(shape, generator=generator)).to(dtype)
    target = torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)
    target[torch.rand(target.shape, generator=generator) < 0.2] = -100
    alpha = torch.rand(shape[1], generator=generator)
    for reduction in REDUCTIONS:
        assert_agree(*on_device((input, target, alpha, 2.0, -100, reduction)), loss=kernel)


@pytest.mark.parametrize("fault", ["gamma", "divisor", "upstream"])
def test_the_comparison_sees_a_wrong_kernel(fault, monkeypatch):
    right = _cuda._run
    if fault == "upstream":
        monkeypatch.setattr(_cuda, "gradient", lambda call, upstream, made, dtype: made)
    else:
        wrong = {"gamma": 2.001} if fault == "gamma" else {"reduction": "sum"}
        monkeypatch.setattr(_cuda, "_run", lambda call, *rest: right(call._replace(**wrong), *rest))
    input, target = on_device(example())
    with pytest.raises(AssertionError, match="off by"):
        assert_agree(input.detach(), target, None, 2.0, -100, "mean", torch.tensor(3.0, device=DEVICE), loss=kernel)


@pytest.mark.parametrize("dtype", _cuda.DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_same_bits_each_time_and_a_second_backward(dtype, reduction):
    input, target = (x.detach() for x in on_device(example(dtype)))
    alpha = torch.rand(20, device=DEVICE)
    values, gradients = zip(*(value_and_gradient(focal_loss, input, target, alpha) for _ in range(3)), strict=True)
    assert all(torch.equal(value, values[0]) for value in values)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)
    input.requires_grad_()
    loss = focal_loss(input, target, reduction=reduction)
    assert "FocalLoss" in loss.grad_fn.name()
    upstream = torch.rand(loss.shape, device=DEVICE)
    first, second = (torch.autograd.grad(loss, input, upstream, retain_graph=True)[0] for _ in range(2))
    torch.testing.assert_close(first, second)
    assert first.dtype == dtype and first.stride() == input.stride()


def test_second_derivatives_are_the_ten_lines():
    input, target = (x.detach() for x in on_device(example()))
    results = []
    for loss in (focal_loss, lambda input, target: plain_focal_loss(input, target, None, 2.0, -100, "mean")):
        x = input.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(x, target), x, create_graph=True)
        results.append(torch.autograd.grad(gradient.pow(2).sum(), x)[0])
    torch.testing.assert_close(*results)


def test_float16_keeps_the_gradient_of_a_mean_for_the_loss_scale():
    generator = torch.Generator().manual_seed(0)
    input = torch.randn(100_000, 4, generator=generator).half().to(DEVICE).requires_grad_()
    target = torch.randint(4, (100_000,), generator=generator).to(DEVICE)
    (2.0**16 * focal_loss(input, target)).backward()
    _, expected = value_and_gradient(
        plain_focal_loss, input.detach(), target, None, 2.0, -100, "mean", upstream=torch.tensor(2.0**16)
    )
    torch.testing.assert_close(input.grad, expected)


def test_who_takes_the_kernel():
    def takes(input):
        target = torch.zeros(input.shape[:1] + input.shape[2:], dtype=torch.int64)
        return _cuda.takes(_fused.Call(input, target, None, 2.0, -100, "mean"))

    rows, maps = torch.randn(6, 5), torch.randn(2, 5, 3, 4)
    for input in (rows, rows.t(), rows[:, 1:4], rows[::2], maps, maps[:, 1:], maps[1:], rows.expand(3, 6, 5)[:, 0]):
        assert takes(input)
    assert takes(maps.to(memory_format=torch.channels_last))
    for input in (rows.double(), rows[:, ::2], maps[..., ::2], maps[:, :, ::2], maps.transpose(0, 3)):
        assert not takes(input)


@pytest.mark.skipif(GPU, reason="there it is a device-side assert, which ends the process")
@pytest.mark.parametrize("wrong", [4, 1000, -1])
def test_a_target_out_of_range_is_loud(wrong):
    input, target = torch.randn(6, 4, requires_grad=True), torch.tensor([0, 1, 2, 3, wrong, 0])
    call = _fused.Call(input, target, torch.ones(4), 2.0, -100, "mean")
    loss = _fused.focal_loss(_cuda, call, plain_focal_loss, True)
    loss.backward()
    assert loss.isnan() and input.grad[4].isnan().any()


@pytest.mark.parametrize("moment", ["forward", "backward"])
def test_a_compiler_that_fails_costs_one_warning(moment, monkeypatch):
    monkeypatch.setattr(_fused, "_gpu", set())
    input, target = on_device(example())
    expected = value_and_gradient(plain_focal_loss, input.detach(), target, None, 2.0, -100, "mean")

    class Broken:
        def __getitem__(self, grid):
            raise RuntimeError("no C compiler found")

    monkeypatch.setattr(_cuda, "_visit" if moment == "forward" else "_times", Broken())
    with pytest.warns(UserWarning, match="slower than it could.*no C compiler found") as seen:
        value, gradient = value_and_gradient(focal_loss, input.detach(), target)
    assert len(seen) == 1
    torch.testing.assert_close((value, gradient), expected)
    assert _fused._kernel() is None


def test_without_triton_there_is_one_warning(monkeypatch):
    monkeypatch.setattr(_fused, "_gpu", set())
    monkeypatch.setitem(sys.modules, "focal_lib._cuda", None)
    monkeypatch.delattr("focal_lib._cuda")
    with pytest.warns(UserWarning, match="slower than it could"):
        assert _fused._kernel() is None
    assert _fused._kernel() is None  # filterwarnings makes a second warning an error


@pytest.mark.parametrize("arch", [80, 90])
def test_compiles_for_a_gpu_without_spilling(arch, tmp_path):
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment |= {"TRITON_CACHE_DIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, str(ROOT / "tests" / "compile_kernels.py"), str(arch)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    lines = run.stdout.splitlines()
    assert len(lines) > 40
    assert [line for line in lines if not line.endswith(" 0")] == []


def test_neither_a_loss_nor_a_diagnosis_loads_a_compiler():
    code = "import sys, torch, focal_lib; focal_lib.focal_loss(torch.randn(3, 4), torch.tensor([0, 1, 2]));"
    code += "focal_lib.diagnose(focal_lib.FocalLoss); assert not {'triton', 'torch._dynamo'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@needs_gpu
def test_nothing_waits_for_the_gpu():
    input, target = on_device(example())
    alpha = torch.rand(20, device=DEVICE)
    for reduction in REDUCTIONS:
        focal_loss(input, target, alpha, reduction=reduction).sum().backward()  # compiles, which may wait
        torch.cuda.set_sync_debug_mode("error")
        try:
            focal_loss(input, target, alpha, reduction=reduction).sum().backward()
        finally:
            torch.cuda.set_sync_debug_mode("default")


@needs_gpu
@pytest.mark.parametrize("shape", [(2**21 + 3, 1100), (3, 40_000, 20_000)])
def test_addresses_beyond_two_to_the_31(shape):
    input = torch.empty(shape, dtype=torch.bfloat16, device=DEVICE).normal_()
    target = torch.randint(shape[1], (shape[0], *shape[2:]), device=DEVICE)
    value, gradient = value_and_gradient(kernel, input, target, None, 2.0, -100, "none")
    last = input[-1:].clone(), target[-1:].clone(), None, 2.0, -100, "none"
    torch.testing.assert_close((value[-1:], gradient[-1:]), value_and_gradient(plain_focal_loss, *last))


@needs_gpu
@pytest.mark.parametrize("shape", [(262_144, 4), (65_536, 100), (4, 19, 256, 256)])
def test_one_tensor_of_the_logits_size(shape):
    input = torch.randn(shape, device=DEVICE, requires_grad=True)
    target = torch.randint(shape[1], (shape[0], *shape[2:]), device=DEVICE)
    focal_loss(input, target).backward()
    input.grad = None
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    focal_loss(input, target).backward()
    assert torch.cuda.max_memory_allocated() - before <= 1.1 * input.nbytes + 2**20
