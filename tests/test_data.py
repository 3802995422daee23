"""The example's data and the class weights."""

import numpy as np
import pytest
import torch
from sklearn.utils.class_weight import compute_class_weight

from focal_lib.lab.data import inverse_frequency, load_example


def test_the_example_is_the_articles_data():
    """The article's class counts follow from its parameters and random_state=42."""
    example = load_example()
    assert example.x_train.shape == (800, 20) and example.x_test.shape == (200, 20)
    assert example.x_train.dtype == torch.float32 and example.y_train.dtype == torch.int64
    assert example.y_train.bincount().tolist() == [632, 168]
    assert example.y_test.bincount().tolist() == [161, 39]


def test_the_example_is_the_same_each_time_and_another_seed_is_another_sample():
    assert torch.equal(load_example().x_train, load_example(42).x_train)
    assert not torch.equal(load_example().x_train, load_example(43).x_train)


def test_inverse_frequency():
    """Counts 1, 3, 4 of 8: weights 8, 8/3, 2."""
    target = torch.tensor([0, 1, 1, 1, 2, 2, 2, 2])
    weights = inverse_frequency(target)
    torch.testing.assert_close(weights, torch.tensor([8.0, 8 / 3, 2.0]))
    assert weights[target].mean() == pytest.approx(3)  # the average weight is the number of classes
    balanced = compute_class_weight("balanced", classes=np.arange(3), y=target.numpy())
    torch.testing.assert_close(weights / 3, torch.tensor(balanced, dtype=torch.float32))
    torch.testing.assert_close(inverse_frequency(target.reshape(2, 4)), weights)


@pytest.mark.parametrize(
    ("target", "classes", "sentence"),
    [
        (torch.tensor([0, 2]), None, "class 1 has no examples"),
        (torch.tensor([0, 1]), 3, "class 2 has no examples"),
        (torch.tensor([0, 3]), 3, r"\[0, 3\), got 0 to 3"),
        (torch.tensor([-100, 1]), None, "got -100 to 1"),
        (torch.tensor([], dtype=torch.int64), 2, "got none"),
    ],
)
def test_a_class_without_a_weight_is_an_error(target, classes, sentence):
    with pytest.raises(ValueError, match=sentence):
        inverse_frequency(target, classes)
