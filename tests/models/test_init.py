import copy
from functools import partial

import pytest
import torch
import torch.utils.deterministic
from torch import nn

from vitlab.models.attention.full import Attention
from vitlab.models.init import mimetic, torch_default, trunc_normal
from vitlab.models.layout import TokenLayout
from vitlab.models.mup import mup
from vitlab.models.patch_embed.conv_stem import ConvStem
from vitlab.models.position.absolute import Sincos2dPosition


def test_weights_are_normal_and_biases_zero(make_vit):
    torch.manual_seed(0)
    model = make_vit(embed_dim=192, init=trunc_normal)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            assert (module.bias == 0).all()
            assert module.weight.abs().max() <= 2
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_torch_default_leaves_the_layers_as_torch_made_them(make_vit):
    made = []
    torch.manual_seed(0)
    model = make_vit(init=lambda model: made.append(copy.deepcopy(model.state_dict())))
    torch_default(model)
    tokens = model.no_weight_decay()
    for name, value in model.state_dict().items():
        assert torch.equal(value, made[0][name]) is (name not in tokens), name


@pytest.mark.parametrize("init", [trunc_normal, torch_default])
def test_positions_and_cls_are_drawn(make_vit, init):
    torch.manual_seed(0)
    model = make_vit(embed_dim=192, init=init)
    for parameter in (model.cls_token, model.position.embedding):
        assert parameter.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.fixture
def memory_full_of_nan():
    """Every tensor that torch makes without setting it is full of NaN, so that a forgotten one cannot hide."""
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("init", [trunc_normal, torch_default, mimetic, mup])
def test_no_weight_is_left_unset(make_vit, memory_full_of_nan, init):
    assert torch.empty(3).isnan().all()
    model = make_vit(init=init)
    assert all(p.isfinite().all() for p in model.parameters())


def test_convolutions_with_overlapping_kernels_keep_torch_s_init(make_vit):
    model = make_vit(depthwise_shortcut=True, patch_embed=ConvStem)
    for conv in (model.blocks[0].shortcut.conv, model.patch_embed.stem[0]):
        bound = (3 * 3 * conv.in_channels / conv.groups) ** -0.5
        assert 0.5 * bound < conv.weight.abs().max() <= bound


def test_mimetic_attention_is_near_the_identity_where_the_paper_has_it(make_vit):
    model = make_vit(embed_dim=48, num_heads=3, init=mimetic)
    layer = model.blocks[0].attn
    q, k, v = layer.qkv.weight.chunk(3)
    for head in range(3):
        rows = slice(16 * head, 16 * head + 16)
        product = (q[rows].T @ k[rows]).detach()
        assert torch.linalg.matrix_rank(product) == 16
        own, other = product.diagonal(), product[~torch.eye(48, dtype=torch.bool)]
        assert own.mean() > 0.1
        assert other.mean().abs() < 0.02
    mixed = layer.proj.weight @ v
    assert mixed.diagonal().mean().item() == pytest.approx(-0.4, abs=0.05)
    assert (mixed + 0.4 * torch.eye(48)).std().item() == pytest.approx(0.4 / 48**0.5, rel=0.1)


def test_mimetic_attention_looks_at_tokens_like_itself(make_vit):
    torch.manual_seed(0)
    images = torch.randn(4, 3, 8, 8)
    shares = [
        make_vit(embed_dim=48, num_heads=3, init=init).forward_stages(images)["block00.weights"]
        for init in (mimetic, trunc_normal)
    ]
    own, plain = (weights.diagonal(dim1=-2, dim2=-1).mean().item() for weights in shares)
    assert own > 1.5 * plain


def test_mimetic_positions_begin_as_sines_and_cosines(make_vit):
    model = make_vit(init=mimetic)
    assert torch.equal(model.position.embedding, Sincos2dPosition(24, 3, TokenLayout((4, 4), 1)).embedding)


def test_mimetic_refuses_what_it_cannot_pair(make_vit):
    with pytest.raises(ValueError, match="num_kv_heads=1 has fewer; try 3"):
        make_vit(init=mimetic, attention=partial(Attention, num_kv_heads=1))
    with pytest.raises(ValueError, match="an embed_dim that 4 divides, not 6"):
        make_vit(init=mimetic, embed_dim=6)
