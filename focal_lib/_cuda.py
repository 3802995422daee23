"""The fast path of ``focal_loss`` on CUDA: the formula of _fused.py as one Triton kernel.

One visit reads the logits once and writes the reduced loss and the gradient; no other tensor of input's size exists.
A program of the kernel takes a tile, some places with all their classes: rows of classes for logits (N, C), columns of
places for label maps, whichever lies side by side in memory. Classes that do not fit into one tile are walked through
twice, first for the largest logit and the sum, then for the gradient. Each program adds up its own losses and torch
adds up the programs, always in the same order, so the same call gives the same bits. Nothing is read back to the
processor: what the mean divides by and the upstream gradient are read by the kernel from where they lie.

Importing this file imports Triton, so _fused.py does so at the first loss on a GPU. tests/test_cuda.py holds it to the
ten lines in losses.py, on a machine without a GPU by Triton's interpreter.
"""

import math

import torch
import triton
import triton.language as tl

from ._fused import Failed

DTYPES = (torch.float32, torch.bfloat16, torch.float16)
TRITON = (3, 5)  # the one torch 2.9 brings; older ones are not tested
# Numbers in a tile, by what a thread can hold without spilling; the most that one program takes on alone.
ROWS_TILE, MAPS_TILE, ALONE = 2048, 8192, 16_384
# More classes than the first of a pair are walked through in chunks of the second.
ROWS_CLASSES, MAPS_CLASSES = (16_384, 8192), (32, 16)
COUNTERS = 128  # programs that count the targets

if tuple(int(number) for number in triton.__version__.split(".")[:2]) < TRITON:
    raise ImportError(f"Triton {'.'.join(map(str, TRITON))} or newer is needed, this is {triton.__version__}")


@triton.jit
def _count(targets, alpha, totals, places, C, ignore_index, HAS_ALPHA: tl.constexpr, BLOCK: tl.constexpr):
    """totals[program] = the number of targets not ignored, or the sum of their alphas, over this program's share."""
    counted = tl.zeros((BLOCK,), tl.float32)
    start = tl.program_id(0).to(tl.int64) * BLOCK
    for first in range(start, places, tl.num_programs(0) * BLOCK):
        place = first + tl.arange(0, BLOCK)
        t = tl.load(targets + place, mask=place < places, other=ignore_index)
        kept = t != ignore_index
        if HAS_ALPHA:
            counted += tl.load(alpha + t, mask=kept & (t >= 0) & (t < C), other=0.0).to(tl.float32)
        else:
            counted += kept.to(tl.float32)
    tl.store(totals + tl.program_id(0), tl.sum(counted.to(tl.float64), 0))


@triton.jit
def _load(first, start, C, class_stride, inside, AXIS: tl.constexpr, CLASSES: tl.constexpr):
    """Logits of the classes from start on, in float32, and where they are; -inf beyond the last place and class."""
    c = tl.expand_dims(start + tl.arange(0, CLASSES), 1 - AXIS)
    here = inside & (c < C)
    x = tl.load(first + c.to(tl.int64) * class_stride, mask=here, other=-float("inf"))
    return x.to(tl.float32), c, here


@triton.jit
def _chunk(first, start, C, class_stride, t, inside, largest, others, AXIS: tl.constexpr, CLASSES: tl.constexpr):
    """The largest logit so far, and the sum of the other classes' exponentials over its own."""
    x, c, here = _load(first, start, C, class_stride, inside, AXIS, CLASSES)
    above = tl.maximum(largest, tl.max(x, AXIS))
    base = tl.where(above == -float("inf"), 0.0, above)  # all classes so far are masked: exp(-inf), not exp(nan)
    e = tl.where(c == t, 0.0, tl.exp(x - tl.expand_dims(base, AXIS)))
    return c, here, e, above, others * tl.exp(largest - base) + tl.sum(e, AXIS)


@triton.jit
def _visit(
    logits,
    targets,
    alpha,
    totals,
    upstream,
    losses,
    gradient,
    C,
    d,
    tiles,
    image_stride,
    place_stride,
    class_stride,
    gamma,
    ignore_index,
    AXIS: tl.constexpr,  # of the classes in a tile: 1 for rows, 0 for maps
    HAS_ALPHA: tl.constexpr,
    DIVIDE: tl.constexpr,  # by the sum of: "nothing", "count" or "alpha"
    ALONE: tl.constexpr,  # this program sees all targets
    TOTALS: tl.constexpr,
    UPSTREAM: tl.constexpr,  # "one", "scalar" or "places"
    LOSSES: tl.constexpr,  # written: "nothing", "sum" or "places"
    GRADIENT: tl.constexpr,
    GAMMA: tl.constexpr,  # 0, 2, or -1 for any
    ONE_CHUNK: tl.constexpr,
    ALIGN: tl.constexpr,  # C and place_stride count in so many numbers: those that a thread may load at once
    PLACES: tl.constexpr,
    CLASSES: tl.constexpr,
):
    """The losses of a tile of places of one image, and their gradient. A batch of rows is one image."""
    C = C * ALIGN
    image = (tl.program_id(0) // tiles).to(tl.int64)
    s = (tl.program_id(0) % tiles).to(tl.int64) * PLACES + tl.arange(0, PLACES)
    inside = s < d
    place = image * d + s
    t = tl.load(targets + place, mask=inside, other=ignore_index)
    kept = t != ignore_index
    known = (t >= 0) & (t < C) & kept
    tl.device_assert(known | (t == ignore_index), "target must lie in [0, C) or be ignore_index")

    first = logits + image * image_stride + s * place_stride * ALIGN
    x_t = tl.load(first + t * class_stride, mask=known, other=0.0).to(tl.float32)
    first = tl.expand_dims(first, AXIS)
    t_ = tl.expand_dims(tl.where(known, t, -1), AXIS).to(tl.int32)
    inside_ = tl.expand_dims(inside, AXIS)

    # The largest logit, and the sum over the classes that are not the target's: 1 - p_t keeps its digits that way.
    largest = tl.where(known, x_t, -float("inf"))
    others = tl.zeros((PLACES,), tl.float32)
    if ONE_CHUNK:
        c, here, e, largest, others = _chunk(first, 0, C, class_stride, t_, inside_, largest, others, AXIS, CLASSES)
    else:
        for start in range(0, C, CLASSES):
            chunk = _chunk(first, start, C, class_stride, t_, inside_, largest, others, AXIS, CLASSES)
            largest, others = chunk[3], chunk[4]
    base = tl.where(largest == -float("inf"), 0.0, largest)
    e_t = tl.exp(x_t - base)
    z = others + e_t
    p_t = e_t / z
    rest = others / z  # 1 - p_t
    series = -rest * (1 + rest * (1 / 2 + rest * (1 / 3 + rest / 4)))
    log_pt = tl.where(rest < 0.01, series, x_t - base - tl.log(z))

    weight = tl.where(known, 1.0, float("nan"))  # of a target out of range, should it come so far
    if HAS_ALPHA:
        weight = tl.load(alpha + t, mask=known, other=float("nan")).to(tl.float32)
    weight = tl.where(kept, weight, 0.0)
    if DIVIDE != "nothing":
        if ALONE:
            total = tl.sum((weight if DIVIDE == "alpha" else kept.to(tl.float32)).to(tl.float64), 0)
        else:
            total = tl.sum(tl.load(totals + tl.arange(0, TOTALS)), 0)
        weight = weight / tl.where(total > 0, total, 1.0).to(tl.float32)

    if GAMMA == 2:
        below = rest  # (1 - p_t)^(gamma - 1)
        power = rest * rest
    elif GAMMA == 0:
        below = rest * 0
        power = below + 1
    else:
        logarithm = tl.log(tl.maximum(rest, 1e-30))
        below = tl.exp((gamma - 1) * logarithm)
        power = tl.where(rest > 0, tl.exp(gamma * logarithm), 0.0)
    loss = tl.where(kept, -power * log_pt * weight, 0.0)
    if LOSSES == "sum":
        tl.store(losses + tl.program_id(0), tl.sum(loss, 0))
    elif LOSSES == "places":
        tl.store(losses + place, loss, mask=inside)

    if GRADIENT:
        k = power
        if GAMMA != 0:
            k = power - gamma * p_t * below * log_pt
        if UPSTREAM == "scalar":
            weight = weight * tl.load(upstream).to(tl.float32)
        elif UPSTREAM == "places":
            weight = weight * tl.load(upstream + place, mask=inside, other=0.0).to(tl.float32)
        k = tl.expand_dims(tl.where(kept, k * weight, 0.0), AXIS)
        own = tl.expand_dims(-rest, AXIS)
        scale = tl.expand_dims(1 / z, AXIS)
        base_ = tl.expand_dims(base, AXIS)
        if AXIS == 1:
            first_g = tl.expand_dims(gradient + place * C, 1)
            class_g = 1
        else:
            first_g = tl.expand_dims(gradient + image * C * d + s, 0)
            class_g = d
        if ONE_CHUNK:
            g = tl.where(c == t_, own, e * scale) * k
            tl.store(first_g + c.to(tl.int64) * class_g, g.to(gradient.dtype.element_ty), mask=here)
        else:
            for start in range(0, C, CLASSES):
                x, c, here = _load(first, start, C, class_stride, inside_, AXIS, CLASSES)
                g = tl.where(c == t_, own, tl.exp(x - base_) * scale) * k
                tl.store(first_g + c.to(tl.int64) * class_g, g.to(gradient.dtype.element_ty), mask=here)


@triton.jit
def _times(gradient, factor, size, BLOCK: tl.constexpr):
    """gradient *= factor, unless the factor is 1: then nothing is read."""
    f = tl.load(factor).to(tl.float32)
    if f != 1:
        start = tl.program_id(0).to(tl.int64) * BLOCK
        for first in range(start, size, tl.num_programs(0) * BLOCK):
            i = first + tl.arange(0, BLOCK)
            g = tl.load(gradient + i, mask=i < size).to(tl.float32)
            tl.store(gradient + i, (g * f).to(gradient.dtype.element_ty), mask=i < size)


def takes(call):
    """Whether the kernel is made for this call's type and strides."""
    return call.input.dtype in DTYPES and _layout(call.input) is not None


def _layout(input):
    """(axis of the classes in a tile, images, places of one, strides of image, place and class), or None."""
    n, C = input.shape[:2]
    try:
        x = input.view(n, C, -1)
    except RuntimeError:  # the places have more than one stride
        return None
    d = x.shape[2]
    image_stride, class_stride, place_stride = x.stride()
    if d == 1:
        place_stride = image_stride
    if class_stride == 1 and (n == 1 or d == 1 or image_stride == d * place_stride):
        return 1, 1, n * d, (0, place_stride, 1)
    if d == 1 and place_stride == 1:  # rows stored as columns
        return 0, 1, n, (0, 1, class_stride)
    if place_stride == 1:
        return 0, n, d, (image_stride, 1, class_stride)
    return None


def _tile(axis, images, d, C):
    """(places, classes, warps, whether one program does all): powers of two."""
    classes = triton.next_power_of_2(C)
    if axis == 1:
        if images * d * classes <= ALONE:
            places = triton.next_power_of_2(d)
            return places, classes, min(16, max(4, places * classes // 1024)), True
        most, chunk = ROWS_CLASSES
        classes = classes if most >= C else chunk
        return max(1, ROWS_TILE // classes), classes, min(16, max(4, classes // 1024)), False
    most, chunk = MAPS_CLASSES
    classes = classes if most >= C else chunk
    return min(triton.next_power_of_2(d), 256, max(1, MAPS_TILE // classes)), classes, 4, False


def loss(call, some_ignored, want_gradient):
    """The reduced loss, and its gradient with respect to input where it is wanted and can be made already, else None.

    That of "none" waits for the upstream gradient, and that of float16, too narrow for a mean's, for the loss scale.
    """
    early = want_gradient and call.reduction != "none" and call.input.dtype != torch.float16
    return _run(call, True, early)


def gradient(call, upstream, made, dtype):
    """The gradient times the upstream one; ``made`` is what :func:`loss` gave, which is overwritten, or None."""
    if made is None:
        return _run(call, False, True, upstream)[1]
    size = made.numel()
    with torch.cuda.device_of(made):
        _start(_times, min(2048, triton.cdiv(size, 8192)), made, upstream, size, 8192, num_warps=8)
    return made


def _start(kernel, programs, *arguments, **options):
    try:
        kernel[(programs,)](*arguments, **options)
    except Exception as error:
        raise Failed(f"{type(error).__name__}: {error}") from error


def _run(call, want_loss, want_gradient, upstream=None):
    """(the loss, the gradient), None for what is not wanted; upstream: what the gradient is multiplied by, or None."""
    input, target, alpha, gamma, ignore_index, reduction = call
    axis, images, d, (image_stride, place_stride, class_stride) = _layout(input)
    C, device, places = input.shape[1], input.device, images * d
    PLACES, CLASSES, warps, alone = _tile(axis, images, d, C)
    tiles = triton.cdiv(d, PLACES)
    align = math.gcd(C, place_stride, 8) if axis == 1 else 1
    target, alpha = target.contiguous(), None if alpha is None else alpha.contiguous()
    upstream = None if upstream is None else upstream.contiguous()
    divide = "nothing"
    if reduction in ("mean", "weighted_mean"):
        divide = "count" if reduction == "mean" or alpha is None else "alpha"
    losses = gradient = totals = None
    if want_loss:
        shape = target.shape if reduction == "none" else () if alone else (images * tiles,)
        losses = torch.empty(shape, device=device, dtype=torch.float32)
    if want_gradient:
        gradient = torch.empty((places, C) if axis == 1 else (images, C, d), device=device, dtype=input.dtype)

    with torch.cuda.device_of(input):
        counters = 1
        if divide != "nothing" and not alone:
            counters = min(COUNTERS, triton.next_power_of_2(triton.cdiv(places, 4096)))
            totals = torch.empty(counters, device=device, dtype=torch.float64)
            _start(_count, counters, target, alpha, totals, places, C, ignore_index, divide == "alpha", 1024)
        _start(
            _visit, images * tiles, input, target, alpha, totals, upstream, losses, gradient,
            C // align, d, tiles, image_stride, place_stride // align, class_stride, float(gamma), ignore_index,
            AXIS=axis,
            HAS_ALPHA=alpha is not None,
            DIVIDE=divide,
            ALONE=alone,
            TOTALS=counters,
            UPSTREAM="one" if upstream is None else "scalar" if upstream.ndim == 0 else "places",
            LOSSES="nothing" if losses is None else "places" if reduction == "none" else "sum",
            GRADIENT=want_gradient,
            GAMMA=int(gamma) if gamma in (0, 2) else -1,
            ONE_CHUNK=C <= CLASSES,
            ALIGN=align,
            PLACES=PLACES,
            CLASSES=CLASSES,
            num_warps=warps,
            debug=True,  # device_assert counts
            sanitize_overflow=False,
        )  # fmt: skip
    if losses is not None and reduction != "none" and not alone:
        losses = losses.sum()
    return losses, gradient if gradient is None else _in_the_shape_of(input, gradient, axis)


def _in_the_shape_of(input, gradient, axis):
    if axis == 0:
        # One image of several rows: they were stored as columns.
        return (gradient if len(gradient) == len(input) else gradient.squeeze(0).t()).view(input.shape)
    return gradient.view(input.shape[:1] + input.shape[2:] + input.shape[1:2]).movedim(-1, 1)
