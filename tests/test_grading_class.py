"""A class as learning platforms give it out and take it back: names, rosters, zips, scores, the teacher's page."""

import csv
import io
import re
import sys
import warnings
import zipfile
from pathlib import Path

import pytest
from exercise_notebooks import ROOT, SLUGS

sys.path.insert(0, str(ROOT / "grading"))
import exports
import misconceptions
import report
import results
import submissions
import unpack
from roster import BadRoster, Entry, Roster, label_of, read_roster

CANVAS_EXPORT = """Student,ID,SIS User ID,SIS Login ID,Section,Loss (77)
    Points Possible,,,,,6
"García, Ana",101,s-1,ana,A,
"O'Neil, Ben",102,s-2,ben,A,
"Student, Test",999,,,A,
"""
MOODLE_WORKSHEET = """Identifier,Full name,Email address,Status,Grade,Maximum Grade,Grade can be changed,\
Last modified (submission),Last modified (grade),Feedback comments
Participant 11,Ana García,ana@x.org,Submitted,,6,Yes,-,-,
Participant 12,Ben O'Neil,ben@x.org,,,6,Yes,-,-,
"""


def written(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "names.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode(encoding))
    return path


def result(score=1, **more):
    parts = {"predict": [score, "Not B. This holds here"], "expose": [0, "nothing was answered."], "fix": [1, "Right."]}
    return {"exercise": SLUGS[0], "parts": parts, "status": "graded", "seconds": 2.0} | more


# --- the roster ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_encodings_and_separators_are_found(tmp_path, encoding, separator):
    text = "\r\n".join(separator.join(row) for row in [["Name", "ID"], ["Zoë Müller", "7"], ["", ""], ["Bo", "8"]])
    assert read_roster(written(tmp_path, text, encoding)) == [Entry("Zoë Müller", "7"), Entry("Bo", "8")]


def test_a_platforms_own_export_is_a_roster(tmp_path):
    ana, ben = read_roster(written(tmp_path, CANVAS_EXPORT))
    assert (ana.name, ana.id, ana.sis, ana.login, ana.section) == ("García, Ana", "101", "s-1", "ana", "A") and ben.id
    ana, _ = read_roster(written(tmp_path, MOODLE_WORKSHEET))
    assert (ana.name, ana.id, ana.email) == ("Ana García", "Participant 11", "ana@x.org")
    (ana,) = read_roster(written(tmp_path, "First Name,Last Name,SID\nAna,García,5"))
    assert (ana.name, ana.id, ana.first, ana.last) == ("Ana García", "5", "Ana", "García")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is empty; expected a line of column names and a line a student"),
        ("name\n", "names no student below its first line, 'name'"),
        ("Ana\nBen\n", "must name its columns, one of them name (or first name and last name); got 'Ana'"),
        ("name\nAna\nana \n", "has 'ana' twice, for 'Ana' and 'ana'. Give a column id or email to tell them apart."),
        ("name,id\nAna,7\nBen,7\n", "has '7' twice, for 'Ana' and 'Ben'."),
        ("name,id\n,7\n", "Line 2 of the roster"),
        ("name\n" + "x" * 200, "has a name of 200 characters, 'xxxxxxxxxxxxxxxxxxxx'…; at most 100 are allowed."),
        ("name\nA\x1b[2Jna\n", "has a name with characters that cannot be printed: 'A\\x1b[2Jna'"),
        (b"name\n\x81\x8d\n", "is no text in UTF-8, UTF-16 or Windows-1252; save it as CSV in UTF-8."),
        (b"PK\x03\x04\0\0name", "is no text in"),
        (b"\0\0\0", "is no text in"),
        ("name\n" + "x" * 200_000, "cannot be read as CSV: field larger than field limit (131072)."),
    ],
)
def test_a_bad_roster_gets_one_sentence(tmp_path, text, said):
    with pytest.raises(BadRoster) as error:
        read_roster(written(tmp_path, text))
    assert said in str(error.value) and str(error.value).endswith(".") and "\n" not in str(error.value)


def test_no_roster_gets_one_sentence(tmp_path):
    with pytest.raises(BadRoster, match=r"names\.csv cannot be read: No such file or directory\.$"):
        read_roster(tmp_path / "names.csv")


# --- whose is it? --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("garciaana_101_5550_01_one_number.ipynb", ("garciaana", "101")),
        ("garciaana_LATE_101_5550_01_one_number-2.ipynb", ("garciaana", "101")),
        ("Ana García_11_assignsubmission_file", ("Ana García", "11")),
        ("Ana García_11_assignsubmission_file_01_one_number.ipynb", ("Ana García", "11")),
        ("ana.ipynb", ("ana", "")),
        ("01_one_number.ipynb", ("01_one_number", "")),
    ],
)
def test_names_of_platforms_are_read(name, label):
    assert label_of(name) == label


def test_whose_it_is(tmp_path):
    roster = Roster(read_roster(written(tmp_path, CANVAS_EXPORT)))
    ana, ben = roster.entries
    for label in [
        ("garciaana", "101"),
        ("x", "101"),
        ("Ana García", ""),
        ("García, Ana", ""),
        ("ANA", ""),
        ("s-1", ""),
    ]:
        assert roster.find(*label) is ana, label
    assert roster.find("Ben O'Neil") is ben and roster.find("oneilben") is ben
    assert roster.find("an") is roster.find("") is roster.find("", "103") is None
    assert Roster([Entry("Al", "1"), Entry("Al", "2")]).find("Al") is None  # two of them: nobody is guessed
    worksheet = Roster(read_roster(written(tmp_path, MOODLE_WORKSHEET)))
    assert worksheet.find("somebody", "12").name == "Ben O'Neil"


def test_two_files_of_one_student_are_one_students(tmp_path):
    names = ["garciaana_101_5550_01_one_number.ipynb", "garciaana_101_5551_02_idle_alpha.ipynb", "eve_9_1_x.ipynb"]
    found = [(name, Path(name)) for name in names]
    students, _, _ = submissions.named(found)
    assert [student for student, _ in students] == ["garciaana (101)", "garciaana (101)", "eve (9)"]
    roster = Roster(read_roster(written(tmp_path, CANVAS_EXPORT)))
    students, entries, unknown = submissions.named(found, roster)
    assert [student for student, _ in students] == ["García, Ana", "García, Ana", "eve (9)"]
    assert unknown == ["eve (9)"] and list(entries) == ["García, Ana", "O'Neil, Ben"]


# --- zips ----------------------------------------------------------------------------------------------------------


def zipped(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, content in files:
            archive.writestr(name, content)
    return path


def test_a_zip_is_taken_for_its_notebooks_and_writes_nowhere_else(tmp_path):
    evil = ["../../evil.ipynb", "/etc/evil.ipynb", "C:\\x\\evil.ipynb", "a/b/évil.ipynb", "x" * 300 + ".ipynb", "a.py"]
    skipped = ["__MACOSX/._a.ipynb", "._b.ipynb", "evil.ipynb/"]
    path = zipped(tmp_path / "z.zip", [(name, "{}") for name in evil + skipped])
    written = unpack.unpack(path, tmp_path / "in" / "deep")
    assert len(written) == 5 and all(p.parent == tmp_path / "in" / "deep" for p in written)
    assert sorted(p for p in tmp_path.rglob("*") if p.is_file()) == sorted([path, *written])


def test_a_zip_that_lies_or_explodes_costs_nothing_but_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack, "MOST_IN_ALL", 1 << 20)
    monkeypatch.setattr(unpack, "MOST_ENTRIES", 50)
    bomb = zipped(tmp_path / "bomb.zip", [(f"{k}.ipynb", bytes(1 << 19)) for k in range(9)])
    many = zipped(tmp_path / "many.zip", [(f"{k}.py", "") for k in range(60)])
    damaged = bytearray(zipped(tmp_path / "d.zip", [("a.ipynb", "x" * 999)]).read_bytes())
    damaged[45] ^= 255
    (tmp_path / "d.zip").write_bytes(damaged)
    (tmp_path / "text.zip").write_text("no zip")
    for path, why in [
        (bomb, "more than"),
        (many, "60 entries"),
        (tmp_path / "d.zip", "no zip that can be read"),
        (tmp_path / "text.zip", "no zip that can be read (BadZipFile)"),
        (zipped(tmp_path / "none.zip", [("a.txt", "")]), "holds no notebook"),
    ]:
        with pytest.raises(unpack.CannotUnpack, match=re.escape(why)):
            unpack.unpack(path, tmp_path / path.stem)


def test_a_platforms_zip_of_the_class_becomes_a_folder_of_students(tmp_path):
    inner = io.BytesIO()
    zipped(inner, [("02.ipynb", "{}")])
    files = [
        ("ana_1_2_01.ipynb", "{}"),
        ("Bo_3_assignsubmission_file/01.ipynb", "{}"),
        ("eve_9_9_h.zip", inner.getvalue()),
    ]
    path = zipped(tmp_path / "all.zip", files)
    unpack.unpack(path, tmp_path / "all", by_student=True)
    found, failed = submissions.unpacked(submissions.find(tmp_path / "all"), tmp_path / "inner")
    students, _, _ = submissions.named(found)
    assert failed == {} and sorted(s for s, _ in students) == ["Bo (3)", "ana (1)", "eve (9)"]
    (tmp_path / "all" / "bad.zip").write_text("no zip")
    found, failed = submissions.unpacked(submissions.find(tmp_path / "all"), tmp_path / "inner")
    assert len(found) == 4 and "no zip that can be read" in failed[tmp_path / "all" / "bad.zip"]


# --- scores that can be compared, and the way back to the platform --------------------------------------------------


@pytest.fixture
def reported(tmp_path):
    roster = Roster(read_roster(written(tmp_path, CANVAS_EXPORT)))
    found = [("García, Ana", Path("a.ipynb"), result()), ("eve (9)", Path("e.ipynb"), result(0))]
    entries = {entry.name: entry for entry in roster.entries}
    told = report.write_report(found, tmp_path, 1, SLUGS[:2], entries, ["eve (9)"], "Loss (77)")
    return tmp_path, told


def rows_of(path):
    return list(csv.DictReader(path.read_text("utf-8").splitlines()))


def test_missing_students_are_listed_and_all_scores_are_of_the_same(reported):
    folder, told = reported
    rows = {row["student"]: row for row in rows_of(folder / "grades.csv")}
    assert {name: (row["score"], row["of"]) for name, row in rows.items()} == {
        "García, Ana": ("2", "6"),
        "O'Neil, Ben": ("0", "6"),
        "eve (9)": ("1", "6"),
    }
    assert rows["O'Neil, Ben"]["status"] == "nothing handed in" and "nobody of this name" in rows["eve (9)"]["feedback"]
    assert "Not in the roster, and in no file for a platform: 'eve (9)'." in told
    assert list(rows["eve (9)"])[-6:] == [f"{slug} {part}" for slug in SLUGS[:2] for part in results.PARTS]


def test_with_a_roster_alone_what_anybody_handed_in_was_set(tmp_path):
    found = [("a", Path("a"), result()), ("b", Path("b"), result(exercise=SLUGS[3]))]
    report.write_report(found, tmp_path, 1, (), {"a": Entry("a"), "b": Entry("b"), "c": Entry("c")})
    assert {row["of"] for row in rows_of(tmp_path / "grades.csv")} == {"6"}


def test_a_stranger_sets_nothing(tmp_path):
    found = [("a", Path("a"), result()), ("eve", Path("e"), result(exercise=SLUGS[3]))]
    report.write_report(found, tmp_path, 1, (), {"a": Entry("a")}, ["eve"])
    assert {row["student"]: row["of"] for row in rows_of(tmp_path / "grades.csv")}["a"] == "3"


def test_a_stranger_is_not_counted_on_the_teachers_page(reported):
    folder, _ = reported
    text = (folder / "class.html").read_text()
    assert "2 students, 1 with at least one graded notebook" in text
    assert "1 more, not on the roster, handed in: they stand at the end" in text
    everybody, strangers = text.split("Everybody, lowest scores first")[1].split("Not on the roster</h2>")
    assert "Ana" in everybody and "Ben" in everybody and "eve (9)" not in everybody and "eve (9)" in strangers
    by_exercise = text.split("By exercise and part")[1].split("<h2>")[0]
    assert '<td class="n">1</td><td>1 <span' in by_exercise, "handed in by one, who predicted right"


def test_places_are_in_the_order_of_the_book(tmp_path):
    found = [(slug, Path(slug), result(exercise=slug)) for slug in (SLUGS[11], SLUGS[8], SLUGS[0])]
    report.write_report(found, tmp_path, 1)
    text = (tmp_path / "class.html").read_text()
    assert "<td>1 expose, 9 expose, 12 expose</td>" in text


def test_canvas_takes_its_own_columns_back(reported):
    folder, _ = reported
    theirs, ours = (
        list(csv.reader(CANVAS_EXPORT.splitlines())),
        list(csv.reader((folder / "canvas.csv").read_text().splitlines())),
    )
    assert ours[0] == theirs[0] and ours[1] == theirs[1]  # the same columns and the row of the points possible
    assert [row[:5] for row in ours[2:]] == [row[:5] for row in theirs[2:4]] and [row[5] for row in ours[2:]] == [
        "2",
        "0",
    ]
    assert read_roster(folder / "canvas.csv") == read_roster(folder / "names.csv")


def test_moodle_takes_its_worksheet_back(tmp_path):
    roster = Roster(read_roster(written(tmp_path, MOODLE_WORKSHEET)))
    entries = {entry.name: entry for entry in roster.entries}
    report.write_report([("Ana García", Path("a"), result())], tmp_path, 1, SLUGS[:2], entries)
    theirs, ours = rows_of(tmp_path / "names.csv"), rows_of(tmp_path / "moodle.csv")
    assert list(ours[0]) == list(theirs[0])
    same = ("Identifier", "Full name", "Email address", "Maximum Grade", "Grade can be changed")
    assert [[row[c] for c in same] for row in ours] == [[row[c] for c in same] for row in theirs]
    assert [row["Grade"] for row in ours] == ["2", "0"] and all(row["Feedback comments"] for row in ours)
    assert read_roster(tmp_path / "moodle.csv") == roster.entries


def test_gradescopes_columns(reported):
    folder, _ = reported
    ana, ben = rows_of(folder / "gradescope.csv")
    assert list(ana) == exports.GRADESCOPE
    assert (ana["First Name"], ana["Last Name"], ana["SID"], ana["Total Score"]) == ("Ana", "García", "101", "2")
    assert (ana["Max Points"], ana["Status"], ben["Status"]) == ("6", "Graded", "Missing")
    assert [e.id for e in read_roster(folder / "gradescope.csv")] == ["101", "102"]


# --- the class at a glance -----------------------------------------------------------------------------------------


def test_the_teachers_page_counts_and_escapes(tmp_path):
    evil = "<script>x</script>"
    same = {"answers": {"fix": "x = 1  # mine", "expose": {"logits": [[evil]]}}}
    other = {"answers": {"fix": "x  =  1", "expose": {"logits": [[evil]]}}}
    found = [(evil, Path("a"), result(**same)), ("bo", Path("b"), result(0, **other))]
    found += [("cy", Path(evil), result(status=f"could not grade: {evil}", exercise=None, parts={}))]
    report.write_report(found, tmp_path, 1)
    text = (tmp_path / "class.html").read_text()
    assert "<script" not in text and "&lt;script&gt;" in text and not re.search(r"<link|src=|url\(|https?:", text)
    assert "3 students, 2 with at least one graded notebook" in text and "3.0" not in re.findall(r"took (\S+)", text)
    assert re.search(r"Nothing was answered</b></td><td class=\"n\">2</td><td>1 expose", text)
    assert "Alike" in text and "no proof" in text and "bo" in text.split("Alike")[1]
    assert "could not grade" in text.split("Not graded, and why")[1]


@pytest.fixture(scope="module")
def exercise():
    import grade

    return grade.the_exercise(SLUGS[0]).exercise


@pytest.mark.parametrize(
    ("part", "answer", "kind"),
    [
        ("predict", "AB", "Thought to break: At gamma = 0, focal loss is cross-entropy."),
        ("predict", "A", "Not all that breaks was seen"),
        ("predict", "none", "Guilty code taken for innocent"),
        ("expose", {"logits": [[1.0, 0.0]], "labels": [0]}, "Evidence with one example only"),
        ("expose", {"logits": [[1.0, 0.0]], "labels": [7]}, "Evidence that no right loss takes"),
        ("expose", "none", "Guilty code taken for innocent"),
        ("fix", lambda logits, labels: 0 * logits.sum(), None),
    ],
)
def test_what_the_check_says_has_a_name(exercise, part, answer, kind):
    feedback = getattr(exercise, f"check_{part}")(answer)
    named = misconceptions.kind_of(part, feedback.text)
    assert not feedback.ok and named.say and (named.name == kind if kind else named.name != "Something else"), named


def test_a_bug_that_was_made_is_named_with_what_to_say(exercise):
    import torch.nn.functional as F

    def easy_side(logits, labels, gamma=2.0, reduction="mean"):
        nll = F.cross_entropy(logits, labels, reduction="none")
        loss = (-nll).exp() ** gamma * nll
        return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]

    kind = misconceptions.kind_of("fix", exercise.check_fix(easy_side).text)
    assert kind.name.startswith("p_t where 1 - p_t was meant") and "(1 - p_t) ** gamma" in kind.say


def test_a_students_number_is_never_taken_for_moodles(tmp_path):
    report.write_report([("Al", Path("a"), result())], tmp_path, 1, SLUGS[:1], {"Al": Entry("Al", "11", "al@x.org")})
    (row,) = rows_of(tmp_path / "moodle.csv")
    assert (row["Identifier"], row["Email address"], row["Grade"]) == ("", "al@x.org", "2")
