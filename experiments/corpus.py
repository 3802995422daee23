"""Write the text chapter's corpus, focal_lib/results/corpus.csv.gz: notes from a workshop, made by a small grammar.

A note says what somebody saw at a machine. Its label says what has to happen next: nothing, a repair, an order for a
part, or a stop of the machine. What decides is what holds *now*. A fault that was mended, denied or only imagined
counts for nothing, so that the same words appear under every label, and often only their order tells labels apart:
"the leak is gone but there is smoke" means stop, "the smoke is gone but there is a leak" means repair.

The label is drawn from P(label | kind), because people disagree: this table is the noise that no model can beat. The
text is ours, written by this file, under the licence of the book.
"""

import argparse
import random
from pathlib import Path

import pandas as pd

OUT = Path(__file__).parent.parent / "focal_lib" / "results" / "corpus.csv.gz"
LABELS = ("none", "repair", "order", "stop")

# kind of note: (share of the notes, P(label | kind) in the order of LABELS)
KINDS = {
    "calm": (0.66, (0.960, 0.030, 0.007, 0.003)),
    "vague": (0.115, (0.50, 0.38, 0.07, 0.05)),
    "fault": (0.13, (0.04, 0.92, 0.02, 0.02)),
    "shortage": (0.05, (0.06, 0.05, 0.88, 0.01)),
    "danger": (0.025, (0.02, 0.10, 0.01, 0.87)),
    "fault and shortage": (0.02, (0.02, 0.48, 0.48, 0.02)),
}

PARTS = ["pump", "valve", "belt", "motor", "press", "fan", "boiler", "saw"]
FAULTS = ["a leak", "a rattle", "a crack", "a jam", "squealing", "shaking"]
DANGERS = ["smoke", "sparks", "a gas smell", "a bare wire"]
ITEMS = ["filter", "fuse", "seal", "hose", "screw", "bulb"]

NOW = [
    "there is {sign} at the {part}",
    "{sign} again at the {part}",
    "the {part} has {sign}",
    "{sign} is back at the {part}",
    "the {part} was repaired yesterday and today there is {sign}",
    "still {sign} at the {part}",
    "found {sign} when i opened the {part}",
    "we did not get rid of {sign} at the {part}",
    "{sign} is not gone from the {part}",
    "no change at the {part} , {sign} as before",
]
NOT_NOW = [
    "there is no more {sign} at the {part}",
    "{sign} is gone from the {part}",
    "the {part} had {sign} and was repaired",
    "{sign} is not back at the {part}",
    "yesterday there was {sign} at the {part} and today it is repaired",
    "found no {sign} when i opened the {part}",
    "still no {sign} at the {part}",
    "we did get rid of {sign} at the {part}",
    "if there is {sign} at the {part} call again",
    "the {part} has no {sign} , as before",
]
MISSING = [
    "there is no {item} for the {part}",
    "the last {item} went into the {part}",
    "the {item} for the {part} is not here yet",
    "we still need a {item} for the {part}",
    "found no {item} for the {part}",
    "the {item} of the {part} was the last one",
    "the {part} waits for a {item}",
]
NOT_MISSING = [
    "there is one {item} left for the {part}",
    "the new {item} went into the {part}",
    "the {item} for the {part} is here",
    "we do not need a {item} for the {part}",
    "found the last {item} for the {part}",
    "the {item} of the {part} is not worn yet",
    "the {part} waits for nothing , not even a {item}",
]
FINE = [
    "the {part} runs as before",
    "looked at the {part} and found nothing",
    "cleaned the {part}",
    "the {part} was greased yesterday",
    "no change at the {part}",
    "the {part} still runs , no need to do more yet",
    "opened the {part} and closed it again",
    "nothing new at the {part}",
]
VAGUE = [
    "the {part} does not sound as before",
    "please look at the {part}",
    "not sure about the {part}",
    "something is odd at the {part}",
    "the {part} again",
    "there is something at the {part} or there is nothing",
    "i do not trust the {part} today",
]
JOINS = [" and ", " but ", " , ", " ; ", " , also ", " while "]
OPENINGS = ["", "", "", "hi , ", "night shift : ", "for the log : ", "this morning "]
CLOSINGS = ["", "", "", " , thanks", " , see the log", " , more tomorrow"]


def clause(rng, templates, signs=("",)):
    return rng.choice(templates).format(sign=rng.choice(signs), part=rng.choice(PARTS), item=rng.choice(ITEMS))


def harmless(rng):
    """A clause that asks for nothing, made of the words that elsewhere ask for something."""
    return rng.choice(
        [
            lambda: clause(rng, NOT_NOW, FAULTS),
            lambda: clause(rng, NOT_NOW, DANGERS),
            lambda: clause(rng, NOT_MISSING),
            lambda: clause(rng, FINE),
        ]
    )()


def with_typo(rng, text, rate=0.02):
    """Now and then a word loses one of its inner letters."""
    words = text.split(" ")
    for k, word in enumerate(words):
        if len(word) > 3 and rng.random() < rate:
            cut = rng.randrange(1, len(word) - 1)
            words[k] = word[:cut] + word[cut + 1 :]
    return " ".join(words)


def note(rng, kind):
    """One note of the given kind."""
    deciding = {
        "calm": [],
        "vague": [lambda: clause(rng, VAGUE)],
        "fault": [lambda: clause(rng, NOW, FAULTS)],
        "shortage": [lambda: clause(rng, MISSING)],
        "danger": [lambda: clause(rng, NOW, DANGERS)],
        "fault and shortage": [lambda: clause(rng, NOW, FAULTS), lambda: clause(rng, MISSING)],
    }[kind]
    clauses = [make() for make in deciding]
    wanted = rng.choice([1, 1, 2, 2, 2])  # the same for every kind, so that length tells nothing
    clauses += [harmless(rng) for _ in range(wanted - len(clauses))]
    rng.shuffle(clauses)
    text = clauses[0] + "".join(rng.choice(JOINS) + other for other in clauses[1:])
    return with_typo(rng, rng.choice(OPENINGS) + text + rng.choice(CLOSINGS))


def generate(count, seed):
    """A list of (text, label, kind), no text twice."""
    rng = random.Random(seed)
    shares, tables = [share for share, _ in KINDS.values()], {kind: table for kind, (_, table) in KINDS.items()}
    rows = {}
    while len(rows) < count:
        kind = rng.choices(list(KINDS), shares)[0]
        text = note(rng, kind)
        if text not in rows:
            rows[text] = (text, rng.choices(LABELS, tables[kind])[0], kind)
    return list(rows.values())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=8000, help="number of notes (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="default: %(default)s")
    parser.add_argument("--out", type=Path, default=OUT, help="default: %(default)s")
    arguments = parser.parse_args()
    if arguments.count < 1:
        parser.error(f"--count must be at least 1, got {arguments.count}.")
    notes = pd.DataFrame(generate(arguments.count, arguments.seed), columns=["text", "label", "kind"])
    notes.to_csv(arguments.out, index=False, compression={"method": "gzip", "mtime": 0})


if __name__ == "__main__":
    main()
