import math

import torch

from vitlab.models.attention.masks import combine, offsets, with_prefix
from vitlab.models.layout import TokenLayout

TRUE, LOWER = torch.ones(3, 3, dtype=torch.bool), torch.ones(3, 3).tril().bool()
ADDED = torch.arange(9.0).view(3, 3)


def test_no_mask_is_none():
    assert combine(None, None) is None
    assert combine() is None


def test_boolean_masks_must_all_allow():
    assert torch.equal(combine(LOWER, LOWER.T, None), torch.eye(3, dtype=torch.bool))
    assert combine(TRUE, LOWER).dtype == torch.bool


def test_additive_masks_add_and_what_is_forbidden_stays_so():
    assert torch.equal(combine(ADDED, None, ADDED), 2 * ADDED)
    both = combine(LOWER, ADDED)
    assert torch.equal(both[LOWER], ADDED[LOWER])
    assert (both[~LOWER] == -math.inf).all()


def test_offsets_are_rows_and_columns_between_two_patches():
    rows, columns = offsets(TokenLayout((2, 3), 0))
    assert (rows[0, 4].item(), columns[0, 4].item()) == (1, 1)  # from the first patch to the middle of the second row
    assert (rows[5, 0].item(), columns[5, 0].item()) == (-1, -2)
    assert torch.equal(rows, -rows.T)


def test_the_prefix_sees_all_and_is_seen():
    mask = with_prefix(torch.eye(4, dtype=torch.bool), TokenLayout((2, 2), 2))
    assert mask[:2].all()
    assert mask[:, :2].all()
    assert torch.equal(mask[2:, 2:], torch.eye(4, dtype=torch.bool))
