"""References for the attentions: masks by loops, and attention by hand."""

import pytest
import torch


def by_loop(layout, allowed):
    """The mask [T, T] in which patch (r, c) sees patch (s, d) if ``allowed(r, c, s, d)``, and the prefix sees all."""
    _, columns = layout.grid_size
    mask = torch.zeros(layout.num_tokens, layout.num_tokens, dtype=torch.bool)
    for i in range(layout.num_tokens):
        for j in range(layout.num_tokens):
            if i < layout.num_prefix or j < layout.num_prefix:
                mask[i, j] = True
            else:
                (r, c), (s, d) = divmod(i - layout.num_prefix, columns), divmod(j - layout.num_prefix, columns)
                mask[i, j] = allowed(r, c, s, d)
    return mask


@pytest.fixture
def follows_mask():
    """``follows_mask(layer, layout, allowed)``: both paths equal full attention under the mask that a loop writes."""
    from vitlab.models.attention.full import Attention

    def check(layer, layout, allowed, **options):
        width, heads = layer.proj.in_features, layer.num_heads
        reference = Attention(width, heads, layout, **options).eval()
        reference.load_state_dict(layer.state_dict())
        tokens = torch.randn(3, layout.num_tokens, width)
        mask = by_loop(layout, allowed)
        expected, weights = reference.forward_with_weights(tokens, mask)
        own, own_weights = layer.eval().forward_with_weights(tokens)
        assert torch.allclose(own, expected, atol=1e-5)
        assert torch.allclose(own_weights, weights, atol=1e-6)
        assert ((own_weights > 0).all(dim=0) == mask).all()
        assert torch.allclose(layer(tokens), expected, atol=1e-5)
        assert torch.allclose(layer(tokens, mask), expected, atol=1e-5)

    return check
