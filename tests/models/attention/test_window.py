import pytest
import torch
from torch import nn

from vitlab.models.attention.window import WindowAttention
from vitlab.models.layout import TokenLayout
from vitlab.models.position.relative_bias import RelativeBias
from vitlab.models.position.rotary import Rotation

WAYS = pytest.mark.parametrize("by_window", [True, False], ids=["by window", "one mask"])
LAYOUTS = [TokenLayout((4, 8), 0), TokenLayout((4, 8), 1), TokenLayout((8, 4), 3, 2)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [1, 2, 4])
@WAYS
def test_a_patch_sees_its_own_window(follows_mask, layout, size, by_window):
    layer = WindowAttention(12, 3, layout, window_size=size)
    layer.by_window = by_window
    follows_mask(layer, layout, lambda r, c, s, d: (r // size, c // size) == (s // size, d // size))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [2, 4])
@WAYS
def test_every_second_block_is_shifted_by_half_a_window_and_not_wrapped(follows_mask, layout, size, by_window):
    def shifted(r, c, s, d):
        half = size // 2
        return ((r - half) // size, (c - half) // size) == ((s - half) // size, (d - half) // size)

    odd = WindowAttention(12, 3, layout, window_size=size, shift=True, block=1)
    plain = WindowAttention(12, 3, layout, window_size=size, shift=True, block=2)
    odd.by_window = plain.by_window = by_window
    follows_mask(odd, layout, shifted)
    follows_mask(plain, layout, lambda r, c, s, d: (r // size, c // size) == (s // size, d // size))


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shift", [True, False])
@pytest.mark.parametrize("relation", ["bias", "rotation"])
@pytest.mark.parametrize("options", [{}, {"num_kv_heads": 1, "qk_norm": True, "gated": True}], ids=str)
@WAYS
def test_both_paths_agree_with_positions_inside_and_so_do_their_gradients(layout, shift, relation, options, by_window):
    inside = RelativeBias(3, layout) if relation == "bias" else Rotation(4, layout, 100.0)
    for parameter in inside.parameters():
        nn.init.normal_(parameter)
    layer = WindowAttention(12, 3, layout, window_size=2, shift=shift, block=1, relation=inside, **options)
    layer.by_window = by_window
    tokens = torch.randn(2, layout.num_tokens, 12)
    outs = layer(tokens), layer.forward_with_weights(tokens)[0]
    assert torch.allclose(*outs, atol=1e-5)
    gradients = [torch.autograd.grad(out.square().sum(), list(layer.parameters())) for out in outs]
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(*gradients, strict=True))


@pytest.mark.parametrize(("size", "near"), [(3, "try 2 or 4"), (0, "try 1"), (8, "try 4")])
def test_a_window_that_does_not_divide_the_grid_is_refused(size, near):
    with pytest.raises(ValueError, match=f"window_size={size} does not divide the grid 4x8; {near}"):
        WindowAttention(12, 3, LAYOUTS[0], window_size=size)


@WAYS
def test_dropout_draws_while_training_only(by_window):
    layer, tokens = WindowAttention(12, 3, LAYOUTS[1], attn_drop=0.5), torch.randn(2, 33, 12)
    layer.by_window = by_window
    assert not torch.equal(layer(tokens), layer(tokens))
    layer.eval()
    assert torch.equal(layer(tokens), layer(tokens))


def test_large_grids_are_computed_by_window():
    assert WindowAttention(12, 3, TokenLayout((16, 16), 1)).by_window
    assert not WindowAttention(12, 3, TokenLayout((8, 8), 1)).by_window
