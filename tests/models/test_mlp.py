import pytest
import timm.layers
import torch
from torch import nn
from torch.nn import functional as F

from vitlab.models.layout import TokenLayout
from vitlab.models.mlp import DepthwiseMlp, GeluMlp, SwigluMlp

LAYOUT = TokenLayout((2, 3), 1)
KINDS = [GeluMlp, SwigluMlp, DepthwiseMlp]


def test_gelu_is_two_linear_layers_with_gelu_between():
    mlp, tokens = GeluMlp(4, 16, LAYOUT), torch.randn(2, 3, 4)
    w1, b1, w2, b2 = mlp.parameters()
    expected = F.gelu(tokens @ w1.T + b1) @ w2.T + b2
    assert torch.allclose(mlp(tokens), expected, atol=1e-6)
    assert w1.shape == (16, 4)


def test_swiglu_equals_timm_s():
    mlp, tokens = SwigluMlp(12, 48, LAYOUT), torch.randn(2, 7, 12)
    reference = timm.layers.GluMlp(12, 64, act_layer=nn.SiLU, gate_last=False)
    reference.load_state_dict(mlp.state_dict())
    assert torch.allclose(mlp(tokens), reference(tokens), atol=1e-6)


@pytest.mark.parametrize(("width", "hidden", "gated"), [(1536, 6144, 4096), (192, 768, 512), (8, 8, 8)])
def test_swiglu_has_two_thirds_of_the_width_in_steps_of_eight(width, hidden, gated):
    with torch.device("meta"):
        assert SwigluMlp(width, hidden, LAYOUT).fc2.in_features == gated


def test_the_convolution_between_the_layers_sees_the_neighbours_and_leaves_cls_alone():
    mlp, tokens = DepthwiseMlp(4, 16, LAYOUT), torch.randn(2, 7, 4)
    hidden = mlp.fc1(tokens)
    grid = hidden[:, 1:].transpose(1, 2).reshape(2, 16, 2, 3)
    convolved = torch.stack([
        F.conv2d(grid[:, i : i + 1], mlp.conv.weight[i : i + 1], mlp.conv.bias[i : i + 1], padding=1)[:, 0]
        for i in range(16)
    ], dim=-1).flatten(1, 2)  # fmt: skip
    expected = mlp.fc2(F.gelu(torch.cat([hidden[:, :1], convolved], dim=1)))
    assert torch.allclose(mlp(tokens), expected, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_every_parameter_learns(gradients, kind):
    assert gradients(kind(4, 16, LAYOUT), torch.randn(2, 7, 4)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_dropout_follows_each_layer_while_training_only(kind):
    mlp, tokens = kind(64, 256, TokenLayout((3, 3), 1), mlp_drop=0.5), torch.randn(8, 10, 64)
    hidden_inputs = []
    mlp.fc2.register_forward_pre_hook(lambda module, inputs: hidden_inputs.append(inputs[0]))
    assert 0.4 < (mlp(tokens) == 0).float().mean() < 0.6
    assert 0.4 < (hidden_inputs[0] == 0).float().mean() < 0.6
    mlp.eval()
    assert torch.equal(mlp(tokens), mlp(tokens))
    assert (mlp(tokens) != 0).all()


def test_an_even_kernel_is_refused():
    with pytest.raises(ValueError, match="kernel_size=2 is not odd.*try 1 or 3"):
        DepthwiseMlp(4, 16, LAYOUT, kernel_size=2)
