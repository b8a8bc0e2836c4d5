import torch

from vitlab.models.norm import LayerNorm


def test_it_is_the_formula_of_the_paper():
    tokens = torch.randn(2, 3, 8)
    for eps in (1e-6, 0.1):
        centred = tokens - tokens.mean(-1, keepdim=True)
        expected = centred / (centred.square().mean(-1, keepdim=True) + eps).sqrt()
        assert torch.allclose(LayerNorm(8, eps=eps)(tokens), expected, atol=1e-6)


def test_its_default_eps_is_the_paper_s():
    assert LayerNorm(8).eps == 1e-6
