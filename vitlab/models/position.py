"""What tells a token where it stands.

Dosovitskiy et al. 2021, "An image is worth 16x16 words", section 3.1, E_pos in equation 1.
Shapes: B batch, T tokens, D width.
"""

import torch
from torch import Tensor, nn

from vitlab.models.layout import TokenLayout


class LearnedPosition(nn.Module):
    """One learned vector for each place of the sequence, CLS included, added to its token.

    Args:
        embed_dim: width of a token.
        layout: how the tokens lie.
    """

    def __init__(self, embed_dim: int, layout: TokenLayout) -> None:
        super().__init__()
        self.embedding = nn.Parameter(torch.zeros(1, layout.num_tokens, embed_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D]."""
        return tokens + self.embedding
