"""The names that real torch has: what is among them and missing here is not on this page, the rest never was."""

import functools
import pathlib


@functools.cache
def _names():
    found = {}
    text = pathlib.Path(__file__).with_name("names.txt").read_text()
    for line in text.splitlines():
        module, _, names = line.partition(": ")
        found[module] = frozenset(names.split())
    return found


def absent(module, name):
    """Whether real torch has this name there."""
    return not name.startswith("_") and name in _names().get(module, ())
