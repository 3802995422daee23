"""Which known bugs explain what a loss breaks: those that give the very same numbers."""

import copy
import functools
import math
from dataclasses import replace

from ..bugs import CATALOGUE
from ..losses import focal_loss
from .adapter import Adapter, Untestable
from .cases import Violation, make_cases
from .properties import LEVELS, PROPERTIES, check

__all__ = ["Suspects"]


@functools.cache
def _bug_adapter(id, dtype, classes):
    return _of_classes(Adapter(CATALOGUE[id].loss, dtype=dtype), classes)


@functools.cache
def _plain(dtype):
    return Adapter(focal_loss, dtype=dtype)


def _of_classes(adapter, classes):
    """The adapter, held to this number of classes, if it takes any."""
    if adapter.only_classes is None:
        adapter.form = replace(adapter.form, classes=classes)
    return adapter


def _bug_result(id, name, seed, dtype, classes=None):
    if name == "is_right_at_every_size":  # that has its own rows
        seed, classes = 0, None
    return _bug_result_of(id, name, seed, dtype, classes)


@functools.cache
def _bug_result_of(id, name, seed, dtype, classes):
    adapter = _bug_adapter(id, dtype, classes)
    return check(name, adapter, make_cases(seed, dtype, classes=adapter.only_classes))


class Suspects:
    """Compares violations with those of the catalogue's bugs: which properties, and which numbers.

    ``again(name, seed)`` checks a property of the loss on other cases: a bug must give the same numbers there too.
    """

    def __init__(self, violations, results, seed, adapter, levels=None, again=None):
        self.violations, self.results, self.seed = violations, results, seed
        self.setting = adapter.dtype, adapter.only_classes  # a bug is tried with as many classes
        alike, same = {}, {}
        for id in CATALOGUE if violations else ():
            theirs = {name: _bug_result(id, name, seed, *self.setting) for name in violations}
            alike[id] = {name for name, result in theirs.items() if isinstance(result, Violation)}
            same[id] = {name for name in alike[id] if _same(violations[name].got, theirs[name].got)}
            told = [name for name in same[id] if _telling(violations[name].got)]
            if all(PROPERTIES[name].level == "manners" for name in told):
                # nan agrees where that is the question
                of_nan = CATALOGUE[id].exposed_by in same[id]
                extremes = {name for name in same[id] if of_nan and PROPERTIES[name].group == "extremes"}
                same[id] = {name for name in same[id] if not _has_nan(violations[name].got)} | extremes
        agree = {id: {n for n in names if _telling(violations[n].got)} for id, names in same.items()}
        # A suspect gives the same numbers for at least half of what it violates, and an eighth of what is violated
        # here: among many violations, a single agreement is chance.
        same = {
            id: names
            for id, names in same.items()
            if 8 * len(names) >= len(violations) and 2 * len(names) >= sum(self._own(id))
        }
        if again:
            same = {id: {name for name in names if self._holds(again, id, name)} for id, names in same.items()}
        if "inputs_are_unchanged" in violations and violations["inputs_are_unchanged"].got == ("grad mode",):
            same = {}  # whatever else is broken follows from that
        if "is_stateless" in violations:  # then no other number means much
            same = {id: names for id, names in same.items() if "is_stateless" in names}
        self.ids, self.explained, self.nearest = [], {}, None
        left = set(violations)
        while found := {id: len(names & left) for id, names in same.items() if names & left}:
            best = self._likeliest(found)
            self.ids.append(best)
            self.explained[best] = [name for name in violations if name in same[best] & left]
            left -= same[best]
        if levels:  # the causes of what is wrong before the causes of what is fragile
            late = "weights_follow_the_module"
            self.ids.sort(
                key=lambda id: (min(LEVELS.index(levels[n]) for n in self.explained[id]), late in self.explained[id])
            )
        left.discard("runs_with_defaults")  # not running at all is like nothing in particular
        if left:
            # A list: a set has another order in each process. Digits must agree somewhere.
            others = [id for id in alike if id not in self.ids and len(agree.get(id, set()) & left) > 1]
            likeliest_first = sorted(others, key=lambda id: -len(alike[id] & left))
            self.nearest = self._likeliest(
                {id: len(alike[id] & left) for id in likeliest_first[:5] if alike[id] & left}
            )

    def leave_out(self, names):
        """Without the bugs that explain one of these properties: another cause is known for them."""
        self.ids = [id for id in self.ids if not {*names} & {*self.explained[id]}]
        self.explained, self.nearest = {id: self.explained[id] for id in self.ids}, None

    def of_most(self, names):
        """The bugs that explain a third of these properties or more."""
        return [id for id in self.ids if 3 * len({*names} & {*self.explained[id]}) >= len(names)]

    def replayed(self, formula, adapter):
        """The violations in which the loss gives the numbers of this formula, of (logits, targets, gamma)."""
        if formula is None:
            return []

        def loss(input, target, gamma=adapter.gammas[0], reduction="mean"):
            rows = formula(input, target, gamma)
            return rows if reduction == "none" else getattr(rows, reduction)()

        tried = _of_classes(copy.copy(_plain(adapter.dtype)), adapter.only_classes)
        tried.loss, tried.own_gamma, tried.settable = loss, adapter.own_gamma, tried.settable & adapter.settable
        cases = make_cases(self.seed, adapter.dtype, classes=adapter.only_classes)
        theirs = {name: check(name, tried, cases) for name in self.violations}
        alike = {n for n, r in theirs.items() if isinstance(r, Violation) and _same(self.violations[n].got, r.got)}
        of_extremes = {name for name in alike if PROPERTIES[name].group == "extremes"}  # there nan has many causes
        return [n for n in theirs if n in alike and not (n in of_extremes and _has_nan(self.violations[n].got))]

    def _holds(self, again, id, name):
        """Whether the bug gives the loss's numbers on other cases too, where there are other cases."""
        if PROPERTIES[name].group not in ("value", "reduction", "weights", "gradient"):
            return True
        for seed in range(self.seed + 1, self.seed + 3):
            ours, theirs = again(name, seed), _bug_result(id, name, seed, *self.setting)
            if not (isinstance(ours, Violation) and isinstance(theirs, Violation)):
                if isinstance(ours, Violation) != isinstance(theirs, Violation):
                    return False
            elif not _same(ours.got, theirs.got):
                return False
        return True

    @functools.cache  # noqa: B019 (this object lives for one diagnosis)
    def _own(self, id):
        """How many properties this bug violates: of those violated here too, and of those that hold here."""
        both = only = 0
        for name, result in self.results.items():
            if not isinstance(result, Untestable) and isinstance(
                _bug_result(id, name, self.seed, *self.setting), Violation
            ):
                both, only = both + (result is not None), only + (result is None)
        return both, only

    def _likeliest(self, evidence):
        """The bug with the most evidence, less what it would have violated but did not; then the smallest bug."""

        def score(id):
            size = sum(isinstance(_bug_result(id, name, self.seed, *self.setting), Violation) for name in self.results)
            return evidence[id] - self._own(id)[1], -size

        return max(evidence, key=score, default=None)


def _has_nan(numbers):
    return any(isinstance(a, float) and math.isnan(a) for a in numbers)


def _telling(numbers):
    """Whether agreement in these numbers means something: nan, inf and 0 are many faults' result."""
    return not _has_nan(numbers) and any(isinstance(a, str) or (a and math.isfinite(a)) for a in numbers)


def _same(ours, theirs):
    """Whether two counter-examples give the same numbers."""

    def close(a, b):
        if isinstance(a, str) or isinstance(b, str):
            return a == b
        return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-7) or (math.isnan(a) and math.isnan(b))

    return len(ours) == len(theirs) and all(map(close, ours, theirs))
