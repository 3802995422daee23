"""The fast path of ``focal_loss`` on CPU: the same numbers, with fewer visits to memory.

The reading version in losses.py lets autograd derive the gradient, which costs three tensors of input's size and a pass
over memory for each step. This file writes the gradient down instead. With p = softmax(input),

    d FL / d input_j = alpha_t k (p_j - [j = t]),    k = (1 - p_t)^gamma - gamma p_t (1 - p_t)^(gamma - 1) log p_t,

so the softmax of a row becomes its gradient by one subtraction and one factor. That is done block by block, while a
block is still in the processor's cache, and the gradient is the only tensor of input's size that is made. It is right
because it is the chain rule of the ten lines in losses.py, and tests/test_fused.py holds the two together, value and
gradient. Whatever needs more than one first derivative (double backward, vmap, compile) is left to those ten lines.
The page book/speed.md shows what this gains.
"""

import torch
import torch.nn.functional as F
from torch.autograd import forward_ad

# Numbers handled at a time: 4 MiB in float32, enough to share among threads, little enough for the cache.
BLOCK = 2**20
# Numbers that the processor handles at once. Rows of fewer logits are taken as columns, so that none of it is idle.
VECTOR = 8


def applies(input, target, alpha):
    """Whether the fast path may take this call: plain CPU tensors, and nobody traces or transforms the computation."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing() or torch._C._are_functorch_transforms_active():
        return False
    if not input.is_floating_point() or input.dtype.itemsize == 1 or input.numel() == 0:
        return False
    if alpha is not None and alpha.requires_grad:
        return False
    tensors = (input, target) if alpha is None else (input, target, alpha)
    return all(
        type(tensor) in (torch.Tensor, torch.nn.Parameter)
        and tensor.is_cpu
        and forward_ad.unpack_dual(tensor).tangent is None
        for tensor in tensors
    )


def focal_loss(plain_version, some_ignored, input, target, alpha, gamma, ignore_index, reduction):
    """What ``plain_version`` returns for the last six arguments, already checked by the caller."""
    if torch.is_grad_enabled() and input.requires_grad:
        return _FocalLoss.apply(plain_version, some_ignored, input, target, alpha, gamma, ignore_index, reduction)
    return _walk(False, some_ignored, input, target, alpha, gamma, ignore_index, reduction)[0]


class _FocalLoss(torch.autograd.Function):
    @staticmethod
    def forward(ctx, plain_version, some_ignored, input, target, alpha, *settings):
        value, ctx.gradient = _walk(True, some_ignored, input, target, alpha, *settings)
        ctx.save_for_backward(input, target, alpha)
        ctx.dtype, ctx.plain_version, ctx.settings = input.dtype, plain_version, settings
        return value

    @staticmethod
    def backward(ctx, grad_output):
        # The buffer is given away, so nobody has to copy it and no later backward reads it: that one makes a new one.
        gradient, ctx.gradient = ctx.gradient, None
        create_graph = torch.is_grad_enabled()
        functional = torch.func.debug_unwrap(grad_output) is not grad_output  # torch.func.vmap over autograd.grad
        batched = functional or torch._C._functorch.is_legacy_batchedtensor(grad_output)  # is_grads_batched=True
        if create_graph or batched:
            input, target, alpha = ctx.saved_tensors
            with torch.enable_grad():
                value = ctx.plain_version(input, target, alpha, *ctx.settings)
                (gradient,) = torch.autograd.grad(value, input, grad_output, create_graph=create_graph)
        else:
            if gradient is None:
                _, gradient = _walk(True, True, *ctx.saved_tensors, *ctx.settings)
            if grad_output.ndim > 0:
                gradient.mul_(grad_output.unsqueeze(1))
            elif grad_output.item() != 1:
                gradient.mul_(grad_output)
            gradient = gradient.to(ctx.dtype)
        return None, None, gradient, None, None, None, None, None


def _walk(want_gradient, some_ignored, input, target, alpha, gamma, ignore_index, reduction):
    """The reduced loss and, if wanted, its gradient with respect to input (else None)."""
    dtype = torch.promote_types(input.dtype, torch.float32)
    # One layout for all: logits (n, C, d), targets (n, d). A batch of rows (N, C) is one map with N places.
    if is_batch_of_rows := input.ndim == 2:
        logits, t = input.t().unsqueeze(0), target.unsqueeze(0)
    else:
        logits, t = input.flatten(2), target.flatten(1)
    n, C, d = logits.shape
    dim = 1  # of the classes
    if C >= VECTOR and logits.stride(1) == 1:
        logits, dim = logits.transpose(1, 2), 2
    t = t.unsqueeze(dim)
    ignored = t == ignore_index if some_ignored else None
    if ignored is not None:
        t = t.masked_fill(ignored, 0)
    factor = _factor(reduction, t, None if alpha is None else alpha.to(dtype), ignored)

    loss = torch.empty_like(t, dtype=dtype)
    # float16 is too narrow for the gradient of a mean until mixed precision's loss scale has multiplied it.
    gradient_dtype = torch.float32 if input.dtype == torch.float16 else input.dtype
    # Where a block's logits lie in one piece, its softmax is born where its gradient will be.
    in_one_piece = dim == 2 or (not is_batch_of_rows and C * d <= BLOCK)
    in_place = want_gradient and in_one_piece and gradient_dtype == dtype
    gradient = torch.empty_like(logits, dtype=dtype) if in_place else None
    # Rows turned into columns are a copy: there, the eight or so numbers computed for each row count as well.
    at_once = max(1, BLOCK // (C + 8 if is_batch_of_rows and dim == 1 else C))
    for block in _blocks(n, d, dim, at_once):
        x, index = _part(logits, block), _part(t, block)
        p = _softmax(x, dim, dtype, out=_part(gradient, block) if in_place else None)
        p_t = p.gather(dim, index)
        pt_minus_1 = p_t - 1
        log_pt = _log_pt(p_t, x, index, dim, out=_part(loss, block))
        power, k_over_power = _power_and_the_rest_of_k(p_t, pt_minus_1, log_pt, gamma)
        if factor is not None:
            power = power * (factor if alpha is None else _part(factor, block))
        log_pt.mul_(pt_minus_1).mul_(power)  # from here on the loss
        if ignored is not None:
            log_pt.masked_fill_(_part(ignored, block), 0)
        if want_gradient:
            k = k_over_power.mul_(power)
            if ignored is not None:
                k.masked_fill_(_part(ignored, block), 0)
            if gradient is None:
                gradient = torch.empty_like(logits, dtype=gradient_dtype)
            p.scatter_(dim, index, pt_minus_1)
            if gradient_dtype == dtype:
                torch.mul(p, k, out=_part(gradient, block))
            else:
                _part(gradient, block).copy_(p.mul_(k))

    if want_gradient:
        gradient = gradient.transpose(1, 2) if dim == 2 else gradient
        gradient = gradient.squeeze(0).t() if is_batch_of_rows else gradient.view(input.shape)
    return loss.view(target.shape) if reduction == "none" else loss.sum(), gradient


def _blocks(n, d, dim, at_once):
    """Indices that cut (n, C, d), or (n, d, C) if dim is 2, into blocks of so many places with all C together.

    None where one block holds everything.
    """
    if n * d <= at_once:
        yield None
        return
    places = min(d, at_once)
    maps = max(1, at_once // d)
    for i in range(0, n, maps):
        for j in range(0, d, places):
            block = slice(i, i + maps), slice(j, j + places)
            yield block if dim == 2 else (block[0], slice(None), block[1])


def _part(tensor, block):
    """tensor[block]; without a block all of it, as it is, because with few logits even a view costs time."""
    return tensor if block is None else tensor[block]


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
