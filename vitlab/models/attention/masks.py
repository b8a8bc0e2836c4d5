"""Masks: which token may look at which.

A mask is boolean (True: may) or additive (floats added to the scores, ``-inf``: may not).
"""

import math

import torch
from torch import Tensor

from vitlab.models.layout import TokenLayout


def combine(*masks: Tensor | None) -> Tensor | None:
    """One mask that says what all of ``masks`` say: boolean if all are, additive otherwise, None if there are none."""
    given = [mask for mask in masks if mask is not None]
    if not given:
        return None
    allowed = [mask for mask in given if mask.dtype == torch.bool]
    added = [mask for mask in given if mask.dtype != torch.bool]
    if not added:
        return _product(allowed)
    total = added[0]
    for mask in added[1:]:
        total = total + mask
    return total.masked_fill(~_product(allowed), -math.inf) if allowed else total


def _product(allowed: list[Tensor]) -> Tensor:
    both = allowed[0]
    for mask in allowed[1:]:
        both = both & mask
    return both


def offsets(layout: TokenLayout) -> tuple[Tensor, Tensor]:
    """How many rows and columns lie between each two patches, both [N, N]: place of the second minus the first."""
    rows, columns = layout.grid_size
    row = torch.arange(rows).repeat_interleave(columns)
    column = torch.arange(columns).repeat(rows)
    return row[None, :] - row[:, None], column[None, :] - column[:, None]


def with_prefix(patches: Tensor, layout: TokenLayout) -> Tensor:
    """A mask of all tokens [T, T] from one of the patches [N, N]: the prefix sees all, and is seen by all."""
    mask = torch.ones(layout.num_tokens, layout.num_tokens, dtype=torch.bool)
    mask[layout.num_prefix :, layout.num_prefix :] = patches
    return mask
