"""From the attention of all blocks to one map: which patches the tokens of the last block are made of.

Shapes: B batch, H heads, T tokens, N patches.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from vitlab.microscopy.shares import as_shares
from vitlab.models.layout import TokenLayout


def rollout(weights: Sequence[Tensor]) -> Tensor:
    """How much of each token reaches each token of the last block if attention passed everything on: [B, T, T].

    Abnar & Zuidema 2020, "Quantifying attention flow in transformers", section 3: the mean over the heads, one half for
    the shortcut beside it, multiplied block by block. Rows sum to one.

    Args:
        weights: of each block, [B, H, T, T].
    """
    eye = torch.eye(weights[0].shape[-1], device=weights[0].device)
    total = eye
    for of_block in weights:
        total = as_shares((as_shares(of_block).mean(dim=1) + eye) / 2) @ total
    return total


def gradient_rollout(weights: Sequence[Tensor], gradients: Sequence[Tensor]) -> Tensor:
    """How much each token speaks for one class, as seen from each token of the last block: [B, T, T].

    Chefer et al. 2021, "Generic attention-model explainability", equations 5 and 6: heads count by how much more of
    their attention would raise the logit. Less the identity with which the sum begins (equation 8).

    Args:
        weights: of each block, [B, H, T, T].
        gradients: of the class's logit for them.
    """
    eye = torch.eye(weights[0].shape[-1], device=weights[0].device)
    relevance = eye
    for of_block, gradient in zip(weights, gradients, strict=True):
        relevance = relevance + (gradient * of_block).clamp_min(0).mean(dim=1) @ relevance
    return relevance - eye


def seen(rows: Tensor, read: Tensor, layout: TokenLayout) -> Tensor:
    """What the head sees of the patches through ``rows``: [B, ..., rows, columns] of the grid.

    Args:
        rows: from each token to each, [B, ..., T, T].
        read: the share of each token in what the head reads, [B, T].
        layout: how the tokens lie.
    """
    of_tokens = torch.einsum("bt,b...ts->b...s", read, rows)
    patches = of_tokens[..., layout.num_prefix :]
    return patches.reshape(*patches.shape[:-1], *layout.grid_size)
