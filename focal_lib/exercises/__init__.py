"""Feedback for the spot-the-bug exercises: predict what breaks, expose it with an input, fix it."""

from .exercise import TOTAL, Exercise, Feedback, pick, shuffled

__all__ = ["TOTAL", "Exercise", "Feedback", "pick", "shuffled"]
