"""Attention in which a patch looks at some of the others: near ones, or a regular choice of them.

CLS, registers and all else before the patches see everything and are seen by everything. The pattern is a boolean
mask that torch's fused kernel takes, so all scores are computed and the FLOP count says so.
Shapes: N patches, T tokens.
"""

from typing import Any

from vitlab.models.attention.full import Attention
from vitlab.models.attention.masks import offsets, with_prefix
from vitlab.models.layout import TokenLayout, refuse_even


class LocalAttention(Attention):
    """Each patch sees the square of patches around it, cut off at the border of the image.

    Ramachandran et al. 2019, "Stand-alone self-attention in vision models"; with the dot products of a plain ViT.

    Args:
        embed_dim: width of a token.
        num_heads: how many heads share that width.
        layout: how the tokens lie.
        neighbourhood: height and width of the square, in patches; odd.
        options: those of ``Attention``.

    Raises:
        ValueError: ``neighbourhood`` is even.
    """

    formula = "softmax(QKᵀ / √dₖ + M) V, M = −∞ for far patches"
    needs_all_patches = True

    def __init__(
        self, embed_dim: int, num_heads: int, layout: TokenLayout, *, neighbourhood: int = 3, **options: Any
    ) -> None:
        super().__init__(embed_dim, num_heads, layout, **options)
        refuse_even("neighbourhood", neighbourhood)
        rows, columns = offsets(layout)  # [N, N]
        near = (rows.abs() <= neighbourhood // 2) & (columns.abs() <= neighbourhood // 2)
        self.pattern = with_prefix(near, layout)  # [T, T]


class SparseAttention(Attention):
    """Each patch sees its neighbours, and every ``stride``-th patch of every ``stride``-th row, counted from itself.

    Child et al. 2019, "Generating long sequences with sparse transformers", section 4.2 (strided attention), laid out
    on the grid of patches and without the order of time.

    Args:
        embed_dim: width of a token.
        num_heads: how many heads share that width.
        layout: how the tokens lie.
        neighbourhood: height and width of the square around a patch, in patches; odd.
        stride: distance of the far patches that it sees, in patches.
        options: those of ``Attention``.

    Raises:
        ValueError: ``neighbourhood`` is even, or ``stride`` not positive.
    """

    formula = "softmax(QKᵀ / √dₖ + M) V, M = −∞ but near and each s-th"
    needs_all_patches = True

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        layout: TokenLayout,
        *,
        neighbourhood: int = 3,
        stride: int = 4,
        **options: Any,
    ) -> None:
        super().__init__(embed_dim, num_heads, layout, **options)
        refuse_even("neighbourhood", neighbourhood)
        if stride < 1:
            raise ValueError(f"stride={stride} is not positive; try 1")
        rows, columns = offsets(layout)  # [N, N]
        near = (rows.abs() <= neighbourhood // 2) & (columns.abs() <= neighbourhood // 2)
        strided = (rows % stride == 0) & (columns % stride == 0)
        self.pattern = with_prefix(near | strided, layout)  # [T, T]
