"""What a report says one should do next: it can be pasted, it is true, and text, page and JSON say the same."""

import html
import importlib.util
import json
import re
import sys

import pytest
import torch
import torch.nn.functional as F

from focal_lib import diagnose, focal_loss
from focal_lib.bugs import CATALOGUE
from focal_lib.diagnosis.advice import BITES, MENDS, TITLES
from focal_lib.diagnosis.naming import named
from focal_lib.diagnosis.properties import PROPERTIES

ASKING = """
import torch

from focal_lib import focal_loss


class TwoParts(torch.nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, features, head, labels):
        return focal_loss(head(features), labels, gamma=self.gamma)


class Asking(torch.nn.Module):
    def __init__(self, num_classes, temperature_of_the_room):
        super().__init__()

    def forward(self, boxes, y_true, y_pred, where):
        return focal_loss(where(y_pred), y_true)
"""


@pytest.fixture
def asking(tmp_path, monkeypatch):
    """The module of losses that ask for more than logits and targets."""
    path = tmp_path / "my_losses.py"
    path.write_text(ASKING)
    spec = importlib.util.spec_from_file_location("my_losses", path)
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "my_losses", module)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", ["TwoParts", "Asking"])
def test_the_line_for_what_could_not_be_called_runs_when_it_is_pasted(asking, name, capsys):
    said = diagnose(getattr(asking, name)).headline
    line = re.search(r"from focal_lib import diagnose; .*\)\)", said).group()
    exec(line if "import torch" not in said else f"import torch; {line}", {})
    assert ": right" in capsys.readouterr().out, said


def clamped(y_pred, y_true, gamma=2.0):
    p_t = y_pred.softmax(1).gather(1, y_true[:, None])[:, 0].clamp_min(1e-7)
    return ((1 - p_t) ** gamma * -p_t.log()).mean()


def nan_below_one(scores, labels, gamma=2.0):
    ce = F.cross_entropy(scores, labels, reduction="none")
    return ((1 - torch.exp(-ce)) ** gamma * ce).mean()


def test_a_fragile_loss_is_told_when_it_bites():
    text = str(diagnose(clamped))
    said = "it is right with the target's logit 15 behind (p_t = 3.1e-07), wrong with 20 (p_t = 2.1e-09): "
    assert said + "the gradient is [[0, 0]]" in text
    text = str(diagnose(nan_below_one))
    assert "With float32 and gamma = 2, in small batches, it is right whatever the logits are" in text
    assert "It bites with gamma below 1" in text and "where ce is -log p_t" in text


def test_a_faulty_loss_is_told_who_is_safe():
    diagnosis = diagnose(CATALOGUE["first_rows_upstream"].loss)
    safe = "Without, in ordinary use, its numbers are the focal loss's."
    assert diagnosis.next == [f"It bites with a mask or weights over the losses of reduction='none'. {safe}"]
    assert diagnose(CATALOGUE["mean_before_pt"].loss).next == []


def blocks(input, target, gamma=2.0):
    rows = len(input) // 512 * 512 if len(input) > 512 else len(input)
    return focal_loss(input[:rows], target[:rows], gamma=gamma) * rows / len(input)


def cut(input, target, gamma=2.0):
    return focal_loss(input[:100], target[:100], gamma=gamma)


def test_sizes_are_told():
    told = diagnose(blocks).violations["is_right_at_every_size"]
    assert "513 rows of 3 classes" in told and "value is off by" in told
    assert "at multiples of 512, at 512, 1024, 1536 rows, wrong at 513, 514, 1280, 1792" in told
    told = diagnose(cut).violations["is_right_at_every_size"]
    assert "Right at smaller sizes and at 100 rows, wrong at 101, 102, 200, 250, 300, 350" in told


def smooth(logits, labels, gamma=2.0, label_smoothing=0.1):
    y = F.one_hot(labels, logits.shape[1]) * (1 - label_smoothing) + label_smoothing / logits.shape[1]
    log_p = logits.log_softmax(1)
    return -(y * (1 - log_p.exp()) ** gamma * log_p).sum(1).mean()


def test_another_loss_is_told_how_to_keep_or_change_it():
    diagnosis = diagnose(smooth)
    assert diagnosis.next == [
        "If you want that loss, keep it: its numbers are right as that.",
        "For the paper's focal loss, pass label_smoothing=0. Tried: its numbers are the focal loss's then; still "
        "broken: is_finite_for_small_gamma, masked_class_is_absent.",
        "Beside that, it bites with gamma below 1, and an example so certain that p_t rounds to 1 (from 17 logits "
        "ahead in float32).",
    ]
    assert "diagnose(functools.partial(smooth, label_smoothing=0))" in diagnosis.left[-1]
    beside = str(diagnosis).split("Promises broken beside that:")[1]
    assert "is_finite_for_small_gamma (fragile)" in beside
    assert "Fix: Write -torch.expm1(" in str(diagnosis)


def half_of_one_logit(logits, labels, gamma=2.0):
    ce = F.binary_cross_entropy_with_logits(logits, labels.float())
    return 0.5 * (1 - torch.exp(-ce)) ** gamma * ce


def test_a_form_and_a_factor_stand_at_the_first_example():
    diagnosis = diagnose(half_of_one_logit)
    lines = diagnosis.causes()[0][1]
    assert lines[1] == (
        "In the examples, of logits [[1, 3]] and target [1] it is handed [2] and [1]; its results are divided by the "
        "factor 0.5."
    )
    assert "F.binary_cross_entropy_with_logits with reduction" in diagnosis.causes()[0][2]
    assert "takes_any_gamma" in diagnosis.explained["mean_before_pt"]  # compared on two classes


@pytest.mark.parametrize("loss", [clamped, smooth, blocks, half_of_one_logit, CATALOGUE["mean_before_pt"].loss])
def test_text_page_and_json_say_the_same(loss):
    diagnosis = diagnose(loss)
    page, plain = diagnosis._repr_html_().replace("<wbr>", ""), json.dumps(diagnosis.as_dict(), ensure_ascii=False)
    for line in str(diagnosis).splitlines():
        said = line.strip().removeprefix("→ ").removeprefix("Fix: ")
        if line.startswith("✗"):
            said = said.split(": ", 1)[1]
        if said and not said.startswith(
            ("Promises broken", "Of the focal", "(", "Not tested", "Left at", "Not a fault", "The focal loss whole")
        ):
            assert html.escape(said) in page, said
            if not line.startswith("✗") and ". Mend: " not in said:
                assert json.dumps(said, ensure_ascii=False)[1:-1] in plain, said


def test_fixes_can_be_pasted():
    for text in [*(bug.fix for bug in CATALOGUE.values()), *MENDS.values()]:
        assert "..." not in text, text
        assert not re.search(r"(?<!\.)\btiny\b", text), text


def test_advice_is_about_properties_and_kinds_of_violation():
    assert {*MENDS, *BITES, *TITLES} - {*PROPERTIES} == {"table", "alpha_by_default", "alpha_unused"}


def test_advice_speaks_in_the_names_of_the_loss():
    names = {"alpha": "weight", "input": "x", "target": "y"}
    text = "target = target.where(kept, 0); alpha[target] of F.log_softmax(input, 1), by its target's index."
    assert named(text, names) == "y = y.where(kept, 0); weight[y] of F.log_softmax(x, 1), by its target's index."


def binary_with_epsilon(logits, targets, alpha=0.25, gamma=2.0):
    p, targets = torch.sigmoid(logits), targets.float()
    p_t = p * targets + (1 - p) * (1 - targets)
    alpha_t = alpha * targets + (1 - alpha) * (1 - targets)
    return (-alpha_t * (1 - p_t) ** gamma * torch.log(p_t + 1e-8)).mean()


def test_a_fault_without_a_bug_of_its_own_has_a_name_and_a_fix_of_its_own():
    diagnosis = diagnose(binary_with_epsilon)
    assert diagnosis.headline.endswith("become a table of N times N losses: the worst of its 4 faults.")
    found = {cause: fix for cause, _, fix in diagnosis.causes()}
    assert found["Logits (N, 1) beside targets (N,) become a table of N times N losses"] == (
        "Give both one shape before all else: logits = logits.view_as(targets)."
    )
    assert found["inf or nan in half precision"].startswith("Compute in float32 or wider: logits = logits.to(")
    dead = next(fix for cause, fix in found.items() if "clamped_probability" in cause)
    assert dead.startswith("Write F.logsigmoid(logits) for yes and F.logsigmoid(-logits) for no")


def test_a_switch_is_called_as_the_loss_calls_it():
    def mean_first(input, target, gamma=2.0, reduction="mean"):
        ce = F.cross_entropy(input, target, reduction=reduction)
        return ((1 - torch.exp(-ce)) ** gamma * ce).mean()

    assert 'and reduction="none" returns a single number' in diagnose(mean_first).headline
    assert "and reduce=False returns a single number" in diagnose(CATALOGUE["reduce_flag_without_effect"].loss).headline


def yes_or_no_with_odds(logits, targets, gamma=2.0):
    """The modulator of a table of questions by exp(-gamma (y z + log(1 + exp(-z)))), which overflows."""
    bce = F.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    modulator = torch.exp(-gamma * (targets * logits + torch.log(1 + torch.exp(-logits))))
    return (modulator * bce).sum() / targets.sum()


def test_a_table_of_sigmoids_is_told_of_logsigmoid():
    diagnosis = diagnose(yes_or_no_with_odds)
    fixes = [fix for _, _, fix in diagnosis.causes()]
    assert diagnosis.relative.startswith("a sigmoid focal loss")
    assert any("F.logsigmoid(logits) for yes and F.logsigmoid(-logits) for no" in fix for fix in fixes)
    assert "F.cross_entropy(logits, targets" in " ".join(diagnosis.next)


def one_probability_to_the_power(outputs, targets, gamma=2.0):
    if outputs.ndim != 1:
        raise ValueError("one probability for each target, please")
    p_t = targets * outputs + (1 - targets) * (1 - outputs)
    return (-((1 - p_t) ** (gamma + outputs)) * p_t.log()).mean()


def probabilities_to_the_power(outputs, labels, gamma=2.0):
    p_t = outputs.gather(1, labels[:, None])[:, 0]
    return (-((1 - p_t) ** (gamma + outputs.amin(1))) * p_t.log()).mean()


@pytest.mark.parametrize(
    "loss, line",
    [
        (one_probability_to_the_power, 'F.binary_cross_entropy(outputs, targets, reduction="none")'),
        (probabilities_to_the_power, 'F.nll_loss(outputs.log(), labels, reduction="none")'),
    ],
)
def test_a_fix_for_probabilities_takes_probabilities(loss, line):
    fixes = " ".join(fix for _, _, fix in diagnose(loss).causes())
    assert line in fixes and "F.cross_entropy(" not in fixes


def test_what_only_a_softmax_promises_is_no_fault_of_sigmoids():
    diagnosis = diagnose(CATALOGUE["binary_scalar_alpha"].loss)
    assert "masked_class_is_absent" in diagnosis.violations
    assert not {"masked_class_is_absent", "gradient_is_full_when_wrong_by_100"} & {*diagnosis.unexplained}


def test_weights_that_do_nothing_are_said_to_do_nothing():
    def unused(input, target, weight=None, gamma=2.0):
        ce = F.cross_entropy(input, target, reduction="none")
        return ((1 - torch.exp(-ce)) ** (gamma + 0.1 * input.amin(1).sigmoid()) * ce).mean()

    assert "Weights accepted and never used" in [cause for cause, _, _ in diagnose(unused).causes()]


def test_a_default_that_fails_is_named():
    def fails(logits, labels, class_weight=None, gamma=2.0):
        return focal_loss(logits, labels, class_weight.to(logits), gamma)

    diagnosis = diagnose(fails)
    assert "It fails with its default alpha, and runs where weights are given" in diagnosis.headline
    assert diagnosis.causes()[0][2] == ("Use class_weight only where it is given: if class_weight is not None.")


def test_a_cut_graph_is_said_to_be_cut():
    def anew(input, target, gamma=2.0):
        ce = F.cross_entropy(input, target, reduction="none")
        total = ((1 - torch.exp(-ce)) ** gamma * ce).mean().item()
        return torch.tensor(total, dtype=input.dtype, requires_grad=True)

    assert "No gradient reaches the logits: the graph is cut" in diagnose(anew).headline
