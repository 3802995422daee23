"""Make a class: python grading/classroom.py ROSTER.csv --seed 7, a notebook of their own for each student and exercise.

In the folder: `students`, with a folder for each student, to give out; and `teacher`, to keep: the roster, the key that
signs the notebooks, and variants.csv, who got what. Each variant is proved before anything is written: what is given
out fails the checks, the solution passes, and the diagnosis names the intended bug. The same seed, roster and key make
the same files.
"""

import argparse
import json
import os
import re
import secrets
import shutil
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from tqdm import tqdm

sys.path[:0] = [str(Path(__file__).parent), str(Path(__file__).parent.parent)]
import variants  # noqa: E402
from prove import proved  # noqa: E402
from results import as_csv, replace  # noqa: E402
from roster import BadRoster, read_roster  # noqa: E402

MOST_ATTEMPTS = 5  # to give a student a variant that nobody else of the class has
COLUMNS = ["student", "key", "exercise", "variant", "bug", "promises broken", "file"]


class BadClass(Exception):
    """What is wrong with what was asked for, in one sentence."""


def read(folder):
    """(roster, key, slugs) of a class that was made; raises BadClass."""
    teacher = folder / "teacher"
    try:
        about = json.loads((teacher / "class.json").read_text("utf-8"))
        key, slugs, version = bytes.fromhex((teacher / "key").read_text().strip()), about["exercises"], about["version"]
        made = [(*name.split(), digest) for name, digest in about["variants"].items()]
        made = [(slug, int(number), digest) for slug, number, digest in made]
    except (AttributeError, KeyError, OSError, TypeError, ValueError):
        text = (
            f"{folder} is no class that was made here; expected teacher/class.json, teacher/key and teacher/roster.csv."
        )
        raise BadClass(text) from None
    for slug, number, digest in made if version != variants.version() else ():
        if slug not in variants.with_variants() or variants.digest(variants.make(slug, number)) != digest:
            text = f"{folder} was made with another version of the book, where variant {number} of {slug} is another."
            raise BadClass(f"{text} Grade with that version.")
    return teacher / "roster.csv", key, slugs


def slugs_of(asked):
    """The slugs of exercises given as names or numbers; raises BadClass."""
    there = variants.with_variants()
    found = []
    for text in asked or there:
        known = [slug for slug in there if slug == text or slug.partition("_")[0].lstrip("0") == text.lstrip("0")]
        every = [path.stem for path in variants.EDITIONS.glob("*.ipynb")]
        if not known:
            numbers = [slug for slug in every if slug.partition("_")[0].lstrip("0") == text.lstrip("0")]
            what = "has no variants" if text in every or numbers else "is no exercise"
            raise BadClass(f"Exercise {text!r} {what}; there are variants of {', '.join(there)}.")
        found += [slug for slug in known if slug not in found]
    return found


def draw(entries, slugs, seed):
    """{(entry, slug): number}: no two students get the same notebook of one exercise, as long as there are others."""
    given = {}
    for slug in slugs:
        texts = set()
        for entry in entries:
            for attempt in range(MOST_ATTEMPTS):
                number = variants.draw_number(seed, entry.key, slug, attempt)
                text = json.dumps(variants.make(slug, number).notebook["cells"])
                if text not in texts:
                    break
            texts.add(text)
            given[entry, slug] = number
    return given


def prove_all(given, jobs):
    """{(slug, number): what was proved}; raises BadClass with the first that is not."""
    wanted = sorted({(slug, number) for (_, slug), number in given.items()})
    found = {}
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        slugs, numbers = zip(*wanted, strict=True)
        every = tqdm(pool.map(proved, slugs, numbers, chunksize=4), "proving", total=len(wanted))
        for slug, number, proof in every:
            if isinstance(proof, str):
                pool.shutdown(cancel_futures=True)
                raise BadClass(f"Nothing was handed out, because a variant is not proved: {proof}")
            found[slug, number] = proof
    return found


def write(out, roster, entries, given, proofs, slugs, seed):
    """Write the class into a folder."""
    teacher = out / "teacher"
    teacher.mkdir(parents=True, exist_ok=True)
    key_file = teacher / "key"
    if not key_file.exists():
        with open(os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32))
    key, rows = bytes.fromhex(key_file.read_text().strip()), []
    shutil.rmtree(out / "students", ignore_errors=True)  # of an earlier run: main has looked
    for number, entry in enumerate(entries, 1):
        folder = out / "students" / folder_of(number, entry)
        folder.mkdir(parents=True)
        for slug in slugs:
            which = given[entry, slug]
            id = variants.signed(key, slug, which, entry.key)
            notebook = variants.make(slug, which, id).notebook
            (folder / f"{slug}.ipynb").write_text(json.dumps(notebook, indent=1, ensure_ascii=False) + "\n", "utf-8")
            proof = proofs[slug, which]
            about = [
                entry.name,
                entry.key,
                slug,
                which,
                proof["bug"],
                len(proof["broken"]),
                f"{folder.name}/{slug}.ipynb",
            ]
            rows.append(dict(zip(COLUMNS, about, strict=True)))
    if roster.resolve() != (teacher / "roster.csv").resolve():
        shutil.copy(roster, teacher / "roster.csv")
    replace(teacher / "variants.csv", as_csv(COLUMNS, rows))
    digests = {f"{slug} {number}": variants.digest(variants.make(slug, number)) for slug, number in sorted(proofs)}
    about = {"seed": seed, "exercises": slugs, "version": variants.version(), "variants": digests}
    replace(teacher / "class.json", json.dumps(about, indent=1).encode())


def folder_of(number, entry):
    """A file's name for a student: what a name may hold, a file's may not. The grader reads the name of the file."""
    safe = "".join(c if c.isalnum() or c in " -" else "_" for c in entry.name)[:60].strip()
    return f"{number:03d} {safe}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "roster", type=Path, help="a CSV file with a column name, and id or email where names are alike"
    )
    parser.add_argument("--exercises", nargs="+", default=[], metavar="N", help="numbers or names (default: all)")
    parser.add_argument("--seed", default="1", help="a whole number; another one makes another class (default: 1)")
    parser.add_argument("--out", type=Path, default=Path("class"), help="default: class")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="default: one per core")
    arguments = parser.parse_args()
    start = time.monotonic()
    try:
        if not re.fullmatch(r"[+-]?\d{1,18}", arguments.seed):
            got = repr(arguments.seed[:40])
            raise BadClass(f"The seed must be a whole number of at most 18 digits, such as 7; got {got}.")
        if arguments.out.exists() and not arguments.out.is_dir():
            raise BadClass(f"{arguments.out} is a file; expected a folder, or none yet.")
        if (arguments.out / "students").exists() and not (arguments.out / "teacher" / "class.json").exists():
            raise BadClass(
                f"{arguments.out / 'students'} is there already, and was not made here; name another folder."
            )
        seed, slugs, entries = int(arguments.seed), slugs_of(arguments.exercises), read_roster(arguments.roster)
        given = draw(entries, slugs, seed)
        proofs = prove_all(given, max(1, arguments.jobs))
        write(arguments.out, arguments.roster, entries, given, proofs, slugs, seed)
    except (BadClass, BadRoster) as reason:
        parser.exit(2, f"{reason}\n")
    print(
        f"{len(given)} notebooks for {len(entries)} students, {len(proofs)} variants made and proved in "
        f"{time.monotonic() - start:.0f} s. Give out {arguments.out / 'students'}; keep {arguments.out / 'teacher'}, "
        "whose key signs the notebooks."
    )


if __name__ == "__main__":
    main()
