"""The focal loss whole, written with the names that somebody's loss has: what a list of fixes comes to."""

from .advice import FLOOR
from .forms import COLUMNS, ONE_LOGIT, PLAIN, one_hot

__all__ = ["rewritten"]


def rewritten(adapter, of_sigmoids):
    """The source text of ``focal_loss``, right and whole; None for a loss of another form, or with weights inside.

    It takes logits and targets as ``adapter.loss`` takes them, under the names that they have there, and its settings
    by name. ``of_sigmoids``: whether a table of logits and targets (N, C) holds a yes-or-no question in each place.
    """
    form, names = adapter.form, adapter.names
    of_one = (form.input, form.target) in [(of.input, of.target) for of in (ONE_LOGIT, COLUMNS)]
    yes_or_no = of_one or of_sigmoids
    of_classes = form.input is PLAIN.input and form.target in (PLAIN.target, one_hot) and adapter.weights_inside is None
    filled = {*adapter.required, *adapter.unknown} - {*names.values()}  # what else must be given, such as masks
    if filled or not (yes_or_no or of_classes):
        return None
    x, y = (adapter.pair_called.get(name, name) for name in ("input", "target"))
    alpha, gamma, ignored = (names.get(name, name) for name in ("alpha", "gamma", "ignore_index"))
    weighted = "alpha" in names and (yes_or_no or adapter.takes_weights)
    usual = _default(adapter, "gamma")
    usual = usual if isinstance(usual, (int, float)) else adapter.own_gamma
    share = _default(adapter, "alpha")  # of yes against no: an ordinary default, where one for all classes is a fault
    share = share if yes_or_no and type(share) is float and 0 < share < 1 else None
    settings = [*[f"{alpha}={share}"] * weighted, f"{gamma}={usual:g}"]
    if yes_or_no:
        shape = f".view_as({x})" * of_one  # (N, 1) beside (N,) would make a table
        lines = [f"{y} = {y}.to({x}){shape}", f'ce = F.binary_cross_entropy_with_logits({x}, {y}, reduction="none")']
        weights, one, mean = f"{alpha} * {y} + (1 - {alpha}) * (1 - {y})", "1", "loss.mean()"
    else:
        number = _default(adapter, "ignore_index")
        settings += [f"{ignored}={number if isinstance(number, int) else -100}"]
        lines = [
            *[f"{y} = {y}.argmax(1)"] * adapter.one_hot,
            *[f"{x} = {x}.movedim(-1, 1)"] * adapter.classes_last,
            f'ce = F.cross_entropy({x}, {y}, ignore_index={ignored}, reduction="none")',
            f"kept = ({y} != {ignored}).to(ce)",
        ]
        weights, one = f"torch.as_tensor({alpha}).to(ce)[{y} * kept.long()] * kept", "kept"
        divisor = "weights.sum()" if weighted and adapter.divides_by_weights else "kept.sum().clamp_min(1)"
        mean = f"loss.sum() / {divisor}"
    lines += [f"weights = {one} if {alpha} is None else {weights}"] * weighted
    lines += [f"loss = {'weights * ' * weighted}{FLOOR.replace('gamma', gamma)}"]
    result = {"mean": mean, "sum": "loss.sum()", "none": "loss"}[adapter.own_reduction]
    if "reduction" in names:
        usual = _default(adapter, "reduction")
        settings += [f'reduction="{usual if usual in ("none", "sum") else "mean"}"']
        result = f'{{"none": loss, "sum": loss.sum(), "mean": {mean}}}[reduction]'
    elif "size_average" in names:
        settings += [f"size_average={_default(adapter, 'size_average') is not False}"]
        result = f"{mean} if size_average else loss.sum()"
    pair = [y, x] if adapter.target_first else [x, y]
    return "\n    ".join([f"def focal_loss({', '.join([*pair, '*', *settings])}):", *lines, f"return {result}"])


def _default(adapter, role):
    return getattr(adapter.parameters.get(adapter.names.get(role)), "default", None)
