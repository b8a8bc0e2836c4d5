import pytest
import torch

from vitlab.models.attention.lsa import LocalitySelfAttention
from vitlab.models.layout import TokenLayout

LAYOUT = TokenLayout((2, 3), 1)


def test_it_is_the_formula_of_the_paper():
    layer, tokens = LocalitySelfAttention(8, 2, LAYOUT), torch.randn(3, 7, 8)
    layer.temperature.data.fill_(0.7)
    q, k, v = layer.qkv(tokens).view(3, 7, 3, 2, 4).permute(2, 0, 3, 1, 4)
    scores = (q @ k.transpose(-2, -1) / 0.7).masked_fill(torch.eye(7, dtype=torch.bool), -1e9)
    expected = layer.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(3, 7, 8))
    assert torch.allclose(layer(tokens), expected, atol=1e-5)
    explicit, weights = layer.forward_with_weights(tokens)
    assert torch.allclose(explicit, expected, atol=1e-5)
    assert (weights.diagonal(dim1=-2, dim2=-1) == 0).all()


def test_the_temperature_begins_at_the_root_of_the_head_s_width_and_learns(gradients):
    layer = LocalitySelfAttention(8, 2, LAYOUT)
    assert layer.temperature.item() == pytest.approx(2.0)
    assert gradients(layer, torch.randn(3, 7, 8)) == []
