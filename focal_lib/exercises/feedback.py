"""The answer to an answer."""

from dataclasses import dataclass

__all__ = ["Feedback"]


@dataclass(frozen=True)
class Feedback:
    """The answer to an answer: ``ok``, and why in words. The sign is ✓ right, ✗ wrong or ○ not yet."""

    ok: bool
    text: str
    sign: str = ""

    def __repr__(self):
        return f"{self.sign or '✗✓'[self.ok]} {self.text}"


def not_yet(text):
    """Feedback on what is no answer yet, or cannot be read as one: that is not wrong."""
    return Feedback(False, text, "○")
