"""Feedback for the spot-the-bug exercises: predict what breaks, expose it with an input, fix it."""

from .exercise import Exercise, decoys, one_of, shuffled
from .feedback import Feedback
from .progress import TOTAL

__all__ = ["TOTAL", "Exercise", "Feedback", "decoys", "one_of", "shuffled"]
