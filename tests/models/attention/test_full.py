import math
from functools import partial

import pytest
import timm.layers
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from vitlab.models.attention.full import Attention
from vitlab.models.layout import TokenLayout

B, T, D, H = 3, 7, 12, 4
LAYOUT = TokenLayout((2, 3), 1)


def attention(**settings):
    torch.manual_seed(0)
    return Attention(D, H, LAYOUT, **settings)


def random_mask(*shape):
    mask = torch.rand(shape, generator=torch.Generator().manual_seed(1)) > 0.4
    mask[..., 0] = True
    return mask


MASKS = {
    "none": None,
    "boolean": random_mask(B, H, T, T),
    "one for all heads": random_mask(B, 1, T, T),
    "one for all": random_mask(T, T),
    "of keys": random_mask(B, 1, 1, T),
    "additive": torch.randn(B, H, T, T, generator=torch.Generator().manual_seed(2)),
    "additive with -inf": torch.zeros(T, T).masked_fill(~random_mask(T, T), -math.inf),
    "all": torch.ones(T, T, dtype=torch.bool),
}


@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("training", [True, False])
def test_the_fused_and_the_written_out_path_agree(mask, training):
    layer = attention().train(training)
    tokens = torch.randn(B, T, D, requires_grad=True)
    fused = layer(tokens, mask)
    explicit, weights = layer.forward_with_weights(tokens, mask)
    assert torch.allclose(fused, explicit, atol=1e-6)
    assert weights.shape == (B, H, T, T)
    assert torch.allclose(weights.sum(-1), torch.ones(B, H, T), atol=1e-6)
    gradients = [torch.autograd.grad(out.square().sum(), tokens, retain_graph=True)[0] for out in (fused, explicit)]
    assert torch.allclose(*gradients, atol=1e-5)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(1, 4), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_both_paths_agree_at_any_size(batch, tokens, heads, head_width, seed):
    torch.manual_seed(seed)
    layer = Attention(heads * head_width, heads, TokenLayout((1, tokens), 0))
    mask = torch.rand(batch, heads, tokens, tokens) > 0.5
    x = torch.randn(batch, tokens, heads * head_width)
    explicit, weights = layer.forward_with_weights(x, mask)
    assert torch.allclose(layer(x, mask), explicit, atol=1e-5)
    sees_something = mask.any(dim=-1).float()
    assert torch.allclose(weights.sum(-1), sees_something, atol=1e-5)


@pytest.mark.parametrize("name", ["none", "boolean", "additive"])
def test_both_paths_agree_in_half_precision(name):
    layer, tokens = attention(), torch.randn(B, T, D)
    with torch.autocast("cpu", torch.bfloat16):
        fused, (explicit, _) = layer(tokens, MASKS[name]), layer.forward_with_weights(tokens, MASKS[name])
    assert fused.dtype == explicit.dtype == torch.bfloat16
    assert torch.allclose(fused, explicit, atol=2e-2)


def test_an_additive_mask_can_be_learned_through_both_paths():
    layer, tokens = attention(), torch.randn(B, T, D)
    bias = torch.randn(1, H, T, T, requires_grad=True)
    outs = layer(tokens, bias), layer.forward_with_weights(tokens, bias)[0]
    fused, explicit = (torch.autograd.grad(out.square().sum(), bias)[0] for out in outs)
    assert fused.abs().sum() > 0
    assert torch.allclose(fused, explicit, atol=1e-5)


def test_it_equals_torch_s_own_multi_head_attention():
    layer, reference = attention(), nn.MultiheadAttention(D, H, batch_first=True)
    reference.in_proj_weight.data, reference.in_proj_bias.data = layer.qkv.weight.data, layer.qkv.bias.data
    reference.out_proj.load_state_dict(layer.proj.state_dict())
    tokens = torch.randn(B, T, D)
    allowed = MASKS["one for all"]
    for mask in (None, allowed):
        forbidden = None if mask is None else ~mask
        expected, weights = reference(tokens, tokens, tokens, attn_mask=forbidden, average_attn_weights=False)
        out, own_weights = layer.forward_with_weights(tokens, mask)
        assert torch.allclose(out, expected, atol=1e-6)
        assert torch.allclose(own_weights, weights, atol=1e-6)


def test_a_token_looks_only_where_the_mask_lets_it():
    _, weights = attention().forward_with_weights(torch.randn(B, T, D), MASKS["boolean"])
    assert (weights[~MASKS["boolean"]] == 0).all()
    assert (weights[MASKS["boolean"]] > 0).all()


@pytest.mark.parametrize("additive", [False, True])
def test_a_token_that_may_look_at_nothing_gets_zeros_and_finite_gradients(additive):
    mask = torch.ones(T, T, dtype=torch.bool)
    mask[2] = False
    if additive:
        mask = torch.zeros(T, T).masked_fill(~mask, -math.inf)
    layer = attention()
    layer.proj.bias.data.zero_()
    tokens = torch.randn(B, T, D, requires_grad=True)
    explicit, weights = layer.forward_with_weights(tokens, mask)
    fused = layer(tokens, mask)
    assert torch.allclose(fused, explicit, atol=1e-6)
    assert (weights[:, :, 2] == 0).all()
    for out in (fused, explicit):
        assert (out[:, 2] == 0).all()
        assert torch.autograd.grad(out.sum(), tokens, retain_graph=True)[0].isfinite().all()


@pytest.mark.parametrize("path", ["forward", "forward_with_weights"])
@pytest.mark.parametrize("rates", [{"attn_drop": 0.5}, {"proj_drop": 0.5}])
def test_dropout_draws_while_training_and_rests_in_eval(path, rates):
    layer, tokens = attention(**rates), torch.randn(B, T, D)

    def out():
        result = getattr(layer, path)(tokens)
        return result[0] if isinstance(result, tuple) else result

    assert not torch.equal(out(), out())
    layer.eval()
    assert torch.equal(out(), out())
    assert torch.allclose(out(), attention().eval()(tokens), atol=1e-6)


def test_the_bias_of_queries_keys_and_values_can_be_left_out():
    assert attention(qkv_bias=False).qkv.bias is None
    assert attention().qkv.bias is not None


@pytest.mark.parametrize(("heads", "near"), [(5, "try 4 or 6"), (0, "try 1"), (-3, "try 1"), (13, "try 12")])
def test_heads_that_do_not_divide_the_width_are_refused_with_those_that_do(heads, near):
    with pytest.raises(ValueError, match=f"num_heads={heads} does not divide embed_dim=12; {near}"):
        Attention(D, heads, LAYOUT)


def test_normalised_queries_and_keys_equal_timm_s():
    reference = timm.layers.Attention(D, H, qkv_bias=True, qk_norm=True, norm_layer=partial(nn.LayerNorm, eps=1e-6))
    layer = attention(qk_norm=True)
    for parameter in reference.parameters():
        parameter.data.normal_()
    layer.load_state_dict(reference.state_dict())
    tokens = torch.randn(B, T, D)
    assert torch.allclose(layer(tokens), reference(tokens), atol=1e-4)


def test_scores_stay_bounded_with_normalised_queries_and_keys():
    tokens = torch.randn(B, T, D) * 1e4
    _, weights = attention(qk_norm=True).forward_with_weights(tokens)
    assert weights.max() < 0.99
    assert attention().forward_with_weights(tokens)[1].max() > 0.99


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("mask", ["none", "boolean", "additive"])
def test_grouped_heads_share_keys_and_values(kv_heads, mask):
    layer, full = attention(num_kv_heads=kv_heads), attention()
    q, k, v = layer.qkv.weight.split([D, kv_heads * 3, kv_heads * 3])
    repeated = [w.view(kv_heads, 1, 3, D).expand(-1, H // kv_heads, -1, -1).reshape(D, D) for w in (k, v)]
    full.proj.load_state_dict(layer.proj.state_dict())
    full.qkv.weight.data = torch.cat([q, *repeated]).detach()
    layer.qkv.bias.data.zero_(), full.qkv.bias.data.zero_()
    tokens = torch.randn(B, T, D)
    expected, weights = full.forward_with_weights(tokens, MASKS[mask])
    assert torch.allclose(layer(tokens, MASKS[mask]), expected, atol=1e-6)
    explicit, own_weights = layer.forward_with_weights(tokens, MASKS[mask])
    assert torch.allclose(explicit, expected, atol=1e-6)
    assert torch.allclose(own_weights, weights, atol=1e-6)


def test_the_gate_decides_how_much_of_a_token_s_result_goes_on():
    layer, tokens = attention(gated=True), torch.randn(B, T, D)
    layer.gate.weight.data.zero_(), layer.gate.bias.data.fill_(100.0)
    plain = attention()
    plain.load_state_dict({k: v for k, v in layer.state_dict().items() if not k.startswith("gate")})
    assert torch.allclose(layer(tokens), plain(tokens), atol=1e-6)
    layer.gate.bias.data.fill_(-100.0)
    assert torch.allclose(layer(tokens), layer.proj.bias.expand(B, T, D), atol=1e-6)
    assert torch.allclose(layer(tokens), layer.forward_with_weights(tokens)[0], atol=1e-6)


@pytest.mark.parametrize(("kv_heads", "near"), [(3, "try 2 or 4"), (0, "try 1"), (8, "try 4")])
def test_key_heads_that_do_not_divide_the_heads_are_refused(kv_heads, near):
    with pytest.raises(ValueError, match=f"num_kv_heads={kv_heads} does not divide num_heads=4; {near}"):
        attention(num_kv_heads=kv_heads)


@pytest.mark.parametrize("options", [{"qk_norm": True}, {"gated": True}, {"num_kv_heads": 2}], ids=str)
def test_every_option_learns(gradients, options):
    assert gradients(attention(**options), torch.randn(B, T, D)) == []
