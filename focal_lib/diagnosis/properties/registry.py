"""How a property is entered, and how it is checked."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..adapter import Untestable
from ..cases import Violation
from ..settings import hushed, kept

__all__ = ["LEVELS", "PROPERTIES", "Property", "a_property", "check", "without_numbers"]

PROPERTIES = {}
LEVELS = ("wrong", "fragile", "manners")  # the worst first


@dataclass(frozen=True)
class Property:
    """One promise of a correct focal loss, and the function that checks it.

    ``level`` says what it means to break it: *wrong*, in ordinary use the value or the gradient is not the focal
    loss; *fragile*, it is right there and breaks at an extreme, a dtype, a size or a mode; *manners*, it works, and
    is rude to its caller. A violation may name a level of its own.
    """

    name: str
    statement: str
    group: str  # what it is about: calling, value, reduction, weights, gradient, extremes, shape, use or care
    check: Callable
    level: str = "wrong"


def a_property(statement, group, level="wrong"):
    """Register the decorated check as a property of its own name; see :class:`Property` for the arguments."""

    def register(check):
        check.__doc__ = statement
        PROPERTIES[check.__name__] = Property(check.__name__, statement, group, check, level)
        return check

    return register


def check(name, adapter, cases):
    """None if the property of this name holds for the adapter's loss on these cases, else what was raised.

    That is a :class:`~focal_lib.diagnosis.cases.Violation`, whatever the loss itself raises included, or an
    ``Untestable``.
    """
    if adapter.error is not None and name != "runs_with_defaults":
        return Untestable("it never gave a finite loss")
    try:
        with kept(), hushed():
            PROPERTIES[name].check(adapter, cases)
    except (Violation, Untestable) as result:
        return result
    except Exception as error:
        text = str(error).strip().split("\n")[0]
        kind = type(error).__name__
        if kind == "NotOnThisPage":  # the page's small torch lacks something
            return Untestable(text)
        return Violation(f"it raised {kind}: {text}", (kind, without_numbers(text)))
    return None


def without_numbers(text):
    """An error's text without what differs from loss to loss."""
    return re.sub(r"[\d']+|\w+\.", "", text)
