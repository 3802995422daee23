"""How a property is entered, and how it is checked."""

import re
from collections.abc import Callable
from dataclasses import dataclass

from ..adapter import Untestable
from ..cases import Violation
from ..settings import hushed, kept

__all__ = ["LEVELS", "PROPERTIES", "Property", "a_property", "check", "first_line", "raised"]

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
        if check.__name__ in PROPERTIES:
            raise ValueError(f"there is a property {check.__name__!r} already; rename one of the two.")
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
        if type(error).__name__ == "NotOnThisPage":  # the page's small torch lacks something
            return Untestable(first_line(error))
        return raised(error)
    return None


def first_line(error):
    """The first line of an error's text; its kind where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


def raised(error, setting="", level=None, way=None):
    """The violation that an error of the loss is, in this setting."""
    kind, text = type(error).__name__, first_line(error)
    words = f"it raised {kind}" if text == kind else f"it raised {kind}: {text}"
    told = re.sub(r"[\d']+|\w+\.", "", text)  # without what differs from loss to loss
    return Violation(f"{setting}{words}", (kind, told), level, way)
