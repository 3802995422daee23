"""torch.nn.functional: activations and losses."""

import math
import warnings

from .. import _elementwise as E
from .. import _index as I
from .. import _numbers as N
from .. import _reduce as R
from .._autograd import is_grad_enabled
from .._index import one_hot
from .._make import default_generator
from .._matrix import matmul
from .._missing import COLAB, not_here
from .._tensor import Tensor, _wrap, one_device, op, recorded
from .._views import movedim, reshape, unsqueeze

EPSILON = N._round_32([1e-12])[0]
REDUCTIONS = ("none", "mean", "sum")


def _reduction(reduction, size_average=None, reduce=None):
    """The reduction asked for, in the old way too."""
    if size_average is not None or reduce is not None:
        average, reduces = size_average is None or size_average, reduce is None or reduce
        reduction = ("mean" if average else "sum") if reduces else "none"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=3,
        )
    if reduction not in REDUCTIONS:
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def _reduced(loss, reduction):
    return loss if reduction == "none" else loss.sum() if reduction == "sum" else loss.mean()


def softmax(input, dim=None, _stacklevel=3, dtype=None):
    return R.softmax(input, _implicit("softmax", input, dim), dtype)


def log_softmax(input, dim=None, _stacklevel=3, dtype=None):
    return R.log_softmax(input, _implicit("log_softmax", input, dim), dtype)


def softmin(input, dim=None, _stacklevel=3, dtype=None):
    return R.softmax(-input, _implicit("softmin", input, dim), dtype)


def _implicit(name, input, dim):
    if dim is None:
        warnings.warn(
            f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an "
            "argument.", stacklevel=3,
        )  # fmt: skip
    return dim


def sigmoid(input):
    return E.sigmoid(input)


def tanh(input):
    return E.tanh(input)


def relu(input, inplace=False):
    return E.relu(input)


def leaky_relu(input, negative_slope=0.01, inplace=False):
    return I.where(input > 0, input, input * negative_slope)


def gelu(input, approximate="none"):
    return input * 0.5 * (1 + E.erf(input / math.sqrt(2)))


def silu(input, inplace=False):
    return input * E.sigmoid(input)


def logsigmoid(input):
    return E.log_sigmoid(input)


def softplus(input, beta=1.0, threshold=20.0):
    scaled = input * beta
    return I.where(scaled > threshold, input, E.softplus_(scaled) / beta)


def dropout(input, p=0.5, training=True, inplace=False):
    if not training or p == 0:
        return input
    keep = [float(default_generator._uniform(N.float64) < 1 - p) / (1 - p) for _ in range(input.numel())]
    return input * input._like(keep)


def linear(input, weight, bias=None):
    out = matmul(input, weight.t())
    return out if bias is None else out + bias


def normalize(input, p=2.0, dim=1, eps=1e-12):
    return input / R.norm(input, p, dim, True).clamp_min(eps)


def cosine_similarity(x1, x2, dim=1, eps=1e-8):
    top = (x1 * x2).sum(dim)
    return top / ((x1 * x1).sum(dim).sqrt().clamp_min(eps) * (x2 * x2).sum(dim).sqrt().clamp_min(eps))


# ---- losses


def _same_size(input, target):
    if input.shape != target.shape:
        raise ValueError(f"Target size ({target.shape}) must be the same as input size ({input.shape})")


def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    reduction = _reduction(reduction, size_average, reduce)
    _same_size(input, target)
    one_device(target, input)
    x = input.to(N.promote_types(input.dtype, target.dtype)) if target.dtype.kind == 2 else input
    if pos_weight is None:
        loss = _bce_with_logits(x, target)
    else:
        loss = (1 - target) * x - (1 + (pos_weight - 1) * target) * E.log_sigmoid(x)
    return _reduced(loss if weight is None else loss * weight, reduction)


def _bce_with_logits(x, target):
    a, y = x._v(), target._v()
    # Rounded at each step, as torch does: in float32 a confident no keeps only a digit or two of its loss.
    logs = N.rounded([_log_sigmoid(v) for v in a], x.dtype)
    rest = N.rounded([(1 - t) * v for v, t in zip(a, y, strict=True)], x.dtype)
    values = N.rounded([r - s for r, s in zip(rest, logs, strict=True)], x.dtype)

    def back(g):
        slopes = [h * (N.sigmoid(v) - t) for h, v, t in zip(g, a, y, strict=True)]
        return [slopes, [-h * v for h, v in zip(g, a, strict=True)]]

    return recorded(x._like(values), "BinaryCrossEntropyWithLogits", (x, target), back, [x, target])


def _log_sigmoid(v):
    return -N.softplus(-v)


def binary_cross_entropy(input, target, weight=None, size_average=None, reduce=None, reduction="mean"):
    reduction = _reduction(reduction, size_average, reduce)
    if input.shape != target.shape:
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}) is deprecated. "
            "Please ensure they have the same size."
        )
    if input.dtype is not target.dtype:
        label = {"float32": "Float", "float64": "Double", "int64": "Long", "float16": "Half", "bool": "Bool"}
        raise RuntimeError(
            f"Found dtype {label.get(target.dtype.name, target.dtype.name)} but expected "
            f"{label.get(input.dtype.name, input.dtype.name)}"
        )
    a, y = input._v(), target._v()
    if any(not 0 <= v <= 1 for v in a):
        raise RuntimeError("all elements of input should be between 0 and 1")
    if any(not 0 <= t <= 1 for t in y):
        raise RuntimeError("all elements of target should be between 0 and 1")
    values = [(t - 1) * max(N.log1p(-v), -100.0) - t * max(N.log(v), -100.0) for v, t in zip(a, y, strict=True)]

    def back(g):
        slopes = [h * (v - t) / max((1 - v) * v, EPSILON) for h, v, t in zip(g, a, y, strict=True)]
        return [slopes, [h * (N.log1p(-v) - N.log(v)) for h, v in zip(g, a, strict=True)]]

    loss = recorded(
        input._like(N.rounded(values, input.dtype)), "BinaryCrossEntropy", (input, target), back, [input, target]
    )
    return _reduced(loss if weight is None else loss * weight, reduction)


def _class_first(input):
    """Logits (N, C, d1, ...) as rows (N·d1·..., C)."""
    return input if input.ndim == 2 else reshape(movedim(input, 1, -1), -1, input.shape[1])


def nll_loss(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"
):  # fmt: skip
    reduction = _reduction(reduction, size_average, reduce)
    if input.ndim == 1:
        return nll_loss(unsqueeze(input, 0), target.reshape(1), weight, None, ignore_index, None, reduction).reshape(())
    if input.ndim < 1 or (not target.ndim and input.ndim > 1):
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size "
            f"({target.shape[0] if target.ndim else 1})."
        )
    if target.ndim != 1 and input.ndim == 2 and input.shape[0] == target.shape[0]:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    if input.shape[0] != target.shape[0]:
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({target.shape[0]})."
        )
    if input.ndim > 2 and tuple(target.shape[1:]) != tuple(input.shape[2:]):
        if target.ndim != input.ndim - 1 and input.ndim in (3, 4):
            raise RuntimeError(
                "only batches of spatial targets supported (3D tensors) but got targets of size: : "
                f"{list(target.shape)}"
            )
        raise RuntimeError(f"size mismatch (got input: {list(input.shape)} , target: {list(target.shape)}")
    _class_indices(target)
    one_device(target, input)
    classes, y, shape = input.shape[1], target._v(), target.shape
    if weight is not None and tuple(weight.shape) != (classes,) and input.ndim > 2:
        raise RuntimeError("weight tensor should be defined either for all or no classes")
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but got weight tensor of "
            f"shape: {list(weight.shape)}"
        )
    if weight is not None:
        one_device(input, weight)
    if weight is not None and weight.requires_grad and is_grad_enabled():
        name = "nll_loss_forward" if input.ndim == 2 else "nll_loss2d_forward"
        raise RuntimeError(
            f"The function '{name}' is not differentiable with respect to argument 'weight'. This input cannot have "
            "requires_grad True."
        )
    if weight is not None and weight.dtype is not input.dtype:
        names = {"float32": "Float", "float64": "Double", "float16": "Half", "bfloat16": "BFloat16", "int64": "Long"}
        raise RuntimeError(
            f"expected scalar type {names[input.dtype.name]} but found "
            f"{names.get(weight.dtype.name, weight.dtype.name)}"
        )
    rows = _class_first(input)
    if not input.is_meta:
        for t in y:
            if t != ignore_index and not 0 <= t < classes:
                raise IndexError(f"Target {t} is out of bounds.")
    w = [1.0] * classes if weight is None else weight._v()
    of = [0.0 if t == ignore_index else w[t] for t in y]
    at = [None if t == ignore_index else i * classes + t for i, t in enumerate(y)]
    x, n = rows._v(), rows.numel()
    each = [0.0 if k is None else -c * x[k] for k, c in zip(at, of, strict=True)]
    total = sum(of)
    if reduction == "none":
        values, scale = each, None
    elif reduction == "sum":
        values, scale, shape = [sum(each)], 1.0, ()
    else:
        values, scale, shape = [N.div(sum(each), total)], N.div(1.0, total), ()

    def back(g):
        found = [0.0] * n
        for i, (k, c) in enumerate(zip(at, of, strict=True)):
            if k is not None:
                found[k] = -c * (g[i] if scale is None else g[0] * scale)
        return [found]

    kept = [rows, target] + ([] if weight is None else [weight])
    result = _wrap(N.rounded(values, input.dtype), shape, input.dtype, input.device)
    return recorded(result, "NllLoss", (rows,), back, kept)


def _class_indices(target):
    if target.dtype not in (N.int64, N.uint8):
        names = {"float32": "Float", "float64": "Double", "int32": "Int", "bool": "Bool", "float16": "Half"}
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {names.get(target.dtype.name, target.dtype.name)}"
        )


def cross_entropy(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean", label_smoothing=0.0
):
    reduction = _reduction(reduction, size_average, reduce)
    if input.ndim == 1 and target.ndim == 0:
        return cross_entropy(
            unsqueeze(input, 0), unsqueeze(target, 0), weight, None, ignore_index, None, reduction, label_smoothing
        ).reshape(())
    if target.shape == input.shape:
        return _soft_cross_entropy(input, target, weight, reduction, label_smoothing)
    log_p = R.log_softmax(input, 1 if input.ndim > 1 else 0)
    if not label_smoothing:
        return nll_loss(log_p, target, weight, None, ignore_index, None, reduction)
    return _smoothed(log_p, target, weight, ignore_index, reduction, label_smoothing)


def _soft_cross_entropy(input, target, weight, reduction, smoothing):
    if target.dtype.kind != 2:
        names = {"int64": "Long", "bool": "Bool", "int32": "Int"}
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{names.get(target.dtype.name, target.dtype.name)}"
        )
    if weight is not None and tuple(weight.shape) != (input.shape[1],):
        raise RuntimeError(
            f"cross_entropy: weight tensor should be defined either for all {input.shape[1]} classes or no classes but "
            f"got weight tensor of shape: {list(weight.shape)}"
        )
    if smoothing:
        target = target * (1 - smoothing) + smoothing / input.shape[1]
    loss = -(R.log_softmax(input, 1) * target)
    if weight is not None:
        loss = loss * reshape(weight, 1, -1, *[1] * (input.ndim - 2))
    if reduction == "none":
        return loss.sum(1)
    return loss.sum() if reduction == "sum" else loss.sum() / (input.numel() // input.shape[1])


def _smoothed(log_p, target, weight, ignore_index, reduction, smoothing):
    nll = nll_loss(log_p, target, weight, None, ignore_index, None, reduction)
    classes, kept = log_p.shape[1], target != ignore_index
    weights = 1.0 if weight is None else reshape(weight, 1, -1, *[1] * (log_p.ndim - 2))
    smooth = -(log_p * weights).sum(1) * kept
    if reduction == "mean":
        total = kept.sum() if weight is None else (weight[I.where(kept, target, 0)] * kept).sum()
        smooth = smooth.sum() / total
    elif reduction == "sum":
        smooth = smooth.sum()
    return (1 - smoothing) * nll + smooth * (smoothing / classes)


def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    return _reduced((input - target) ** 2, _reduction(reduction, size_average, reduce))


def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    return _reduced((input - target).abs(), _reduction(reduction, size_average, reduce))


def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    loss = target.exp() * (target - input) if log_target else E.xlogy(target, target) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0]
    return _reduced(loss, _reduction(reduction, size_average, reduce))


def __getattr__(name):
    from .._absent import absent

    if absent("torch.nn.functional", name):
        raise AttributeError(f"torch.nn.functional.{name}: {COLAB}")
    raise AttributeError(f"module 'torch.nn.functional' has no attribute '{name}'")


for _name, _function in list(globals().items()):
    if callable(_function) and getattr(_function, "__module__", "") == __name__ and not _name.startswith("_"):
        globals()[_name] = op(_function)
_ = (one_hot, not_here, Tensor)
