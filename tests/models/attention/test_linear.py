import pytest
import torch

from vitlab.analysis.cost import flops_per_image
from vitlab.models.attention.linear import LinearAttention
from vitlab.models.layout import TokenLayout
from vitlab.models.position.relative_bias import RelativeBias
from vitlab.models.position.rotary import Rotation

LAYOUT = TokenLayout((2, 3), 1)


def test_it_is_the_sum_over_all_tokens_of_the_paper():
    layer, tokens = LinearAttention(8, 2, LAYOUT), torch.randn(2, 7, 8)
    q, k, v = layer.qkv(tokens).view(2, 7, 3, 2, 4).permute(2, 0, 3, 1, 4)
    feature = lambda x: torch.where(x > 0, x + 1, x.exp())  # noqa: E731
    mixed = torch.zeros(2, 2, 7, 4)
    for i in range(7):
        similarity = torch.stack([(feature(q[:, :, i]) * feature(k[:, :, j])).sum(-1) for j in range(7)], dim=-1)
        mixed[:, :, i] = (similarity[..., None] * v).sum(-2) / similarity.sum(-1, keepdim=True)
    expected = layer.proj(mixed.transpose(1, 2).reshape(2, 7, 8))
    assert torch.allclose(layer(tokens), expected, atol=1e-5)


@pytest.mark.parametrize("relation", [None, Rotation(4, LAYOUT, 100.0)], ids=["plain", "rotary"])
@pytest.mark.parametrize("kv_heads", [1, 2])
def test_both_paths_agree(relation, kv_heads):
    layer = LinearAttention(8, 2, LAYOUT, relation=relation, num_kv_heads=kv_heads)
    tokens = torch.randn(3, 7, 8)
    explicit, weights = layer.forward_with_weights(tokens)
    assert torch.allclose(layer(tokens), explicit, atol=1e-5)
    if relation is None:
        assert torch.allclose(weights.sum(-1), torch.ones(3, 2, 7), atol=1e-5)


def test_its_cost_grows_with_the_tokens_and_not_with_their_square(make_vit):
    def mixing(image_size):
        vit = make_vit(image_size=image_size, attention=LinearAttention, depth=1)
        tokens = (image_size // 2) ** 2 + 1
        linear_layers = 2 * tokens * (4 * 24**2 + 8 * 24**2) + 2 * (tokens - 1) * 12 * 24 + 2 * 24 * 5
        return (flops_per_image(vit, 3, image_size) - linear_layers) / tokens

    assert mixing(8) == mixing(16) == 2 * (2 * 24 * 8 + 24)


def test_what_needs_weights_is_refused():
    with pytest.raises(ValueError, match="attention=linear has no weights to drop; try attn_drop=0.0"):
        LinearAttention(8, 2, LAYOUT, attn_drop=0.1)
    with pytest.raises(ValueError, match="no scores that a bias could be added to; try position=rope_2d"):
        LinearAttention(8, 2, LAYOUT, relation=RelativeBias(2, LAYOUT))
    with pytest.raises(ValueError, match="cannot be masked.*try attention=full"):
        LinearAttention(8, 2, LAYOUT)(torch.randn(1, 7, 8), torch.ones(7, 7, dtype=torch.bool))
