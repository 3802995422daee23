"""Reductions, ignored targets, class weights and label maps: how the losses of many targets become one."""

import contextlib
import copy
import itertools
from dataclasses import replace

import torch

from ..adapter import Untestable
from ..cases import Case, Violation, expect, gradient, make_cases, need, numbers, total, with_weights
from ..forms import COLUMN, OF_TRAINER, ONE_LOGIT
from .registry import a_property, raised


@a_property("reduction='none' gives one loss for each target.", "reduction")
def none_has_the_targets_shape(loss, cases):
    if loss.form is ONE_LOGIT:
        columns, case = copy.copy(loss), cases[3]
        columns.form = COLUMN
        right = got = loss(case.input, case.target).detach()
        with contextlib.suppress(Exception):  # to refuse this is right as well
            got = columns(case.input, case.target).detach()
        if not torch.allclose(got, right, **loss.tolerance):
            example = f"{case}, as logits (4, 1) and targets (4,): got {numbers(got)}, expected {numbers(right)}"
            raise Violation(f"{example} (of a 4×4 table)", ("4×4",), "fragile", kind="table")
    if "none" not in loss.reductions and loss.own_reduction != "none":
        raise Untestable("it cannot be asked for reduction 'none'")
    for case in cases:
        alone = loss.runs_without_alpha and loss.default_classes in (None, case.input.shape[1])
        for alpha in [None] * alone + [case.alpha] * loss.takes_weights:
            got = loss.criterion(case.input.shape[1], alpha, reduction="none")(case.input.clone(), case.target.clone())
            handed = loss.form.target(case.target, case.input)  # (N, 1), for example, and so may be the losses
            if got.shape not in (case.target.shape, *[handed.shape] * (handed.numel() == case.target.numel())):
                example = f"{case}{with_weights(alpha)}, reduction none: the result has shape {tuple(got.shape)}"
                example = f"{example}, expected {tuple(case.target.shape)}"
                raise Violation(example, (str(tuple(got.shape)),), _level_without_none(loss))


def _level_without_none(loss):
    """How bad it is that there are no losses of rows: fragile, where it is the sum, or the losses in another shape."""
    case = make_cases(0, loss.dtype, loss.device, loss.only_classes)[3]
    got = loss.criterion(case.input.shape[1], loss.unweighted(case.input.shape[1]), reduction="none")
    got = got(case.input.clone(), case.target.clone()) / loss.factor
    rows = [loss(x[None], t[None]).reshape(()) for x, t in zip(case.input, case.target, strict=True)]
    rows = torch.stack(rows)
    known = rows.sum() if got.numel() == 1 and "sum" in loss.reductions else rows
    same = got.numel() == known.numel() and torch.allclose(got.reshape(known.shape), known.to(got), **loss.tolerance)
    return "fragile" if same else "wrong"


@a_property("The sum is N times the mean.", "reduction")
def sum_is_n_times_the_mean(loss, cases):
    for case in cases:
        got, n = loss(case.input, case.target, reduction="sum"), len(case.target)
        expect(loss, got, n * loss(case.input, case.target), f"{case}, reduction sum", f"{n} times the mean")


@a_property("The mean of a batch is the mean of its examples, each taken alone.", "reduction")
def batch_is_mean_of_singles(loss, cases):
    last = cases[-1]
    uneven = replace(last, target=loss.labels([0] * (len(last.target) - 1) + [1]))  # a mean of classes' means shows
    for case in [*cases[1:], uneven]:
        for alpha in [None] + [case.alpha] * (loss.takes_weights and not loss.divides_by_weights):
            rows = [loss(x[None], t[None], alpha=alpha) for x, t in zip(case.input, case.target, strict=True)]
            rows = torch.stack([row.mean() for row in rows])
            setting = f"{case}{with_weights(alpha)}"
            why = f"the mean of what it gives for each alone, {numbers(rows)}"
            expect(loss, loss(case.input, case.target, alpha=alpha), rows.mean(), setting, why)
    if OF_TRAINER in loss.left and loss.own_reduction == "mean":
        told = loss.with_setting(OF_TRAINER, len(last.target))(last.input, last.target)
        expect(loss, told, loss(last.input, last.target), f"{last}, {OF_TRAINER} {len(last.target)}", "the mean")


@a_property("Writing every example twice leaves the mean as it is.", "reduction")
def doubled_batch_keeps_the_mean(loss, cases):
    for case in cases:
        got = loss(case.input.repeat(2, 1), case.target.repeat(2))
        expect(loss, got, loss(case.input, case.target), f"{case}, every row twice", "once")


@a_property("Ignored targets change nothing: it is as if their rows were not there.", "reduction")
def ignored_rows_are_dropped(loss, cases):
    need(loss, "ignore_index")
    if loss.one_hot:
        raise Untestable("it takes no class indices")
    for weighted, case in itertools.product([False] + [True] * loss.takes_weights, cases[1:]):
        input, target, alpha = case.input.clone(), case.target.clone(), case.alpha if weighted else None
        input[0] = torch.arange(input.shape[1])  # an expensive row, whatever class it is taken for
        for ignored in (-100, int(target[0])):
            target[0] = ignored
            kept = target != ignored
            if kept.any():
                got = loss(input, target, alpha=alpha, ignore_index=ignored)
                if not loss.reductions and loss.own_reduction != "mean":  # its rows were divided by all targets
                    got = got * len(target) / kept.sum()
                setting = f"logits {numbers(input)}, target {target.tolist()}{with_weights(alpha)}"
                expected = loss(input[kept], target[kept], alpha=alpha)
                expect(loss, got, expected, f"{setting}, ignore_index {ignored}", "without the ignored rows")


@a_property("With no alpha given, no class is weighted.", "weights", level="manners")
def default_is_unweighted(loss, cases):
    if side := loss.silent_side:
        words = f"alpha left out, which is {loss.alpha_by_default:g}: a {side} costs 0, whatever its logits are"
        raise Violation(words, (side,), "wrong")
    if loss.grows_with_counts:
        counts = [10 * (k + 1) for k in range(loss.only_classes)]
        raise Violation(f"counts {counts} became the weights {numbers(loss.weights_inside, 4)}", ("counts",), "wrong")
    need(loss, "alpha")
    if not loss.runs_without_alpha:
        raise Untestable("it does not run without alpha")
    if loss.default_classes:
        cases = make_cases(0, loss.dtype, loss.device, loss.default_classes)
    for case in [] if loss.no_weights is loss.OMIT else cases:
        got = loss.criterion(case.input.shape[1])(case.input.clone(), case.target.clone())
        ones = loss.criterion(case.input.shape[1], alpha=loss.unweighted(case.input.shape[1]))
        expected = ones(case.input.clone(), case.target.clone())
        expect(loss, got, expected, f"{case}, alpha left out", "all weights 1")


@a_property("Doubling alpha[k] adds exactly the loss of class k once more.", "weights")
def alpha_scales_its_class(loss, cases):
    need(loss, "alpha")
    for reduction in ["mean", *sorted({"none", "sum"} & set(loss.reductions))]:

        def summed(input, target, alpha, reduction=reduction):
            if reduction == "mean":
                return total(loss, input, target, alpha)
            return loss(input, target, alpha=alpha, reduction=reduction).sum()

        for case in cases + _of_many_classes(loss):
            k = int(case.target[0])
            doubled, of_class_k = case.alpha.clone(), case.target == k
            doubled[k] *= 2
            try:
                before, after = (summed(case.input, case.target, alpha) for alpha in (case.alpha, doubled))
                added = summed(case.input[of_class_k], case.target[of_class_k], case.alpha)
            except RuntimeError as error:
                raise raised(error, f"{case}{with_weights(case.alpha)}: ", _idle(loss)) from error
            how = "" if reduction == "mean" else f"reduction {reduction}, "
            setting = f"{case}: {how}the summed loss after weights {numbers(case.alpha)} became {numbers(doubled)}"
            why = f"{numbers(before)} before, plus {numbers(added)} of class {k}"
            try:
                expect(loss, after, before + added, setting, why)
            except Violation as violation:
                got = violation.got if reduction == "mean" else (reduction, *violation.got)
                kind = "alpha_unused" if torch.allclose(after, before, **loss.tolerance) else None
                raise Violation(violation.example, got, _idle(loss), kind) from None


def _of_many_classes(loss):
    """A case with more than ten classes, where code that sorts their names as text has 10 before 2."""
    if loss.only_classes is not None or loss.lengths_by_default:
        return []
    input = loss.tensor([[float(k == row % 3) for k in range(12)] for row in range(4)])
    return [Case(input, loss.labels([10, 2, 11, 1]), loss.tensor(range(1, 13)))]


def _idle(loss):
    """The level of a fault in the weights of a loss whose alpha weights nothing by default; None for the usual one."""
    default = loss.alpha_by_default
    return "fragile" if isinstance(default, (int, float)) and default == 1 else None


@a_property("An alpha with too many or too few weights is refused.", "weights", level="manners")
def wrong_alpha_length_is_refused(loss, cases):
    need(loss, "alpha")
    if not loss.takes_weights:
        raise Untestable("its alpha is a single number")
    case = cases[2]
    c = case.input.shape[1]
    for more in (1, -1):
        try:
            value = loss(case.input, loss.labels([0, 1]), alpha=loss.tensor([1.0] * (c + more)))
        except Exception:
            continue
        example = f"{c + more} weights for {c} classes were accepted: got {numbers(value.detach())}"
        raise Violation(example, (f"{more} more accepted",))


@a_property("Logits (N, C, H, W) are worth the same as their N·H·W rows.", "shape")
def image_equals_its_rows(loss, cases):
    rows, target = cases[3].input.repeat(2, 1), cases[3].target.repeat(2)  # 8 rows
    c = rows.shape[1]
    image, labels = rows.reshape(2, 2, 2, c).movedim(-1, 1), target.reshape(2, 2, 2)
    expected, right = loss(rows, target), gradient(loss, rows, target).reshape(2, 2, 2, c)
    with contextlib.suppress(Exception):
        last, given = rows.reshape(2, 2, 2, c), _with_classes_last(loss)
        ours, ours_slope = given(last, labels), gradient(given, last, labels)
        if torch.allclose(ours, expected, **loss.tolerance) and torch.allclose(ours_slope, right, **loss.tolerance):
            loss.classes_last = True
            return
    try:
        got, slope = loss.for_maps()(image, labels), gradient(loss.for_maps(), image, labels)
    except Exception as error:
        raise Untestable(f"it refuses input of shape (N, C, H, W): {error}") from error
    setting = f"logits of shape (2, {c}, 2, 2) whose pixels are the rows {numbers(rows)}, target {target.tolist()}"
    try:
        expect(loss, got, expected, setting, "the rows")
        expect(loss, slope, right.movedim(-1, 1), f"{setting}: the gradient", "the rows")
    except Violation as violation:
        violation.level = None if _is_for_maps(loss) else "fragile"
        pixels, right = 4, right.movedim(-1, 1)
        if all(torch.allclose(a, pixels * b, **loss.tolerance) for a, b in ((got, expected), (slope, right))):
            violation.example += "; it adds up the pixels of an image, and takes the mean over images"
            violation.level = "manners"
        raise


def _with_classes_last(loss):
    """This loss, ready for label maps ``(N, H, W, C)``, in the form in which it wants rows ``(N, C)``."""
    given = copy.copy(loss.for_maps())
    form = given.form

    def input(x):
        rows = form.input(x.flatten(0, -2))
        return rows.reshape(*x.shape[:-1], *rows.shape[1:])

    def target(t, x):
        rows = form.target(t.flatten(), x.flatten(0, -2))
        return rows.reshape(*t.shape, *rows.shape[1:])

    given.form = replace(form, input=input, target=target)
    return given


def _names_in(function, depth=3):
    """The names in the code of a function and of what it calls of the same file."""
    code, space = getattr(function, "__code__", None), getattr(function, "__globals__", {})
    names = set(code.co_names if code else ())
    for called in [space[name] for name in names if name in space] if depth else ():
        for part in (called, getattr(called, "forward", None), getattr(called, "backward", None)):
            if getattr(part, "__globals__", None) is space:
                names |= _names_in(part, depth - 1)
    return names


def _is_for_maps(loss):
    """Whether its code does anything about more than two dimensions; else it was written for (N, C) alone.

    Code that only calls what is not to be seen does not tell.
    """
    names = _names_in(getattr(loss.loss, "compute_loss" if loss.of_a_trainer else "forward", loss.loss))
    computes = names & {"softmax", "log_softmax", "gather", "one_hot", "exp", "log"}
    about = names & {"dim", "ndim", "permute", "transpose", "movedim", "view", "reshape", "flatten"}
    return bool(about) or not computes
