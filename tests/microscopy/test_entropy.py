import math

import pytest
import torch
from scipy.stats import entropy

from vitlab.microscopy.entropy import head_entropy


def test_looking_everywhere_alike_has_log_t_and_looking_at_one_token_zero():
    weights = torch.stack([torch.full((7, 7), 1 / 7), torch.eye(7)])[None]
    assert head_entropy(weights).tolist() == pytest.approx([math.log(7), 0])


def test_it_is_scipy_s():
    weights = torch.randn(2, 3, 5, 5).softmax(-1)
    assert head_entropy(weights).tolist() == pytest.approx(entropy(weights.numpy(), axis=-1).mean(axis=(0, 2)).tolist())
