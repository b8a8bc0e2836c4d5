import math

import pytest
import torch

from vitlab.models.layout import TokenLayout
from vitlab.models.position.absolute import LearnedPosition, NoPosition, Sincos2dPosition, SinusoidalPosition, sinusoids

KINDS = [LearnedPosition, NoPosition, SinusoidalPosition, Sincos2dPosition]


def test_each_place_has_a_vector_of_its_own_that_is_added():
    position = LearnedPosition(4, 2, TokenLayout((2, 3), 1))
    position.embedding.data = torch.arange(28.0).reshape(1, 7, 4)
    tokens = torch.randn(2, 7, 4)
    assert torch.equal(position(tokens), tokens + torch.arange(28.0).reshape(7, 4))


def test_a_learned_position_learns(gradients):
    assert gradients(LearnedPosition(4, 2, TokenLayout((2, 2), 0)), torch.zeros(1, 4, 4)) == []


def test_no_position_changes_nothing():
    tokens = torch.randn(2, 7, 4)
    assert NoPosition(4, 2, TokenLayout((2, 3), 1))(tokens) is tokens


def test_sines_and_cosines_by_hand():
    table = sinusoids(torch.arange(5), 4)
    assert table[3].tolist() == pytest.approx([math.sin(3), math.sin(0.03), math.cos(3), math.cos(0.03)], abs=1e-6)


def test_patches_are_counted_row_by_row_and_cls_is_left_alone():
    added = SinusoidalPosition(8, 2, TokenLayout((2, 3), 1))(torch.zeros(1, 7, 8))[0]
    assert (added[0] == 0).all()
    assert torch.equal(added[1:], sinusoids(torch.arange(6), 8))


def test_rows_and_columns_have_half_of_the_width_each():
    added = Sincos2dPosition(8, 2, TokenLayout((3, 4), 1))(torch.zeros(1, 13, 8))[0]
    assert (added[0] == 0).all()
    grid = added[1:].view(3, 4, 8)
    by_column, by_row = grid[..., :4], grid[..., 4:]
    assert torch.equal(by_column, sinusoids(torch.arange(4), 4).expand(3, 4, 4))
    assert torch.equal(by_row, sinusoids(torch.arange(3), 4)[:, None].expand(3, 4, 4))


@pytest.mark.parametrize("kind", [SinusoidalPosition, Sincos2dPosition])
def test_no_two_places_are_alike_and_nothing_of_it_is_saved(kind):
    position = kind(32, 2, TokenLayout((8, 8), 0))
    assert len({tuple(row.tolist()) for row in position.embedding[0]}) == 64
    assert position.state_dict() == {}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", [0, 1, 2])
def test_shapes_stay(kind, prefix):
    tokens = torch.randn(2, 6 + prefix, 8)
    assert kind(8, 2, TokenLayout((2, 3), prefix))(tokens).shape == tokens.shape


def test_widths_that_do_not_split_are_refused():
    with pytest.raises(ValueError, match="embed_dim=7 is odd.*try 6 or 8"):
        SinusoidalPosition(7, 1, TokenLayout((2, 2), 0))
    with pytest.raises(ValueError, match="multiple of 4, not embed_dim=18; try 16 or 20"):
        Sincos2dPosition(18, 2, TokenLayout((2, 2), 0))
