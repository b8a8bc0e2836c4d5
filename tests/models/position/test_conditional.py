import pytest
import torch
from torch.nn import functional as F

from vitlab.models.layout import TokenLayout
from vitlab.models.position.conditional import ConditionalPosition


def test_each_patch_gets_a_depth_wise_convolution_of_its_neighbourhood():
    position, tokens = ConditionalPosition(4, 2, TokenLayout((3, 5), 1)), torch.randn(2, 16, 4)
    out = position(tokens)
    assert torch.equal(out[:, 0], tokens[:, 0])
    grid = tokens[:, 1:].transpose(1, 2).reshape(2, 4, 3, 5)
    for channel in range(4):
        kernel, bias = position.conv.weight[channel : channel + 1], position.conv.bias[channel]
        expected = grid[:, channel : channel + 1] + F.conv2d(grid[:, channel : channel + 1], kernel, padding=1) + bias
        assert torch.allclose(out[:, 1:, channel], expected.flatten(1), atol=1e-6)


def test_the_border_tells_a_patch_where_it_is():
    position = ConditionalPosition(4, 2, TokenLayout((5, 5), 0))
    out = position(torch.ones(1, 25, 4))[0].view(5, 5, 4)
    assert not torch.allclose(out[0, 0], out[2, 2])
    assert torch.allclose(out[1, 1], out[2, 2])


def test_it_learns(gradients):
    assert gradients(ConditionalPosition(4, 2, TokenLayout((3, 3), 1)), torch.randn(2, 10, 4)) == []


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel_size=4 is not odd.*try 3 or 5"):
        ConditionalPosition(4, 2, TokenLayout((3, 3), 0), kernel_size=4)
