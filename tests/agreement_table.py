"""Writes book/bench/agreement.md: on what tests/test_small_torch.py holds the page's torch to the real one."""

import sys
from pathlib import Path

sys.path.extend([str(Path(__file__).parent.parent / folder) for folder in ("tools", "grading", "")])
import on_a_torch
from exercise_notebooks import MASTERS, ROOT, STUDENTS
from small_torch_calls import BINARY, CALLS, PRINTED, REDUCTIONS, STATEMENTS, UNARY

PAGE = ROOT / "book" / "bench" / "agreement.md"
HEAD = """| Compared, the small torch with the real one | How many | What must be the same |
|---|---|---|
"""


def published():
    from book._ext.bench import published

    return published()


def table():
    """The table as Markdown, one row a kind of test."""
    known = [group for group, _ in on_a_torch.listing()]
    functions = len(UNARY) + len(BINARY) + len(REDUCTIONS)
    verdict = "verdict, counter-example, sentence, to the letter"
    rows = [
        ("functions on random tensors, 25 each", functions, "values, shape, dtype, gradients, errors"),
        ("calls of losses and their parts", len(CALLS) + len(STATEMENTS), "the same, in float64 and float32"),
        ("printed tensors and modules", len(PRINTED), "the text"),
        ("bugs of the museum", known.count("bugs"), verdict),
        ("look-alikes", known.count("lookalikes"), verdict),
        ("published losses, and a right one", len(published()), verdict),
        ("exercises, unanswered and solved", len(STUDENTS) + len(MASTERS), "everything they say"),
        ("wrong and unusual answers to exercises", len(on_a_torch.answers()), "everything they say"),
    ]
    return HEAD + "".join(f"| {what} | {number} | {same} |\n" for what, number, same in rows)


if __name__ == "__main__":
    PAGE.write_text(table())
