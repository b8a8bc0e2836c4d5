import pytest

from vitlab.models.attention.patterns import LocalAttention, SparseAttention
from vitlab.models.layout import TokenLayout

LAYOUTS = [TokenLayout((4, 6), 0), TokenLayout((4, 6), 1), TokenLayout((5, 5), 3, 2)]


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [1, 3, 5, 99])
def test_local_sees_the_square_around_each_patch(follows_mask, layout, size):
    layer = LocalAttention(12, 3, layout, neighbourhood=size)
    follows_mask(layer, layout, lambda r, c, s, d: max(abs(r - s), abs(c - d)) <= size // 2)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(("size", "stride"), [(3, 2), (1, 3), (3, 100), (1, 1)])
def test_sparse_sees_its_neighbours_and_a_regular_grid(follows_mask, layout, size, stride):
    layer = SparseAttention(12, 3, layout, neighbourhood=size, stride=stride)

    def allowed(r, c, s, d):
        near = max(abs(r - s), abs(c - d)) <= size // 2
        return near or ((r - s) % stride == 0 and (c - d) % stride == 0)

    follows_mask(layer, layout, allowed)


@pytest.mark.parametrize("kind", [LocalAttention, SparseAttention])
@pytest.mark.parametrize(("size", "near"), [(4, "try 3 or 5"), (0, "try 1"), (-2, "try 1"), (2, "try 1 or 3")])
def test_an_even_neighbourhood_has_no_middle(kind, size, near):
    with pytest.raises(ValueError, match=f"neighbourhood={size} is not odd.*{near}"):
        kind(12, 3, LAYOUTS[0], neighbourhood=size)


def test_a_stride_of_nothing_is_refused():
    with pytest.raises(ValueError, match="stride=0 is not positive; try 1"):
        SparseAttention(12, 3, LAYOUTS[0], stride=0)


def test_their_options_are_those_of_full_attention():
    layer = LocalAttention(12, 3, LAYOUTS[0], qk_norm=True, gated=True, num_kv_heads=1)
    assert layer.gate is not None
    assert layer.num_kv_heads == 1
