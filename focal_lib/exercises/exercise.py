"""Feedback for the spot-the-bug exercises: predict what breaks, expose it with an input, fix it.

No answer is stored here. Each answer is checked by running code: the loss under review, a right one, and
:func:`~focal_lib.diagnosis.diagnose`. The exercises are the notebooks in ``notebooks/exercises``.
"""

import random

from ..bugs import CATALOGUE
from ..diagnosis.properties import PROPERTIES
from .binary import Binary
from .feedback import Feedback, not_yet
from .fixing import judge_fix
from .multiclass import Multiclass
from .originals import is_original
from .outcomes import differ_a_little, difference_of, first_difference, outcome_of, say, scale_of
from .progress import PARTS, note, progress_line
from .reading import is_none, lacks, other_defaults, read_evidence, read_letters

__all__ = ["Exercise", "decoys", "one_of", "shuffled"]

DECOYS = {"03_exponent": ("weight_applied_twice", "alpha_unused")}


def shuffled(slug, losses):
    """Letters for these losses, in an order that depends on the exercise's slug only: ``{"A": loss, ...}``."""
    return dict(zip("ABCDEFGH", random.Random(slug).sample(losses, len(losses)), strict=False))


def one_of(slug, losses):
    """One of these losses; which one depends on the exercise's slug only."""
    return random.Random(f"{slug} (pick)").choice(losses)


def decoys(slug):
    """Wrong losses of the catalogue that an exercise shows beside its own; their names would be captions."""
    return [CATALOGUE[id].loss for id in DECOYS[slug]]


class Exercise:
    """One exercise: a loss under review, and what to predict about it.

    Args:
        slug: the name of the exercise, for the progress file.
        loss: the loss under review, a function or a Module class with arguments ``logits, labels`` and any of
            ``alpha, gamma, reduction, ignore_index``.
        binary: True if a right loss is :func:`~focal_lib.losses.sigmoid_focal_loss`.
        original: how the code behaved as it was handed out, as ``originals.behaviour`` gives it; of the book's own
            exercises that is known.
        options: what to choose from, by letter. Either names of properties, of which the broken ones are to be
            found; or losses, of which those that compute the same as the loss under review are to be found.

    Attributes:
        answers: the last answer to each part, by name, and the :class:`.Feedback` on it.
    """

    def __init__(self, slug, loss, binary=False, original=None, **options):
        self.slug, self.loss, self.binary, self.options = slug, loss, binary, options
        self.kind = Binary() if binary else Multiclass()
        self.before = self.kind.diagnose(loss)
        self.edited = not is_original(slug, loss, binary, original)
        self.answers = {}

    def __repr__(self):
        if self._shows_losses:
            return f"Which of {', '.join(self.options)} is it?"
        statements = [f"{letter}  {PROPERTIES[name].statement}" for letter, name in self.options.items()]
        return "\n".join(["Which of these break? Zero, one or more.", *statements])

    @property
    def found(self):
        """The parts that were answered right with this object."""
        return {part for part, (_, feedback) in self.answers.items() if feedback.ok}

    def predict(self, answer):
        """Check letters against what the loss really does; returns :class:`.Feedback`."""
        return self._note("predict", answer, self.check_predict(answer))

    def expose(self, evidence):
        """Run the loss under review and a right one on this input; returns :class:`.Feedback`."""
        return self._note("expose", evidence, self.check_expose(evidence))

    def fix(self, loss, seed=None):
        """Diagnose a mended loss, and compare it with a right one; returns :class:`.Feedback`."""
        return self._note("fix", loss, self.check_fix(loss, seed))

    def progress(self):
        """The parts solved here and the exercises found so far, from the file beside the notebook, in one line."""
        said = {part: self.answers[part][1] for part in PARTS if part in self.answers}
        wrong = [part for part, feedback in said.items() if not feedback.ok and feedback.sign != "○"]
        return progress_line(self.slug, wrong)

    def _note(self, part, answer, feedback):
        self.answers[part] = answer, feedback
        return note(self.slug, part, feedback)

    # --- predict

    def check_predict(self, answer):
        """As :meth:`predict`, without a note in the progress file."""
        if answer is ...:
            return not_yet(f"predict: nothing yet. Replace the ... by {self._predict_format}.")
        if self.edited:
            return self._was_edited()
        letters = read_letters(answer, self.options)
        if letters is None:
            got = repr(answer) if isinstance(answer, str) else type(answer).__name__
            return not_yet(f"An answer is {self._predict_format}, from {', '.join(self.options)}; got {got}.")
        true = {letter: found for letter, option in self.options.items() if (found := self._truth(option))}
        for letter in sorted(letters - set(true)):
            return Feedback(False, f"Not {letter}. {self._why_not(self.options[letter])}")
        if missing := len(set(true) - letters):
            nothing = f"It is one of {', '.join(self.options)}." if self._shows_losses else "Something does break."
            return Feedback(False, f"Right so far; {missing} missing." if letters else nothing)
        reasons = [f"{letter}: {found}" for letter, found in true.items()]
        return Feedback(True, "Right. " + ("; ".join(reasons) or "Nothing breaks: every property holds."))

    @property
    def _shows_losses(self):
        return any(callable(option) for option in self.options.values())

    @property
    def _predict_format(self):
        return 'a letter such as "A"' if self._shows_losses else 'letters such as "A" or "AC", or "none"'

    def _truth(self, option):
        """Why this option is one to choose, in words; None if it is not."""
        if not callable(option):
            return self.before.violations.get(option)
        same = first_difference(option, self.loss, self.kind.inputs()) is None
        return "the same numbers on every input tried." if same else None

    def _why_not(self, option):
        if callable(option):
            return first_difference(option, self.loss, self.kind.inputs())
        if option in self.before.untested:
            return f"That cannot be tested here: {self.before.untested[option]}."
        return f"This holds here, on every case tried: {PROPERTIES[option].statement}"

    def _was_edited(self):
        name = getattr(self.loss, "__name__", "the code under review")
        return not_yet(
            f"{name} is not the original any more: it was edited in place. Take it back to what it was, run its cell "
            "and the one with Exercise(...) again, and write your own version in the step Fix."
        )

    # --- expose

    def check_expose(self, evidence):
        """As :meth:`expose`, without a note in the progress file."""
        if evidence is ...:
            return not_yet(f"expose: nothing yet. Replace the ... by {self._evidence_format}.")
        if self.edited:
            return self._was_edited()
        if is_none(evidence):
            if self.before.ok:
                return Feedback(True, "Right: no input exposes this code, because nothing is wrong with it.")
            return Feedback(False, "There is an input that exposes this code. Start from what you predicted.")
        try:
            case = read_evidence(evidence, self.loss, self.kind)
        except (OverflowError, TypeError, ValueError, RuntimeError) as error:
            why = (str(error).splitlines() or [""])[0].rstrip(".")
            return not_yet(f"{why}. Evidence is {self._evidence_format}.")
        return self._judge(case)

    def _judge(self, case):
        """Feedback on evidence that can be read."""
        for name, default in other_defaults(case, self.loss, self.right).items():
            text = f"It has no {name}. To compare the default of this code, {default!r}, with another proves nothing."
            return Feedback(False, f"{text} Give it {name}, which this exercise is about.")
        if (case["labels"] == case.get("ignore_index", -100)).all():
            return Feedback(False, "This proves nothing. It has no label that counts.")
        right = outcome_of(self.right, case)
        if isinstance(right, str):
            return Feedback(False, f"A right loss refuses this input ({right}). Proof needs an input that is allowed.")
        ours = outcome_of(self.loss, case)
        if difference := difference_of(ours, right, scale_of(case)):
            return Feedback(True, f"Exposed. {difference}")
        if not isinstance(ours, str) and differ_a_little(ours, right):
            both = f"This code gives {say(ours)}, a right loss {say(right)}"
            return Feedback(False, f"{both}: too little apart to prove anything. Take an answer that is less sure.")
        missing = ", ".join(lacks(case, self.loss, self.before.violations, self.binary))
        tail = f" It has {missing}." if missing else ""
        return Feedback(False, f"Both give {say(right)}, so this proves nothing.{tail}")

    @property
    def _evidence_format(self):
        example = f'{{"logits": {self.kind.logits}, "labels": {self.kind.labels}}}'
        return f'a dict such as {example}, or "none" if there is nothing to expose'

    @property
    def right(self):
        """A right loss of the same form as the one under review."""
        return self.kind.right(self.loss)

    # --- fix

    def check_fix(self, loss, seed=None):
        """As :meth:`fix`, without a note in the progress file. ``seed`` of the hidden inputs; None for a secret one."""
        if self.edited and loss is not ...:
            return self._was_edited()
        return judge_fix(loss, self, seed)
