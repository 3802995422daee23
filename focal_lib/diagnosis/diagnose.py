"""Is this focal loss right? ``diagnose`` checks every property and names the likely mistake.

The loss runs in this process, with all it may do. For code that you do not trust, use the command line
(``python -m focal_lib FILE.py:NAME``), which runs it in a process of its own with limits on time and memory.
"""

import contextlib
import copy
import functools
import types

import torch
from torch import nn
from tqdm import tqdm

from .._checks import check_choice
from ..bugs import CATALOGUE
from .adapter import Adapter, Stopped, Untestable
from .advice import OF_THE_FORMULA
from .arguments import mistake_in_the_arguments
from .cases import Violation, make_cases, numbers
from .focus import deaf_to_a_third
from .forms import FILLED, PLAIN, TABLE, logit
from .mistakes import mistake_of
from .naming import names_of
from .properties import LEVELS, PROPERTIES, check
from .properties.extremes import right_every_day
from .reach import IN_NUMPY, gradient_of_objective, hint, step_of
from .relatives import first_kind, relative_of
from .report import GRADIENT, Diagnosis
from .rewrite import rewritten
from .settings import hushed, kept
from .suspects import Suspects
from .tried import (
    costs_by_p_t,
    failing_setting,
    formula_of_p_t,
    of_ignored_targets,
    of_one_number,
    setting_of_the_focal_loss,
    weights_beside_the_loss,
)

__all__ = ["assert_focal_loss", "diagnose"]


OF_THE_BACKWARD = "Its gradient", CATALOGUE["detached_focus"].title
WEIGHTS, CALL = "alpha_scales_its_class", "runs_with_defaults"
CORE = ("gives_the_golden_numbers", "gradient_is_the_slope")  # untested, nothing can be said of a loss
SIGMOID = ("one_against_all", "one_against_all_averaged")  # wrong for one of C classes, right for many labels


def diagnose(loss, *, gamma=None, seed=0, dtype=torch.float64, device=None):
    """Check a multiclass focal loss against every property of ``focal_lib.diagnosis.properties``.

    Args:
        loss: a Module class, a Module instance, a function of (input, target), or a function that returns one.
            Arguments for alpha, gamma, reduction, ignore_index and the number of classes are found by their usual
            names, logits and targets are handed over in the form that it wants. For any other signature pass an
            adapter: ``diagnose(lambda input, target, alpha=None, gamma=2.0: ...)``.
        gamma: the gamma inside a loss that has no argument for it; None to find it out.
        seed: of the random cases.
        dtype, device: of the logits and weights. The default device is that of the instance's own tensors, else the
            CPU.

    Returns:
        A ``Diagnosis``. Whatever the loss does (raise, return nonsense, print) is part of it.

    Raises:
        TypeError: ``loss`` is not callable.

    Explained in chapter 07.
    """
    if not callable(loss):
        raise TypeError(f"loss must be a Module class, a Module instance or a function, got {type(loss).__name__}.")
    name = getattr(loss, "__name__", type(loss).__name__)
    with _one_thread(), kept():
        try:
            adapter = _apart(Adapter, step_of(loss) or loss, gamma, dtype, device or _device_of(loss))
            if not adapter.fits and (found := gradient_of_objective(loss, adapter._quietly, gamma)):
                return _of_objective(name, *found)
            results = _check_all(adapter, seed)
            violations = {name: result for name, result in results.items() if isinstance(result, Violation)}
            conventions = _apart(_conventions, adapter, violations)
            levels = {name: result.level or PROPERTIES[name].level for name, result in violations.items()}
            suspects = Suspects(violations, results, seed, adapter, levels, _checker(adapter))
            relative, kin, mistake = _apart(_names, adapter, violations, levels, suspects, gamma)
            setting, costs = _apart(_tried, adapter, seed, relative or kin, mistake, violations, suspects)
        except Stopped as stop:
            return Diagnosis(name, stopped=str(stop))
    untested = {name: str(result) for name, result in results.items() if isinstance(result, Untestable)}
    of_sigmoids, ours = adapter.one_hot and "is_shift_invariant" in violations, not (relative or kin)
    return Diagnosis(
        name,
        violations={name: violation.example for name, violation in violations.items()},
        kinds={name: violation.kind for name, violation in violations.items() if violation.kind},
        levels=levels,
        suspects=suspects.ids,
        explained=suspects.explained,
        nearest=suspects.nearest,
        relative=relative,
        kin=kin,
        mistake=mistake,
        conventions=conventions,
        reading=_reading(adapter),
        names=names_of(adapter, of_sigmoids),
        everyday=_apart(right_every_day, adapter) if {*levels.values()} - {"manners"} == {"fragile"} else None,
        setting=setting[-1] if setting else None,
        costs=costs,
        rewrite=rewritten(adapter, of_sigmoids) if ours and {*levels.values()} - {"manners"} else None,
        left=_left(adapter, name, setting),
        untested=untested,
        stopped=_no_verdict(loss, name, adapter, levels, suspects, untested),
    )


def _names(adapter, violations, levels, suspects, gamma):
    """Which other loss it is, or would be without its mistake, in words or None; that mistake, and what follows, or [].

    Where a mistake is known, no bug of the catalogue is left among ``suspects`` that would explain the same.
    """
    wrong = [name for name in violations if levels[name] == "wrong"]
    known = {name for names in suspects.explained.values() for name in names}
    relative, kin, mistake, follows = None, None, None, wrong
    if wrong and "is_stateless" not in violations:
        relative = relative_of(adapter)
        mistake = None if relative else mistake_of(adapter, known.issuperset(wrong))
        if not (relative or mistake or adapter.fits or "gives_the_golden_numbers" in known):
            mistake = first_kind(adapter, formula_of_p_t)
        if mistake and any(CATALOGUE[id].title.startswith(mistake[0]) for id in suspects.of_most(wrong)):
            mistake = None  # the catalogue's words say more
    if adapter.fits and "gamma" not in adapter.settable and adapter.own_gamma == 0 and gamma is None and not mistake:
        relative = "cross-entropy, without a focus"
    elif adapter.balances < 0:
        relative = "a focal loss with alpha for class 0 and 1 - alpha for class 1"
        relative += "; in the paper alpha is for class 1: pass it 1 - alpha"
    elif not mistake and suspects.ids and suspects.ids[0] in SIGMOID:
        relative = relative or "a sigmoid focal loss: one yes-or-no question for each class"
    elif relative and suspects.ids[:1] == ["binary_scalar_alpha"] and adapter.alpha_by_default == 1:
        relative = f"{relative}; its alpha scales both answers, and is 1 by default"
    elif known.issuperset(wrong):
        relative = None  # known mistakes give the very same numbers
    open = {*violations} - known
    if not relative and "gives_the_golden_numbers" in open:
        open.discard("sum_is_n_times_the_mean")  # an idle argument is not what is wrong first
    beside = relative and "yes-or-no" not in relative and {WEIGHTS} <= open
    found = None if mistake else mistake_in_the_arguments(adapter, open)
    if not found and beside and (found := first_kind(adapter, weights_beside_the_loss)):
        found = *found, [WEIGHTS]
    if relative and not found and CALL in wrong:
        found = "With its defaults it fails", "Let each argument run with the value that it has by default.", [CALL]
    if not mistake and found:
        *mistake, names = found
        follows = [name for name in names if name in violations and name not in known]
        mistake = mistake if len(mistake) > 2 else [*mistake, violations[follows[0]].example]
        if relative:  # the relative has a fault of its own
            mistake[0], kin, relative = f"{mistake[0]}; else it is {relative}", relative, None
    of_sigmoids = "is_shift_invariant" in violations
    another = mistake and not kin and "gives_the_golden_numbers" in violations  # its formula makes other promises
    of_formula = [
        name
        for name in OF_THE_FORMULA
        if name in {*violations} - known
        and (of_sigmoids or (another and not any(number != number for number in violations[name].got)))
    ]
    if not mistake:
        if suspects.ids and not relative:
            suspects.explained[suspects.ids[0]] += of_formula
        return relative, None, []
    *mistake, formula = mistake if len(mistake) > 3 else (*mistake, None)
    if mistake[0].startswith(OF_THE_BACKWARD):  # values are no part of it
        of_slopes = {
            *(n for n in follows if PROPERTIES[n].group == "gradient"),
            "second_derivative_is_right_or_refused",
        }
        follows = [name for name in violations if name in of_slopes]
        if "gives_the_golden_numbers" in wrong:
            kin = "a sigmoid focal loss: one yes-or-no question for each class"
            mistake[0] = f"{mistake[0]}; else it is {kin}"
    if same := suspects.replayed(formula, adapter):
        follows = same
    follows = [*follows, *(name for name in of_formula if name not in follows)]
    suspects.leave_out(wrong if kin else follows)
    return relative, kin, [*mistake, follows]


def _tried(adapter, seed, other, mistake, violations, suspects):
    """(argument, value, words) of a setting that makes another loss the focal loss; what rows of an unknown loss cost.

    None for what is no question, or has no answer.
    """
    if other and (found := first_kind(adapter, setting_of_the_focal_loss)):
        argument, value, other = found
        broken = [name for name, result in _check_all(other, seed).items() if isinstance(result, Violation)]
        still = f"; still broken: {', '.join(broken)}" if broken else ", and all that could be tested holds"
        said = f"pass {argument}={value!r}. Tried: its numbers are the focal loss's then{still}."
        return (argument, value, said), None
    if other and (found := failing_setting(adapter, other)):
        argument, error = found
        return (argument, 0, f"pass {argument}=0. Tried: it raises {error}; mend that first."), None
    explained = {name for names in suspects.explained.values() for name in names}
    open = {"gives_the_golden_numbers", GRADIENT} & ({*violations} - explained) and not (other or mistake)
    return None, first_kind(adapter, costs_by_p_t) if open else None


def _of_objective(name, words, relative, mistake):
    """The diagnosis of a function that returns a gradient and no loss."""
    broken = {GRADIENT: mistake[2]} if mistake else {}
    found = {
        "relative": relative,
        "violations": broken,
        "levels": dict.fromkeys(broken, "wrong"),
        "conventions": [f"It is {words}."],
    }
    why = "it returns no loss; its Hessian is looked at once its gradient is right (p * (1 - p) is a safe one)"
    untested = {other: why for other in PROPERTIES if other != GRADIENT}
    return Diagnosis(name, **found, mistake=[*mistake, [GRADIENT]] if mistake else [], untested=untested)


def _computes_outside(adapter):
    """Whether it turns logits into numpy's arrays, and so returns a number without a graph."""
    (input, target), value = adapter._batch(), torch.ones(())
    try:
        value = adapter.criterion(input.shape[1])(input, target)
        adapter.criterion(input.shape[1])(input.requires_grad_(), target)
    except Exception as error:
        return not isinstance(value, torch.Tensor) and "numpy()" in str(error)
    return False


def _no_verdict(loss, name, adapter, levels, suspects, untested):
    """Why nothing can be said of a loss, and the lines that would make it work; None if something can."""
    if adapter.error is None:
        if _apart(_computes_outside, adapter):
            return f"it {IN_NUMPY}"
        missing = [untested[core] for core in CORE if core in untested]
        remarks = {"manners"}.issuperset(levels.values())
        return f"{missing[0]}. {hint(loss, name, '')}" if missing and remarks else None
    if suspects.ids or (levels and not adapter.raises):
        return None  # it ran and gave nonsense, or fails in a way that is known
    text = str(adapter.error).strip().split("\n")[0].rstrip(".")
    if adapter.unknown and adapter.raises:
        text = f"it cannot be called without {', '.join(adapter.unknown)}, and no name tells what to pass there"
        return f"{text}. {hint(loss, name, str(adapter.error))}"
    raised = f"it raised {type(adapter.error).__name__}: " if adapter.raises else ""
    return f"{(raised + text).removesuffix(': ')}. {hint(loss, name, text)}"


def assert_focal_loss(loss, level="wrong", **options):
    """Raise AssertionError, with the report as its text, if ``diagnose`` finds the loss worse than allowed.

    Args:
        loss, options: as for :func:`diagnose`.
        level: from which level a broken promise fails: ``"wrong"``, ``"fragile"`` too, or ``"manners"`` too. Another
            loss, and one that could not be tested, fail at each level.

    Raises:
        AssertionError: the loss is worse than allowed.
        TypeError, ValueError: ``loss`` is not callable; there is no such level.

    Explained in chapter 07.
    """
    check_choice(level, LEVELS, "level")
    diagnosis = diagnose(loss, **options)
    if not diagnosis.passes(level):
        raise AssertionError(f"\n{diagnosis}")


@contextlib.contextmanager
def _one_thread():
    """Thousands of calls on a few numbers each: more threads would only wait for each other, a hundred times longer."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _device_of(loss):
    tensors = [*loss.parameters(), *loss.buffers()] if isinstance(loss, nn.Module) else []
    return tensors[0].device if tensors else torch.device("cpu")


def _check_all(adapter, seed):
    cases = make_cases(seed, adapter.dtype, adapter.device, adapter.only_classes)
    # The bar shows only in a terminal, and only if this takes longer than two seconds.
    bar = tqdm(PROPERTIES, "properties", delay=2, leave=False, disable=None)
    return {name: check(name, adapter, cases) for name in bar}


def _apart(function, *arguments):
    """What the function returns; the loss that it calls may change a setting and print, and neither stays."""
    with kept(), hushed():
        return function(*arguments)


def _checker(adapter):
    """The check of a property on the cases of another seed, each once."""

    @functools.cache
    def again(name, seed):
        return check(name, adapter, make_cases(seed, adapter.dtype, adapter.device, adapter.only_classes))

    return again


def _conventions(adapter, violations):
    """Choices that are not faults, in words. A violation that is only such a choice is taken out."""
    found = []
    if adapter.form.words:
        found.append(f"It takes {adapter.form.words}.")
    if adapter.form.words.startswith("one probability"):
        with contextlib.suppress(Exception):
            other = copy.copy(adapter)
            other.form = TABLE
            other(torch.ones((2, 3)).to(adapter.dtype), adapter.labels([0, 1]))
            found.append("It takes many classes too, a yes-or-no question each: after a softmax, that is another loss.")
    if words := first_kind(adapter, deaf_to_a_third):
        found.append(words)
    if adapter.classes_last and adapter.form.input is logit:
        found.append("It takes tables of logits too, a yes-or-no question in each place.")
    elif adapter.classes_last and not adapter.form.words.startswith("one probability"):
        found.append("It takes label maps with the classes last, (N, H, W, C).")
    if adapter.weights_inside is not None:
        found.append(f"It weights the classes inside, by {numbers(adapter.weights_inside, 4)}.")
    if adapter.factor != 1 and not (adapter.balances and round(adapter.factor, 6) == 0.5):  # that is alpha's
        found.append(f"It is {adapter.factor:.4g} times the focal loss. A factor is a learning rate.")
    if adapter.balances > 0:
        found.append("Its alpha is the weight of class 1, and 1 - alpha that of class 0.")
    if "gamma" not in adapter.settable and adapter.fits and not adapter.gamma_told:
        found.append(f"Its gamma is {adapter.own_gamma:g}.")
    if adapter.whole_gamma:
        found.append("It takes whole gammas only.")
    if adapter.takes_weights and adapter.alpha_form != "tensor":
        found.append(f"It takes its weights as a {adapter.alpha_form}.")
    if adapter.divides_by_weights or adapter.weights_of_mean is not None:
        found.append("Its mean divides by the sum of the weights, as F.cross_entropy(weight=...) does.")
    if adapter.own_reduction != "mean":
        found.append(f"It always returns {'the sum' if adapter.own_reduction == 'sum' else 'one loss per target'}.")
    if adapter.takes_weights and "default_is_unweighted" in violations and "alpha_scales_its_class" not in violations:
        example = violations.pop("default_is_unweighted").example
        with contextlib.suppress(Exception):
            weights = adapter.default_weights(adapter.default_classes or 3)
            if (weights == weights[0]).all():
                found.append(f"Its default alpha scales every loss, like a learning rate. {example}.")
            else:
                what = f"By default it weights {len(weights)} classes by {numbers(weights, 4)}"
                found.append(f"{what}; weights of your own are used.")
    if adapter.takes_weights and not adapter.alpha_is_numeric:
        found += of_one_number(adapter)
    if "ignore_index" not in adapter.settable and adapter.own_reduction == "mean":
        found += of_ignored_targets(adapter)
    return found


def _reading(adapter):
    """What one must know to find an example's numbers again, in words."""
    found = []
    if adapter.form.input is not PLAIN.input or adapter.form.target is not PLAIN.target:
        given, target = adapter.tensor([[1.0, 3.0]]), adapter.labels([1])
        with contextlib.suppress(Exception):
            pair = (numbers(adapter.form.input(given), 3), numbers(adapter.form.target(target, given), 3))
            found.append(f"of logits [[1, 3]] and target [1] it is handed {pair[0]} and {pair[1]}")
    of_classes = adapter.no_weights == "ones" and type(adapter.alpha_by_default) is float
    if of_classes or adapter.no_weights in (1.0, 0.5):
        number = "1 for each class" if of_classes else f"{adapter.no_weights:g}"
        found.append(f"{adapter.names['alpha']} is {number}, where no other is named")
    if adapter.factor != 1:
        found.append(f"its results are divided by the factor {adapter.factor:.4g}")
    return found


def _left(adapter, name, setting):
    """The arguments that stayed at their defaults, in words; of numbers, whether they matter."""
    found = []
    for argument, value in adapter.left.items():
        told = repr(value)
        if argument in adapter.unknown and value:
            told = f"{FILLED.get(value, value)}, filled in"
        if isinstance(value, float):
            with contextlib.suppress(Exception):
                nothing = _apart(adapter.has_no_effect, argument)
                told += " (another value changed nothing)" if nothing else " (another value changes the loss)"
        found.append(f"{argument} = {told}")
    other = {n: 2.0 * v for n, v in adapter.left.items() if type(v) in (int, float) and v}
    other |= {setting[0]: setting[1]} if setting else {}
    if other and not adapter.required and name.isidentifier() and isinstance(adapter.loss, type | types.FunctionType):
        values = ", ".join(
            f"{argument}={value if isinstance(value, bool) else f'{value:.4g}'}" for argument, value in other.items()
        )
        call = f"{name}({values})" if isinstance(adapter.loss, type) else f"functools.partial({name}, {values})"
        found.append(f"To test other values, such as these: diagnose({call}).")
    return found
