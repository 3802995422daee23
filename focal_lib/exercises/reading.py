"""Read what a learner wrote: letters, and an input as evidence; and say what an input lacks to prove anything."""

import inspect
import numbers
import re
from collections.abc import Mapping, Sequence, Set

import torch
import torch.nn.functional as F

from .outcomes import names_of

__all__ = ["lacks", "other_defaults", "plain", "read_evidence", "read_letters"]

EVIDENCE = {"logits", "labels", "alpha", "gamma", "reduction", "ignore_index", "device"}
NOTHING = ("none", "nothing", "no", "-")
# Where a loss is meant to work. Beyond, a difference proves nothing.
MOST_NUMBERS, MOST_LOGIT, MOST_GAMMA = 10_000, 1e4, 10.0
REDUCTIONS = ("none", "sum", "mean")
DEEPEST, WHOLE = 7, 1 << 64  # lists in lists, logits of images have four; whole numbers from here on are no numbers
FULL_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {ord("、"): ","}
SMALL_GAMMA = "is_finite_for_small_gamma"  # the one property that only certain predictions and a small gamma break


def is_none(answer):
    """Whether an answer says that there is nothing."""
    return isinstance(answer, str) and answer.strip().strip(".!").lower() in NOTHING


def plain(value, depth=DEEPEST):
    """Rows of any kind as lists, numbers of any kind as Python's: as the grader sends them, so that both read alike."""
    if isinstance(value, (str, bool, int, float)):
        return value if not isinstance(value, int) or abs(value) < WHOLE else float("inf")
    if hasattr(value, "tolist"):
        return plain(value.tolist(), depth)
    if isinstance(value, numbers.Number) and not isinstance(value, complex):
        return float(value)
    if depth and isinstance(value, (Sequence, Set)) and not isinstance(value, bytes):
        return [plain(item, depth - 1) for item in value]
    return value


def read_letters(answer, options):
    """The letters of an answer such as "AC", "A and C" or ["A", "C"], as a set; None if it cannot be read."""
    answer = plain(answer)
    if isinstance(answer, list) and all(isinstance(part, str) for part in answer):
        answer = " ".join(answer)
    if not isinstance(answer, str) or not answer.strip():
        return None
    if is_none(answer):
        return set()
    text = answer.translate(FULL_WIDTH).upper()
    words = [word for word in re.split(r"[\s,;.+&/|()\[\]{}'\"`!]+", text) if word not in ("", "AND", "OR")]
    letters = set("".join(words))
    return letters if letters and letters <= set(options) else None


def read_evidence(evidence, loss, kind):
    """Evidence as a dict of tensors and settings.

    Args:
        evidence: a dict with logits, labels and any other argument of the loss; lists, numbers, arrays or tensors.
        loss: the loss under review.
        kind: a :class:`~.multiclass.Multiclass` or :class:`~.binary.Binary`.

    Raises:
        TypeError, ValueError: with one sentence on what is wrong, in the names that were written.
    """
    if not isinstance(evidence, Mapping):
        raise TypeError(f"Got {type(evidence).__name__}.")
    if unknown := set(evidence) - EVIDENCE:
        raise ValueError(f"It has no {sorted(map(str, unknown))[0]!r}; it may have {', '.join(sorted(EVIDENCE))}.")
    case = {name: value for name, value in evidence.items() if value is not None}
    if missing := {"logits", "labels"} - set(case):
        raise ValueError(f"It lacks {sorted(missing)[0]!r}.")
    known = set(inspect.signature(loss).parameters) | {"logits", "labels", "device"}
    if unknown := set(case) - known:
        raise ValueError(f"The code under review has no {sorted(unknown)[0]}.")
    tensors = {name: _tensor(name, case[name]) for name in ("logits", "labels")}
    if not tensors["labels"].numel():
        raise ValueError("It needs at least one example.")
    case["logits"] = tensors["logits"].to(torch.float32)
    if not case["logits"].isfinite().all():
        raise ValueError("The logits must be finite.")
    if case["logits"].numel() > MOST_NUMBERS:
        raise ValueError(f"At most {MOST_NUMBERS} logits; got {case['logits'].numel()}.")
    if case["logits"].abs().max() > MOST_LOGIT:
        raise ValueError(f"Logits lie between -{MOST_LOGIT:g} and {MOST_LOGIT:g}: beyond, no loss is meant to work.")
    case["labels"] = kind.read_labels(tensors["labels"], case["labels"])
    _read_settings(case)
    ignore_index = case.get("ignore_index", -100)
    if "ignore_index" not in known and (case["labels"] < 0).any():
        raise ValueError("The code under review ignores no labels: they are 0 or more.")
    kind.check_shapes(case["logits"], case["labels"], ignore_index)
    if "alpha" in case:
        try:
            weights = case["alpha"] if isinstance(case["alpha"], torch.Tensor) else plain(case["alpha"])
            case["alpha"] = kind.read_alpha(weights, case["logits"].shape[min(1, case["logits"].ndim - 1)])
        except TypeError:
            raise ValueError(f"alpha is made of numbers; got {case['alpha']!r}.") from None
    return case


def _tensor(name, value):
    try:
        tensor = value if isinstance(value, torch.Tensor) else torch.as_tensor(plain(value))
    except (TypeError, ValueError, RuntimeError):
        if _has_text(value):
            raise ValueError(f"{name} must be numbers; got text.") from None
        raise ValueError(f"The rows of {name} must all have the same number of entries, all of them numbers.") from None
    if tensor.is_meta or tensor.layout != torch.strided:
        raise ValueError("It needs lists of numbers, or plain tensors.")
    if tensor.is_complex():
        raise ValueError(f"{name} must be real numbers; got {tensor.dtype}.")
    return tensor.detach()


def _has_text(value):
    return isinstance(value, str) or (isinstance(value, (list, tuple)) and any(map(_has_text, value)))


def _read_settings(case):
    """gamma, reduction, ignore_index and device as plain values, in the domain where the code is meant to work."""
    for name, kind, what in (("gamma", float, "a number"), ("ignore_index", int, "a whole number")):
        if name not in case:
            continue
        try:
            number = plain(case[name])  # a numpy or tensor scalar too
            while isinstance(number, list) and len(number) == 1:
                number = number[0]
            if isinstance(number, str):
                raise TypeError
            case[name] = kind(number)
        except (TypeError, ValueError, RuntimeError):
            raise ValueError(f"{name} is {what}; got {case[name]!r}.") from None
    if not 0 <= case.get("gamma", 0) <= MOST_GAMMA:
        raise ValueError(f"gamma lies between 0 and {MOST_GAMMA:g}; got {case['gamma']:g}.")
    if case.get("reduction", "none") not in REDUCTIONS:
        allowed = ", ".join(REDUCTIONS)
        raise ValueError(f"The code under review knows the reductions {allowed}; got {case['reduction']!r}.")
    if str(case.get("device", "cpu")) not in ("cpu", "meta"):
        raise ValueError(f'"device" is "cpu" or "meta", which every machine has; got {case["device"]!r}.')


def other_defaults(case, loss, right):
    """Names that this input leaves out, and for which the two losses have different defaults: ``{name: default}``."""
    ours, theirs = inspect.signature(loss).parameters, inspect.signature(right).parameters
    return {
        name: ours[name].default
        for name in names_of(loss)
        if name in ours and name in theirs and name not in case and ours[name].default != theirs[name].default
    }


def lacks(case, loss, broken, binary=False):
    """What this input does not exercise, in words; of that, what matters for the code under review."""
    known, alpha = inspect.signature(loss).parameters, case.get("alpha")
    labels, gamma, ignore_index = case["labels"].flatten(), case.get("gamma", 2.0), case.get("ignore_index", -100)
    counts = labels[labels != ignore_index]
    if not len(counts):
        yield "no label that counts"
        return
    settings = {"reduction": "none", "ignore_index": ignore_index}
    nll = None if binary else F.cross_entropy(case["logits"], case["labels"], **settings)
    if len(labels) == 1 and "batch_is_mean_of_singles" in broken:
        yield "one example only"
    elif "batch_is_mean_of_singles" in broken and (nll == nll.flatten()[0]).all():
        yield "the same loss for every example"
    if "alpha" in known and not binary:
        if alpha is None:
            yield "no alpha"
        elif (alpha == alpha.flatten()[0]).all():
            yield "the same alpha for every class"
        elif (alpha[counts] == 1).all():
            yield "no example whose class has a weight other than 1"
        elif len(labels) > 1 and len(counts.unique()) == 1:
            yield "one class only among its labels"
        elif len(labels) > 1 and counts.tolist() == list(range(len(labels))):
            yield "its labels in the order of the classes"
    if gamma == 0:
        yield "focusing switched off, by gamma 0"
    if SMALL_GAMMA in broken and gamma >= 1:
        yield f"gamma {gamma:g}"
    if SMALL_GAMMA in broken and (nll > 1e-8).all():
        yield "no example that the model is certain of, by a margin of 20 between the logits"
    if binary and "alpha" in known and alpha == 0.5:
        yield "alpha 0.5, which treats both sides alike"
    if binary and len(labels.unique()) == 1:
        yield "positives only" if labels[0] else "negatives only"
    if "ignore_index" in known and len(counts) == len(labels):
        yield "no ignored label"
    if inspect.isclass(loss) and case.get("device", "cpu") == "cpu":
        yield "everything on the CPU"
