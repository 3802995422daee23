"""Is this focal loss right? ``diagnose`` checks every property and names the likely mistake.

The loss runs in this process, with all it may do. For code that you do not trust, use the command line
(``python -m focal_lib FILE.py:NAME``), which runs it in a process of its own with limits on time and memory.
"""

import contextlib
import functools
import html
import math
import re
from dataclasses import dataclass, field

import torch
from torch import nn
from tqdm import tqdm

from .adapter import Adapter, Stopped, Untestable
from .bugs import CATALOGUE
from .cases import Violation, make_cases
from .properties import PROPERTIES

__all__ = ["Diagnosis", "assert_focal_loss", "diagnose"]


def diagnose(loss, *, gamma=2.0, seed=0, dtype=torch.float64, device=None):
    """Check a multiclass focal loss against every property of ``focal_lib.properties``.

    Args:
        loss: a Module class, a Module instance, or a function of (input, target). Arguments for alpha, gamma,
            reduction, ignore_index and the number of classes are found by their usual names. For any other
            signature pass an adapter: ``diagnose(lambda input, target, alpha=None, gamma=2.0: ...)``.
        gamma: the gamma inside a loss that has no argument for it.
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
    with _one_thread():
        try:
            adapter = Adapter(loss, gamma, dtype, device or _device_of(loss))
            results = _check_all(adapter, seed)
        except Stopped as stop:
            return Diagnosis(name, stopped=str(stop))
        violations = {name: result for name, result in results.items() if isinstance(result, Violation)}
        conventions = _conventions(adapter, violations)
        suspects = _Suspects(violations, results, seed, adapter.dtype)
    return Diagnosis(
        name,
        violations={name: violation.example for name, violation in violations.items()},
        suspects=suspects.ids,
        explained=suspects.explained,
        nearest=suspects.nearest,
        conventions=conventions,
        untested={name: str(result) for name, result in results.items() if isinstance(result, Untestable)},
    )


def assert_focal_loss(loss, **options):
    """Raise AssertionError, with the report as its text, unless ``diagnose`` finds the loss right."""
    diagnosis = diagnose(loss, **options)
    if not diagnosis.ok:
        raise AssertionError(f"\n{diagnosis}")


@dataclass(frozen=True, repr=False)
class Diagnosis:
    """What ``diagnose`` found. Prints as text, shows as HTML in a notebook.

    Attributes:
        violations: property name -> counter-example.
        suspects: ids of the catalogue's bugs that give these very numbers, likeliest first.
        explained: bug id -> the violated properties it explains.
        nearest: where some violation fits no known bug, the id of the bug whose violations are most alike.
        conventions: choices that are not faults, in words.
        untested: property name -> why it could not be checked.
        stopped: why there is no verdict at all; None if there is one.
    """

    name: str
    violations: dict = field(default_factory=dict)
    suspects: list = field(default_factory=list)
    explained: dict = field(default_factory=dict)
    nearest: str | None = None
    conventions: list = field(default_factory=list)
    untested: dict = field(default_factory=dict)
    stopped: str | None = None

    @property
    def ok(self):
        return not self.violations and self.stopped is None

    @property
    def verdict(self):
        return "could not test" if self.stopped else "right" if self.ok else "faulty"

    @property
    def unexplained(self):
        """The violations that no suspect explains."""
        known = {name for names in self.explained.values() for name in names}
        return [name for name in self.violations if name not in known]

    def as_dict(self):
        """Everything as plain data, for JSON."""
        plain = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {"verdict": self.verdict, **plain}

    def _headline(self):
        if self.stopped:
            return f"{self.name}: could not be tested, because {self.stopped}."
        tested = len(PROPERTIES) - len(self.untested)
        if self.ok:
            return f"{self.name}: right. All {tested} properties that could be tested hold."
        return f"{self.name}: faulty. It violates {len(self.violations)} of {tested} properties."

    def _causes(self):
        """(title, lines) for each suspect, and for what no suspect explains."""
        for id in self.suspects:
            bug, number = CATALOGUE[id], len(self.explained[id])
            which = (
                "all of it" if number == len(self.violations) else f"{number} of the {len(self.violations)} violations"
            )
            yield (
                f"{bug.title} ({id})",
                [f"Explains {which}, to the digit.", f"Symptom: {bug.symptom}", f"Hidden, because: {bug.hides}"],
                bug.fix,
            )
        if self.unexplained:
            names = ", ".join(self.unexplained)
            what = "None of the known bugs" if not self.suspects else f"No known bug explains {names}"
            nearest = (
                f"Nearest: {CATALOGUE[self.nearest].title} ({self.nearest}), with other numbers."
                if self.nearest
                else ""
            )
            yield what, [nearest or "Nothing in the catalogue is like it."], "start from the smallest counter-example."

    def __str__(self):
        lines = [self._headline()]
        for name, example in self.violations.items():
            lines += ["", f"✗ {name}: {PROPERTIES[name].statement}", f"    {example}"]
        for title, words, fix in self._causes():
            lines += ["", f"→ {title}"] + [f"    {word}" for word in words] + [f"    Fix: {fix}"]
        if self.conventions:
            lines += ["", "Not a fault, but good to know:"] + [f"    {convention}" for convention in self.conventions]
        if self.untested:
            lines += ["", "Not tested:"] + [f"    {name}: {why}" for name, why in self.untested.items()]
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self):
        return _as_html(self)


def _as_html(diagnosis):
    """The report in HTML: inherits the page's colours, so that it reads on light and on dark."""
    colour = {"right": "#009E73", "faulty": "#D55E00", "could not test": "#777"}[diagnosis.verdict]
    say = html.escape
    parts = [f"<p><strong>{say(diagnosis._headline())}</strong></p>"]
    for name, example in diagnosis.violations.items():
        parts.append(
            f"<p>✗ <strong>{say(PROPERTIES[name].statement)}</strong> <small>({name})</small><br>{say(example)}</p>"
        )
    for title, words, fix in diagnosis._causes():
        lines = "<br>".join(say(word) for word in words)
        parts.append(f"<p>→ <strong>{say(title)}</strong><br>{lines}<br><strong>Fix:</strong> {say(fix)}</p>")
    if diagnosis.conventions:
        parts.append("<p>Not a fault, but good to know: " + say(" ".join(diagnosis.conventions)) + "</p>")
    if diagnosis.untested:
        rows = "".join(f"<li>{name}: {say(why)}</li>" for name, why in diagnosis.untested.items())
        parts.append(f"<details><summary>Not tested: {len(diagnosis.untested)}</summary><ul>{rows}</ul></details>")
    style = f"border-left: 4px solid {colour}; padding: 0 1em; color: inherit; overflow-wrap: anywhere"
    return f'<div style="{style}">' + "".join(parts) + "</div>"


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


def _check(name, adapter, cases):
    """None if the property holds, else the Violation or the Untestable."""
    if adapter.error is not None and name != "runs_with_defaults":
        return Untestable("it never gave a finite loss")
    try:
        PROPERTIES[name].check(adapter, cases)
    except (Violation, Untestable) as result:
        return result
    except Exception as error:
        text = str(error).strip().split("\n")[0]
        kind = type(error).__name__
        return Violation(f"it raised {kind}: {text}", (kind, re.sub(r"[\d']+|\w+\.", "", text)))
    return None


def _check_all(adapter, seed):
    cases = make_cases(seed, adapter.dtype, adapter.device)
    # The bar shows only if this takes longer than two seconds.
    return {name: _check(name, adapter, cases) for name in tqdm(PROPERTIES, "properties", delay=2, leave=False)}


def _conventions(adapter, violations):
    """Choices that are not faults, in words. A violation that is only such a choice is taken out."""
    found = []
    if adapter.divides_by_weights:
        found.append("Its mean divides by the sum of the weights, as F.cross_entropy(weight=...) does.")
    if adapter.own_reduction != "mean":
        found.append(f"It always returns {'the sum' if adapter.own_reduction == 'sum' else 'one loss per target'}.")
    if adapter.takes_weights and "default_is_unweighted" in violations and "alpha_scales_its_class" not in violations:
        example = violations.pop("default_is_unweighted").example
        found.append(f"Its default alpha scales every loss, like a learning rate. {example}.")
    return found


@functools.cache
def _bug_adapter(id, dtype):
    return Adapter(CATALOGUE[id].loss, dtype=dtype)


@functools.cache
def _bug_result(id, name, seed, dtype):
    return _check(name, _bug_adapter(id, dtype), make_cases(seed, dtype))


class _Suspects:
    """Compares violations with those of the catalogue's bugs: which properties, and which numbers."""

    def __init__(self, violations, results, seed, dtype):
        self.results, self.seed, self.dtype = results, seed, dtype
        alike, same = {}, {}
        for id in CATALOGUE if violations else ():
            theirs = {name: _bug_result(id, name, seed, dtype) for name in violations}
            alike[id] = {name for name, result in theirs.items() if isinstance(result, Violation)}
            same[id] = {name for name in alike[id] if _same(violations[name].got, theirs[name].got)}
        # A suspect gives the same numbers for at least half of what it violates, and an eighth of what is violated
        # here: among many violations, a single agreement is chance.
        same = {
            id: names
            for id, names in same.items()
            if 8 * len(names) >= len(violations) and 2 * len(names) >= sum(self._own(id))
        }
        self.ids, self.explained, self.nearest = [], {}, None
        left = set(violations)
        while found := {id: len(names & left) for id, names in same.items() if names & left}:
            best = self._likeliest(found)
            self.ids.append(best)
            self.explained[best] = [name for name in violations if name in same[best] & left]
            left -= same[best]
        left.discard("runs_with_defaults")  # not running at all is like nothing in particular
        if left:
            others = [id for id in alike if id not in self.ids]  # a list: a set has another order in each process
            likeliest_first = sorted(others, key=lambda id: -len(alike[id] & left))
            self.nearest = self._likeliest(
                {id: len(alike[id] & left) for id in likeliest_first[:5] if alike[id] & left}
            )

    @functools.cache  # noqa: B019 (this object lives for one diagnosis)
    def _own(self, id):
        """How many properties this bug violates: of those violated here too, and of those that hold here."""
        both = only = 0
        for name, result in self.results.items():
            if not isinstance(result, Untestable) and isinstance(
                _bug_result(id, name, self.seed, self.dtype), Violation
            ):
                both, only = both + (result is not None), only + (result is None)
        return both, only

    def _likeliest(self, evidence):
        """The bug with the most evidence, less what it would have violated but did not; then the smallest bug."""

        def score(id):
            size = sum(isinstance(_bug_result(id, name, self.seed, self.dtype), Violation) for name in self.results)
            return evidence[id] - self._own(id)[1], -size

        return max(evidence, key=score, default=None)


def _same(ours, theirs):
    def close(a, b):
        if isinstance(a, str) or isinstance(b, str):
            return a == b
        return math.isclose(a, b, rel_tol=1e-4, abs_tol=1e-7) or (math.isnan(a) and math.isnan(b))

    return len(ours) == len(theirs) and all(map(close, ours, theirs))
