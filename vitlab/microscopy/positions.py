"""What the positions of a model tell: for each two places of the grid, how alike they are made, or how near drawn.

It is measured from outside, so that any position has it: what is added to one and the same token at all places, and
what becomes of one and the same query and key there.
Shapes: L blocks, H heads, T tokens, N patches, D width, K width of a head.
"""

from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F

from vitlab.models.vit import ViT

ADDED, TURNED, BIASED = "added", "turned", "bias"


@dataclass(frozen=True)
class PositionGrid:
    """One number for each two places.

    Args:
        kind: ``added``: the cosine of what is added to the tokens (Dosovitskiy et al. 2021, figure 7, middle).
            ``turned``: the share of a score that is left when query and key are turned, the mean of the cosines of all
            angles between them. ``bias``: what is added to a score, the mean over heads and blocks.
        grid: [N, N].
    """

    kind: str
    grid: Tensor


def position_grids(model: ViT, patches: Tensor) -> list[PositionGrid]:
    """What ``model`` has of positions, empty if nothing.

    Args:
        model: in eval mode.
        patches: tokens that the patch embedding gave, [B, N, D]; their mean stands at all places, since some positions
            depend on what is there.
    """
    found = []
    with torch.no_grad():
        added = _added(model, patches)
        if added.abs().sum() > 0:
            units = F.normalize(added, dim=-1)
            found.append(PositionGrid(ADDED, units @ units.T))
        turned = _turned(model)
        if turned is not None:
            found.append(PositionGrid(TURNED, turned))
        if (bias := position_biases(model)) is not None:
            found.append(PositionGrid(BIASED, bias.mean(dim=(0, 1))))
    return found


def position_biases(model: ViT) -> Tensor | None:
    """What the places of two patches add to their scores, [L, H, N, N]; None if nothing."""
    first = model.layout.num_prefix
    biases = [bias[0, :, first:, first:] for _, bias in _relations(model) if bias is not None]
    return torch.stack(biases).detach() if biases else None


def _added(model: ViT, patches: Tensor) -> Tensor:
    """What is added to the mean patch at each place: [N, D]."""
    same = patches.mean(dim=(0, 1)).expand(1, model.num_placed + model.layout.num_patches, -1)
    added: Tensor = model.position(same) - same
    return added[0, model.num_placed :]


def _turned(model: ViT) -> Tensor | None:
    """What is left of the score of a query with an equal key, for their places: [N, N]; None if nothing is turned."""
    first = model.layout.num_prefix
    for places, _ in _relations(model):
        if (places != 1).any():
            of_patches = places[0, 0, first:]  # [N, K]
            return of_patches @ of_patches.T / of_patches.shape[-1]
    return None


def _relations(model: ViT) -> list[tuple[Tensor, Tensor | None]]:
    """For each attention with a relation, queries of ones [1, H, T, K] as it leaves them, and its bias [1, H, T, T].

    A pair of ones is turned to (cos - sin, cos + sin), so that two of them give twice the cosine of the difference.
    """
    found = []
    for block in model.blocks:
        attention = cast(Any, block).attn
        if getattr(attention, "relation", None) is not None:
            ones = torch.ones(1, attention.num_heads, model.layout.num_tokens, attention.head_dim)
            ones = ones.to(next(model.parameters()))
            turned, _, bias = attention.relation(ones, ones)
            found.append((turned, bias))
    return found
