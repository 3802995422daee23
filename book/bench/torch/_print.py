"""How a tensor prints: torch's own layout."""

import math

from . import _numbers as N

_options = {"precision": 4, "threshold": 1000, "edgeitems": 3, "linewidth": 80, "sci_mode": None}


def set_printoptions(precision=None, threshold=None, edgeitems=None, linewidth=None, profile=None, sci_mode=None):
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    _options.update({k: v for k, v in given.items() if v is not None}, sci_mode=sci_mode)


class _Format:
    """One width for all numbers of a tensor."""

    def __init__(self, tensor, shown):
        digits = _options["precision"]
        self.floating, self.whole, self.scientific, self.width = tensor.dtype.kind == 2, True, False, 1
        if not self.floating:
            self.width = max((len(str(x)) for x in shown), default=1)
            return
        finite = [abs(x) for x in shown if math.isfinite(x) and x != 0]
        if not finite:
            return
        self.whole = all(x == math.ceil(x) for x in finite)
        low, high = min(finite), max(finite)
        if self.whole:
            self.scientific = high / low > 1000.0 or high > 1e8
        else:
            self.scientific = high / low > 1000.0 or high > 1e8 or low < 1e-4
        if _options["sci_mode"] is not None:
            self.scientific = _options["sci_mode"]
        signed = [x for x in shown if math.isfinite(x) and x != 0]
        if self.scientific:
            texts = [f"{x:.{digits}e}" for x in signed]
        else:
            texts = [f"{x:.0f}." if self.whole else f"{x:.{digits}f}" for x in signed]
        self.width = max(1, *(len(t) for t in texts))

    def __call__(self, x):
        if not self.floating:
            return str(x).rjust(self.width)
        if self.scientific:
            text = f"{x:.{_options['precision']}e}"
        elif self.whole:
            text = f"{x:.0f}" + ("." if math.isfinite(x) else "")
        else:
            text = f"{x:.{_options['precision']}f}"
        return text.rjust(self.width)


def _shown(tensor, summary):
    """The numbers that are printed."""
    if not tensor.shape or not summary:
        return tensor._v()
    edge, n = _options["edgeitems"], tensor.shape[0]
    rows = range(n) if n <= 2 * edge else [*range(edge), *range(n - edge, n)]
    return [x for i in rows for x in _shown(tensor[i], summary)]


def _text(tensor, form, indent, summary):
    if not tensor.shape:
        return form(tensor._v()[0])
    n, edge = tensor.shape[0], _options["edgeitems"]
    cut = summary and n > 2 * edge
    rows = [*range(edge), None, *range(n - edge, n)] if cut else range(n)
    if tensor.ndim == 1:
        per_line = max(1, int((_options["linewidth"] - indent) / (form.width + 2)))
        texts = [" ..." if i is None else form(tensor._v()[i]) for i in rows]
        lines = [", ".join(texts[i : i + per_line]) for i in range(0, len(texts), per_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"
    parts = ["..." if i is None else _text(tensor[i], form, indent + 1, summary) for i in rows]
    return "[" + (",".ljust(1) + "\n" * (tensor.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def tensor_text(tensor):
    name, label = "tensor", tensor.grad_fn
    if type(tensor).__name__ == "Parameter":
        name = "Parameter containing:\ntensor"
    plain = tensor.detach()
    suffixes = []
    if tensor.is_meta:
        suffixes += ["device='meta'", f"size={tuple(tensor.shape)}"]
    elif not tensor.numel() and tensor.ndim != 1:
        suffixes.append(f"size={tuple(tensor.shape)}")
    default = tensor.dtype in (N.float32, N.int64, N.bool_)
    if not default or (not tensor.numel() and tensor.dtype is not N.float32):
        suffixes.append(f"dtype={tensor.dtype}")
    if label is not None:
        suffixes.append(f"grad_fn=<{label.label}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    indent = len("tensor(")
    if tensor.is_meta:
        body = "..."
    elif not tensor.numel():
        body = "[]"
    else:
        summary = tensor.numel() > _options["threshold"]
        body = _text(plain, _Format(plain, _shown(plain, summary)), indent, summary)
    last = len(body) - body.rfind("\n") + (indent if "\n" not in body else 0)
    for suffix in suffixes:
        if last + len(suffix) + 2 > _options["linewidth"]:
            body, last = body + ",\n" + " " * indent + suffix, indent + len(suffix)
        else:
            body, last = body + ", " + suffix, last + len(suffix) + 2
    return f"{name}({body})"
