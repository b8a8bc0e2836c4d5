"""Multi-head self-attention: every token looks at every other.

Vaswani et al. 2017, "Attention is all you need", section 3.2.2; Dosovitskiy et al. 2021, appendix A.
Shapes: B batch, T tokens, D width, H heads, K = D / H width of a head.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitlab.models.layout import TokenLayout, nearest_divisors


class Attention(nn.Module):
    """Full self-attention, ``softmax(q k^T / sqrt(K)) v`` in each head.

    There are two paths to the same result: ``forward`` through torch's fused kernel, which never holds the
    T x T weights, and ``forward_with_weights``, which writes them out.

    A mask is boolean (True: may be looked at) or additive (floats, ``-inf``: may not), and broadcasts to
    [B, H, T, T]. A token that may look at nothing gets zeros from its heads.

    Args:
        embed_dim: width of a token.
        num_heads: how many heads share that width.
        layout: how the tokens lie, handed to every attention; this one treats all tokens alike and keeps nothing of it.
        attn_drop: rate of dropout on the attention weights.
        proj_drop: rate of dropout on the output.
        qkv_bias: whether queries, keys and values have a bias.

    Raises:
        ValueError: the heads do not divide the width; the nearest numbers that do are named.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        layout: TokenLayout,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        qkv_bias: bool = True,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            hint = nearest_divisors(embed_dim, num_heads)
            raise ValueError(f"num_heads={num_heads} does not divide embed_dim={embed_dim}; try {hint}")
        self.num_heads = num_heads
        self.attn_drop = attn_drop
        self.qkv = nn.Linear(embed_dim, 3 * embed_dim, bias=qkv_bias)
        self.proj = nn.Linear(embed_dim, embed_dim)
        self.proj_drop = nn.Dropout(proj_drop)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D] through the fused kernel."""
        q, k, v = self._heads(tokens)
        dropout = self.attn_drop if self.training else 0.0
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout)  # [B, H, T, K]
        return self._merge(mixed)

    def forward_with_weights(self, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map tokens [B, T, D] to [B, T, D] step by step, and give the weights [B, H, T, T] too."""
        q, k, v = self._heads(tokens)
        scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # [B, H, T, T]
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
        blind = scores.isneginf().all(dim=-1, keepdim=True)  # [B, H, T, 1], tokens that may look at nothing
        weights = scores.masked_fill(blind, 0).softmax(dim=-1).masked_fill(blind, 0)  # [B, H, T, T], rows sum to one
        mixed = F.dropout(weights, self.attn_drop, self.training) @ v  # [B, H, T, K]
        return self._merge(mixed), weights

    def _heads(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of each head, all [B, H, T, K]."""
        qkv = self.qkv(tokens)  # [B, T, 3D]
        qkv = qkv.unflatten(-1, (3, self.num_heads, -1))  # [B, T, 3, H, K]
        q, k, v = qkv.permute(2, 0, 3, 1, 4)  # 3 x [B, H, T, K]
        return q, k, v

    def _merge(self, mixed: Tensor) -> Tensor:
        """Heads side by side, then projected: [B, H, T, K] to [B, T, D]."""
        tokens: Tensor = self.proj_drop(self.proj(mixed.transpose(1, 2).flatten(2)))
        return tokens
