"""How far attention reaches over the image.

Dosovitskiy et al. 2021, "An image is worth 16x16 words", figure 7 (right) and appendix D.7.
Shapes: B batch, H heads, T tokens, N patches.
"""

import torch
from torch import Tensor

from vitlab.microscopy.shares import as_shares
from vitlab.models.attention.masks import offsets
from vitlab.models.layout import TokenLayout


def patch_distances(layout: TokenLayout) -> Tensor:
    """The distances between the middles of each two patches, in patches: [N, N]."""
    rows, columns = offsets(layout)
    return torch.hypot(rows.float(), columns.float())


def mean_distance(weights: Tensor, layout: TokenLayout) -> Tensor:
    """The distance from a patch to those that it looks at, weighted by how much it looks at each, in patches.

    CLS and registers have no place: only what patches give to patches counts, taken as a whole.

    Args:
        weights: [B, H, T, T].
        layout: how the tokens lie.

    Returns:
        [H], the mean over images and patches.
    """
    first = layout.num_prefix
    among = as_shares(weights[:, :, first:, first:])  # [B, H, N, N]
    return (among * patch_distances(layout).to(among)).sum(dim=-1).mean(dim=(0, 2))


def even_distance(layout: TokenLayout) -> float:
    """What ``mean_distance`` is for an attention that looks at all patches alike."""
    return patch_distances(layout).mean().item()
