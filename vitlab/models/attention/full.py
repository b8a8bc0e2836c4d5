"""Multi-head self-attention: every token looks at every other.

Vaswani et al. 2017, "Attention is all you need", section 3.2.2; Dosovitskiy et al. 2021, appendix A.
Shapes: B batch, T tokens, D width, H heads, K = D / H width of a head.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitlab.models.attention.masks import combine
from vitlab.models.drop import Dropout
from vitlab.models.layout import TokenLayout, nearest_divisors


class Attention(nn.Module):
    """Full self-attention: in each head, every token takes from every other what fits its query.

    There are two paths to the same result: ``forward`` through torch's fused kernel, which never holds the
    T x T weights, and ``forward_with_weights``, which writes them out.

    A mask is boolean (True: may be looked at) or additive (floats, ``-inf``: may not), and broadcasts to
    [B, H, T, T]. A token that may look at nothing gets zeros from its heads.

    Args:
        embed_dim: width of a token.
        num_heads: how many heads share that width.
        layout: how the tokens lie; this attention treats all tokens alike and keeps nothing of it.
        relation: what two tokens' places do to their scores, or None: maps queries and keys, [B, H, T, K] each, to
            those that are compared and to a bias [1, H, T, T] of the scores, or None.
        block: number of the block that it stands in, from 0; for attentions that alternate.
        attn_drop: rate of dropout on the attention weights.
        proj_drop: rate of dropout on the output.
        qkv_bias: whether queries, keys and values have a bias.
        qk_norm: whether each head's queries and keys are normalised before they are compared, which keeps the scores
            from growing without bound (Dehghani et al. 2023, "Scaling Vision Transformers to 22 billion parameters").
        gated: whether a sigmoid of the token decides how much of each head's result goes on (Qiu et al. 2025, "Gated
            attention for large language models", the element-wise gate after the mixing).
        num_kv_heads: heads of keys and values, each shared by a group of query heads; None for as many as queries,
            1 for multi-query attention (Shazeer 2019), between them grouped queries (Ainslie et al. 2023).

    Raises:
        ValueError: the heads do not divide the width, or the key heads the heads; the nearest that do are named.
    """

    formula = "softmax(QKᵀ / √dₖ) V"
    steps = (("scores", "S = QKᵀ / √dₖ"), ("softmax", "A = softmax(S)"), ("mixing", "O = A V"))
    pattern: Tensor | None

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        layout: TokenLayout,
        relation: nn.Module | None = None,
        block: int = 0,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        qkv_bias: bool = True,
        qk_norm: bool = False,
        gated: bool = False,
        num_kv_heads: int | None = None,
    ) -> None:
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            hint = nearest_divisors(embed_dim, num_heads)
            raise ValueError(f"num_heads={num_heads} does not divide embed_dim={embed_dim}; try {hint}")
        self.num_heads = num_heads
        self.num_kv_heads = num_heads if num_kv_heads is None else num_kv_heads
        if self.num_kv_heads < 1 or num_heads % self.num_kv_heads:
            hint = nearest_divisors(num_heads, self.num_kv_heads)
            raise ValueError(f"num_kv_heads={num_kv_heads} does not divide num_heads={num_heads}; try {hint}")
        self.head_dim = embed_dim // num_heads
        self.scale = 1 / math.sqrt(self.head_dim)
        self.attn_drop = attn_drop
        self.relation = relation
        self.qkv = nn.Linear(embed_dim, embed_dim + 2 * self.num_kv_heads * self.head_dim, bias=qkv_bias)
        self.q_norm = nn.LayerNorm(self.head_dim, eps=1e-6) if qk_norm else nn.Identity()
        self.k_norm = nn.LayerNorm(self.head_dim, eps=1e-6) if qk_norm else nn.Identity()
        self.gate = nn.Linear(embed_dim, embed_dim) if gated else None
        self.proj = nn.Linear(embed_dim, embed_dim)
        self.proj_drop = Dropout(proj_drop)
        self.register_buffer("pattern", None, persistent=False)  # [T, T], for those in which not all see all

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D] through the fused kernel."""
        q, k, v, mask = self._compared(tokens, mask)
        dropout = self.attn_drop if self.training else 0.0
        grouped = self.num_kv_heads != self.num_heads
        mixed = F.scaled_dot_product_attention(
            q, k, v, attn_mask=mask, dropout_p=dropout, scale=self.scale, enable_gqa=grouped
        )  # [B, H, T, K]
        return self._merge(mixed, tokens)

    def forward_with_weights(self, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Map tokens [B, T, D] to [B, T, D] step by step, and give the weights [B, H, T, T] too."""
        q, k, v, mask = self._compared(tokens, mask)
        k, v = self._for_each_head(k), self._for_each_head(v)  # [B, H, T, K]
        scores = q @ k.transpose(-2, -1) * self.scale  # [B, H, T, T]
        if mask is not None:
            scores = scores.masked_fill(~mask, -math.inf) if mask.dtype == torch.bool else scores + mask
        blind = scores.isneginf().all(dim=-1, keepdim=True)  # [B, H, T, 1], tokens that may look at nothing
        weights = scores.masked_fill(blind, 0).softmax(dim=-1).masked_fill(blind, 0)  # [B, H, T, T], rows sum to one
        mixed = F.dropout(weights, self.attn_drop, self.training) @ v  # [B, H, T, K]
        return self._merge(mixed, tokens), weights

    def _heads(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries [B, H, T, K], keys and values of each head, normalised where that is wanted."""
        heads = self.qkv(tokens).unflatten(-1, (-1, self.head_dim))  # [B, T, H + 2 H_kv, K]
        split = heads.split([self.num_heads, self.num_kv_heads, self.num_kv_heads], dim=2)
        q, k, v = (part.transpose(1, 2) for part in split)  # after the split, so that its gradient is copied once
        return self.q_norm(q), self.k_norm(k), v

    def _compared(self, tokens: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """What the scores are made of: queries, keys, values, and all that is said of who may look at whom."""
        q, k, v = self._heads(tokens)
        bias = None
        if self.relation is not None:
            q, k, bias = self.relation(q, k)
        if bias is not None:
            bias = bias.to(q.dtype)
        if mask is not None and mask.dtype != torch.bool:
            mask = mask.to(q.dtype)
        return q, k, v, combine(self.pattern, bias, mask)

    def _for_each_head(self, shared: Tensor) -> Tensor:
        """Keys or values [B, H_kv, T, K], repeated for the heads that share them: [B, H, T, K]."""
        return shared.repeat_interleave(self.num_heads // self.num_kv_heads, dim=1)

    def _merge(self, mixed: Tensor, tokens: Tensor) -> Tensor:
        """Heads side by side, gated by the tokens they came from, then projected: [B, H, T, K] to [B, T, D]."""
        merged = mixed.transpose(1, 2).flatten(2)  # [B, T, D]
        if self.gate is not None:
            merged = merged * self.gate(tokens).sigmoid()
        out: Tensor = self.proj_drop(self.proj(merged))
        return out
