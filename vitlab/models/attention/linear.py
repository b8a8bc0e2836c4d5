"""Attention whose cost grows with the number of tokens, not with its square.

Katharopoulos et al. 2020, "Transformers are RNNs", section 3.2.
Shapes: B batch, H heads, T tokens, K width of a head.
"""

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from vitlab.models.attention.full import Attention
from vitlab.models.layout import TokenLayout


class LinearAttention(Attention):
    """``f(q) (f(k)^T v)`` over its sum of weights, with f(x) = elu(x) + 1: the T x T weights are never formed.

    Rotary positions turn f(q) and f(k) but not the sum that divides them (Su et al. 2021, "RoFormer", equation 19), so
    with them a weight can be negative.

    Args:
        embed_dim: width of a token.
        num_heads: how many heads share that width.
        layout: how the tokens lie.
        relation: None or one that only turns queries and keys.
        attn_drop: must be 0: there are no weights that could be dropped.
        options: those of ``Attention``.

    Raises:
        ValueError: ``attn_drop`` is not 0, or the relation adds a bias to scores; in ``forward``, a mask is given.
    """

    formula = "φ(Q) (φ(K)ᵀ V) / (φ(Q) Σφ(K)), φ(x) = elu(x) + 1"
    steps = (("memory", "M = φ(K)ᵀ V"), ("normaliser", "z = φ(Q) Σφ(K)"), ("mixing", "O = φ(Q) M / z"))

    def __init__(
        self, embed_dim: int, num_heads: int, layout: TokenLayout, *, attn_drop: float = 0.0, **options: Any
    ) -> None:
        super().__init__(embed_dim, num_heads, layout, **options)
        if attn_drop:
            raise ValueError(f"attn_drop={attn_drop}: attention=linear has no weights to drop; try attn_drop=0.0")
        if getattr(self.relation, "adds_bias", False):
            raise ValueError("attention=linear has no scores that a bias could be added to; try position=rope_2d")

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D]."""
        q, k, turned_q, turned_k, v = self._features(tokens, mask)
        memory = turned_k.transpose(-2, -1) @ v  # [B, H, K, K]
        total = q @ k.sum(dim=-2).unsqueeze(-1)  # [B, H, T, 1]
        return self._merge(turned_q @ memory / total, tokens)

    def forward_with_weights(self, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """The same with the weights [B, H, T, T] written out, which this attention exists to avoid."""
        q, k, turned_q, turned_k, v = self._features(tokens, mask)
        total = (q @ k.transpose(-2, -1)).sum(dim=-1, keepdim=True)  # [B, H, T, 1]
        weights = turned_q @ turned_k.transpose(-2, -1) / total  # [B, H, T, T]
        return self._merge(weights @ v, tokens), weights

    def _features(self, tokens: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        """f(q) and f(k), the same turned by the relation, and v: all [B, H, T, K]."""
        if mask is not None:
            raise ValueError("attention=linear cannot be masked: it never forms the weights; try attention=full")
        q, k, v = self._heads(tokens)
        q, k = F.elu(q) + 1, F.elu(self._for_each_head(k)) + 1
        turned_q, turned_k = (q, k) if self.relation is None else self.relation(q, k)[:2]
        return q, k, turned_q, turned_k, self._for_each_head(v)
