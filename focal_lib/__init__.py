"""A small library for the multiclass focal loss: the loss, its common bugs, and the ways to tell them apart.

The book *Focal Loss: See It, Train It, Debug It* is built on it. Importing it needs torch and tqdm.
"""

import os
import sys

if sys.argv[:1] == ["-m"] and sys.path[:1] == [os.getcwd()]:
    # python -m focal_lib: the current folder comes first, and a file there may be named as a module that we need.
    del sys.path[0]

from ._versions import warn_if_unsupported
from .diagnosis import Diagnosis, assert_focal_loss, diagnose
from .losses import FocalLoss, focal_loss, sigmoid_focal_loss

__all__ = ["Diagnosis", "FocalLoss", "assert_focal_loss", "diagnose", "focal_loss", "sigmoid_focal_loss"]
__version__ = "0.1.0"

warn_if_unsupported()
