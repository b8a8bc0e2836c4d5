"""Positions as a bias of the attention scores, learned for each distance between two patches.

Liu et al. 2021, "Swin transformer", equation 4; with entries for CLS as in Bao et al. 2022, "BEiT".
Shapes: B batch, H heads, T tokens of which P stand before the patches, D width.
"""

import torch
from torch import Tensor, nn

from vitlab.models.attention.masks import offsets
from vitlab.models.layout import TokenLayout


class RelativeBiasPosition(nn.Module):
    """Nothing is added to the tokens; each attention gets a ``RelativeBias`` of its own.

    Args:
        embed_dim: width of a token.
        num_heads: of the attentions.
        layout: how the tokens lie.
    """

    formula = "x; later, in each attention, a bias B joins the scores"

    def __init__(self, embed_dim: int, num_heads: int, layout: TokenLayout) -> None:
        super().__init__()
        self.num_heads = num_heads

    def forward(self, tokens: Tensor) -> Tensor:
        """Give the tokens [B, T, D] back."""
        return tokens

    def relation(self, layout: TokenLayout) -> nn.Module:
        """The table of one attention over ``layout``."""
        return RelativeBias(self.num_heads, layout)


class RelativeBias(nn.Module):
    """A table with a number for each head and each distance in rows and columns.

    Three more entries serve CLS and registers: from them to a patch, from a patch to them, among themselves.

    Args:
        num_heads: H.
        layout: how the tokens lie, registers included.
    """

    formula = "Bᵢⱼ = table[rowⱼ − rowᵢ, columnⱼ − columnᵢ]"
    needs_all_patches = True
    adds_bias = True
    embeddings = ("table",)
    entry: Tensor

    def __init__(self, num_heads: int, layout: TokenLayout) -> None:
        super().__init__()
        rows, columns = layout.grid_size
        self.grid_size = layout.grid_size
        distances = (2 * rows - 1) * (2 * columns - 1)
        self.table = nn.Parameter(torch.zeros(distances + 3 * (layout.num_prefix > 0), num_heads))
        down, right = offsets(layout)  # [N, N]
        entry = torch.empty(layout.num_tokens, layout.num_tokens, dtype=torch.long)
        first = layout.num_prefix
        entry[first:, first:] = (down + rows - 1) * (2 * columns - 1) + right + columns - 1
        entry[:first, first:], entry[first:, :first], entry[:first, :first] = distances, distances + 1, distances + 2
        self.register_buffer("entry", entry, persistent=False)

    def forward(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys as they came, and the bias [1, H, T, T] of their scores."""
        return q, k, self.table[self.entry].permute(2, 0, 1)[None]
