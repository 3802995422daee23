"""Judge a mended loss: a list of small rules, each of which looks at a fix and says something or nothing.
The first rule that says something decides; a fix on which none does is right."""

import functools
import inspect
import re
import secrets
import sys
import threading

import torch

from .. import _fused
from ..bugs import CATALOGUE
from ..diagnosis.adapter import parameters_of
from ..diagnosis.properties import PROPERTIES
from ..losses import focal_loss, plain_focal_loss, sigmoid_focal_loss
from .calling import with_names
from .feedback import Feedback, not_yet
from .originals import code_of
from .outcomes import CLOSE, SETTINGS, buildable, difference_of, names_of, outcome_of, scale_of, where_they_differ
from .reading import is_none

__all__ = ["RULES", "Fix", "judge_fix"]

# Worth a remark and no point, where the exercise does not ask about them: what no chapter has taught, and manners.
REMARKS = {
    "is_finite_for_small_gamma": "exercise 8 is about that",
    "masked_class_is_absent": "that matters where classes are masked",
    "one_graph_serves_twice": "",
    "second_derivative_is_right_or_refused": "",
    "wrong_alpha_length_is_refused": "whoever passes a weight too many gets a number, where an error would help",
    "prints_nothing": "",
    "keeps_float64": "",
}
OPTIMIZER_TRAP = "is a parameter now: an optimizer that gets hold of it trains it, and makes the loss small that way"
ONE_ROW = {"logits": torch.zeros(1, 2), "labels": torch.tensor([0]), "device": "meta"}
LIBRARY = (focal_loss, plain_focal_loss, sigmoid_focal_loss, _fused.focal_loss)


class Fix:
    """A mended loss, and what the rules ask about it.

    Args:
        loss: what the learner gave.
        exercise: the :class:`~.exercise.Exercise` that it belongs to.
        seed: of the cases; None for small ones that are always the same, and hidden ones that nobody can know.
    """

    def __init__(self, loss, exercise, seed=None):
        self.loss = with_names(loss, exercise.loss, exercise.right)
        self.exercise, self.kind, self.before = exercise, exercise.kind, exercise.before
        self.seed, self.hidden_seed = seed or 0, secrets.randbits(32) if seed is None else seed

    @functools.cached_property
    def now(self):
        """The diagnosis of the mended loss."""
        return self.kind.diagnose(self.loss, self.seed)

    def is_remark(self, name, diagnosis=None):
        """Whether to break this promise costs no point: it is no promise that the exercise asks about."""
        levels, asked = (diagnosis or self.now).levels, self.exercise.options.values()
        return name not in asked and (name in REMARKS or levels.get(name) == "manners")

    @functools.cached_property
    def must_hold(self):
        """What the code under review breaks, property -> counter-example; without what is a remark."""
        before = self.before.violations.items()
        return {name: example for name, example in before if not self.is_remark(name, self.before)}

    @functools.cached_property
    def broken(self):
        """Property -> counter-example, for what counts."""
        return {name: example for name, example in self.now.violations.items() if not self.is_remark(name)}

    @property
    def remarks(self):
        """What is worth saying after all, in words."""
        for name, example in self.now.violations.items():
            if self.is_remark(name):
                more = REMARKS.get(name)
                yield f"{example.rstrip('.')}{f'; {more}' if more else ''}"

    @property
    def still(self):
        """What is broken, and was."""
        return [name for name in self.broken if name in self.must_hold]

    @property
    def fresh(self):
        """What is broken, and was not."""
        return [name for name in self.broken if name not in self.must_hold]

    @property
    def new_bugs(self):
        """Known bugs that explain what is broken now, and were not suspected before."""
        return [id for id in self.now.suspects if id not in self.before.suspects and set(self.explains(id))]

    @property
    def default_of_alpha(self):
        """None without one."""
        name = names_of(self.loss).get("alpha")
        return next((p.default for p in parameters_of(self.loss) if p.name == name and p.default is not p.empty), None)

    def explains(self, bug):
        """What of the broken promises this bug explains."""
        return [name for name in self.now.explained[bug] if name in self.broken]

    def proof(self, name):
        """The promise and its counter-example, with all that was passed."""
        statement = f"It breaks this: {PROPERTIES[name].statement} " if name in PROPERTIES else ""
        passed = ""
        if self.kind.both_means and isinstance(self.default_of_alpha, (int, float)):
            passed = " (Where no weights are named, alpha was 1 for every class.)"
        return f"{statement}Proof: {self.broken[name].rstrip('.')}.{passed}"

    def named(self, bugs, broken):
        """What other loss it is; or a bug's name and symptom, if one of these explains most of what is broken; else the
        first of ``broken``."""
        if self.now.relative:
            return f"It is {self.now.relative}. {self.proof(broken[0])}"
        for id in bugs:
            explained = self.explains(id)
            if 2 * len(explained) > len(self.broken):
                return f"{CATALOGUE[id].title}: {CATALOGUE[id].symptom} {self.proof(explained[0])}"
        return self.proof(broken[0])


# --- the rules -----------------------------------------------------------------------------------------------------


def nothing_given(fix):
    """Nothing yet; or nothing to mend, and said so in the two other steps."""
    if fix.loss is ... and fix.before.ok and {"predict", "expose"} <= fix.exercise.found:
        return Feedback(True, "Right. There was nothing to mend, and you left it alone.")
    return not_yet("fix: nothing yet. Replace the ... by your loss.") if fix.loss is ... else None


def said_none(fix):
    """The word that the other steps take, taken here too."""
    if is_none(fix.loss):
        ok = fix.before.ok
        return Feedback(ok, "Right. There was nothing to mend." if ok else "There is something to mend in this code.")


def not_callable(fix):
    """Something that is no loss."""
    if not callable(fix.loss):
        return not_yet(f"A fix is a loss to call; got {type(fix.loss).__name__}.")


def untouched(fix):
    """The code under review, as it was."""
    if fix.must_hold and code_of(fix.loss) == code_of(fix.exercise.loss) != []:
        return not_yet("fix: nothing yet. This is still the code under review; edit it.")


def borrowed(fix):
    """One of the library's losses, or a loss that calls one: seen on a small example, plain and with settings."""
    loss, kind = buildable(fix.loss), fix.kind
    names = names_of(loss)
    case = {"logits": kind.one_example, "labels": kind.one_label}
    settings = {"alpha": kind.some_alpha, "gamma": 2.0, "ignore_index": -100}
    examples = [{}, *({**settings, "reduction": reduction} for reduction in ("none", "sum", "mean"))]
    called, raised = set(), []

    def watch():
        sys.setprofile(lambda frame, *_: called.add(frame.f_code))
        try:
            for example in examples:
                outcome_of(loss, case | {name: value for name, value in example.items() if name in names})
        except BaseException as error:
            raised.append(error)

    thread = threading.Thread(target=watch)  # each thread has a profiler of its own: a learner's stays as it is
    thread.start()
    thread.join()
    if raised:
        raise raised[0]
    if any(right.__code__ in called for right in LIBRARY):
        return Feedback(False, "It is, or calls, the library's own loss. Mend the code under review, in torch.")


def trained_weights(fix):
    """A module that made its weights a parameter, which no property looks at."""
    loss = buildable(fix.loss)
    try:
        module = loss(alpha=torch.ones(2)) if inspect.isclass(loss) else loss
        names = [name for name, parameter in module.named_parameters() if parameter.requires_grad]
    except Exception:
        return None  # a function; or it cannot be built, and the diagnosis says why
    return Feedback(False, f"You mended one fault and made another. {names[0]} {OPTIMIZER_TRAP}.") if names else None


def a_stub(fix):
    """Nothing yet, and the code says what to put there."""
    _, stub, todo = fix.now.violations.get("runs_with_defaults", "").partition("NotImplementedError")
    return not_yet(f"fix: nothing yet{todo.rstrip('.')}.") if stub else None


def could_not_test(fix):
    """A loss that ended the diagnosis."""
    if fix.now.stopped:
        why = fix.now.stopped.partition(" An adapter says")[0].rstrip(".")  # to call it otherwise is of no help here
        return Feedback(False, f"Your loss could not be tested, because {why}.")


def fails_alone(fix):
    """A loss that does not run on logits and labels."""
    alpha = fix.default_of_alpha if fix.kind.both_means else None
    example = fix.now.violations["runs_with_defaults"] if "runs_with_defaults" in fix.fresh else None
    if example is None and isinstance(alpha, (list, tuple)):
        case = {"logits": torch.zeros(2, 3), "labels": torch.tensor([1, 2])}  # its defaults are for some number alone
        example = outcome_of(buildable(fix.loss), case)
    if not isinstance(example, str):
        return None
    why = ""
    if alpha is not None:
        why = (
            f" It was called without alpha, on 3 classes, so alpha was your default, {alpha!r}. The default of"
            " one weight per class is None: no class is weighted."
        )
    return Feedback(False, f"Your loss fails on logits and labels alone: {example.rstrip('.')}.{why}")


def reads_alpha_as_binary(fix):
    """alpha for class 1 and 1 - alpha for class 0, where every class has a weight of its own."""
    if not (fix.kind.both_means and "alpha" in names_of(fix.loss)):
        return None
    case = {"logits": torch.tensor([[0.5, 1.0], [1.0, 0.0]]), "labels": torch.tensor([0, 1]), "gamma": 2.0}
    one = outcome_of(buildable(fix.loss), case | {"alpha": 0.25, "reduction": "none"})
    both = outcome_of(focal_loss, case | {"alpha": torch.tensor([0.75, 0.25]), "reduction": "none"})
    if not isinstance(one, str) and not difference_of(one, both):
        return Feedback(
            False,
            "This is the binary form: alpha is the weight of class 1, and 1 - alpha that of class 0. Here there may be "
            "more than two classes, and each has a weight of its own: let alpha be a tensor with one weight per class.",
        )


def made_another(fix):
    """The old fault is gone, and there is a new one."""
    another = fix.new_bugs and not fix.broken.items() & fix.must_hold.items()  # not one old wrong number is left
    if fix.must_hold and (another or (fix.fresh and not fix.still)):
        return Feedback(False, f"You mended one fault and made another. {fix.named(fix.new_bugs, [*fix.broken])}")


def breaks_something_new(fix):
    """Something is broken that was not."""
    if fix.fresh and not fix.still:
        return Feedback(False, f"This breaks something new. {fix.named(fix.new_bugs, fix.fresh)}")
    if fix.fresh:
        proof = fix.named(fix.new_bugs, fix.fresh)
        return Feedback(False, f"This breaks something new, and the first fault is still there. {proof}")


def still_broken(fix):
    """What was broken is, in whole or in part; and which part is mended."""
    if not fix.still:
        return None
    proof, mended = fix.proof(fix.still[0]), [name for name in fix.must_hold if name not in fix.still]
    if not mended:
        return Feedback(False, f"The first fault is still there. {proof}")
    kept = " ".join(PROPERTIES[name].statement for name in mended[:2] if name in PROPERTIES)
    return Feedback(False, f"One fault is mended, not all. {proof}" + (f" Mended by now: {kept}" if kept else ""))


def stays_behind(fix):
    """A module that fails on another device."""
    loss = buildable(fix.loss)
    if inspect.isclass(loss):
        weights = {"alpha": torch.tensor([1.0, 4.0])} if "alpha" in names_of(loss) else {}
        if isinstance(moved := outcome_of(loss, ONE_ROW | weights), str):
            return Feedback(False, f"On another device it fails, with weights and batch moved there: {moved}")


def can_do_less(fix):
    """A loss that lost an argument, or a shape."""
    lost = [n for n in fix.now.untested if n not in fix.before.untested and n not in REMARKS]
    known, settings = names_of(buildable(fix.loss)), names_of(fix.exercise.loss)
    if lost:
        return Feedback(False, f"This can do less than the code under review: {fix.now.untested[lost[0]]}.")
    if missing := [name for name in settings if name not in known]:
        return Feedback(False, f"This can do less than the code under review: it has no argument for {missing[0]}.")


def changes_a_default(fix):
    """A loss that does something else where an argument is left out."""
    loss, original = buildable(fix.loss), fix.exercise.loss
    ours, theirs, right = map(_defaults, (loss, original, fix.exercise.right))
    case = next(fix.kind.hidden(fix.hidden_seed)) | {"ignore_index": -100}
    case = fix.kind.ignoring(case) if "ignore_index" in theirs else case
    case = {name: value for name, value in case.items() if name in ("logits", "labels", *theirs)}
    for name in [name for name in theirs if theirs[name] == right.get(name) and name in names_of(loss)]:
        default = inspect.signature(original).parameters[name].default
        left_out = {n: value for n, value in case.items() if n != name}
        told, untold = outcome_of(loss, left_out | {name: default}), outcome_of(loss, left_out)
        if not isinstance(told, str) and difference_of(untold, told):
            now = ours.get(name, theirs[name])
            was = f"its default was {theirs[name]}" + (f" and is {now} now" if now != theirs[name] else "")
            return Feedback(False, f"Whoever calls this without {name} gets another loss than before: {was}.")


def _defaults(loss):
    """``{setting: its default}`` of what a loss takes by our names, comparable."""
    parameters = [p for place in (getattr(loss, "forward", loss), loss) for p in parameters_of(place)]
    known = {p.name: p.default for p in parameters if p.name in SETTINGS and p.default is not p.empty}
    return {name: float(value) if isinstance(value, (int, float)) else str(value) for name, value in known.items()}


def differs_on_hidden_inputs(fix):
    """Another value or gradient than a right loss's, on inputs that nobody can know."""
    loss, kind, names = buildable(fix.loss), fix.kind, names_of(fix.exercise.loss)
    right = fix.exercise.right
    settings = [n for n in names if n in names_of(loss)]
    means = ["mean", "weighted_mean"] if kind.both_means and "alpha" in settings else ["mean"]
    for case in kind.hidden(fix.hidden_seed):
        case = kind.ignoring(case) if "ignore_index" in names else case
        case = {n: v for n, v in case.items() if n in (*settings, "logits", "labels")}
        if "gamma" not in settings:
            case.pop("gamma", None)
        if case["logits"].ndim > 2 and isinstance(outcome_of(fix.exercise.loss, case), str):
            continue  # the code under review takes no label maps either
        for reduction in ("none", "sum", "mean") if "reduction" in settings else (None,):
            asked = case if reduction is None else case | {"reduction": reduction}
            ours = outcome_of(loss, asked)
            allowed = means if reduction in (None, "mean") else [reduction]
            theirs = [outcome_of(right, case | {"reduction": way}) for way in allowed]
            both = zip(allowed, theirs, strict=True)
            fits = [way for way, other in both if not difference_of(ours, other, scale_of(case), CLOSE)]
            if not fits:
                return Feedback(False, where_they_differ(ours, theirs[0], asked))
            means = fits if allowed is means else means


RULES = (
    nothing_given,
    said_none,
    not_callable,
    untouched,
    borrowed,
    trained_weights,
    a_stub,
    could_not_test,
    fails_alone,
    reads_alpha_as_binary,
    made_another,
    breaks_something_new,
    still_broken,
    stays_behind,
    can_do_less,
    changes_a_default,
    differs_on_hidden_inputs,
)


def judge_fix(loss, exercise, seed=None):
    """:class:`~.feedback.Feedback` on a mended loss: what the first rule says that says anything."""
    fix = Fix(loss, exercise, seed)
    for rule in RULES:
        if feedback := rule(fix):
            return feedback
    remarks = "".join(f" A remark, nothing that you must mend: {remark}." for remark in fix.remarks)
    return Feedback(True, f"Right. {_reveal(fix)}{remarks}")


def _reveal(fix):
    """What it was."""
    if fix.before.ok:
        return "There was nothing to mend."
    bugs = [CATALOGUE[id] for id in fix.before.suspects if set(fix.before.explained[id]) & set(fix.must_hold)]
    bugs = [_as_seen_here(bug, fix.exercise.loss) for bug in bugs]
    words = [f"It was: {bug.title} (exhibit {bug.id} of the bug museum)." for bug in bugs[:2]]
    words += [f"What was wrong: {re.sub('^It', 'it', what)}." for what in fix.before.mistake[:1]]
    return " ".join(words) or "It is mended."


def _as_seen_here(bug, loss):
    """The bug; or the simpler one that it is a case of, where it is about an argument that this code does not have."""
    own, theirs = ({p.name for p in parameters_of(f)[2:]} for f in (loss, bug.loss))
    simpler = [other for other in CATALOGUE.values() if other is not bug and bug.title.startswith(other.title)]
    return simpler[0] if simpler and not theirs <= own else bug
