"""The names that real torch has: what is among them and missing here is not on this page, the rest never was."""

import functools
import pkgutil


@functools.cache
def _names():
    found = {}
    text = pkgutil.get_data(__package__, "names.txt").decode()
    for line in text.splitlines():
        module, _, names = line.partition(": ")
        found[module] = frozenset(names.split())
    return found


def absent(module, name):
    """Whether real torch has this name there."""
    return not name.startswith("_") and name in _names().get(module, ())
