"""What a multiclass focal loss is held to, most of it about being right, some about manners: one function each.

A property gets an ``Adapter`` and a list of cases, from small to large, and raises
``Violation`` at the first case that breaks it: the smallest counter-example, in numbers to
check by hand. It raises ``Untestable`` if the loss has no way to set what it needs.

``PROPERTIES`` holds them all by name, one file for each kind. Chapter 06 shows which bug breaks which; chapter 07
runs them on your loss.
"""

import importlib

from .registry import LEVELS, PROPERTIES, Property, check

__all__ = ["LEVELS", "PROPERTIES", "Property", "check"]

for _kind in ("calling", "value", "average", "gradient", "extremes", "use"):  # in this order they are reported
    importlib.import_module(f".{_kind}", __name__)
