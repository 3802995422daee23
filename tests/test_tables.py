"""Printed tables that the site makes real ones of: which text is one, and that no number changes on the way."""

import re

import pytest
from bs4 import BeautifulSoup
from tables import parts

GRID = """10 seeds
metric          accuracy  macro_f1
loss
nll                 0.83      0.68
focal with alpha    0.71      0.55
"""
MATRIX = "alpha  0.25  0.50\ngamma\n0.0    0.38  0.40\n2.0    0.27  0.28\n"
DIFFERENCES = """--- 100 epochs
one minus other, pr_auc:
    fixed +0.109 [+0.104, +0.114],  resampled -0.070 [-0.076, +0.064]
    not below: fixed 3%
"""


def rows(table):
    lines = BeautifulSoup(f"<table>{table}</table>", "html.parser").select("tr")
    return [[cell.get_text() for cell in line.select("th, td")] for line in lines]


def test_names_above_columns_are_a_table_with_its_title():
    ((kind, caption, table),) = parts(GRID)
    assert (kind, caption) == ("table", "10 seeds")
    assert rows(table) == [
        ["loss", "accuracy", "macro F1"],
        ["NLL", "0.83", "0.68"],
        ["focal with alpha", "0.71", "0.55"],
    ]


def test_numbers_may_be_the_names_where_pandas_names_the_rows():
    ((_, _, table),) = parts(MATRIX)
    assert rows(table)[0] == ["gamma ↓ alpha →", "0.25", "0.50"] and rows(table)[1] == ["0.0", "0.38", "0.40"]


def test_intervals_are_drawn_beside_zero():
    ((_, caption, table),) = parts(DIFFERENCES)
    assert caption == "100 epochs"
    heading, fixed, resampled, note = rows(table)[1:]
    assert heading == ["one minus other, PR-AUC"] and note == ["not below: fixed 3%"]
    assert fixed[:3] == ["fixed", "+0.109", "+0.104 to +0.114"]
    assert resampled[:3] == ["resampled", "−0.070", "−0.076 to +0.064"]
    apart = [circle.get("class") for circle in BeautifulSoup(table, "html.parser").select("circle")]
    assert apart == [["apart"], None]  # full where the interval excludes zero
    places = [float(x) for x in re.findall(r'cx="([\d.]+)"', table)]
    assert places[0] > 75 > places[1]


def test_rows_may_be_named_by_nothing():
    ((_, _, table),) = parts("           brier  churn\nfocal          1      2\nmirror         0      3\n")
    assert rows(table) == [["", "Brier score", "churn"], ["focal", "1", "2"], ["mirror", "0", "3"]]


def test_a_dash_stands_where_there_is_no_number():
    ((_, _, table),) = parts(
        "check     of 47 bugs  of 14 losses\ndiagnose          47            13\nlinter             0  –\n"
    )
    assert rows(table)[2] == ["linter", "0", "–"]


def test_names_that_every_line_repeats_stand_above_their_column():
    text = "γ = 0    easy:  25%   hard:  50%\nγ = 0.5  easy:  37%   hard:  58%\nγ = 1    easy:  48%   hard:  64%\n"
    ((kind, _, table), rest) = parts(text + "and so on")
    assert kind == "table" and rest == ("text", ["and so on"])
    assert rows(table)[:2] == [["", "easy", "hard"], ["γ = 0", "25%", "50%"]] and len(rows(table)) == 4
    assert parts(text.replace("easy:  37%", "else:  37%"))[0][0] == "text"


def test_marks_stand_below_their_number():
    text = "versions 1 2\n         ✓ ✗ It is right.\n         · ✓ It is quick.\nand so on"
    ((_, _, table), rest) = parts(text)
    assert rows(table) == [["versions", "1", "2"], ["It is right.", "✓", "✗"], ["It is quick.", "·", "✓"]]
    assert rest == ("text", ["and so on"])
    assert parts(text.replace("✗", "no"))[0][0] == "text"


def test_two_intervals_a_line_are_two_groups():
    one = "    one   -0.1 [-0.2, -0.1]   +0.3 [+0.2, +0.4]"
    two = "    two   +0.1 [+0.1, +0.2]   -0.3 [-0.4, -0.2]"
    text = f"--- late: gap; Brier\n{one}\n{two}\n"
    ((_, caption, table),) = parts(text)
    assert caption == "late"
    assert [row[:2] for row in rows(table)[1:]] == [
        ["gap"],
        ["one", "−0.1"],
        ["two", "+0.1"],
        ["Brier"],
        ["one", "+0.3"],
        ["two", "−0.3"],
    ]


@pytest.mark.parametrize(
    "text",
    [
        "accuracy           0.94\nrecall             0.79\n",  # two columns: a list
        "p_t = 0.100: focal loss is 0.81 times cross-entropy\np_t = 0.300: focal loss is 0.49 times\n",
        "versions 1 2\n         ✓ ✓ The mean of a batch is the mean of its examples.\n",
    ],
)
def test_other_text_stays_as_it_is(text):
    assert parts(text) == [("text", text.rstrip("\n").split("\n"))]


@pytest.mark.parametrize("name, long", [("focal minus CE", False), ("focal with alpha minus weighted nll", True)])
def test_rows_with_long_names_have_a_layout_of_their_own_on_a_phone(name, long):
    ((_, _, table),) = parts(f"{name} +0.109 [+0.104, +0.114]\n")
    assert ("<tbody class=long>" in table) == long
