"""Rotary positions: queries and keys are turned by angles that grow with their row and column.

Su et al. 2021, "RoFormer"; on two axes as in Heo et al. 2024, "Rotary position embedding for vision transformer".
Shapes: B batch, H heads, T tokens of which P stand before the N patches, K width of a head.
"""

import torch
from torch import Tensor, nn

from vitlab.models.layout import TokenLayout, nearest_divisors


class RotaryPosition(nn.Module):
    """Nothing is added to the tokens; each attention gets a ``Rotation``, which has nothing to learn.

    The score of two patches then depends on how far apart they are, not on where they stand. Any grid has its angles.

    Args:
        embed_dim: width of a token.
        num_heads: of the attentions; the width of a head must be a multiple of four.
        layout: how the tokens lie.
        base: the slowest frequency is 1 / base, the fastest 1; 100 as in Heo et al.

    Raises:
        ValueError: four does not divide the width of a head, or the base is not greater than 1.
    """

    formula = "x; later, in each attention, Q and K are turned"

    def __init__(self, embed_dim: int, num_heads: int, layout: TokenLayout, base: float = 100.0) -> None:
        super().__init__()
        if base <= 1:
            raise ValueError(f"base={base} is not greater than 1; try 100.0")
        self.head_dim, self.base = embed_dim // num_heads, base
        if embed_dim % num_heads == 0 and self.head_dim % 4:  # heads that do not divide are the attention's to refuse
            hint = f"embed_dim={4 * num_heads}"
            if embed_dim % 4 == 0:
                hint = f"num_heads={nearest_divisors(embed_dim // 4, num_heads)}"
            raise ValueError(f"position=rope_2d needs heads whose width 4 divides, not {self.head_dim}; try {hint}")

    def forward(self, tokens: Tensor) -> Tensor:
        """Give the tokens [B, T, D] back."""
        return tokens

    def relation(self, layout: TokenLayout) -> nn.Module:
        """What one attention over ``layout`` turns its queries and keys with."""
        return Rotation(self.head_dim, layout, self.base)


class Rotation(nn.Module):
    """Turns pairs of a head's numbers: half of them by the row, half by the column; CLS and registers stay.

    Args:
        head_dim: K, a multiple of four.
        layout: how the tokens lie, registers included.
        base: as in ``RotaryPosition``.
    """

    formula = "Q ← R(place) Q, K ← R(place) K"
    needs_all_patches = True
    cos: Tensor
    sin: Tensor

    def __init__(self, head_dim: int, layout: TokenLayout, base: float) -> None:
        super().__init__()
        self.num_prefix = layout.num_prefix
        rows, columns = layout.grid_size
        frequencies = base ** (-torch.arange(head_dim // 4) / (head_dim / 4))  # [K / 4]
        by_row = (torch.arange(rows)[:, None] * frequencies).repeat_interleave(columns, dim=0)
        by_column = (torch.arange(columns)[:, None] * frequencies).repeat(rows, 1)
        angles = torch.cat([by_row, by_column], dim=1).repeat(1, 2)  # [N, K]: the two halves make the pairs
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def forward(self, q: Tensor, k: Tensor) -> tuple[Tensor, Tensor, None]:
        """Turn queries and keys, [B, H, T, K] each; no bias is added to the scores."""
        return self._turn(q), self._turn(k), None

    def _turn(self, heads: Tensor) -> Tensor:
        prefix, patches = heads[:, :, : self.num_prefix], heads[:, :, self.num_prefix :]
        first, second = patches.chunk(2, dim=-1)
        turned = patches * self.cos + torch.cat([-second, first], dim=-1) * self.sin
        return torch.cat([prefix, turned.to(heads.dtype)], dim=2)
