"""What a caller does with a loss: scales it, adds it to others, calls it in every mode, at every size and layout."""

import math

import torch
import torch.nn.functional as F

from ..adapter import Stopped, Untestable, as_number
from ..cases import IN_A_PAGE, Violation, expect, gradient, numbers, rows_of, smallest
from .registry import a_property, first_line, raised

# On both sides of the powers of two and of usual block sizes.
EVERYDAY = [n for k in range(2, 7) for n in (2**k - 1, 2**k, 2**k + 1)]
LARGE = [n for k in range(7, 13) for n in (2**k - 1, 2**k, 2**k + 1)] + [1000, 1031]
if IN_A_PAGE:  # it counts in plain Python: it stays with small sizes
    EVERYDAY, LARGE = [3, *[n for n in EVERYDAY if n > 30]], []


@a_property("Scaled and added to another loss, its gradient is scaled and added.", "use")
def scales_with_what_follows(loss, cases):
    for case in cases[1:3]:
        alone = gradient(loss, case.input, case.target)
        other = gradient(F.cross_entropy, case.input, case.target)
        got = gradient(lambda x, t: 3 * loss(x * 1, t) + F.cross_entropy(x, t), case.input, case.target)
        expect(loss, got, 3 * alone + other, f"{case}: the gradient of 3 times the loss plus cross-entropy")


@a_property("Under reduction='none', each row's gradient is scaled by what follows that row.", "use")
def each_row_has_its_own_scale(loss, cases):
    if "none" not in loss.reductions and loss.own_reduction != "none":
        raise Untestable("it cannot be asked for reduction 'none'")
    case, scale = cases[3], loss.tensor([1, 2, 0, -3])

    def scaled(input, target):
        rows = loss(input, target, reduction="none")
        if rows.shape != target.shape:
            raise Untestable("its reduction 'none' gives something else than one loss for each target")
        return (scale * rows).sum()

    alone = gradient(lambda x, t: loss(x, t, reduction="none").sum(), case.input, case.target)
    setting = f"{case}: the gradient of the losses times {numbers(scale)}"
    expect(loss, gradient(scaled, case.input, case.target), scale[:, None] * alone, setting)


@a_property("The value is the same with and without grad mode, in train() and in eval().", "use")
def modes_change_nothing(loss, cases):
    case = cases[3]
    c = case.input.shape[1]
    run = loss.criterion(c, loss.unweighted(c), loss.known_gamma)
    first = run(case.input.clone().requires_grad_(), case.target.clone()).detach().clone()
    with torch.no_grad():
        try:
            expect(loss, run(case.input.clone(), case.target.clone()), first, f"{case}, under no_grad", "with it")
        except Violation as violation:
            raise Violation(violation.example, ("no_grad", *violation.got)) from None
    if hasattr(run.loss, "eval") and hasattr(run.loss, "train"):
        was = getattr(run.loss, "training", True)
        try:
            run.loss.train(not was)
            setting = f"{case}, in {'eval' if was else 'train'}()"
            expect(loss, run(case.input.clone(), case.target.clone()), first, setting, "the other mode")
        finally:
            run.loss.train(was)


@a_property("Two backward passes through one graph give the same gradient.", "use", level="fragile")
def one_graph_serves_twice(loss, cases):
    case = cases[2]
    input = case.input.clone().requires_grad_()
    value = loss(input, case.target).sum()
    try:
        first = torch.autograd.grad(3 * value, input, retain_graph=True)[0].clone()
        (second,) = torch.autograd.grad(3 * value, input)
    except RuntimeError as error:
        raise Untestable(f"it refuses a second pass: {first_line(error)}") from error
    expect(loss, second, first, f"{case}: the gradient of 3 times the loss, taken a second time", "the first time")


@a_property("A second derivative is the slope of the gradient, or it is refused.", "use", level="fragile")
def second_derivative_is_right_or_refused(loss, cases):
    step = 1e-3
    for case in cases:  # in some of them it is nearly 0, and nothing would be seen
        try:
            input = case.input.clone().requires_grad_()
            value = loss(input, case.target).sum()
            upstream = torch.ones_like(value).requires_grad_()  # or once_differentiable does not refuse
            (first,) = torch.autograd.grad(value, input, upstream, create_graph=True)
            first[0, 0].backward()
        except Exception as error:
            raise Untestable(f"it refuses a second derivative, as it may: {first_line(error)}") from error
        second = input.grad  # None where no graph leads back to the logits: a penalty on it is a constant, unsaid
        shift = torch.zeros_like(case.input)
        shift[0, 0] = step
        up, down = (gradient(loss, case.input + sign * shift, case.target) for sign in (1, -1))
        slope = ((up - down)[0, 0] / (2 * step)).detach()
        here = torch.zeros_like(slope) if second is None else second[0, 0]
        if not (here - slope).abs() <= 2e-3 + 1e-2 * slope.abs():
            setting = f"{case}: the second derivative by logit 0 of row 0"
            is_told = "is missing, without an error" if second is None else f"is {numbers(here)}"
            raise Violation(f"{setting} {is_told}, the slope of the gradient {numbers(slope)}", (here.item(),))


@a_property("It is right for any number of rows and classes, beside powers of two as well.", "use")
def is_right_at_every_size(loss, cases):
    if loss.refuses_one_row:
        raise raised(loss.refuses_one_row, f"{cases[0]}, a batch of one: ", "fragile")
    if loss.only_classes is not None:
        sizes = [(n, loss.only_classes) for n in EVERYDAY + LARGE]
    else:
        sizes = [(n, 3) for n in EVERYDAY] + [(3, c) for c in EVERYDAY]
        sizes += [(n, 3) for n in LARGE] + [(3, c) for c in LARGE]
        if not IN_A_PAGE and not _makes_tables(loss):
            sizes += [(2, 2**15 + 1), (2, 2**16 + 1)]
    if loss.labels_off:
        z, labels, got, alone, one_p = loss.labels_off
        example = f"logits {numbers(z)}, {z.shape[1]} labels a row, {labels.tolist()}: got {numbers(got)}, expected "
        example += f"{numbers(alone)}, the mean of what each label costs alone" + "; it has one p_t for a row" * one_p
        raise Violation(example, tuple(got.flatten().tolist()), "wrong" if one_p else "fragile")
    if _off(loss, *sizes[0]):
        _wrong_beside_even_sizes(loss)
        raise Untestable("at small sizes its numbers are not the focal loss's already")
    for n, c in sizes:
        if _off(loss, n, c):
            at = (lambda size, c=c: (size, c)) if n > 3 else (lambda size, n=n: (n, size))
            small = smallest(lambda size, at=at: _off(loss, *at(size)), 3, max(n, c))
            example, got = _off(loss, *at(small))
            what = "rows" if n > 3 else "classes"
            if _off(loss, *at(small))[1] != got:
                example += ", and another number the next time: from this size on it draws at random"
            example += _where_else(lambda size, at=at: _off(loss, *at(size)), small, what)
            raise Violation(example, (*got, small), "wrong" if small <= max(EVERYDAY) else "fragile")


def _wrong_beside_even_sizes(loss):
    """A violation, if it is right for even numbers and wrong for 3, as code is that pads or takes two at a time."""
    classes = (2, 4) if loss.only_classes is None else (loss.only_classes,)
    if any(_off(loss, n, c) for n in (2, 4) for c in classes):
        return
    for n, c, what in ((3, classes[-1], "rows"), (4, 3, "classes"))[: len(classes)]:
        if found := _off(loss, n, c):
            example, got = found
            raise Violation(f"{example}. Right with 2 and 4 {what}, wrong with 3", (*got, what))


def _where_else(fails, small, what):
    """At which sizes beside ``small``, where it fails, it is right and where it fails as well, in words."""
    block = small - 1
    right, wrong = [block], [small]
    half = small // 2
    for size in (small + 1, 2 * block, 2 * block + half, 3 * block, 3 * block + half):
        if size < 4200:  # more would take long
            (wrong if fails(size) else right).append(size)
    found = {word: ", ".join(map(str, sizes)) for word, sizes in (("right", right), ("wrong", wrong))}
    multiples = f", at multiples of {block}," if len(right) == 3 and right[1] == 2 * block else ""
    return f". Right at smaller sizes and{multiples} at {found['right']} {what}, wrong at {found['wrong']}"


def _makes_tables(loss, c=1000):
    """Whether it makes a table of classes by classes, such as torch.eye(C)[target]: many would fill the memory."""
    from torch.utils._python_dispatch import TorchDispatchMode  # not in a page

    class Largest(TorchDispatchMode):
        found = 0

        @classmethod
        def _should_skip_dynamo(cls):  # or torch loads its compiler for this class, which takes a second
            return False

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            result = function(*args, **(kwargs or {}))
            self.found = max([self.found, *(t.numel() for t in [result] if isinstance(t, torch.Tensor))])
            return result

    with Largest() as largest:
        _off(loss, 3, c)
    return largest.found >= c * c


def _off(loss, n, c):
    """What is wrong with ``n`` rows of ``c`` classes, in words and numbers; None if nothing is."""
    generator = torch.Generator().manual_seed(n * 100003 + c)
    input = torch.randint(-3, 4, (n, c), generator=generator).to(loss.device, loss.dtype)
    target = torch.randint(c, (n,), generator=generator).to(loss.device)
    input[torch.arange(n), target] += round(math.log(c))  # so that p_t is not tiny where there are many classes
    if loss.only_classes == 2:
        input[:, 0] += 0.25  # no equal logits: a kink there is no matter of size
    expected = rows_of(loss, input, target).mean()
    where = f"{n} rows of {c} classes, logits random whole numbers"
    try:
        got = loss(input, target).detach()
        slope, right = gradient(loss, input, target), gradient(lambda x, t: rows_of(loss, x, t).mean(), input, target)
    except Stopped as stop:
        raise Untestable(f"{where}: {stop}") from stop
    except Exception as error:
        return raised(error, f"{where}: ").example, (type(error).__name__,)
    if not torch.allclose(got, expected.detach().to(got.dtype), rtol=1e-3, atol=1e-5):
        example = f"{where}: the value is wrong, got {numbers(got)}, expected {numbers(expected.detach())}"
        return example, tuple(got.flatten().tolist())
    off = ((slope - right).abs() * n > 1e-3).any(1)
    if off.any():
        row = int(off.nonzero()[0, 0])
        which = "the last row" if row == n - 1 else f"row {row} (the first is 0)"
        near = 1e-6 if got.dtype == torch.float64 else 1e-5 * n
        by = (got - expected.detach()).abs()
        value = "value is right, the" if by * n < near else f"value is off by {by:.2g}, and the"
        setting = f"{where}: the {value} gradient of {which} is wrong; {n} times this gradient"
        k = ((slope - right)[row].abs()).argmax()
        logit = f" for logit {k}" * (c > 4)
        ours, theirs = (numbers(n * (g[row, k] if c > 4 else g[row]).detach(), 4) for g in (slope, right))
        return f"{setting}{logit} is {ours}, expected {theirs}", (float(row),)
    return None


@a_property("Transposed and expanded logits are worth the same as contiguous ones.", "use")
def memory_layout_changes_nothing(loss, cases):
    case = cases[3]
    same_rows, c = case.input[:1].expand(4, -1), case.input.shape[1]
    mean = "mean" if "mean" in loss.reductions else None
    for how, input in ("transposed", case.input.t().contiguous().t()), ("expanded", same_rows):
        expected = loss(input.contiguous(), case.target), gradient(loss, input.contiguous(), case.target)
        leaf = (case.input.t().contiguous() if how == "transposed" else case.input[:1]).clone().requires_grad_()
        seen = leaf.t() if how == "transposed" else leaf.expand(4, -1)
        try:
            got = loss.criterion(c, loss.unweighted(c), loss.known_gamma, mean)(seen, case.target.clone())
            got = loss.as_mean(as_number(got, loss.dtype), case.target) / loss.factor
            (slope,) = torch.autograd.grad(got, leaf)
        except Exception as error:
            example = f"it refuses {how} logits: {first_line(error)}"
            raise Violation(example, (how, type(error).__name__), "fragile") from error
        setting = f"logits {numbers(input)}, {how} in memory, target {case.target.tolist()}"
        expect(loss, got, expected[0], setting, "contiguous")
        right = expected[1].t() if how == "transposed" else expected[1].sum(0, keepdim=True)
        expect(loss, slope, right, f"{setting}: the gradient", "contiguous")
