"""What a student's own answers give to talk about: three questions for two minutes, and the next hint.

Made where a notebook is graded, from what the student wrote and what every student was given. No solution is in it.
"""

import ast
import re

from boxes import one_line

from focal_lib.diagnosis.properties import PROPERTIES

MOST_TEXT = 120  # characters of one line of a student's
HINT = re.compile(r"<summary>Hint \d</summary>(.*?)</details>", re.S)


def questions(exercise, answers, given, found):
    """Three questions for a two-minute talk.

    Args:
        exercise: the :class:`focal_lib.exercises.Exercise`.
        answers: {"predict": letters, "expose": evidence, "fix": source text}, as far as they were given.
        given: the source texts of the code cells that every student gets.
        found: the parts that were right.
    """
    return [
        about_rows(answers.get("expose"), "expose" in found),
        about_code(answers.get("fix"), given, "fix" in found),
        about_letters(exercise, answers.get("predict"), "predict" in found),
    ]


def about_rows(evidence, right):
    """A question on the rows that should prove it."""
    if isinstance(evidence, str) and evidence.strip():
        return f"You wrote {one_line(evidence, 40)!r} in place of an input. How did you look for one, and where?"
    rows = rows_of(evidence)
    if not rows:
        return "You gave no input. Make up two rows, here and now: what would have to differ between them?"
    shown = " and ".join(rows[:2])
    if not right:
        return f"Your rows were {shown}. What would have to be different in them, so that the two losses differ?"
    if len(rows) == 1:
        return f"Your proof is one row, {shown}. Which number in it would you change so that it proves nothing?"
    return f"Your rows begin with {shown}. Which of your {len(rows)} rows proves it? Does it still, without the others?"


def rows_of(evidence):
    """Each example of an evidence in words; nothing where it cannot be read."""
    try:
        logits, labels = evidence["logits"], evidence["labels"]
        labels = labels if isinstance(labels, list) else [labels]
        return [f"{short(row)} with label {short(label)}" for row, label in zip(logits, labels, strict=False)]
    except (KeyError, TypeError):
        return []


def short(value):
    if isinstance(value, list):
        return one_line("[" + ", ".join(short(item) for item in value[:6]) + (", …" if value[6:] else "") + "]", 60)
    return f"{value:g}" if isinstance(value, (int, float)) and abs(value) < 1e9 else one_line(str(value), 20)


def about_code(source, given, right):
    """A question on the first line of the fix that was not given."""
    lines = own_lines(source, given)
    if not lines:
        return "You left the code as it was. Read its first line aloud: what shape has its result, and why?"
    line = one_line(lines[0], MOST_TEXT)
    if right:
        return f"You wrote: {line} What does this line compute that the code under review does not?"
    return f"You wrote: {line} What did you expect of this line, and on which row can you see whether it does that?"


def own_lines(source, given):
    """The lines of code of a student's cell that stand in no given cell, spelled alike; definitions last."""
    known = {line for text in given for line in spelled(text)}
    own = [line for line in spelled(source or "") if line not in known]
    return sorted(own, key=lambda line: line.startswith(("def ", "class ", "@")))


def spelled(source):
    """The lines of a source text without comments, in one spelling; as they stand where it is no Python."""
    try:
        return [line.strip() for line in ast.unparse(ast.parse(source)).splitlines() if line.strip()]
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [line.strip() for line in source.splitlines() if line.strip()]


def about_letters(exercise, answer, right):
    """A question on a letter that was chosen, or on the first that could have been."""
    letters = [letter for letter in exercise.options if isinstance(answer, str) and letter in answer.upper()]
    if isinstance(answer, str) and answer.strip().lower() in ("none", "nothing"):
        letters = []
    chosen = letters[0] if letters else next(iter(exercise.options))
    option = exercise.options[chosen]
    if callable(option):
        other = next(letter for letter in exercise.options if letter != chosen)
        return f"Not {other}, but {chosen}: which number or which point of the picture decides between the two?"
    statement = PROPERTIES[option].statement
    if letters:
        more = "Which line of the code breaks it, and on which input?"
        return f"You chose {chosen}: “{statement}” {more if right else 'How can you check this, and on which input?'}"
    return f"You did not choose {chosen}: “{statement}” What would a loss have to look like to break it?"


def hint(sources, right):
    """The next hint, of those that every student can unfold: the first is on the cause, then on the proof, the mending.

    Args:
        sources: the texts of all cells of the notebook that was given out.
        right: {part: whether it was found}.

    Returns:
        {part: text} of the first part that was not found, or nothing.
    """
    hints = [" ".join(text.split()) for source in sources for text in HINT.findall(source)]
    missing = [part for part, ok in right.items() if not ok]
    numbers = {"predict": 0, "expose": 1, "fix": 2}
    if not missing or numbers[missing[0]] >= len(hints):
        return {}
    return {missing[0]: hints[numbers[missing[0]]]}
