"""One warning, at import, where an installed package is older than focal_lib's lower bounds."""

import re
import warnings
from importlib import metadata


def _numbers(version):
    """The leading release numbers of a version: "2.9.1+cpu" gives (2, 9, 1)."""
    return tuple(int(number) for number in re.match(r"[\d.]+", version)[0].strip(".").split("."))


def _too_old(requirements):
    """Yield a phrase for each requirement such as "torch>=2.9" that an installed package falls short of."""
    for requirement in requirements:
        name, bound = re.match(r"([\w-]+)>=([\d.]+)", requirement).groups()
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue  # whoever needs it gets an ImportError that names it
        if _numbers(version) < _numbers(bound):
            yield f"{name} {bound} or newer (this is {version})"


def warn_if_unsupported():
    """Warn in one line if an installed package is older than the bounds in pyproject.toml, which has them alone.

    Does nothing where focal_lib is used from its source folder, without having been installed.
    """
    try:
        requirements = metadata.requires("focal-lib") or []
    except metadata.PackageNotFoundError:
        return
    if phrases := list(_too_old(requirements)):
        warnings.warn(f"focal_lib needs {', '.join(phrases)}.", stacklevel=3)
