import pytest
import torch

from vitlab.models.norm import DynamicTanh, LayerNorm, RmsNorm


@pytest.mark.parametrize("eps", [1e-6, 0.1])
def test_layer_norm_is_the_formula_of_the_paper(eps):
    tokens = torch.randn(2, 3, 8)
    centred = tokens - tokens.mean(-1, keepdim=True)
    expected = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
    assert torch.allclose(LayerNorm(8, eps=eps)(tokens), expected, atol=1e-6)


@pytest.mark.parametrize("eps", [1e-6, 0.1])
def test_rms_norm_is_the_formula_of_the_paper(eps):
    norm, tokens = RmsNorm(8, eps=eps), torch.randn(2, 3, 8)
    norm.weight.data = torch.arange(8.0)
    expected = tokens / (tokens.square().mean(-1, keepdim=True) + eps).sqrt() * torch.arange(8.0)
    assert torch.allclose(norm(tokens), expected, atol=1e-5)


def test_dynamic_tanh_is_the_formula_of_the_paper():
    norm, tokens = DynamicTanh(8, alpha=0.3), torch.randn(2, 3, 8)
    norm.weight.data, norm.bias.data = torch.arange(8.0), torch.arange(8.0) - 3
    assert torch.allclose(norm(tokens), torch.tanh(0.3 * tokens) * torch.arange(8.0) + torch.arange(8.0) - 3, atol=1e-6)


@pytest.mark.parametrize("kind", [LayerNorm, RmsNorm, DynamicTanh])
def test_every_parameter_learns(gradients, kind):
    assert gradients(kind(8), torch.randn(2, 3, 8)) == []


def test_default_eps_is_the_paper_s():
    assert LayerNorm(8).eps == RmsNorm(8).eps == 1e-6
