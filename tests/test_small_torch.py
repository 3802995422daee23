"""The page's torch against the real one: the same numbers, errors, verdicts and sentences."""

import base64
import json
import math
import os
import re
import subprocess
import sys

import hypothesis
import hypothesis.strategies as st
import numpy as np
import on_a_torch
import pytest
import torch
from agreement_table import PAGE, published, table
from exercise_notebooks import MASTERS, ROOT, STUDENTS, code_cells
from small_torch_calls import BINARY, CALLS, PRINTED, REDUCTIONS, STATEMENTS, UNARY

from book._ext.bench import EXAMPLE
from focal_lib import FocalLoss
from focal_lib.lab.data import inverse_frequency, load_example
from focal_lib.lab.training import train

BENCH = ROOT / "book" / "bench"
DTYPES = ["float64", "float32", "float16", "bfloat16"]
EXACT = {"float64": 1e-9, "float32": 2e-6, "float16": 4e-3, "bfloat16": 2e-2}
SETTINGS = hypothesis.settings(max_examples=25, deadline=None, derandomize=True, database=None)


@pytest.fixture(scope="module")
def small():
    """small(command, ...) -> the answer of the same program on the small torch."""
    folders = (BENCH, ROOT, ROOT / "tools", ROOT / "benchmarks")  # as in pyproject.toml, but for the torch in front
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    process = subprocess.Popen(
        [sys.executable, str(ROOT / "tests" / "on_a_torch.py")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )

    def ask(*question):
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, "the small torch's process has ended"
        return json.loads(line)

    yield ask
    process.stdin.close()
    process.wait()
    process.stdout.close()


def real(*question):
    return json.loads(json.dumps(on_a_torch.answer(question)))


def close(a, b, tolerance):
    """Whether two numbers, as text, are the same but for the last digits."""
    if a == b or "True" in (a, b) or "False" in (a, b):
        return a == b
    a, b = float(a), float(b)
    if not (math.isfinite(a) and math.isfinite(b)):
        return a == b or (a != a and b != b)
    return math.isclose(a, b, rel_tol=tolerance, abs_tol=tolerance)


def same(ours, theirs, tolerance):
    if isinstance(theirs, list):
        return isinstance(ours, list) and len(ours) == len(theirs) and all(map(same, ours, theirs, [tolerance] * 99))
    if isinstance(theirs, dict) and "values" in theirs:
        tolerance = max(tolerance, EXACT.get(theirs["dtype"].removeprefix("torch."), 0))
        return (ours["shape"], ours["dtype"]) == (theirs["shape"], theirs["dtype"]) and all(
            close(a, b, tolerance) for a, b in zip(ours["values"], theirs["values"], strict=True)
        )
    if isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[k], theirs[k], tolerance) for k in theirs)
    return ours == theirs or (isinstance(theirs, float) and close(str(ours), str(theirs), tolerance))


def agree(small, source, inputs, tolerance=1e-9):
    ours, theirs = small("call", source, inputs), real("call", source, inputs)
    assert same(ours, theirs, tolerance), f"{source}\n{inputs}\nsmall: {ours}\nreal:  {theirs}"


# ---- functions, one by one

NUMBERS = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, 50.0, -50.0, 1e4, -1e4, math.inf, -math.inf, math.nan, 1e-9, 0.1]),
    st.floats(-6, 6, width=32),
)
FLOATS = ("float64", "float32")
TAME = st.sampled_from([x / 4 for x in range(-12, 13)])
SHAPES = st.sampled_from([(), (1,), (3,), (2, 3), (3, 1), (1, 3), (2, 1, 3), (2, 2, 3)])


@st.composite
def tensors(draw, shapes=SHAPES, numbers=NUMBERS, dtypes=tuple(DTYPES), grad=True):
    shape, dtype = draw(shapes), draw(st.sampled_from(dtypes))
    flat = draw(st.lists(numbers, min_size=math.prod(shape), max_size=math.prod(shape)))
    if dtype == "bool":
        flat = [x > 0 for x in flat]
    elif dtype == "int64":
        flat = [int(x) if math.isfinite(x) else 0 for x in flat]
    for n in reversed(shape[1:]):
        flat = [flat[i : i + n] for i in range(0, len(flat), n)]
    return [flat if shape else flat[0], dtype, grad and dtype in DTYPES]


def worst(*inputs):
    return max(EXACT.get(dtype, 2e-6) for _, dtype, _ in inputs)


@pytest.mark.parametrize("name", UNARY)
def test_functions_of_one_tensor(small, name):
    @SETTINGS
    @hypothesis.given(tensors(dtypes=("float64", "float32", "int64")))
    def check(x):
        agree(small, f"result = torch.{name}(x)", {"x": x}, worst(x))

    check()


@pytest.mark.parametrize("name", BINARY)
def test_functions_of_two_tensors(small, name):
    @SETTINGS
    @hypothesis.given(
        tensors(dtypes=("float64", "float32", "int64"), numbers=TAME),
        tensors(dtypes=("float64", "float32"), numbers=TAME),
    )
    def check(x, y):
        agree(small, f"result = torch.{name}(x, y)", {"x": x, "y": y}, worst(x, y))

    check()


@pytest.mark.parametrize(
    "name", ["add", "sub", "mul", "div", "exp", "sigmoid", "sum", "softmax(-1)", "log_softmax(-1)"]
)
def test_half_precision_rounds_as_torch_does(small, name):
    @SETTINGS
    @hypothesis.given(tensors(dtypes=("float16", "bfloat16"), shapes=st.just((2, 3)), numbers=TAME))
    def check(x):
        call = (
            f"torch.{name}(x, x + 1)"
            if name in ("add", "sub", "mul", "div")
            else f"x.{name}"
            if "(" in name
            else f"x.{name}()"
        )
        agree(small, f"result = {call}", {"x": x}, worst(x))

    check()


@pytest.mark.parametrize("name", REDUCTIONS)
def test_reductions(small, name):
    @SETTINGS
    @hypothesis.given(
        tensors(
            shapes=st.sampled_from([(3,), (2, 3), (2, 2, 3)]),
            dtypes=("float64", "float32", "int64", "bool"),
            numbers=TAME,
        ),
        st.sampled_from(["", "dim=0", "dim=-1", "dim=-1, keepdim=True", "dim=(0,)", "dim=5"]),
    )
    def check(x, how):
        hypothesis.assume(how or name != "logsumexp")
        hypothesis.assume(how != "dim=(0,)" or name in ("sum", "mean", "amax", "amin", "std", "var"))
        hypothesis.assume(not (name == "count_nonzero" and "keep" in how))
        agree(small, f"result = torch.{name}({', '.join(filter(None, ['x', how]))})", {"x": x}, worst(x))

    check()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(
    "call",
    [
        "F.cross_entropy(x, y, weight=w, ignore_index=i, reduction=r)",
        "F.cross_entropy(x, y, ignore_index=i, reduction=r)",
        "F.nll_loss(x.log_softmax(1), y, weight=w, reduction=r, ignore_index=i)",
        "nn.CrossEntropyLoss(w, reduction=r)(x, y)",
        "F.cross_entropy(x, y, w, label_smoothing=0.1, reduction=r)",
        "F.cross_entropy(x, x.softmax(1), w, reduction=r)",
        "F.cross_entropy(x.softmax(1), y, reduction=r)",
    ],
)
def test_cross_entropy(small, call, reduction):
    logits = tensors(shapes=st.sampled_from([(1, 3), (4, 3), (2, 3, 2)]), numbers=TAME, dtypes=("float64", "float32"))

    @SETTINGS
    @hypothesis.given(
        logits,
        st.lists(st.integers(-1, 3), min_size=8, max_size=8),
        st.sampled_from([-100, -1, 1]),
        st.lists(st.sampled_from([0.0, 1.0, 2.5]), min_size=2, max_size=4),
    )
    def check(x, labels, ignored, weights):
        n = len(x[0])
        y = [labels[2 * i : 2 * i + 2] for i in range(n)] if isinstance(x[0][0][0], list) else labels[:n]
        inputs = {"x": x, "y": [y, "int64", False], "w": [weights, x[1], False]}
        agree(small, f"r, i = {reduction!r}, {ignored}\nresult = {call}", inputs, worst(x))

    check()


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
@pytest.mark.parametrize(
    "call",
    [
        "F.binary_cross_entropy_with_logits(x, y.sigmoid(), reduction=r)",
        "F.binary_cross_entropy(x.sigmoid(), y.sigmoid(), reduction=r)",
        "F.binary_cross_entropy(x, y.sigmoid(), reduction=r)",
        "F.mse_loss(x, y, reduction=r)",
        "F.l1_loss(x, y, reduction=r)",
        "F.kl_div(x, y.softmax(-1), reduction=r)",
        "F.binary_cross_entropy_with_logits(x, y.detach(), y.exp().detach(), reduction=r)",
    ],
)
def test_other_losses(small, call, reduction):
    shapes = st.sampled_from([(3,), (2, 3)])
    tame = "kl" in call or "x.sigmoid()" in call  # near p = 1 the logarithm of 1 - p shows the last digit of p alone

    @SETTINGS
    @hypothesis.given(
        tensors(shapes, TAME if tame else NUMBERS.filter(math.isfinite), FLOATS),
        tensors(shapes, TAME, FLOATS),
    )
    def check(x, y):
        hypothesis.assume(x[1] == y[1])
        tolerance = worst(x) * (10 if "kl_div" in call else 1)  # where large terms cancel in its gradient
        agree(small, f"r = {reduction!r}\nresult = {call}", {"x": x, "y": y}, tolerance)

    check()


@pytest.mark.parametrize("call", CALLS)
def test_calls_of_losses(small, call):
    for dtype in ("float64", "float32"):
        x, i = [[[0.5, -1.25, 2.0], [1.0, 0.75, -3.0]], dtype, True], [[0, 1], "int64", False]
        agree(small, f"result = {call}", {"x": x, "i": i}, EXACT[dtype])


@pytest.mark.parametrize("source", STATEMENTS)
def test_statements(small, source):
    for dtype in ("float64", "float32"):
        x, i = [[[0.5, -1.25, 2.0], [1.0, 0.75, -3.0]], dtype, True], [[0, 1], "int64", False]
        agree(small, f"result = None\n{source}", {"x": x, "i": i}, EXACT[dtype])


@pytest.mark.parametrize("expression", PRINTED)
def test_prints_as_torch_prints(small, expression):
    source = f"result = repr({expression})"
    assert small("call", source, {}) == real("call", source, {})


# ---- the library on it


@pytest.mark.parametrize(("group", "id"), [tuple(entry) for entry in real("listing")])
def test_known_losses_get_the_same_verdict(small, group, id):
    assert small("verdict", group, id) == real("verdict", group, id)


@pytest.mark.parametrize(("title", "source"), published(), ids=lambda value: value[:30].replace("\n", " "))
def test_published_losses_get_the_same_verdict(small, title, source):
    ours, theirs = small("checked", source), real("checked", source)
    assert ours == theirs and "refused" not in theirs


@pytest.mark.parametrize(("name", "number", "label"), [tuple(entry) for entry in real("answers")], ids=str)
def test_learners_are_told_the_same(small, name, number, label):
    ours, theirs = small("told", name, number), real("told", name, number)
    if ours.startswith(on_a_torch.NOT_WRITTEN):  # by name, and nothing else is lacking
        assert "to_sparse" in ours
    else:
        assert ours == theirs


def test_the_table_on_the_page_is_of_these_tests():
    assert PAGE.read_text() == table(), "run: python tests/agreement_table.py"


def cells(path):
    """What a notebook does, without its pictures and its set-up."""
    sources = [cell.source for cell in code_cells(path)]
    sources = [re.sub(r"^import matplotlib.*\n", "", source, flags=re.M) for source in sources]
    return [
        s for s in sources if "plt." not in s and "importlib" not in s and "progress()" not in s and "optim" not in s
    ]


@pytest.mark.parametrize("path", [*STUDENTS, *MASTERS], ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_exercises_say_the_same(small, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert small("exercise", cells(path)) == real("exercise", cells(path))


def test_the_example_that_the_page_trains_on_is_the_chapters():
    stored, example = json.loads(EXAMPLE.read_text()), load_example()
    features = np.frombuffer(base64.b64decode(stored["x"]), np.float32).reshape(-1, 20)
    points, labels = torch.cat([example.x_train, example.x_test]), torch.cat([example.y_train, example.y_test])
    np.testing.assert_allclose(features, points, rtol=1e-5, atol=1e-5)  # another processor draws other last digits
    assert stored["y"] == "".join(map(str, labels.tolist())) and stored["train"] == len(example.y_train)


@pytest.mark.parametrize(("gamma", "weights", "seed"), [(2.0, True, 0), (0.0, False, 3)])
def test_the_page_trains_the_network_that_the_chapter_trains(small, gamma, weights, seed):
    settings = (json.loads(EXAMPLE.read_text()), gamma, weights, 3, seed)
    ours, theirs = small("trained", *settings), real("trained", *settings)
    example = load_example()
    alpha = inverse_frequency(example.y_train) if weights else None
    run = train(FocalLoss(alpha, gamma), example, seed, epochs=3, device="cpu")
    assert theirs[0] == pytest.approx(run.losses, rel=1e-6)
    assert ours[0] == pytest.approx(run.losses, rel=1e-5)
    assert ours[1:] == theirs[1:] and ours[2] is True


# ---- what it lacks


@pytest.mark.parametrize("name", ["torch.linalg", "torch.compile", "torch.zeros(1).kthvalue", "F.conv2d", "nn.Conv2d"])
def test_what_it_lacks_says_so_by_name(small, name):
    found = small("call", f"result = {name}", {})
    assert found["error"] == "AttributeError" and name.split(".")[-1] in found["text"] and "Colab" in found["text"]


def test_a_second_derivative_is_untested_there(small):
    source = "from focal_lib import FocalLoss, diagnose\n"
    source += "result = diagnose(FocalLoss).untested['second_derivative_is_right_or_refused']"
    assert "create_graph=True): it is not on this page" in small("call", source, {})["value"]


def test_names_torch_never_had_are_just_wrong(small):
    for source in ("torch.zeros(1).logits", "torch.nonsense"):
        agree(small, f"result = {source}", {})
