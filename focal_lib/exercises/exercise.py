"""Feedback for the spot-the-bug exercises: predict what breaks, expose it with an input, fix it.

No answer is stored here. Each answer is checked by running code: the loss under review, a right one, and
:func:`~focal_lib.diagnosis.diagnose`. The exercises are the notebooks in ``notebooks/exercises``.
"""

import inspect
import json
import random
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F

from .. import _fused
from ..bugs import CATALOGUE
from ..diagnosis import diagnose
from ..diagnosis.adapter import parameters_of
from ..diagnosis.properties import PROPERTIES
from ..losses import FocalLoss, focal_loss, plain_focal_loss, sigmoid_focal_loss
from .outcomes import BinaryDiagnosis, differ_a_little, difference_of, first_difference, outcome_of, say

__all__ = ["TOTAL", "Exercise", "Feedback", "pick", "shuffled"]

TOTAL = 14
PARTS = ("predict", "expose", "fix")
PROGRESS_FILE = "focal_progress.json"
EVIDENCE = {"logits", "labels", "alpha", "gamma", "reduction", "ignore_index", "device"}
MOST_NUMBERS = 10_000
MINOR = "wrong_alpha_length_is_refused"  # good manners: worth a remark, and no reason to turn a fix down
SMALL_GAMMA = "is_finite_for_small_gamma"  # the one property that only certain predictions and a small gamma break
OPTIMIZER_TRAP = "is a parameter now: an optimizer that gets hold of it trains it, and makes the loss small that way"

LABEL = torch.tensor([0])
MOVED = {"logits": torch.zeros(1, 2), "labels": LABEL, "alpha": torch.tensor([1.0, 4.0]), "device": "meta"}


@dataclass(frozen=True)
class Feedback:
    """The answer to an answer: ``ok``, and why in words."""

    ok: bool
    text: str
    sign: str = ""

    def __repr__(self):
        return f"{self.sign or '✗✓'[self.ok]} {self.text}"


def shuffled(slug, losses):
    """Letters for these losses, in an order that depends on the exercise's slug only: ``{"A": loss, ...}``."""
    return dict(zip("ABCDEFGH", random.Random(slug).sample(losses, len(losses)), strict=False))


def pick(slug, losses):
    """One of these losses; which one depends on the exercise's slug only."""
    return random.Random(slug).choice(losses)


class Exercise:
    """One exercise: a loss under review, and what to predict about it.

    Args:
        slug: the name of the exercise, for the progress file.
        loss: the loss under review, a function or a Module class with arguments ``logits, labels`` and any of
            ``alpha, gamma, reduction, ignore_index``.
        binary: True if a right loss is :func:`~focal_lib.losses.sigmoid_focal_loss`.
        options: what to choose from, by letter. Either names of properties, of which the broken ones are to be
            found; or losses, of which those that compute the same as the loss under review are to be found.
    """

    def __init__(self, slug, loss, binary=False, **options):
        self.slug, self.loss, self.binary, self.options = slug, loss, binary, options
        self.before = BinaryDiagnosis(loss) if binary else diagnose(loss)

    def __repr__(self):
        if self._shows_losses:
            return f"Which of {', '.join(self.options)} is it?"
        statements = [f"{letter}  {PROPERTIES[name].statement}" for letter, name in self.options.items()]
        return "\n".join(["Which of these break? Zero, one or more.", *statements])

    @property
    def _shows_losses(self):
        return any(callable(option) for option in self.options.values())

    @property
    def _predict_format(self):
        return 'a letter such as "A"' if self._shows_losses else 'letters such as "A" or "AC", or "none"'

    @property
    def _evidence_format(self):
        logits, labels = ("[0.5, ...]", "[1.0, ...]") if self.binary else ("[[0.5, 1.5], ...]", "[1, ...]")
        return f'a dict such as {{"logits": {logits}, "labels": {labels}}}, or "none" if there is nothing to expose'

    def predict(self, answer):
        """Check letters against what the loss really does; returns :class:`Feedback`."""
        return self._note("predict", self.check_predict(answer))

    def expose(self, evidence):
        """Run the loss under review and a right one on this input; returns :class:`Feedback`."""
        return self._note("expose", self.check_expose(evidence))

    def fix(self, loss, seed=0):
        """Diagnose a mended loss; returns :class:`Feedback`."""
        return self._note("fix", self.check_fix(loss, seed))

    def check_predict(self, answer):
        """As :meth:`predict`, without a note in the progress file."""
        if answer is ...:
            return Feedback(False, f"predict: nothing yet. Replace the ... by {self._predict_format}.", "○")
        if not isinstance(answer, str):
            return Feedback(False, f"An answer is {self._predict_format}; got {type(answer).__name__}.")
        letters = set() if answer.strip().lower() == "none" else set(answer.upper()) - set(" ,")
        if letters - set(self.options) or not (letters or answer.strip()):
            return Feedback(
                False, f"An answer is {self._predict_format}, from {', '.join(self.options)}; got {answer!r}."
            )
        true = {letter: found for letter, option in self.options.items() if (found := self._truth(option))}
        for letter in sorted(letters - set(true)):
            return Feedback(False, f"Not {letter}. {self._why_not(self.options[letter])}")
        if missing := len(set(true) - letters):
            nothing = f"It is one of {', '.join(self.options)}." if self._shows_losses else "Something does break."
            return Feedback(False, f"Right so far; {missing} missing." if letters else nothing)
        reasons = [f"{letter}: {found}" for letter, found in true.items()]
        return Feedback(True, "Right. " + ("; ".join(reasons) or "Nothing breaks: every property holds."))

    def _truth(self, option):
        """Why this option is one to choose, in words; None if it is not."""
        if not callable(option):
            return self.before.violations.get(option)
        return None if first_difference(option, self.loss, self.binary) else "the same numbers on every input tried."

    def _why_not(self, option):
        if callable(option):
            return first_difference(option, self.loss, self.binary)
        if option in self.before.untested:
            return f"That cannot be tested here: {self.before.untested[option]}."
        return f"This holds here, on every case tried: {PROPERTIES[option].statement}"

    def check_expose(self, evidence):
        """As :meth:`expose`, without a note in the progress file."""
        if evidence is ...:
            return Feedback(False, f"expose: nothing yet. Replace the ... by {self._evidence_format}.", "○")
        if isinstance(evidence, str) and evidence.strip().lower() == "none":
            if self.before.ok:
                return Feedback(True, "Right: no input exposes this code, because nothing is wrong with it.")
            return Feedback(False, "There is an input that exposes this code. Start from what you predicted.")
        try:
            case = self._read(evidence)
        except (OverflowError, TypeError, ValueError, RuntimeError) as error:
            return Feedback(False, f"Evidence is {self._evidence_format}. {str(error).splitlines()[0]}")
        right = outcome_of(self._right, case, self.binary)
        if isinstance(right, str):
            return Feedback(False, f"A right loss refuses this input ({right}). Proof needs an input that is allowed.")
        ours = outcome_of(self.loss, case, self.binary)
        if difference := difference_of(ours, right):
            return Feedback(True, f"Exposed. {difference}")
        if not isinstance(ours, str) and differ_a_little(ours, right):
            both = f"This code gives {say(ours)}, a right loss {say(right)}"
            return Feedback(False, f"{both}: too little apart to prove anything. Take an answer that is less sure.")
        lacks = ", ".join(self._lacks(case))
        return Feedback(False, f"Both give {say(right)}, so this proves nothing.{f' It has {lacks}.' if lacks else ''}")

    @property
    def _right(self):
        return sigmoid_focal_loss if self.binary else FocalLoss if inspect.isclass(self.loss) else focal_loss

    def _read(self, evidence):
        """Evidence as a dict of tensors and settings; raises with one sentence on what is wrong."""
        if not isinstance(evidence, dict):
            raise TypeError(f"Got {type(evidence).__name__}.")
        if unknown := set(evidence) - EVIDENCE:
            raise ValueError(f"It has no {sorted(map(str, unknown))[0]!r}; it may have {', '.join(sorted(EVIDENCE))}.")
        case = {name: value for name, value in evidence.items() if value is not None}
        if missing := {"logits", "labels"} - set(case):
            raise ValueError(f"It lacks {sorted(missing)[0]!r}.")
        known = set(inspect.signature(self.loss).parameters) | {"logits", "labels", "device"}
        if unknown := set(case) - known:
            raise ValueError(f"The code under review has no {sorted(unknown)[0]}.")
        tensors = {name: torch.as_tensor(case[name]) for name in ("logits", "labels")}
        if not tensors["labels"].numel():
            raise ValueError("It needs at least one example.")
        if any(tensor.is_meta or tensor.layout != torch.strided for tensor in tensors.values()):
            raise ValueError("It needs lists of numbers, or plain tensors.")
        if not self.binary and tensors["labels"].is_floating_point():
            raise ValueError(f"Labels are class numbers, such as 0 and 1; got {case['labels']!r}.")
        case["logits"] = tensors["logits"].to(torch.float32)
        if not case["logits"].isfinite().all():
            raise ValueError("The logits must be finite.")
        case["labels"] = tensors["labels"].to(torch.float32 if self.binary else torch.int64)
        if not self.binary and "ignore_index" not in known and (case["labels"] < 0).any():
            raise ValueError("The code under review ignores no labels: they are 0 or more.")
        if case["logits"].numel() > MOST_NUMBERS:
            raise ValueError(f"At most {MOST_NUMBERS} logits; got {case['logits'].numel()}.")
        if "alpha" in case and not self.binary:
            case["alpha"] = torch.as_tensor(case["alpha"], dtype=torch.float32)
        if str(case.get("device", "cpu")) not in ("cpu", "meta"):
            raise ValueError(f'"device" is "cpu" or "meta", which every machine has; got {case["device"]!r}.')
        return case

    def _lacks(self, case):
        """What this input does not exercise, in words; of that, what matters for the code under review."""
        known, broken, alpha = inspect.signature(self.loss).parameters, self.before.violations, case.get("alpha")
        labels, gamma, ignore_index = case["labels"].flatten(), case.get("gamma", 2.0), case.get("ignore_index", -100)
        counts = labels[labels != ignore_index]
        if not len(counts):
            yield "no label that counts"
            return
        settings = {"reduction": "none", "ignore_index": ignore_index}
        nll = None if self.binary else F.cross_entropy(case["logits"], case["labels"], **settings)
        if len(labels) == 1 and "batch_is_mean_of_singles" in broken:
            yield "one example only"
        elif "batch_is_mean_of_singles" in broken and (nll == nll.flatten()[0]).all():
            yield "the same loss for every example"
        if "alpha" in known and not self.binary:
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
        if self.binary and len(labels.unique()) == 1:
            yield "positives only" if labels[0] else "negatives only"
        if "ignore_index" in known and len(counts) == len(labels):
            yield "no ignored label"
        if inspect.isclass(self.loss) and case.get("device", "cpu") == "cpu":
            yield "everything on the CPU"

    def check_fix(self, loss, seed=0):
        """As :meth:`fix`, without a note in the progress file."""
        if loss is ...:
            return Feedback(False, "fix: nothing yet. Replace the ... by your loss.", "○")
        if not callable(loss):
            return Feedback(False, f"A fix is a loss to call; got {type(loss).__name__}.")
        if self._borrows(loss):
            return Feedback(False, "It is, or calls, the library's own loss. Mend the code under review, in torch.")
        if trap := self._trained_weights(loss):
            return Feedback(False, f"You mended one fault and made another. {trap}")
        now = BinaryDiagnosis(loss, seed) if self.binary else diagnose(loss, seed=seed)
        if now.stopped:
            return Feedback(False, f"Your loss could not be tested, because {now.stopped}.")
        remark = now.remark if self.binary else now.violations.pop(MINOR, None)
        before = {name: example for name, example in self.before.violations.items() if name != MINOR}
        still = [name for name in now.violations if name in before]
        fresh = [name for name in now.violations if name not in before]
        if "runs_with_defaults" in fresh:
            return Feedback(
                False, f"Your loss fails on logits and labels alone: {now.violations['runs_with_defaults']}"
            )
        new_bugs = [id for id in now.suspects if id not in self.before.suspects and now.explained[id] != [MINOR]]
        another = new_bugs and not now.violations.items() & before.items()  # not one of the old wrong numbers is left
        if before and (another or (fresh and not still)):
            return Feedback(False, f"You mended one fault and made another. {self._name(now, new_bugs, fresh + still)}")
        if fresh:
            return Feedback(False, f"This breaks something new. {self._name(now, new_bugs, fresh)}")
        if still and _code(loss) == _code(self.loss) != []:
            return Feedback(False, "fix: nothing yet. This is still the code under review; edit it.", "○")
        if still:
            how = "The first fault is still there." if len(still) == len(before) else "One fault is mended, not all."
            return Feedback(False, f"{how} {self._proof(now, still[0])}")
        if inspect.isclass(loss) and isinstance(moved := outcome_of(loss, MOVED), str):
            return Feedback(False, f"On another device it fails, with weights and batch moved there: {moved}")
        if lost := [name for name in now.untested if name not in self.before.untested and name != MINOR]:
            return Feedback(False, f"This can do less than the code under review: {now.untested[lost[0]]}.")
        polite = f" A remark: {remark}." if remark else ""
        return Feedback(True, f"Right. {self._reveal()}{polite}")

    def _proof(self, now, name):
        statement = f"It breaks this: {PROPERTIES[name].statement} " if name in PROPERTIES else ""
        return f"{statement}Proof: {now.violations[name]}"

    def _name(self, now, bugs, broken):
        """The first of these bugs that explains what is broken, where one does, and a counter-example."""
        for bug, name in ((CATALOGUE[id], name) for id in bugs for name in broken if name in now.explained[id]):
            return f"{bug.title}: {bug.symptom} {self._proof(now, name)}"
        return self._proof(now, broken[0])

    def _borrows(self, loss):
        """Whether a loss is, or calls, one of the library's: seen on a small example, plain and with settings."""
        known = {parameter.name for parameter in parameters_of(loss)}
        case = {"logits": torch.zeros(1, 2), "labels": torch.zeros(1, 2) if self.binary else LABEL}
        settings = {"alpha": 0.25 if self.binary else torch.tensor([1.0, 4.0]), "gamma": 2.0, "ignore_index": -100}
        examples = [{}, *({**settings, "reduction": reduction} for reduction in ("none", "sum", "mean"))]
        called = set()

        def watch():
            sys.setprofile(lambda frame, *_: called.add(frame.f_code))
            for example in examples:
                outcome_of(loss, case | {name: value for name, value in example.items() if name in known})

        thread = threading.Thread(target=watch)  # each thread has a profiler of its own: a learner's stays as it is
        thread.start()
        thread.join()
        library = (focal_loss, plain_focal_loss, sigmoid_focal_loss, _fused.focal_loss)
        return any(right.__code__ in called for right in library)

    def _trained_weights(self, loss):
        """A sentence if a module class made its weights a parameter, which no property looks at."""
        try:
            parameters = loss(alpha=torch.ones(2)).named_parameters() if inspect.isclass(loss) else []
            names = [name for name, parameter in parameters if parameter.requires_grad]
        except Exception:
            return None  # it cannot be built; the diagnosis says why
        return f"{names[0]} {OPTIMIZER_TRAP}." if names else None

    def _reveal(self):
        """What it was, and where such code was seen."""
        if self.before.ok:
            return "There was nothing to mend."
        bugs = [CATALOGUE[id] for id in self.before.suspects if self.before.explained[id] != [MINOR]]
        return " ".join(f"It was: {bug.title} ({bug.id}). Seen: {bug.source}." for bug in bugs) or "It is mended."

    def _note(self, part, feedback):
        if not feedback.ok:
            return feedback
        try:
            found = _read_progress()
            found[self.slug] = [p for p in PARTS if p == part or p in found.get(self.slug, [])]
            draft = Path(PROGRESS_FILE + ".new")
            draft.write_text(json.dumps(found, indent=1))
            draft.replace(PROGRESS_FILE)
        except (OSError, ValueError) as error:
            return Feedback(True, f"{feedback.text}\n  (Progress was not saved: {error})")
        return feedback

    def progress(self):
        """The parts solved here and the exercises found so far, from the file beside the notebook, in one line."""
        try:
            found = _read_progress()
        except (OSError, ValueError) as error:
            return Feedback(False, f"No progress to show: {error}")
        parts = [f"{part} {'✓' if part in found.get(self.slug, []) else '✗'}" for part in PARTS]
        done = sum(set(PARTS) <= set(solved) for solved in found.values())
        return Feedback(done == TOTAL, f"Here: {', '.join(parts)}. {done} of {TOTAL} found.", "★")


def _read_progress():
    path = Path(PROGRESS_FILE)
    try:
        found = json.loads(path.read_text()) if path.exists() else {}
        assert all(set(solved) <= set(PARTS) for solved in found.values())
    except (AssertionError, AttributeError, TypeError, ValueError):
        raise ValueError(f"{path} is damaged; delete it to start anew.") from None
    return found


def _code(loss):
    """What a function, or each method of a class, is made of; without its name, which an edit of the code keeps."""
    methods = vars(loss).values() if inspect.isclass(loss) else [loss]
    known = [(m, m.__code__) for m in methods if inspect.isfunction(m)]
    return [(str(inspect.signature(m)), code.co_code, code.co_consts, code.co_names) for m, code in known]
