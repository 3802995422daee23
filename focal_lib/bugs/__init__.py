"""The bug catalogue: focal losses that run, train, and are wrong; and code that only looks so.

They are our own short reproductions of faults seen in public code, one file per kind of fault. Each has one fault and
is right otherwise. Arguments have their usual names, but only where the original had them. Chapter 06 is the museum.
"""

import importlib

from .catalogue import CATALOGUE, LOOKALIKES, ROOMS, Bug, Lookalike, bug, lookalike

__all__ = ["CATALOGUE", "LOOKALIKES", "ROOMS", "Bug", "Lookalike", "bug", "lookalike"]

for _room in (*ROOMS, "lookalikes"):  # in this order: it is that of the museum
    importlib.import_module(f".{_room}", __name__)
