"""Which misconceptions does a class have? Sentences of the check under a name, with what to say in class."""

import re
from typing import NamedTuple

from focal_lib.bugs import CATALOGUE
from focal_lib.diagnosis.properties import PROPERTIES

TITLES = {bug.title: bug for bug in CATALOGUE.values()}
STATEMENTS = {p.statement: name for name, p in PROPERTIES.items()}
BY_HAND = "Let somebody work out two rows by hand, and compare."


class Kind(NamedTuple):
    """The name of a misconception, and what to say in class."""

    name: str
    say: str


# (the part, what its sentence matches, the name, what to say); the first that matches counts.
TABLE = (
    (
        None,
        r"nothing was answered\. The cell that starts",
        "The answer's own cell fails",
        "Run All, then read the first error.",
    ),
    (
        None,
        r"nothing was answered",
        "Nothing was answered",
        "Ask who got stuck, and where; open the first hint together.",
    ),
    (
        None,
        r"could not be graded",
        "The loss could not be called to the end",
        "Let it run on a small batch, with a clock.",
    ),
    (
        "predict",
        r"Right so far",
        "Not all that breaks was seen",
        "Go through the options one by one: which input would show it?",
    ),
    (
        "predict",
        r"Something does break",
        "Guilty code taken for innocent",
        "Run it on two rows, and work out one of them by hand.",
    ),
    (
        "predict",
        r"Not \w\. For |It is one of",
        "The wrong curve or code chosen",
        "Pick the one point at which two of them differ most.",
    ),
    ("predict", r"An answer is", "The format of the answer", 'Letters in quotes, such as "AC", or "none".'),
    (
        "expose",
        r"A right loss refuses|Labels are|labels go|must have shape",
        "Evidence that no right loss takes",
        "An input proves something only where a right loss gives a number.",
    ),
    (
        "expose",
        r"There is an input that exposes",
        "Guilty code taken for innocent",
        "Start from what was predicted: which input would show it?",
    ),
    (
        "expose",
        r"It has no \w+\. To compare the default",
        "A default compared with another default",
        "Name every argument that the exercise is about.",
    ),
    (
        "expose",
        r"Evidence is",
        "The format of the evidence",
        "Read the sentence aloud: it names the entry that is wrong.",
    ),
    ("expose", r"too little apart", "Evidence near the edge of rounding", "Take an answer that is less sure."),
    (
        "fix",
        r"It is, or calls, the library",
        "The library's loss in place of a mended one",
        "Mend the line, so that the reason is seen.",
    ),
    (
        "fix",
        r"This is the binary form",
        "alpha read as in the binary form",
        "With more than two classes there is no 1 - alpha.",
    ),
    ("fix", r"This can do less", "An argument or a shape was lost", "A fix takes all that the code took."),
    (
        "fix",
        r"Your loss fails on logits and labels alone",
        "A default that fails",
        "Call it without any setting first.",
    ),
    ("fix", r"On another device it fails", "Weights that stay behind", "What moves with a module, and what does not?"),
    (
        "fix",
        r"It differs from a right loss on a batch as in training",
        "Right on small batches only",
        "Try it on a batch as in training: weights, sure examples, many classes.",
    ),
    (
        "fix",
        r"fix: nothing yet|team_loss is not the original",
        "The code under review was edited in place",
        "Write the own version in the step Fix.",
    ),
    ("fix", r"There is something to mend", "Guilty code taken for innocent", "Start from the evidence."),
)


def kind_of(part, sentence):
    """The :class:`Kind` of a sentence that the check said to a wrong answer."""
    for title, bug in TITLES.items():
        if f"{title}: " in sentence:
            how = "mended, and another fault made" if "made another" in sentence else "a new fault made"
            return Kind(f"{bug.title} ({how})", f"{bug.hides} {bug.fix}")
    for where, pattern, name, say in TABLE:
        if where in (None, part) and re.search(pattern, sentence):
            return Kind(name, say)
    if found := re.search(r"so this proves nothing\. It has (.+?)\.?$", sentence):
        return Kind(f"Evidence with {found[1]}", "On such an input the right loss and the wrong one agree. Why?")
    if found := re.search(r"Not \w\. This holds here, on every case tried: (.+)", sentence):
        return Kind(f"Thought to break: {found[1]}", f"It holds. {BY_HAND}")
    statement = next((text for text in STATEMENTS if text in sentence), "")
    if "One fault is mended, not all" in sentence:
        return Kind("Mended in part", f"What is still broken: {statement or 'read the counter-example.'} {BY_HAND}")
    if "still there" in sentence:
        return Kind("The fault is still there", f"{statement or 'Read the counter-example.'} {BY_HAND}")
    if statement:
        return Kind(f"Breaks: {statement}", BY_HAND)
    return Kind("Something else", "Read the example.")


def counted(students):
    """[(kind, [(student, slug, part, sentence)])] of a class, the most frequent first.

    Args:
        students: (row, {slug: result}, notes) of each, as ``results.all_students`` gives them.
    """
    found = {}
    for row, best, _ in students:
        for slug, result in best.items():
            for part, (ok, sentence) in result["parts"].items():
                if not ok:
                    found.setdefault(kind_of(part, sentence), []).append((row["student"], slug, part, sentence))
    return sorted(found.items(), key=lambda item: (-len({s for s, *_ in item[1]}), item[0].name))
