"""The museum: every plaque is complete, every picture is drawn from the bug's real behaviour."""

import matplotlib.pyplot as plt
import pytest
import torch

from focal_lib import FocalLoss
from focal_lib.bugs import CATALOGUE
from focal_lib.diagnosis.properties import PROPERTIES
from focal_lib.lab.museum import _push, found_by, plaque, symptom, table, trained


@pytest.mark.parametrize("id", CATALOGUE)
def test_plaques_show_the_code_and_the_counterexample(id):
    text = plaque(CATALOGUE[id])
    assert CATALOGUE[id].code.rstrip() in text
    assert PROPERTIES[CATALOGUE[id].exposed_by].statement in text
    assert CATALOGUE[id].fix in text


def push_of(id):
    logits = torch.tensor([[2.0, 0.0], [0.0, 0.0], [-2.0, 0.0]])
    return _push(CATALOGUE[id].build(), logits, torch.zeros(3, dtype=torch.int64))


def test_the_push_is_the_gradient_of_each_example():
    # At p_t = 1/2 and gamma = 2: k = 1/4 + 1/2 * log 2 = 0.596574, times 1 - p_t = 1/2.
    logits = torch.zeros(2, 2)
    assert _push(FocalLoss(), logits, torch.tensor([0, 1])).tolist() == pytest.approx([0.298287] * 2, abs=1e-6)


def test_one_p_t_for_the_batch_is_a_straight_line_in_p_t():
    p_t = torch.tensor([[2.0, 0.0], [0.0, 0.0], [-2.0, 0.0]]).softmax(1)[:, 0]
    ratio = push_of("mean_before_pt") / (1 - p_t)
    assert ratio.tolist() == pytest.approx([ratio[0].item()] * 3, rel=1e-5)


def test_pictures_have_two_labelled_panels_with_both_losses():
    figure = symptom(CATALOGUE["mean_before_pt"])
    for ax in figure.axes:
        assert ax.get_xlabel()
        assert ax.get_ylabel()
        assert {"right", "this bug"} <= {text.get_text() for text in ax.get_legend().get_texts()}
    plt.close(figure)


def test_nan_is_shaded():
    figure = symptom(CATALOGUE["nan_below_gamma_one"])
    assert "NaN" in {text.get_text() for text in figure.axes[0].get_legend().get_texts()}
    plt.close(figure)


def test_training_that_breaks_off_keeps_its_losses():
    losses, _ = trained("log_of_cross_entropy")
    assert 0 < len(losses) < 100


def test_the_table_marks_what_was_found():
    found = {id: names for id, names in found_by().items() if id in ("scalar_alpha", "softmax_twice")}
    figure = table(found)
    (marks,) = figure.axes[0].collections
    assert len(marks.get_offsets()) == sum(len(names) for names in found.values())
    plt.close(figure)
