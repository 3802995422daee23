"""Fixes in the words of the loss that they are for: its arguments, its axis of classes, its kind of input."""

import re

from .advice import CROSS_ENTROPY
from .forms import column, logit

__all__ = ["named", "names_of"]


def names_of(adapter, of_sigmoids):
    """What a fix says -> what it says of this loss: its arguments, its axis of classes, what its form asks for."""
    names = {n: adapter.names[n] for n in ("alpha", "gamma", "ignore_index") if n in adapter.names}
    one_logit = adapter.form.input in (logit, column)
    if of_sigmoids or one_logit:
        both = "F.logsigmoid(input) for yes and F.logsigmoid(-input) for no"
        names = {"F.log_softmax(input, 1)": both, "clamped softmax": "clamped sigmoid"} | names
    if adapter.form.words.startswith("one probability"):
        names |= dict.fromkeys(("F.cross_entropy", "cross-entropy"), "F.binary_cross_entropy")
    elif "probabilities" in adapter.form.words:
        log_p = "input" if adapter.form.words.startswith("log") else "input.log()"
        ce = f"-(target * {log_p}).sum(1)" if adapter.one_hot else f'F.nll_loss({log_p}, target, reduction="none")'
        names = {CROSS_ENTROPY: ce, "F.log_softmax(input, 1)": "F.log_softmax(logits, 1)"} | names
    if one_logit:
        names |= dict.fromkeys(("F.cross_entropy", "cross-entropy"), "F.binary_cross_entropy_with_logits")
    if "reduction" in adapter.names:
        names["reduce=False"] = 'reduction="none"'
    axis = {", 1)": ", -1)", ".shape[1]": ".shape[-1]"} if adapter.classes_last else {}
    return names | axis | adapter.pair_called


def named(text, names):
    """A text with code in it, its arguments named as the loss names them."""
    for ours, theirs in names.items():
        code = rf"\b{ours}\b(?=[\].,)*:;]|\[| [-+*!=]+ )" if ours in ("input", "target") else rf"\b{ours}\b(?! of )"
        code = code if ours.replace(" ", "").isidentifier() else re.escape(ours)
        text = re.sub(code, theirs, text) if ours != theirs else text
    return text
