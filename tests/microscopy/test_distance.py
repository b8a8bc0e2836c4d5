import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from vitlab.microscopy.distance import even_distance, mean_distance, patch_distances
from vitlab.models.layout import TokenLayout


def looking(layout, seen_from):
    """Weights [1, 1, T, T] of an attention that looks at one patch from each; CLS and registers look at CLS."""
    weights = torch.zeros(1, 1, layout.num_tokens, layout.num_tokens)
    weights[..., : layout.num_prefix, 0] = 1
    for patch in range(layout.num_patches):
        row, column = seen_from(*divmod(patch, layout.grid_size[1]))
        weights[0, 0, layout.num_prefix + patch, layout.num_prefix + row * layout.grid_size[1] + column] = 1
    return weights


def test_an_attention_that_looks_at_its_left_neighbour_looks_one_patch_far(layout):
    left = looking(layout, lambda row, column: (row, column - 1 if column else 1))  # at the border, at the right one
    assert mean_distance(left, layout).item() == 1


def test_across_a_corner_and_at_itself(layout):
    assert mean_distance(looking(layout, lambda row, column: (row, column)), layout).item() == 0
    corner = looking(layout, lambda row, column: (1 - row, column - 1 if column else 1))
    assert mean_distance(corner, layout).item() == pytest.approx(2**0.5)


def test_attention_on_cls_and_registers_has_no_distance_and_changes_none(layout):
    left = looking(layout, lambda row, column: (row, column - 1 if column else 1))
    partly = 0.1 * left
    partly[..., 0] += 0.9
    assert mean_distance(partly, layout).item() == pytest.approx(1)


def test_looking_everywhere_alike_is_the_mean_of_all_distances():
    layout = TokenLayout((3, 5), 1)
    places = np.array([(row, column) for row in range(3) for column in range(5)], dtype=float)
    assert np.allclose(patch_distances(layout), cdist(places, places))
    even = torch.full((2, 4, 16, 16), 1 / 16)
    assert torch.allclose(mean_distance(even, layout), torch.full((4,), even_distance(layout)))
    assert even_distance(layout) == pytest.approx(cdist(places, places).mean())


def test_each_head_has_its_own_distance(layout):
    heads = [looking(layout, lambda row, column: (row, column)), torch.full((1, 1, 9, 9), 1 / 9)]
    assert mean_distance(torch.cat(heads, dim=1), layout).tolist() == pytest.approx([0, even_distance(layout)])
