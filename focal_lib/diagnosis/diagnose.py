"""Is this focal loss right? ``diagnose`` checks every property and names the likely mistake.

The loss runs in this process, with all it may do. For code that you do not trust, use the command line
(``python -m focal_lib FILE.py:NAME``), which runs it in a process of its own with limits on time and memory.
"""

import contextlib

import torch
from torch import nn
from tqdm import tqdm

from .adapter import Adapter, Stopped, Untestable
from .cases import Violation, make_cases
from .properties import PROPERTIES, check
from .report import Diagnosis
from .suspects import Suspects

__all__ = ["assert_focal_loss", "diagnose"]


def diagnose(loss, *, gamma=2.0, seed=0, dtype=torch.float64, device=None):
    """Check a multiclass focal loss against every property of ``focal_lib.diagnosis.properties``.

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
        suspects = Suspects(violations, results, seed, adapter.dtype)
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
    cases = make_cases(seed, adapter.dtype, adapter.device)
    # The bar shows only if this takes longer than two seconds.
    return {name: check(name, adapter, cases) for name in tqdm(PROPERTIES, "properties", delay=2, leave=False)}


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
