import pytest
import torch
from torch import nn

from vitlab.models.attention.full import Attention
from vitlab.models.block import DepthwiseShortcut, LayerScale, ParallelBlock, PostNormBlock, PreNormBlock
from vitlab.models.layout import TokenLayout
from vitlab.models.mlp import GeluMlp
from vitlab.models.norm import LayerNorm

D, LAYOUT = 12, TokenLayout((2, 3), 1)
KINDS = [PreNormBlock, PostNormBlock, ParallelBlock]


def block(kind, **settings):
    torch.manual_seed(0)
    parts = {"attention": Attention(D, 3, LAYOUT), "mlp": GeluMlp(D, 24, LAYOUT)}
    made = kind(embed_dim=D, norm=LayerNorm, layout=LAYOUT, **parts, **settings)
    for norm in (m for m in made.modules() if isinstance(m, LayerNorm)):
        nn.init.normal_(norm.weight)
    return made


def by_hand(kind, b, x):
    if kind is PreNormBlock:
        x = x + b.attn(b.norm1(x))
        return x + b.mlp(b.norm2(x))
    if kind is PostNormBlock:
        x = b.norm1(x + b.attn(x))
        return b.norm2(x + b.mlp(x))
    return x + b.attn(b.norm1(x)) + b.mlp(b.norm1(x))


@pytest.mark.parametrize("kind", KINDS)
def test_the_norm_stands_where_the_kind_says(kind):
    made, tokens = block(kind), torch.randn(2, 7, D)
    assert torch.allclose(made(tokens), by_hand(kind, made, tokens), atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("settings", [{}, {"layer_scale": 0.5}, {"depthwise_shortcut": True}], ids=str)
def test_every_parameter_learns(kind, settings, gradients):
    assert gradients(block(kind, **settings), torch.randn(2, 7, D)) == []


@pytest.mark.parametrize("kind", KINDS)
def test_layer_scale_weighs_each_branch(kind):
    made, plain, tokens = block(kind, layer_scale=0.25), block(kind), torch.randn(2, 7, D)
    plain.attn.proj.weight.data *= 0.25
    plain.mlp.fc2.weight.data *= 0.25
    for bias in (plain.attn.proj.bias, plain.mlp.fc2.bias):
        bias.data *= 0.25
    assert torch.allclose(made(tokens), plain(tokens), atol=1e-6)
    assert torch.equal(LayerScale(3, 0.1)(torch.ones(1, 1, 3)), torch.full((1, 1, 3), 0.1))


@pytest.mark.parametrize("kind", KINDS)
def test_the_shortcut_adds_a_convolution_of_the_block_s_input(kind):
    made, tokens = block(kind, depthwise_shortcut=True), torch.randn(2, 7, D)
    grid = tokens[:, 1:].transpose(1, 2).reshape(2, D, 2, 3)
    added = made.shortcut.conv(grid).flatten(2).transpose(1, 2)
    expected = by_hand(kind, made, tokens)
    expected[:, 1:] += added
    assert torch.allclose(made(tokens), expected, atol=1e-6)


def test_the_shortcut_is_depth_wise_and_zero_for_cls():
    shortcut = DepthwiseShortcut(D, LAYOUT)
    assert sum(p.numel() for p in shortcut.parameters()) == 10 * D
    assert (shortcut(torch.randn(2, 7, D))[:, 0] == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_stages_are_what_the_branches_add(kind):
    made, tokens, stages = block(kind, layer_scale=0.5).eval(), torch.randn(2, 7, D), {}
    assert torch.allclose(made(tokens, None, stages), made(tokens), atol=1e-6)
    assert stages.keys() == {"attn", "weights", "mlp"}
    seen = tokens if kind is PostNormBlock else made.norm1(tokens)
    expected, weights = made.attn.forward_with_weights(seen)
    assert torch.allclose(stages["attn"], expected * 0.5, atol=1e-6)
    assert torch.allclose(stages["weights"], weights, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_mask_for_each_image_stays_with_its_image_when_branches_are_left_out(kind):
    made, tokens = block(kind, drop_path=0.5), torch.randn(6, 7, D)
    mask = torch.rand(6, 1, 7, 7) > 0.3
    mask[..., 0] = True

    def out(masks):
        torch.manual_seed(0)
        return made(tokens, masks)

    others = mask.clone()
    others[2:] = ~others[2:]
    others[..., 0] = True
    assert torch.allclose(out(mask)[:2], out(others)[:2], atol=1e-6)
    assert not torch.allclose(out(mask)[2:], out(others)[2:], atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_half_precision_passes(kind):
    made = block(kind, drop_path=0.3, layer_scale=0.1, depthwise_shortcut=True)
    with torch.autocast("cpu", torch.bfloat16):
        out = made(torch.randn(8, 7, D))
    assert out.dtype == torch.float32
    assert out.isfinite().all()
