"""Feedback for the spot-the-bug exercises: predict what breaks, expose it with an input, fix it."""

from .exercise import Exercise, decoys, pick, shuffled
from .feedback import Feedback
from .progress import TOTAL

__all__ = ["TOTAL", "Exercise", "Feedback", "decoys", "pick", "shuffled"]
