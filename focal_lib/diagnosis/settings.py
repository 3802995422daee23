"""What belongs to others, such as grad mode, random numbers, a base class: kept as it was, whatever a loss does."""

import contextlib
import io
import random
import sys
import warnings

import torch

__all__ = ["Said", "built", "changed", "hushed", "kept", "reset", "switches"]

IN_A_PAGE = hasattr(torch, "NotOnThisPage")  # the small torch has none of these settings


class Said(io.TextIOBase):
    """Stands in for stdout and stderr, and keeps the first thousand characters: a loss may print megabytes."""

    def __init__(self):
        self.text = ""

    def write(self, text):
        self.text += text[: 1000 - len(self.text)]
        return len(text)


@contextlib.contextmanager
def hushed():
    """What is printed and warned goes into the :class:`Said` that this yields, or nowhere."""
    said = Said()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield said


def switches():
    """``{what: (its value, what sets it)}`` of torch's settings."""
    if IN_A_PAGE:
        return {}
    return {
        "grad mode": (torch.is_grad_enabled(), torch.set_grad_enabled),
        "the default dtype": (torch.get_default_dtype(), torch.set_default_dtype),
        "anomaly detection": (torch.is_anomaly_enabled(), torch.autograd.set_detect_anomaly),
        "the deterministic mode": (torch.get_deterministic_debug_mode(), torch.set_deterministic_debug_mode),
    }


def _random_states():
    found = [(random.getstate(), random.setstate)]
    if not IN_A_PAGE:
        found.append((torch.get_rng_state(), torch.set_rng_state))
        if torch.cuda.is_initialized():
            found.append((torch.cuda.get_rng_state_all(), torch.cuda.set_rng_state_all))
    if "numpy" in sys.modules:
        numpy = sys.modules["numpy"]
        found.append((numpy.random.get_state(), numpy.random.set_state))
    return found


@contextlib.contextmanager
def kept():
    """Whatever is done to grad mode, the default dtype, random numbers and the like is undone at the end."""
    before = [*switches().values(), *_random_states()]
    try:
        yield
    finally:
        for value, put_back in before:
            put_back(value)


def changed(before):
    """``{what: (before, after)}`` of the settings that are no longer as in this result of :func:`switches`."""
    after = switches()
    return {what: (old, after[what][0]) for what, (old, _) in before.items() if old != after[what][0]}


def reset(call):
    """Whose random numbers are the same after ``call()``, whatever they were before."""
    drawn = []
    for seed in (1, 2):
        random.seed(seed)
        if not IN_A_PAGE:
            torch.default_generator.manual_seed(seed)
        if "numpy" in sys.modules:
            sys.modules["numpy"].random.seed(seed)
        call()
        drawn.append({"Python": random.random()})
        if not IN_A_PAGE:
            drawn[-1]["torch"] = torch.rand(()).item()
        if "numpy" in sys.modules:
            drawn[-1]["numpy"] = sys.modules["numpy"].random.random()
    return [whose for whose in drawn[0] if drawn[0][whose] == drawn[1].get(whose)]


def built(make, **arguments):
    """What ``make`` builds; of a trainer, which asks for a model, what its own ``__init__`` sets."""
    try:
        return make(**arguments)
    except Exception:
        if not hasattr(make, "compute_loss"):
            raise
        _own, *above = [base for base in make.__mro__[:-1] if "__init__" in vars(base)]
        theirs = [vars(base)["__init__"] for base in above]
        try:
            for base in above:
                base.__init__ = lambda self, *_, **__: None
            return make(**arguments)
        finally:
            for base, init in zip(above, theirs, strict=True):
                base.__init__ = init
