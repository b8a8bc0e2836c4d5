import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from vitlab.microscopy.distance import patch_distances
from vitlab.microscopy.positions import position_biases, position_grids
from vitlab.models.position.absolute import LearnedPosition, NoPosition, Sincos2dPosition, SinusoidalPosition
from vitlab.models.position.conditional import ConditionalPosition
from vitlab.models.position.relative_bias import RelativeBiasPosition
from vitlab.models.position.rotary import RotaryPosition

PATCHES = torch.randn(3, 16, 24)


@pytest.mark.parametrize("position", [LearnedPosition, Sincos2dPosition, SinusoidalPosition])
def test_what_is_added_is_compared_by_its_cosine(vit, position):
    model = vit(position=position)
    (found,) = position_grids(model, PATCHES)
    assert found.kind == "added"
    embedding = model.position.embedding[0, 1:].detach()  # behind CLS
    assert np.allclose(found.grid, cosine_similarity(embedding), atol=1e-5)
    assert position_biases(model) is None


def test_rotations_leave_the_mean_cosine_of_the_angles_between_two_places(vit):
    model = vit(position=RotaryPosition, num_heads=2)
    (found,) = position_grids(model, PATCHES)
    assert found.kind == "turned"
    for one in range(16):
        for other in range(16):
            (row, column), (their_row, their_column) = divmod(one, 4), divmod(other, 4)
            frequencies = 100.0 ** (-np.arange(3) / 3)  # heads of 12: three pairs by the row, three by the column
            angles = np.concatenate([(row - their_row) * frequencies, (column - their_column) * frequencies])
            assert found.grid[one, other].item() == pytest.approx(np.cos(angles).mean(), abs=1e-5)


def test_biases_are_the_table_s(vit):
    model = vit(position=RelativeBiasPosition)
    biases = position_biases(model)
    assert biases.shape == (2, 3, 16, 16)
    for number, block in enumerate(model.blocks):
        table = block.attn.relation.table[:49].view(7, 7, 3)  # distances of -3 to 3 in rows and columns
        for one, other in ((0, 15), (5, 6), (9, 9)):
            (row, column), (their_row, their_column) = divmod(one, 4), divmod(other, 4)
            expected = table[their_row - row + 3, their_column - column + 3]
            assert torch.equal(biases[number, :, one, other], expected)
    (found,) = position_grids(model, PATCHES)
    assert found.kind == "bias"
    assert torch.allclose(found.grid, biases.mean(dim=(0, 1)))


def test_a_convolution_tells_the_border_from_the_inside_and_no_more(vit):
    (found,) = position_grids(vit(position=ConditionalPosition), PATCHES)
    inside = [5, 6, 9, 10]
    assert torch.allclose(found.grid[inside][:, inside], torch.ones(4, 4), atol=1e-5)
    assert found.grid[0, 5] < 0.999


def test_no_positions_tell_nothing(vit):
    assert position_grids(vit(position=NoPosition), PATCHES) == []


def test_sines_of_row_and_column_fade_with_the_distance(vit):
    model = vit(position=Sincos2dPosition)
    (found,) = position_grids(model, PATCHES)
    correlation = np.corrcoef(found.grid.flatten(), patch_distances(model.layout).flatten())[0, 1]
    assert correlation < -0.9
