"""Variants: each proved, none the other's solution, signed for one student, graded as any exercise is."""

import json
import random
import re
import sys

import nbformat
import pytest
from exercise_notebooks import ROOT, SLUGS

sys.path.insert(0, str(ROOT / "grading"))
import boxes
import classroom
import grade
import prove
import rewrite
import submissions
import variants
from roster import Entry
from test_leaks import leaks_in

from focal_lib.bugs import CATALOGUE, LOOKALIKES

KEY = b"of the tests"
WITH = variants.with_variants()
SOME = range(0, 8000, 1000)  # eight numbers


def text_of(variant):
    return "\n".join("".join(cell["source"]) for cell in variant.notebook["cells"])


def test_ten_exercises_have_variants():
    assert len(WITH) >= 10 and set(WITH) <= set(SLUGS)


@pytest.mark.parametrize("slug", WITH)
def test_eight_variants_are_different_and_proved_and_as_hard_as_each_other(slug):
    made = [variants.make(slug, number) for number in SOME]
    assert len({text_of(one) for one in made}) == len(made) >= 8
    assert len({one.fault["code"] for one in made}) >= 2  # the bug is another, or is written otherwise
    hard = [len(prove.prove(one)["broken"]) for one in made]
    assert max(hard) - min(hard) <= 1


@pytest.mark.parametrize("slug", WITH)
def test_every_fault_of_a_recipe_is_proved_and_as_hard_as_its_siblings(slug):
    hard = {}
    for fault in variants.recipe(slug)["faults"]:
        one = next(one for number in range(1000) if (one := variants.make(slug, number)).fault["code"] == fault["code"])
        proof = prove.prove(one)
        assert proof["bug"] == fault["bug"]
        hard[fault["code"]] = len(proof["broken"])
    assert max(hard.values()) - min(hard.values()) <= 1, hard


@pytest.mark.parametrize("slug", WITH)
def test_the_bugs_of_a_recipe_hang_in_one_room(slug):
    bugs = {fault["bug"] for fault in variants.recipe(slug)["faults"]}
    rooms = {CATALOGUE[bug].room if bug in CATALOGUE else bug in LOOKALIKES for bug in bugs}
    assert len(rooms) == 1, rooms  # or all are innocent; or none is in the museum


@pytest.mark.parametrize("slug", WITH)
def test_what_a_recipe_says_instead_replaces_something(slug):
    text = "\n".join("".join(cell["source"]) for cell in variants.edition(slug)["cells"])
    wanted = [old for fault in variants.recipe(slug)["faults"] for old, _ in fault.get("instead", [])]
    assert [old for old in wanted if old not in text] == []


def test_each_bug_is_drawn_as_often_as_the_others():
    """However many spellings it has."""
    drawn = [variants.make(WITH[0], number).fault["bug"] for number in range(200)]
    assert all(60 < drawn.count(bug) < 140 for bug in set(drawn)) and len(set(drawn)) == 2


@pytest.mark.parametrize("slug", WITH)
def test_no_variant_holds_the_solution_of_another_nor_the_masters(slug, tmp_path):
    made = [variants.make(slug, number) for number in SOME]
    for one in made:
        path = tmp_path / f"{slug}.ipynb"
        path.write_text(json.dumps(one.notebook))
        assert list(leaks_in(path)) == []
        text = prove.squeezed("\n".join(line[1:] if line[:1] in "+-" else line for line in text_of(one).splitlines()))
        for other in made:
            fix = prove.squeezed(other.solution["fix"])
            assert fix not in text and (fix.partition(":")[2] or fix) not in text, "the solution of a sibling"


def test_the_guide_says_how_much_differs():
    """The bug itself is drawn in every exercise; teachers should know from how many, and that rooms are shared."""
    bugs = {slug[:2].lstrip("0"): {fault["bug"] for fault in variants.recipe(slug)["faults"]} for slug in WITH}
    assert sorted(number for number in bugs if len(bugs[number]) != 2) == ["12", "6"]
    assert len(bugs["12"]) == len(bugs["6"]) == 3 and bugs["6"] <= set(LOOKALIKES)
    assert [number for number in bugs if not bugs[number] <= set(CATALOGUE) | set(LOOKALIKES)] == ["13"]
    assert bugs["2"] == bugs["7"]
    text = " ".join((ROOT / "book" / "teaching.md").read_text("utf-8").split())
    assert "one of two bugs of the same room of the {doc}`museum" in text and "in 12 one of three" in text
    assert "innocent in three ways in 6" in text and "in 13 the two bugs hang in no room" in text
    assert "Exercises 2 and 7 draw from the same two" in text


def test_a_planted_solution_is_found():
    one = variants.make(WITH[0], 1)
    for piece in (one.solution["fix"], one.solution["fix"].splitlines()[1], one.solution["expose"]):
        cells = [*one.notebook["cells"], {"cell_type": "markdown", "source": f"```diff\n+{piece}\n```"}]
        with pytest.raises(prove.NotProved, match="holds a piece of its solution"):
            prove.no_leak(one._replace(notebook={"cells": cells}), "it")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda one: {"fault": one.fault | {"bug": "n_by_n"}},
            "intended was 'n_by_n'",
        ),
        (lambda one: {"fault": one.fault | {"breaks": ["is_stateless"]}}, "of its options; intended was"),
        (lambda one: {"solution": one.solution | {"predict": "none"}}, "the solution of predict fails"),
        (lambda one: {"solution": one.solution | {"expose": '{"logits": [[1.0]], "labels": [0]}'}}, "of expose fails"),
        (lambda one: {"notebook": with_code(one, one.solution["fix"])}, "fix passes as it is given out"),
        (lambda one: {"notebook": with_code(one, "fixed_loss = 1 / 0")}, "raises ZeroDivisionError"),
    ],
)
def test_what_is_not_so_is_not_proved(change, said):
    one = variants.make(WITH[0], 1)
    with pytest.raises(prove.NotProved, match=re.escape(said)):
        prove.prove(one._replace(**change(one)))


def with_code(one, fix):
    cells = [c | {"source": fix} if "def fixed_loss" in "".join(c["source"]) else c for c in one.notebook["cells"]]
    return one.notebook | {"cells": cells}


def test_an_edit_in_place_is_noticed_in_a_variant():
    one = variants.make(WITH[0], 1)
    name = re.search(r"\bExercise\(\s*\S+\s*(\w+)", text_of(one))[1]
    fixed = one.solution["fix"].replace("fixed_loss", name)
    cells = [c | {"source": fixed} if f"def {name}" in "".join(c["source"]) else c for c in one.notebook["cells"]]
    sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    variables = prove.run([s for s in sources if "assert" not in s], "it")
    assert variables["exercise"].edited and "edited in place" in variables["exercise"].check_predict("A").text


def test_variants_are_notebooks_without_outputs():
    for slug in WITH:
        notebook = nbformat.from_dict(variants.make(slug, 3).notebook)
        nbformat.validate(notebook)
        assert not any(cell.get("outputs") for cell in notebook.cells)
        assert "colab.research.google.com" not in str(notebook) and "**Next:**" not in str(notebook)


def test_rewriting_is_by_the_draw_alone_and_keeps_words_that_are_no_names():
    body = "    nll = f(logits)\n    b = g()\n    return b * nll * 2"
    source = f"def team_loss(logits, labels, alpha=None, gamma=2.0):\n{body}"
    names = {"team_loss": "x", "nll": "ce"}
    many = {rewrite.rewritten(source, names, random.Random(k)) for k in range(20)}
    assert rewrite.rewritten(source, names, random.Random(1)) == rewrite.rewritten(source, names, random.Random(1))
    assert len(many) > 5 and all(text.startswith("def x(logits, labels, ") and "nll" not in text for text in many)
    assert rewrite.renamed('nll.nll(nll=nll, x="nll") == nll', {"nll": "ce"}) == 'ce.nll(nll=ce, x="ce") == ce'


# --- the signed id -------------------------------------------------------------------------------------------------


def test_an_id_belongs_to_one_student_and_one_variant():
    id = variants.signed(KEY, WITH[0], 42, "Ana")
    slug, number, _ = variants.read_id(id)
    assert (slug, number) == (WITH[0], 42) and submissions.exercise_of(id, "ana", KEY) == (WITH[0], 42)
    moved = [
        (id, "Ben", KEY),
        (id, None, KEY),
        (id, "Ana", b"another key"),
        (id[:-1] + ("0" if id[-1] != "0" else "1"), "Ana", KEY),
    ]
    moved += [(id.replace("000042", "000043"), "Ana", KEY), (id.replace(WITH[0], WITH[1]), "Ana", KEY)]
    for text, student, key in moved:
        with pytest.raises(submissions.CannotGrade, match="given to somebody else, or was changed"):
            submissions.exercise_of(text, student, key)
    with pytest.raises(submissions.CannotGrade, match="the exercise of the book, not the variant"):
        submissions.exercise_of(WITH[0], "Ana", KEY)
    with pytest.raises(submissions.CannotGrade, match="a variant made for one student"):
        submissions.exercise_of(id, "Ana", None)
    assert submissions.exercise_of(WITH[0], None, None) == (WITH[0], None)


# --- making a class ------------------------------------------------------------------------------------------------


def made(tmp_path, monkeypatch, text, *more, name="roster.csv"):
    (tmp_path / name).write_text(text, "utf-8")
    monkeypatch.setattr(sys, "argv", ["classroom", str(tmp_path / name), "--out", str(tmp_path / "class"), *more])
    classroom.main()
    return {p.relative_to(tmp_path): p.read_bytes() for p in (tmp_path / "class").rglob("*") if p.is_file()}


def test_a_class_is_made_again_byte_by_byte_and_graded(tmp_path, monkeypatch, capsys):
    names = "name\nAna García\nBen\n"
    first = made(tmp_path, monkeypatch, names, "--exercises", "1", "--seed", "7", "--jobs", "1")
    assert "2 notebooks for 2 students" in capsys.readouterr().out
    assert made(tmp_path, monkeypatch, names, "--exercises", "01_one_number", "--seed", "7", "--jobs", "1") == first
    roster, key, slugs = classroom.read(tmp_path / "class")
    assert slugs == WITH[:1] and len(key) == 32 and (tmp_path / "class" / "teacher" / "key").stat().st_mode & 0o77 == 0
    ana, ben = sorted((tmp_path / "class" / "students").rglob("*.ipynb"))
    assert ana.read_text() != ben.read_text() and roster.read_text("utf-8") == names
    slug, number, _ = variants.read_id(re.search(r'Exercise\(\s*"([\w-]+)"', "".join(all_sources(ana)))[1])
    notebook = json.loads(ana.read_text())
    solve(notebook, variants.make(slug, number).solution)
    ana.write_text(json.dumps(notebook))
    own = grade.grade(ana, 1, student="Ana García", key=key)
    assert own["exercise"] == WITH[0] and [score for score, _ in own["parts"].values()] == [1, 1, 1], own
    assert len(own["questions"]) == 3 and own["hint"] == {}
    assert "given to somebody else" in grade.grade(ana, 1, student="Ben", key=key)["status"]
    untouched = grade.grade(ben, 1, student="Ben", key=key)
    boxes.end_starter()
    assert [score for score, _ in untouched["parts"].values()] == [0, 0, 0] and untouched["hint"]


def all_sources(path):
    return ["".join(cell["source"]) + "\n" for cell in json.loads(path.read_text())["cells"]]


def solve(notebook, solution):
    for cell in notebook["cells"]:
        source = "".join(cell["source"])
        if source.startswith("prediction ="):
            cell["source"] = f'prediction = "{solution["predict"]}"'
        elif source.startswith("evidence ="):
            cell["source"] = f"evidence = {solution['expose']}"
        elif re.match(r"def fixed_loss|class FixedLoss|fixed_loss =", source):
            cell["source"] = solution["fix"]


def test_a_latecomer_changes_nobody_elses_variant():
    class_of_two, more = [Entry("Ana"), Entry("Ben")], Entry("Cy")
    before, after = (classroom.draw(entries, WITH[:2], 7) for entries in (class_of_two, [*class_of_two, more]))
    assert all(after[key] == number for key, number in before.items())
    assert classroom.draw(class_of_two, WITH[:2], 8) != before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--seed", "seven"), "The seed must be a whole number of at most 18 digits, such as 7; got 'seven'."),
        (("--seed=--7",), "such as 7; got '--7'."),
        (("--seed", "7.5"), "such as 7; got '7.5'."),
        (("--seed", ""), "such as 7; got ''."),
        (("--seed", "9" * 5000), "such as 7; got '9999"),
        (("--exercises", "3"), "Exercise '3' has no variants; there are variants of 01_one_number, "),
        (("--exercises", "99"), "Exercise '99' is no exercise; there are variants of"),
        (("--out", __file__), "is a file; expected a folder, or none yet."),
    ],
)
def test_bad_input_gets_one_sentence(tmp_path, monkeypatch, capsys, options, said):
    with pytest.raises(SystemExit) as ended:
        made(tmp_path, monkeypatch, "name\nAna\n", *options)
    assert ended.value.code == 2 and said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name\nAna\nAna\n", "twice"),
        ("name;id\n;7\n", "has no name."),
        ("name\tid\n" + "x" * 200 + "\t7\n", "has a name of 200 characters"),
        ("", "is empty"),
        ("Ana\nBen\n", "must name its columns"),
    ],
    ids=["duplicate", "empty name", "200 characters", "empty file", "no columns"],
)
def test_a_bad_roster_writes_nothing(tmp_path, monkeypatch, capsys, text, said):
    with pytest.raises(SystemExit) as ended:
        made(tmp_path, monkeypatch, text)
    told = capsys.readouterr().err
    assert ended.value.code == 2 and said in told and told.count("\n") == 1 and not (tmp_path / "class").exists()


def test_a_class_of_another_version_of_the_book_is_not_graded(tmp_path, monkeypatch, capsys):
    """Its numbers would stand for other variants, and every answer would be wrong."""
    made(tmp_path, monkeypatch, "name\nAna\n", "--exercises", "1", "--jobs", "1")
    monkeypatch.setattr(variants, "version", lambda: "later, and alike")
    assert classroom.read(tmp_path / "class")[2] == WITH[:1]
    later = variants.recipe(WITH[0]) | {"stories": ["Another story."]}
    later["faults"] = [fault | {"stories": later["stories"]} for fault in later["faults"]]
    monkeypatch.setattr(variants, "recipe", lambda slug: later)
    with pytest.raises(classroom.BadClass, match=r"another version of the book, where variant \d+ of 01_"):
        classroom.read(tmp_path / "class")


def test_a_folder_that_is_no_class_is_told(tmp_path):
    with pytest.raises(classroom.BadClass, match=r"is no class that was made here; expected teacher/class\.json"):
        classroom.read(tmp_path)
