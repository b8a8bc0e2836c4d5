import pytest
import timm.layers
import torch
from torch import nn

from vitlab.models.layout import TokenLayout
from vitlab.models.pool import AttentionPool, ClsMeanPool, ClsPool, MeanPool, SequencePool

TOKENS = torch.arange(2 * 5 * 3.0).reshape(2, 5, 3)


def test_cls_is_the_first_token():
    assert torch.equal(ClsPool(3, 1, TokenLayout((2, 2), 1))(TOKENS), TOKENS[:, 0])


@pytest.mark.parametrize("prefix", [0, 1])
def test_the_mean_is_that_of_the_patches_alone(prefix):
    expected = torch.stack([TOKENS[:, i] for i in range(prefix, 5)]).mean(0)
    assert torch.allclose(MeanPool(3, 1, TokenLayout((1, 5 - prefix), prefix))(TOKENS), expected)


def test_cls_beside_the_mean_is_twice_as_wide():
    pool = ClsMeanPool(3, 1, TokenLayout((1, 3), 2, 1))
    assert pool.out_dim == 6
    assert torch.equal(pool(TOKENS), torch.cat([TOKENS[:, 0], TOKENS[:, 2:].mean(1)], dim=1))


@pytest.mark.parametrize("prefix", [0, 2])
def test_the_attention_pool_equals_timm_s(prefix):
    reference = timm.layers.AttentionPoolLatent(24, num_heads=3, mlp_ratio=4, norm_layer=nn.LayerNorm)
    pool, tokens = AttentionPool(24, 3, TokenLayout((2, 3), prefix)), torch.randn(2, 6 + prefix, 24)
    for parameter in reference.parameters():
        parameter.data.normal_(std=0.3)
    state = {name.replace("latent", "query"): value for name, value in reference.state_dict().items()}
    pool.load_state_dict(state)
    pool.norm.eps = reference.norm.eps
    assert torch.allclose(pool(tokens), reference(tokens[:, prefix:]), atol=1e-5)


@pytest.mark.parametrize("prefix", [0, 1])
def test_the_sequence_pool_weighs_each_patch_by_a_softmax(prefix):
    pool, tokens = SequencePool(4, 1, TokenLayout((2, 2), prefix)), torch.randn(2, 4 + prefix, 4)
    patches = tokens[:, prefix:]
    scores = (patches @ pool.importance.weight.T).exp()
    assert torch.allclose(pool(tokens), (scores * patches).sum(1) / scores.sum(1), atol=1e-6)


@pytest.mark.parametrize("kind", [AttentionPool, SequencePool])
def test_every_parameter_learns(gradients, kind):
    pool = kind(24, 3, TokenLayout((2, 2), 1))
    if kind is AttentionPool:
        nn.init.normal_(pool.query)
    assert gradients(pool, torch.randn(2, 5, 24)) == []


@pytest.mark.parametrize(("kind", "name"), [(ClsPool, "cls"), (ClsMeanPool, "cls_mean")])
@pytest.mark.parametrize("layout", [TokenLayout((2, 2), 0), TokenLayout((2, 2), 4, 4)], ids=["plain", "registers"])
def test_cls_without_a_cls_token_is_refused(kind, name, layout):
    with pytest.raises(ValueError, match=rf"pool={name} needs class_token=true.*pool=mean"):
        kind(3, 1, layout)
