"""What every correct multiclass focal loss satisfies: one named property a function.

A property gets an ``Adapter`` and a list of cases, from small to large, and raises
``Violation`` at the first case that breaks it: the smallest counter-example, in numbers to
check by hand. It raises ``Untestable`` if the loss has no way to set what it needs.

``PROPERTIES`` holds them all by name. Chapter 06 shows which bug breaks which; chapter 07 runs them on your loss.
"""

import copy
import math

import torch
import torch.nn.functional as F
from torch import nn

from .adapter import Untestable
from .cases import Violation, check_finite, expect, expect_finite, gradient, need, numbers, total, weights, with_weights
from .registry import PROPERTIES, Property, a_property, check

__all__ = ["PROPERTIES", "Property", "check"]


@a_property("Called with nothing but logits and targets, the loss returns a finite tensor to differentiate.", "calling")
def runs_with_defaults(loss, cases):
    case = cases[2]
    value = loss.criterion(case.input.shape[1])(case.input.clone().requires_grad_(), case.target.clone())
    if not isinstance(value, torch.Tensor):
        raise Violation(f"{case}: it returned {type(value).__name__}, not a tensor", (type(value).__name__,))
    expect_finite({"loss": value}, str(case))
    if not value.requires_grad:
        raise Violation(f"{case}: the result has no gradient graph, so nothing can learn from it", ("no graph",))


@a_property("Targets are class indices.", "calling")
def takes_class_indices(loss, cases):
    if loss.one_hot:
        example = f"{cases[2]}: it refuses class indices and takes only float targets of the logits' shape"
        raise Violation(example, ("one-hot",))


@a_property("The loss prints nothing.", "care")
def prints_nothing(loss, cases):
    loss(cases[0].input, cases[0].target)
    if loss.printed:
        raise Violation(f"it printed {loss.printed.strip().splitlines()[0][:60]!r}", ("printed",))


@a_property("Logits, targets and weights are left as they were.", "care")
def inputs_are_unchanged(loss, cases):
    for case in cases[1:3]:
        ignore = -100 if "ignore_index" in loss.settable else None
        before = {"logits": case.input.clone(), "targets": case.target.clone(), "weights": case.alpha.clone()}
        if ignore is not None:
            before["targets"][-1] = ignore
        after = {name: tensor.clone() for name, tensor in before.items()}
        alpha = after["weights"] if loss.takes_weights else None
        loss.criterion(case.input.shape[1], alpha, ignore_index=ignore)(after["logits"], after["targets"])
        for name in before:
            if not torch.equal(before[name], after[name]):
                example = f"the {name} {numbers(before[name])} came back as {numbers(after[name])}"
                raise Violation(example, tuple(after[name].flatten().tolist()))


@a_property("The same call gives the same number, whatever was called in between.", "care")
def is_stateless(loss, cases):
    case = cases[3]
    run = loss.criterion(3, weights(loss, case))
    target = torch.tensor(
        [1, 2, 0, 1], device=loss.device
    )  # if one call's targets pick the next one's weights, it shows
    first = run(case.input.clone(), target.clone()).detach().clone()
    run(cases[2].input.clone(), cases[2].target.clone())
    again = run(case.input.clone(), target.clone())
    setting = f"logits {numbers(case.input)}, target [1, 2, 0, 1]{with_weights(weights(loss, case))}"
    expect(loss, again, first, f"{setting}, called a second time", "the first result")


@a_property("float64 logits give a float64 loss.", "care")
def keeps_float64(loss, cases):
    value = loss.criterion(3, loss.unweighted(3))(cases[2].input.double(), cases[2].target)
    if value.dtype != torch.float64:
        raise Violation(f"{cases[2]}, as float64: the loss came back as {value.dtype}", (str(value.dtype),))


class LeftBehind(torch.Tensor):
    """Stands for a tensor on another device: it may be moved, but not mixed with other tensors."""

    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if function.__name__ in ("to", "type_as", "cuda", "cpu"):
            return function(args[0].as_subclass(torch.Tensor), *args[1:], **(kwargs or {}))
        flat = [a for arg in args for a in (arg if isinstance(arg, (tuple, list)) else [arg])]
        if any(isinstance(a, torch.Tensor) and not isinstance(a, cls) and a.ndim for a in flat):
            raise Violation("", ("left behind",))
        return super().__torch_function__(function, types, args, kwargs)


@a_property("Moved to another device, a module takes its weights along.", "care")
def weights_follow_the_module(loss, cases):
    run = loss.criterion(3, weights(loss, cases[2]))
    if not isinstance(run.loss, nn.Module):
        raise Untestable("it is a function: it holds no tensor that could stay behind")
    run.loss = copy.deepcopy(run.loss)
    for module in run.loss.modules():
        for name, value in vars(module).items():  # parameters and buffers, which .to() moves, are not among these
            if isinstance(value, torch.Tensor):
                setattr(module, name, value.detach().as_subclass(LeftBehind))
                left = f"{name} {numbers(value)}"
    try:
        run(cases[2].input.clone(), cases[2].target.clone())
    except Violation as violation:
        example = f"{left} is neither buffer nor parameter: after .to(device) it is where it was, and then used"
        raise Violation(example, violation.got) from None


@a_property("At gamma = 0, focal loss is cross-entropy.", "value")
def gamma_zero_is_cross_entropy(loss, cases):
    need(loss, "gamma")
    for case in cases:
        ce = F.cross_entropy(case.input, case.target)
        expect(loss, loss(case.input, case.target, gamma=0.0), ce, f"{case}, gamma 0", "-log p_t")


@a_property("Three examples worked out by hand come out to the digit.", "value")
def gives_the_golden_numbers(loss, cases):
    odds = [3.0, 1.0, 1 / 3]  # two classes with logits [log(odds), 0]: p_t = odds / (1 + odds) = 3/4, 1/2, 1/4
    input, target = (
        loss.tensor([[math.log(o), 0.0] for o in odds]),
        torch.zeros(3, dtype=torch.int64, device=loss.device),
    )
    gamma = loss.gammas[0]
    golden = loss.tensor([-((1 - p) ** gamma) * math.log(p) for p in (0.75, 0.5, 0.25)])
    for i, p in enumerate((0.75, 0.5, 0.25)):
        setting = f"p_t = {p}, gamma {gamma:g}"
        expect(loss, loss(input[i : i + 1], target[:1]), golden[i], setting, f"-(1 - {p})^{gamma:g} log {p}")
    setting = f"a batch with p_t = 0.75, 0.5, 0.25, gamma {gamma:g}"
    expect(loss, loss(input, target), golden.mean(), setting, f"the mean of {numbers(golden)}")


@a_property("Focal loss is at least 0 and at most cross-entropy.", "value")
def lies_between_zero_and_cross_entropy(loss, cases):
    for gamma in loss.gammas:
        for case in cases:
            value, ce = loss(case.input, case.target, gamma=gamma).detach(), F.cross_entropy(case.input, case.target)
            slack = 1e-6 + 1e-4 * ce
            if not (value.numel() == 1 and -slack <= value <= ce + slack):
                example = f"{case}, gamma {gamma:g}: got {numbers(value)}, cross-entropy is {numbers(ce)}"
                raise Violation(example, tuple(value.flatten().tolist()))


@a_property("The ratio of focal loss to cross-entropy falls as p_t rises.", "value")
def ratio_falls_as_p_t_rises(loss, cases):
    if loss.gammas[0] == 0:
        raise Untestable("its gamma is 0")
    target = torch.zeros(1, dtype=torch.int64, device=loss.device)
    before = None
    for margin in (-2, -1, 0, 1, 2, 3):
        input = loss.tensor([[margin, 0]])
        ratio = (loss(input, target) / F.cross_entropy(input, target)).detach()
        if before is not None and not ratio < before * (1 - 1e-4):
            example = f"logits [[{margin}, 0]], target [0]: the ratio is {numbers(ratio)}"
            raise Violation(
                f"{example}, with [[{margin - 1}, 0]] it was {numbers(before)}", (ratio.item(), before.item())
            )
        before = ratio


@a_property("A perfect prediction costs nothing.", "value")
def perfect_prediction_costs_nothing(loss, cases):
    input, target = loss.tensor([[50, 0, 0], [0, 50, 0]]), torch.tensor([0, 1], device=loss.device)
    expect(loss, loss(input, target), 0.0, f"logits {numbers(input)}, target [0, 1]")


@a_property("Adding a constant to all logits of an example changes nothing.", "value")
def is_shift_invariant(loss, cases):
    for case in cases:
        expected = loss(case.input, case.target)
        expect(loss, loss(case.input + 2, case.target), expected, f"{case}, then 2 added to every logit", "as before")


@a_property("Renaming the classes, in logits, targets and weights alike, changes nothing.", "value")
def is_the_same_for_renamed_classes(loss, cases):
    for case in cases:
        alpha = weights(loss, case)
        expected = loss(case.input, case.target, alpha)
        renamed = case.input.roll(1, dims=1), (case.target + 1) % case.input.shape[1]
        got = loss(*renamed, None if alpha is None else alpha.roll(1))
        setting = f"{case}{with_weights(alpha)}, every class renamed to the next one"
        expect(loss, got, expected, setting, "as before")


@a_property("reduction='none' gives one loss for each target.", "reduction")
def none_has_the_targets_shape(loss, cases):
    if "none" not in loss.reductions and loss.own_reduction != "none":
        raise Untestable("it cannot be asked for reduction 'none'")
    for case in cases:
        for alpha in [None] * loss.runs_without_alpha + [case.alpha] * loss.takes_weights:
            got = loss.criterion(case.input.shape[1], alpha, reduction="none")(case.input.clone(), case.target.clone())
            if got.shape != case.target.shape:
                example = f"{case}{with_weights(alpha)}, reduction none: the result has shape {tuple(got.shape)}"
                raise Violation(f"{example}, expected {tuple(case.target.shape)}", (str(tuple(got.shape)),))


@a_property("The sum is N times the mean.", "reduction")
def sum_is_n_times_the_mean(loss, cases):
    for case in cases:
        got, n = loss(case.input, case.target, reduction="sum"), len(case.target)
        expect(loss, got, n * loss(case.input, case.target), f"{case}, reduction sum", f"{n} times the mean")


@a_property("The mean of a batch is the mean of its examples, each taken alone.", "reduction")
def batch_is_mean_of_singles(loss, cases):
    for case in cases[1:]:
        for alpha in [None] + [case.alpha] * (loss.takes_weights and not loss.divides_by_weights):
            rows = [loss(x[None], t[None], alpha=alpha) for x, t in zip(case.input, case.target, strict=True)]
            rows = torch.stack([row.mean() for row in rows])
            setting = f"{case}{with_weights(alpha)}"
            why = f"the mean of what it gives for each alone, {numbers(rows)}"
            expect(loss, loss(case.input, case.target, alpha=alpha), rows.mean(), setting, why)


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
    for case in cases[1:]:
        input, target = case.input.clone(), case.target.clone()
        input[0] = torch.arange(input.shape[1])  # an expensive row, whatever class it is taken for
        for ignored in (-100, int(target[0])):
            target[0] = ignored
            kept = target != ignored
            if kept.any():
                got = loss(input, target, ignore_index=ignored)
                setting = f"logits {numbers(input)}, target {target.tolist()}, ignore_index {ignored}"
                expect(loss, got, loss(input[kept], target[kept]), setting, "without the ignored rows")


@a_property("With no alpha given, no class is weighted.", "weights")
def default_is_unweighted(loss, cases):
    need(loss, "alpha")
    if not loss.runs_without_alpha:
        raise Untestable("it does not run without alpha")
    for case in [] if loss.no_weights is loss.OMIT else cases:
        got = loss.criterion(case.input.shape[1])(case.input.clone(), case.target.clone())
        ones = loss.criterion(case.input.shape[1], alpha=loss.unweighted(case.input.shape[1]))
        expected = ones(case.input.clone(), case.target.clone())
        expect(loss, got, expected, f"{case}, alpha left out", "all weights 1")


@a_property("Doubling alpha[k] adds exactly the loss of class k once more.", "weights")
def alpha_scales_its_class(loss, cases):
    need(loss, "alpha")
    for case in cases:
        k = int(case.target[0])
        doubled, of_class_k = case.alpha.clone(), case.target == k
        doubled[k] *= 2
        before, after = (total(loss, case.input, case.target, alpha) for alpha in (case.alpha, doubled))
        added = total(loss, case.input[of_class_k], case.target[of_class_k], case.alpha)
        setting = f"{case}: the summed loss after weights {numbers(case.alpha)} became {numbers(doubled)}"
        expect(loss, after, before + added, setting, f"{numbers(before)} before, plus {numbers(added)} of class {k}")


@a_property("An alpha with too many or too few weights is refused.", "weights")
def wrong_alpha_length_is_refused(loss, cases):
    need(loss, "alpha")
    if not loss.takes_weights:
        raise Untestable("its alpha is a single number")
    case = cases[2]
    for length in (4, 2):
        try:
            value = loss(case.input, torch.tensor([0, 1], device=loss.device), alpha=loss.tensor([1.0] * length))
        except Exception:
            continue
        example = f"{length} weights for 3 classes were accepted: got {numbers(value.detach())}"
        raise Violation(example, (f"{length} accepted",))


@a_property("The gradient is the slope of the loss.", "gradient")
def gradient_is_the_slope(loss, cases):
    step = 1e-3  # coarse enough for a loss that computes in float32
    for case in cases[::2]:
        got = gradient(loss, case.input, case.target)
        for i in range(case.input.numel()):
            shift = torch.zeros_like(case.input)
            shift.view(-1)[i] = step
            rise = loss(case.input + shift, case.target) - loss(case.input - shift, case.target)
            slope, here = (rise / (2 * step)).detach(), got.flatten()[i]
            if not (here - slope).abs() <= 5e-4 + 1e-3 * slope.abs():
                setting = f"{case}: the gradient of logit {i % case.input.shape[1]} of row {i // case.input.shape[1]}"
                raise Violation(f"{setting} is {numbers(here)}, the slope of the loss {numbers(slope)}", (here.item(),))


@a_property("The gradient is (p - onehot) ((1-p_t)^gamma - gamma p_t (1-p_t)^(gamma-1) log p_t) / N.", "gradient")
def gradient_has_the_closed_form(loss, cases):
    for gamma in loss.gammas:
        for case in cases[1::2]:
            p = case.input.softmax(1)
            p_t = p.gather(1, case.target[:, None])
            k = (1 - p_t) ** gamma - gamma * p_t * (1 - p_t) ** (gamma - 1) * p_t.log()
            expected = k * (p - F.one_hot(case.target, p.shape[1])) / len(p)
            got = gradient(loss, case.input, case.target, gamma=gamma)
            expect(loss, got, expected, f"{case}, gamma {gamma:g}: the gradient")


@a_property("The gradient points elsewhere than cross-entropy's: it is not just a smaller step.", "gradient")
def gradient_is_not_parallel_to_cross_entropys(loss, cases):
    if loss.gammas[0] == 0:
        raise Untestable("its gamma is 0")
    input, target = loss.tensor([[1, 0], [-1, 0]]), torch.tensor([0, 0], device=loss.device)
    ours, theirs = gradient(loss, input, target), gradient(F.cross_entropy, input, target)
    cosine = F.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0)
    if cosine > 0.999:
        example = f"logits {numbers(input)}, target [0, 0]: the gradient is {numbers(ours)}"
        example += f", cross-entropy's {numbers(theirs)}: the cosine between them is {numbers(cosine)}"
        raise Violation(example, tuple(ours.flatten().tolist()))


@a_property("Loss and gradient are finite for logits of 10 000.", "extremes")
def is_finite_at_extreme_logits(loss, cases):
    for rows, target in ([[1e4, 0]], [0]), ([[1e4, 0]], [1]), ([[0, -1e4]], [1]), ([[1e4, -1e4, 0]], [2]):
        check_finite(loss, rows, target)


@a_property("For gamma below 1, a certain prediction has a finite gradient.", "extremes")
def is_finite_for_small_gamma(loss, cases):
    if loss.gammas[-1] >= 1:
        raise Untestable("its gamma cannot be set below 1")
    check_finite(loss, [[50, 0]], [0], gamma=0.5)


@a_property("An example that is wrong by 100 still pulls with full strength: its gradient is near 1.", "extremes")
def gradient_is_full_when_wrong_by_100(loss, cases):
    input, target = loss.tensor([[100, 0]]), torch.tensor([1], device=loss.device)
    expect(loss, gradient(loss, input, target), [[1.0, -1.0]], "logits [[100, 0]], target [1]: the gradient")


@a_property("A class masked with -inf is as good as absent.", "extremes")
def masked_class_is_absent(loss, cases):
    rows, target = [[1, 0, -math.inf], [0, 2, -math.inf]], [0, 0]
    check_finite(loss, rows, target)
    target, input = torch.tensor(target, device=loss.device), loss.tensor(rows)
    without = loss(input[:, :2], target)
    expect(loss, loss(input, target), without, f"logits {numbers(input)}, target [0, 0]", "without the third class")


@a_property("Half-precision logits give a finite loss and gradient.", "extremes")
def is_finite_in_half_precision(loss, cases):
    for dtype in (torch.float16, torch.bfloat16):
        for target in (0, 1):
            input = torch.tensor([[20, 0]], dtype=dtype, device=loss.device, requires_grad=True)
            try:
                value = loss(input, torch.tensor([target], device=loss.device))
                (slope,) = torch.autograd.grad(value, input)
            except Exception as error:
                raise Untestable(f"it refuses {dtype} logits") from error
            setting = f"logits [[20, 0]] in {dtype}, target [{target}]"
            expect_finite({"loss": value.detach(), "gradient": slope}, setting)


@a_property("Logits (N, C, H, W) are worth the same as their N·H·W rows.", "shape")
def image_equals_its_rows(loss, cases):
    rows, target = cases[3].input.repeat(2, 1), cases[3].target.repeat(2)  # 8 rows, 3 classes
    image = rows.reshape(2, 2, 2, 3).movedim(-1, 1)
    try:
        got = loss(image, target.reshape(2, 2, 2))
    except Exception as error:
        raise Untestable(f"it refuses input of shape (N, C, H, W): {error}") from error
    setting = f"logits of shape (2, 3, 2, 2) whose pixels are the rows {numbers(rows)}, target {target.tolist()}"
    expect(loss, got, loss(rows, target), setting, "the rows")
