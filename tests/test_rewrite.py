"""The code that a report writes down whole is a focal loss: it runs, and breaks no promise."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from focal_lib.bugs import CATALOGUE
from focal_lib.diagnosis import diagnose


def _detached(logits, labels, class_weights=None, focus=2.0, reduction="mean"):
    ce = F.cross_entropy(logits, labels, weight=class_weights, reduction="none")
    loss = (1 - torch.exp(-ce)).detach() ** focus * ce
    return {"none": loss, "sum": loss.sum(), "mean": loss.mean()}[reduction]


def _target_first(y_true, y_pred, gamma=2.0):
    ce = F.cross_entropy(y_pred, y_true)
    return (1 - torch.exp(-ce)) ** gamma * ce


def _classes_last(pred, target, gamma=2.0):
    p = F.softmax(pred, -1).gather(-1, target[..., None])[..., 0].clamp(1e-3, 1)
    return ((1 - p) ** gamma * -p.log()).mean()


def _one_hot(x, y, gamma=2.0):
    p = (F.softmax(x, 1) * y).sum(1)
    return ((1 - p.detach()) ** gamma * -p.log()).mean()


class _OneLogit(nn.Module):
    def __init__(self, gamma=2.0):
        super().__init__()
        self.gamma = gamma

    def forward(self, output, label):
        bce = F.binary_cross_entropy_with_logits(output, label)
        return (1 - torch.exp(-bce)) ** self.gamma * bce


def _summed(input, target, gamma=2.0, size_average=False):
    ce = F.cross_entropy(input, target, reduction="none")
    loss = (1 - torch.exp(-ce)) ** gamma * ce
    return loss.mean() if size_average else loss.sum()


def _always_summed(input, target, gamma=2.0):
    return _summed(input, target, gamma)


def _masked(input, target, mask, gamma=2.0):
    ce = F.cross_entropy(input, target, reduction="none")
    return (mask * (1 - torch.exp(-ce)) ** gamma * ce).mean()


def _names_of(rewrite):
    return rewrite.partition("(")[2].partition(")")[0]


def _run(rewrite):
    scope = {"torch": torch, "F": F}
    exec(rewrite, scope)
    return scope["focal_loss"]


@pytest.mark.parametrize(
    "loss, arguments",
    [
        (_detached, 'logits, labels, *, class_weights=None, focus=2, ignore_index=-100, reduction="mean"'),
        (_target_first, "y_true, y_pred, *, gamma=2, ignore_index=-100"),
        (_classes_last, "pred, target, *, gamma=2, ignore_index=-100"),
        (_one_hot, "x, y, *, gamma=2, ignore_index=-100"),
        (_summed, "input, target, *, gamma=2, ignore_index=-100, size_average=False"),
        (_always_summed, "input, target, *, gamma=2, ignore_index=-100"),
        (_OneLogit, "output, label, *, gamma=2"),
    ],
)
def test_a_rewrite_is_right_and_has_the_names_of_the_loss(loss, arguments):
    diagnosis = diagnose(loss)
    assert _names_of(diagnosis.rewrite) == arguments
    again = diagnose(_run(diagnosis.rewrite))
    assert again.verdict == "right", again
    assert again.rewrite is None


@pytest.mark.parametrize("id", CATALOGUE)
def test_the_rewrite_of_each_known_bug_is_right(id):
    found = diagnose(CATALOGUE[id].loss)
    assert (found.rewrite is None) == (found.verdict in ("right", "another loss"))
    if found.rewrite:
        again = diagnose(_run(found.rewrite))
        assert again.verdict == "right" or (again.verdict == "another loss" and "sigmoid" in again.relative), again


def test_a_sigmoid_of_many_labels_stays_one():
    found = diagnose(CATALOGUE["binary_scalar_alpha"].loss)
    assert "binary_cross_entropy_with_logits" in found.rewrite
    input = torch.tensor([[2.0, -1.0, 0.5]])
    target = torch.tensor([[1.0, 0.0, 1.0]])
    p_t = torch.where(target == 1, input.sigmoid(), 1 - input.sigmoid())
    expected = (torch.tensor([[0.9, 0.1, 0.9]]) * (1 - p_t) ** 2 * -p_t.log()).mean()
    torch.testing.assert_close(_run(found.rewrite)(input, target, alpha=0.9), expected)


def test_a_share_of_the_yes_stays_the_default():
    def loss(logits, labels, alpha=0.25, gamma=2.0):
        bce = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return ((alpha * labels + (1 - alpha) * (1 - labels)) * torch.exp(-bce) ** gamma * bce).mean()

    found = diagnose(loss)
    assert "def focal_loss(logits, labels, *, alpha=0.25, gamma=2):" in found.rewrite
    assert "alpha is 1 for each class, where no other is named" in str(found)


def test_columns_beside_rows_make_no_table():
    def loss(logits, labels, gamma=2.0):
        ce = F.binary_cross_entropy_with_logits(logits, labels, reduction="none")
        return ((1 - torch.exp(-ce)) ** gamma * ce).mean()

    again = _run(diagnose(loss).rewrite)
    logits, labels = torch.tensor([3.0, -1.0, 0.0, 1.0]), torch.tensor([1.0, 1.0, 0.0, 0.0])
    torch.testing.assert_close(again(logits[:, None], labels), again(logits, labels))


def test_a_sum_stays_a_sum():
    input, target = torch.tensor([[1.0, 0.0], [0.0, 2.0]]), torch.tensor([1, 1])
    for loss in (_summed, _always_summed):
        torch.testing.assert_close(_run(diagnose(loss).rewrite)(input, target), loss(input, target))


def test_what_else_must_be_given_is_not_left_out_of_it():
    found = diagnose(_masked)
    assert found.verdict == "fragile" and found.rewrite is None


def test_the_report_shows_it_in_each_form():
    found = diagnose(_detached)
    assert found.rewrite.split("\n")[1].strip() in str(found)
    assert "<pre" in found._repr_html_()
    assert found.as_dict()["rewrite"] == found.rewrite


def test_another_loss_gets_none():
    found = diagnose(nn.CrossEntropyLoss)
    assert (found.verdict, found.rewrite) == ("another loss", None)
