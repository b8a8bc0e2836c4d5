"""Positions that are added to the tokens: learned, computed, or none.

Dosovitskiy et al. 2021, "An image is worth 16x16 words", section 3.1, E_pos in equation 1.
Shapes: B batch, T tokens of which P stand before the N patches, D width.
"""

import torch
from torch import Tensor, nn

from vitlab.models.layout import TokenLayout


class LearnedPosition(nn.Module):
    """One learned vector for each place of the sequence, CLS included, added to its token.

    Args:
        embed_dim: width of a token.
        num_heads: of the attentions, which this position does not reach.
        layout: how the tokens lie.
    """

    formula = "x + E, E learned"
    embeddings = ("embedding",)

    def __init__(self, embed_dim: int, num_heads: int, layout: TokenLayout) -> None:
        super().__init__()
        self.layout = layout
        self.embedding = nn.Parameter(torch.zeros(1, layout.num_tokens, embed_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D]."""
        return tokens + self.embedding


class NoPosition(nn.Module):
    """Nothing: the patches are a set, unless another part sees how they lie.

    Args:
        embed_dim, num_heads, layout: of the tokens and attentions, which are left alone.
    """

    formula = "x"

    def __init__(self, embed_dim: int, num_heads: int, layout: TokenLayout) -> None:
        super().__init__()

    def forward(self, tokens: Tensor) -> Tensor:
        """Give the tokens [B, T, D] back."""
        return tokens


class SinusoidalPosition(nn.Module):
    """Sines and cosines of the number of the patch, counted row by row; CLS is left alone.

    Vaswani et al. 2017, section 3.5. Nothing is learned, so any number of patches has its positions.

    Args:
        embed_dim: width of a token; even.
        num_heads: of the attentions, which this position does not reach.
        layout: how the tokens lie.

    Raises:
        ValueError: the width is odd.
    """

    formula = "x + E, E(i) = [sin(i ω), cos(i ω)]"
    embedding: Tensor

    def __init__(self, embed_dim: int, num_heads: int, layout: TokenLayout) -> None:
        super().__init__()
        if embed_dim % 2:
            raise ValueError(
                f"embed_dim={embed_dim} is odd, and position=sinusoidal_1d needs pairs; "
                f"try {embed_dim - 1} or {embed_dim + 1}"
            )
        patches = sinusoids(torch.arange(layout.num_patches), embed_dim)  # [N, D]
        self.register_buffer("embedding", _below(layout.num_prefix, patches), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D]."""
        return tokens + self.embedding


class Sincos2dPosition(nn.Module):
    """Sines and cosines of the row in one half of the width, of the column in the other; CLS is left alone.

    Chen et al. 2021, "An empirical study of training self-supervised vision transformers" (MoCo v3); Beyer et al. 2022,
    "Better plain ViT baselines". Nothing is learned, so any grid has its positions.

    Args:
        embed_dim: width of a token; a multiple of four.
        num_heads: of the attentions, which this position does not reach.
        layout: how the tokens lie.

    Raises:
        ValueError: four does not divide the width; the nearest multiples are named.
    """

    formula = "x + E, E = [sin, cos of column · ω; of row · ω]"
    embedding: Tensor

    def __init__(self, embed_dim: int, num_heads: int, layout: TokenLayout) -> None:
        super().__init__()
        if embed_dim % 4:
            near = embed_dim - embed_dim % 4
            hint = f"{near} or {near + 4}" if near else f"{near + 4}"
            raise ValueError(f"position=sincos_2d needs a multiple of 4, not embed_dim={embed_dim}; try {hint}")
        rows, columns = layout.grid_size
        by_row = sinusoids(torch.arange(rows), embed_dim // 2).repeat_interleave(columns, dim=0)
        by_column = sinusoids(torch.arange(columns), embed_dim // 2).repeat(rows, 1)
        patches = torch.cat([by_column, by_row], dim=1)  # [N, D]
        self.register_buffer("embedding", _below(layout.num_prefix, patches), persistent=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D]."""
        return tokens + self.embedding


def sinusoids(places: Tensor, width: int) -> Tensor:
    """Sines, then cosines, of ``places`` [N] at ``width / 2`` frequencies falling from 1 to 1/10000: [N, width]."""
    frequencies = 10000 ** (-torch.arange(width // 2) / (width / 2))
    angles = places[:, None] * frequencies[None, :]  # [N, width / 2]
    return torch.cat([angles.sin(), angles.cos()], dim=1)


def _below(num_prefix: int, patches: Tensor) -> Tensor:
    """Positions of all tokens [1, T, D]: zeros for those before the patches."""
    return torch.cat([patches.new_zeros(num_prefix, patches.shape[1]), patches])[None]
