import math

import pytest
import torch
from torch import nn

from vitlab.objectives.cross_entropy import CrossEntropy

LOGITS = torch.tensor([[2.0, 0.0], [0.0, 0.0]])


def loss(targets, **settings):
    return CrossEntropy(**settings)(nn.Identity(), LOGITS, targets).item()


def test_labels_by_hand():
    expected = (math.log(1 + math.exp(-2)) + math.log(2)) / 2
    assert loss(torch.tensor([0, 1])) == pytest.approx(expected)


def test_soft_targets_by_hand():
    sure, unsure = math.log(1 + math.exp(-2)), math.log(1 + math.exp(2))
    expected = (0.75 * sure + 0.25 * unsure + math.log(2)) / 2
    assert loss(torch.tensor([[0.75, 0.25], [0.5, 0.5]])) == pytest.approx(expected)


def test_smoothing_equals_targets_smoothed_by_hand():
    assert loss(torch.tensor([0, 1]), label_smoothing=0.2) == pytest.approx(
        loss(torch.tensor([[0.9, 0.1], [0.1, 0.9]]))
    )


def test_half_precision_logits_are_summed_in_float32():
    assert CrossEntropy()(nn.Identity(), LOGITS.bfloat16(), torch.tensor([0, 1])).dtype == torch.float32


@pytest.mark.parametrize("value", [-0.1, 1.0])
def test_smoothing_outside_its_range_is_refused(value):
    with pytest.raises(ValueError, match="label_smoothing"):
        CrossEntropy(label_smoothing=value)
