"""The fast path of ``focal_loss``: the same numbers, with fewer passes over memory.

The reading version in losses.py is the definition. It lets autograd derive the gradient, which costs three tensors of
input's size and a pass over memory for each step. This file writes the gradient down instead. With p = softmax(input),

    d FL / d input_j = alpha_t k (p_j - [j = t]),    k = (1 - p_t)^gamma - gamma p_t (1 - p_t)^(gamma - 1) log p_t,

so the softmax of a row becomes its gradient by one subtraction and one factor. On a CPU that is done block by block,
while a block is still in the processor's cache; on a GPU by the kernel in _cuda.py. The gradient is the only tensor of
input's size that is made. It is right because it is the chain rule of the ten lines in losses.py, and
tests/test_fused.py and tests/test_cuda.py hold them together, value and gradient. Whatever needs more than one first
derivative (double backward, vmap, compile) is left to those ten lines. The page book/speed.md shows what this gains.
"""

from __future__ import annotations  # the book is built without torch, where Tensor is no type

import functools
import os
import threading
import warnings
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch.autograd import forward_ad

# Numbers handled at a time by all threads together: 4 MiB in float32, little enough for the cache.
BLOCK = 2**20
FEW = 2**16  # up to so many are left to one thread
MOST = 4  # more threads would wait for each other in Python
# Who computes a block must not change a bit, but torch computes a rest beyond whole vectors in another way, and each
# thread's share of an operation may end with such a rest. In a block of so many places, or a multiple, none of up to
# four shares does. What is left at the end of a map is computed by one thread in any case.
STEP = 64 * 3 * 4
# Numbers that the processor handles at once. Rows of fewer logits are computed as columns: vectors are then full.
VECTOR = 8

# Private names of torch, which may be gone one day: without them every call takes the ten lines.
_C = getattr(torch, "_C", None)
_transforming = getattr(_C, "_are_functorch_transforms_active", None)
_is_legacy_batched = getattr(getattr(_C, "_functorch", None), "is_legacy_batchedtensor", None)


class Call(NamedTuple):
    """One call of ``focal_loss``, its arguments checked."""

    input: torch.Tensor
    target: torch.Tensor
    alpha: torch.Tensor | None
    gamma: float
    ignore_index: int
    reduction: str


class Failed(Exception):
    """A fast path could not be started: the ten lines must do."""


def path(call):
    """What may take this call, with ``loss`` and ``gradient``; None where the ten lines must.

    They must unless all tensors are plain and on a CPU or GPU, and nobody traces or transforms the computation.
    """
    if _transforming is None or _is_legacy_batched is None:
        return None
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or _transforming():
        return None
    input, target, alpha = call[:3]
    if not input.is_floating_point() or input.dtype.itemsize == 1 or input.numel() == 0:
        return None
    if alpha is not None and alpha.requires_grad:
        return None
    for tensor in (input, target) if alpha is None else (input, target, alpha):
        if type(tensor) not in (torch.Tensor, torch.nn.Parameter) or forward_ad.unpack_dual(tensor).tangent is not None:
            return None
    if input.is_cpu:
        return _Cpu
    kernel = _kernel() if input.is_cuda else None
    return kernel if kernel is not None and kernel.takes(call) else None


def focal_loss(path, call, plain_version, some_ignored):
    """What ``plain_version(*call)`` returns; ``some_ignored``: False where it is known that no target is ignored."""
    try:
        if torch.is_grad_enabled() and call.input.requires_grad:
            return _FocalLoss.apply(path, plain_version, some_ignored, *call)
        return path.loss(call, some_ignored, False)[0]
    except Failed as reason:
        _give_up(reason)
        return plain_version(*call)


def _kernel():
    """The module _cuda.py, imported at the first tensor on a GPU; None where it does not work, said once."""
    if "no" not in _gpu:
        try:
            from . import _cuda

            return _cuda
        except Exception as reason:  # no Triton, or an old one
            _give_up(reason)
    return None


_gpu = set()  # holds "no" once the kernel could not be imported, compiled or started


def _give_up(reason):
    _gpu.add("no")
    warnings.warn(f"focal_loss works, but slower than it could on this GPU: {reason}", stacklevel=5)


class _FocalLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, path, plain_version, some_ignored, *call):
        call = Call(*call)
        value, ctx.gradient = path.loss(call, some_ignored, want_gradient=True)
        ctx.save_for_backward(*call[:3])
        ctx.dtype, ctx.path, ctx.plain_version, ctx.settings = call.input.dtype, path, plain_version, call[3:]
        return value

    @staticmethod
    def backward(ctx, grad_output):
        # The caller gets the buffer itself, so no copy is made. A second backward must not read it: it makes a new one.
        made, ctx.gradient = ctx.gradient, None
        create_graph = torch.is_grad_enabled()
        functional = torch.func.debug_unwrap(grad_output) is not grad_output  # torch.func.vmap over autograd.grad
        batched = functional or _is_legacy_batched(grad_output)  # is_grads_batched=True
        gradient = None
        if not (create_graph or batched):
            gradient = _gradient(ctx, grad_output, made)
        if gradient is None:
            call = Call(*ctx.saved_tensors, *ctx.settings)
            with torch.enable_grad():
                value = ctx.plain_version(*call)
                (gradient,) = torch.autograd.grad(value, call.input, grad_output, create_graph=create_graph)
        return None, None, None, gradient, None, None, None, None, None


def _gradient(ctx, grad_output, made):
    """The fast path's gradient; None where its kernel could not be started."""
    # The saved tensors are asked for only if need be: they may have been changed since, which is then an error.
    call = Call(*ctx.saved_tensors, *ctx.settings) if made is None else None
    try:
        return ctx.path.gradient(call, grad_output, made, ctx.dtype)
    except Failed as reason:
        _give_up(reason)
        return None


class _Cpu:
    """The fast path on a CPU."""

    @staticmethod
    def loss(call, some_ignored, want_gradient):
        """The reduced loss and, if wanted, its gradient with respect to input (else None)."""
        sheet = _lay_out(call, some_ignored)
        loss = torch.empty_like(sheet.t, dtype=sheet.dtype)
        gradient = None
        if want_gradient:
            # float16 is too narrow for the gradient of a mean until mixed precision's loss scale has multiplied it.
            dtype = torch.float32 if call.input.dtype == torch.float16 else call.input.dtype
            gradient = torch.empty_like(sheet.logits, dtype=dtype)
        fill = functools.partial(_fill, sheet, call.gamma, loss, gradient)
        blocks, rests = _blocks(sheet, call.input.ndim)
        _share(blocks, fill, _threads_alone(sheet, blocks, call.input.numel()))
        if rests:
            _share(rests, fill, 1)
        loss = loss.view(call.target.shape) if call.reduction == "none" else loss.sum()
        return loss, _restore(gradient, sheet.dim, call.input) if want_gradient else None

    @staticmethod
    def gradient(call, grad_output, made, dtype):
        """The gradient times grad_output in input's dtype; made: what :meth:`loss` gave, to be overwritten, or None."""
        gradient = _Cpu.loss(call, True, True)[1] if made is None else made
        if grad_output.ndim > 0:
            gradient.mul_(grad_output.unsqueeze(1))
        elif grad_output.item() != 1:
            gradient.mul_(grad_output)
        return gradient.to(dtype)


class _Sheet(NamedTuple):
    """A call in one layout for all: a batch of rows (N, C) is one map with N places."""

    logits: torch.Tensor  # (n, C, d); (n, d, C) if dim is 2
    t: torch.Tensor  # as the logits with one class: the targets, 0 where ignored
    ignored: torch.Tensor | None  # like t, where to count nothing
    factor: torch.Tensor | float | None  # like t or one for all: what multiplies each loss
    dim: int  # of the classes
    dtype: torch.dtype  # computed in
    in_one_piece: bool  # a block's logits lie side by side: its softmax can be written where its gradient will be


def _lay_out(call, some_ignored):
    input, target, alpha = call[:3]
    rows = input.ndim == 2
    logits, t = (input.t().unsqueeze(0), target.unsqueeze(0)) if rows else (input.flatten(2), target.flatten(1))
    _, C, d = logits.shape
    dim = 1
    if C >= VECTOR and logits.stride(1) == 1:
        logits, dim = logits.transpose(1, 2), 2
    t = t.unsqueeze(dim)
    ignored = t == call.ignore_index if some_ignored else None
    if ignored is not None:
        t = t.masked_fill(ignored, 0)
    dtype = torch.promote_types(input.dtype, torch.float32)
    factor = _factor(call.reduction, t, None if alpha is None else alpha.to(dtype), ignored)
    return _Sheet(logits, t, ignored, factor, dim, dtype, dim == 2 or (not rows and C * d <= BLOCK))


def _threads_alone(sheet, blocks, numbers):
    """How many threads compute whole blocks, each alone; 0 where torch shares out every operation among its threads.

    Sharing out is quick on a quiet machine, where torch's threads stand ready. But all wait for the last one at each
    operation: where another process holds a core for a while, that costs more than the work. A thread that computes its
    blocks alone waits once, at the end. It does so only where both ways give the same bits.
    """
    threads = torch.get_num_threads()
    if len(blocks) == 1:
        return 1 if threads > 1 and numbers <= FEW else 0
    image, place = blocks[0][0], blocks[0][-1]
    in_steps = image.stop - image.start == 1 and (place.stop - place.start) % STEP == 0
    many_classes = sheet.dim == 2 and sheet.logits.shape[2] >= 3 * VECTOR  # each row by itself
    return threads if 1 < threads <= MOST and (in_steps or many_classes) and _crowded() else 0


def _crowded():
    """Whether more threads want a core at this moment than there are cores. Only Linux says so."""
    try:
        with open("/proc/loadavg") as file:  # "0.20 0.18 0.12 3/80 11206": 3 of 80 threads
            running = file.read().split()[3].partition("/")[0]
    except OSError:
        return False
    return int(running) > os.cpu_count()


def _share(blocks, fill, threads):
    """fill(block) for each, by so many threads alone, or one after the other."""
    if threads == 0:
        for block in blocks:
            fill(block)
        return
    before = torch.get_num_threads()
    waiting, failed, inference = iter(blocks), [], torch.is_inference_mode_enabled()

    def work():
        torch.set_num_threads(1)  # of this thread, and of those to come
        try:
            with torch.inference_mode(inference), torch.no_grad():
                for block in waiting:  # a list's iterator: no two threads get the same one
                    fill(block)
        except BaseException as error:
            failed.append(error)

    others = [threading.Thread(target=work) for _ in range(min(threads, len(blocks)) - 1)]
    for thread in others:
        thread.start()
    work()
    for thread in others:
        thread.join()
    torch.set_num_threads(before)
    if failed:
        raise failed[0]


def _blocks(sheet, ndim):
    """Indices that cut the sheet into blocks of some places with all their classes, and into the rests of its maps.

    ``([None], [])`` where one block holds all.
    """
    n, C, d = sheet.logits.shape if sheet.dim == 1 else sheet.logits.transpose(1, 2).shape
    # Rows turned into columns are a copy: there, the eight or so numbers computed for each row count as well.
    at_once = max(1, BLOCK // (C + 8 if ndim == 2 and sheet.dim == 1 else C))
    if n * d <= at_once:
        return [None], []
    at_once = max(1, at_once // min(torch.get_num_threads(), MOST))
    end = d
    if STEP <= at_once < d:
        at_once -= at_once % STEP
        end -= d % STEP
    places, maps = min(d, at_once), max(1, at_once // d)

    def parts(start, end):
        pairs = [
            (slice(i, min(n, i + maps)), slice(j, min(end, j + places)))
            for i in range(0, n, maps)
            for j in range(start, end, places)
        ]
        return pairs if sheet.dim == 2 else [(image, slice(None), place) for image, place in pairs]

    return parts(0, end), parts(end, d)


def _part(tensor, block):
    """tensor[block]; without a block all of it, as it is, because with few logits even a view costs time."""
    return tensor if block is None else tensor[block]


def _fill(sheet, gamma, loss, gradient, block):
    """One block of the loss and, unless it is None, of the gradient."""
    dim, dtype = sheet.dim, sheet.dtype
    x, index = _part(sheet.logits, block), _part(sheet.t, block)
    g = None if gradient is None else _part(gradient, block)
    p = _softmax(x, dim, dtype, out=g if g is not None and sheet.in_one_piece and g.dtype == dtype else None)
    p_t = p.gather(dim, index)
    pt_minus_1 = p_t - 1
    log_pt = _log_pt(p_t, x, index, dim, out=_part(loss, block))
    power, k_over_power = _power_and_the_rest_of_k(p_t, pt_minus_1, log_pt, gamma)
    if sheet.factor is not None:
        power.mul_(_part(sheet.factor, block) if isinstance(sheet.factor, torch.Tensor) else sheet.factor)
    log_pt.mul_(pt_minus_1).mul_(power)  # from here on the loss
    k = k_over_power.mul_(power)
    if sheet.ignored is not None:
        log_pt.masked_fill_(_part(sheet.ignored, block), 0)
        k.masked_fill_(_part(sheet.ignored, block), 0)
    if g is not None:
        p.scatter_(dim, index, pt_minus_1)
        if g.dtype == dtype:
            torch.mul(p, k, out=g)
        else:
            g.copy_(p.mul_(k))


def _restore(gradient, dim, input):
    """The sheet's gradient in the shape of input."""
    gradient = gradient.transpose(1, 2) if dim == 2 else gradient
    return gradient.squeeze(0).t() if input.ndim == 2 else gradient.view(input.shape)


def _softmax(x, dim, dtype, out):
    """Softmax; of short rows by way of its logarithm: torch's softmax is slow at a rest beyond whole vectors."""
    if dim == 2 and x.shape[2] < 3 * VECTOR and x.shape[2] % VECTOR:
        return torch.log_softmax(x, dim, dtype=dtype, out=out).exp_()
    return torch.softmax(x, dim, dtype=dtype, out=out)


def _factor(reduction, t, alpha, ignored):
    """What multiplies each loss: its alpha over what the reduction divides by; None, a number or a tensor like t."""
    if reduction == "mean" or (reduction == "weighted_mean" and alpha is None):
        total = (t.numel() - (0 if ignored is None else int(ignored.sum()))) or 1
        alpha = 1 / total if alpha is None else alpha / total
    if not isinstance(alpha, torch.Tensor):
        return alpha
    weight = alpha.index_select(0, t.flatten()).view(t.shape)
    if reduction == "weighted_mean":
        weight /= (weight if ignored is None else weight.masked_fill(ignored, 0)).sum().item() or 1
    return weight


def _log_pt(p_t, x, index, dim, out):
    """log p_t; from the logits x where p_t is so small that it has lost its digits."""
    torch.log(p_t, out=out)
    tiny = torch.finfo(p_t.dtype).tiny
    if not p_t.amin().item() >= tiny:
        lost = (p_t < tiny).squeeze(dim)
        rows = x.movedim(dim, -1)[lost].to(p_t.dtype)
        out.squeeze(dim)[lost] = -F.cross_entropy(rows, index.squeeze(dim)[lost], reduction="none")
    return out


def _power_and_the_rest_of_k(p_t, pt_minus_1, log_pt, gamma):
    """The two factors of the first paragraph's k: (1 - p_t)^(gamma - 1), and 1 - p_t - gamma p_t log p_t."""
    one_minus_pt = pt_minus_1.neg()
    if gamma < 1:  # 0 ** (gamma - 1) is infinite: the floor of the reading version
        one_minus_pt.clamp_min_(torch.finfo(p_t.dtype).eps ** 2)
    power = one_minus_pt if gamma == 2 else one_minus_pt ** (gamma - 1)
    if gamma == 0:  # 0 times log p_t, which may be infinite
        return power, one_minus_pt
    return power, torch.addcmul(one_minus_pt, p_t, log_pt, value=-gamma)
