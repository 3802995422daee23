"""Is this focal loss right? ``diagnose`` checks every property and names the likely mistake."""

from .diagnose import assert_focal_loss, diagnose
from .reach import through
from .report import Diagnosis

__all__ = ["Diagnosis", "assert_focal_loss", "diagnose", "through"]
