"""What a property is, the register of them all, and how one is checked."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from .adapter import Untestable
from .cases import Violation

__all__ = ["PROPERTIES", "Property", "a_property", "check"]

PROPERTIES = {}


@dataclass(frozen=True)
class Property:
    """One promise of a correct focal loss, and the function that checks it."""

    name: str
    statement: str
    group: str  # what it is about: calling, value, reduction, weights, gradient, extremes, shape or care
    check: Callable


def a_property(statement, group):
    """Register the decorated check as a property: its name is the function's, its docstring the statement."""

    def register(check):
        check.__doc__ = statement
        PROPERTIES[check.__name__] = Property(check.__name__, statement, group, check)
        return check

    return register


def check(name, adapter, cases):
    """None if the property of this name holds for the adapter's loss on these cases, else what was raised.

    That is a :class:`~focal_lib.diagnosis.cases.Violation`, whatever the loss itself raises included, or an
    :class:`~focal_lib.diagnosis.adapter.Untestable`.
    """
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
