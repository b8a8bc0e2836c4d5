import numpy as np
import torch

from vitlab.microscopy.part_figures import biases, filters, positions
from vitlab.microscopy.positions import PositionGrid


def test_the_map_of_a_place_lies_at_its_place(observation):
    (axes, _) = positions(observation.found, observation.grids).axes
    sheet = axes.images[0].get_array()
    assert sheet.shape == (19, 19)  # four maps of four with gaps of one
    expected = observation.grids[0].grid[6].reshape(4, 4)  # row 1, column 2
    assert np.allclose(np.asarray(sheet[5:9, 10:14], dtype=float), expected, atol=1e-6)


def test_of_a_large_grid_some_places_are_shown():
    found = {"grid": [20, 20], "positions": {"grids": [{"kind": "turned", "near": 0.9, "far": 0.1}]}}
    (axes, _) = positions(found, [PositionGrid("turned", torch.rand(400, 400))]).axes
    assert axes.images[0].get_array().shape == (8 * 21 - 1, 8 * 21 - 1)
    assert axes.get_yticklabels()[-1].get_text() == "20"


def test_biases_are_seen_from_the_middle_by_block_and_head():
    of_heads = torch.zeros(2, 3, 9, 9)
    of_heads[1, 2, 4, 0] = -2
    (axes, _) = biases(of_heads, (3, 3)).axes
    sheet = np.asarray(axes.images[0].get_array().filled(0))
    assert sheet[4, 8] == -2
    assert np.abs(sheet).sum() == 2
    assert "strongest in head 3 of block 2" in axes.get_title()


def test_components_are_shown_with_their_share(observation):
    (axes,) = filters(observation.found, observation.filters).axes
    shares = [text.get_text() for text in axes.texts]
    assert len(shares) == 12
    assert shares[0] == f"{observation.filters.variance[0]:.0%}"
