"""Locality self-attention, for small data sets: sharper weights, and no looking at oneself.

Lee et al. 2021, "Vision transformer for small-size datasets", section 3.3.
"""

import math
from typing import Any

import torch
from torch import Tensor, nn

from vitlab.models.attention.full import Attention
from vitlab.models.layout import TokenLayout


class LocalitySelfAttention(Attention):
    """Full attention with a learned temperature, in which no token sees itself (diagonal masking).

    The temperature divides the scores in place of ``sqrt(K)``, with which it begins; there is one for each block.

    Args:
        embed_dim: width of a token.
        num_heads: how many heads share that width.
        layout: how the tokens lie.
        options: those of ``Attention``.
    """

    formula = "softmax(QKᵀ / τ + M) V, Mᵢᵢ = −∞"
    steps = (("scores", "S = QKᵀ / τ"), *Attention.steps[1:])
    needs_all_patches = True

    def __init__(self, embed_dim: int, num_heads: int, layout: TokenLayout, **options: Any) -> None:
        super().__init__(embed_dim, num_heads, layout, **options)
        self.temperature = nn.Parameter(torch.tensor([math.sqrt(self.head_dim)]))
        self.pattern = ~torch.eye(layout.num_tokens, dtype=torch.bool)  # [T, T]

    def _heads(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = super()._heads(tokens)
        return q / (self.temperature * self.scale), k, v  # the scores are multiplied by ``scale`` later
