"""Attention within windows: a patch sees only those that share its window.

Liu et al. 2021, "Swin transformer", section 3.2.
Shapes: B batch, H heads, T tokens of which P stand before the patches, W windows of M patches each, K width of a head.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from vitlab.models.attention.full import Attention
from vitlab.models.attention.masks import combine, with_prefix
from vitlab.models.layout import TokenLayout, nearest_divisors


class WindowAttention(Attention):
    """Patches see the patches of their own window; CLS and registers see all, and are seen from every window.

    Windows do not overlap. With ``shift``, those of every second block are moved by half a window to both sides, so
    that neighbours across a border meet in the next block. At the border of the image a shifted window is cut, not
    wrapped around: its parts do not see each other.

    The fused path computes each window by itself, which takes W times fewer products than the T x T mask that the
    written-out path uses. ``benchmarks/attention.py`` compares the two.

    Args:
        embed_dim: width of a token.
        num_heads: how many heads share that width.
        layout: how the tokens lie.
        window_size: height and width of a window, in patches; divides the grid.
        shift: whether the windows of every second block are shifted.
        block: number of the block, from 0.
        options: those of ``Attention``.

    Raises:
        ValueError: the window does not divide the grid; the nearest that do are named.
    """

    formula = "softmax(QKᵀ / √dₖ + M) V, M = −∞ between windows"
    needs_all_patches = True

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        layout: TokenLayout,
        *,
        window_size: int = 4,
        shift: bool = False,
        block: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(embed_dim, num_heads, layout, block=block, **options)
        rows, columns = layout.grid_size
        if window_size < 1 or rows % window_size or columns % window_size:
            common = min(rows, columns)
            hint = nearest_divisors(common, window_size)
            raise ValueError(f"window_size={window_size} does not divide the grid {rows}x{columns}; try {hint}")
        self.num_prefix, self.window_size = layout.num_prefix, window_size
        self.moved = moved = window_size // 2 if shift and block % 2 else 0
        row = torch.arange(rows).repeat_interleave(columns)
        column = torch.arange(columns).repeat(rows)
        # Rolled back by the shift, the pieces at two opposite borders make one whole window; this tells them apart.
        piece = (row - moved).div(window_size, rounding_mode="floor") * (columns + 1)
        piece = piece + (column - moved).div(window_size, rounding_mode="floor")  # [N]
        rolled = torch.arange(rows * columns).view(rows, columns).roll((-moved, -moved), (0, 1))
        windows = rolled.unfold(0, window_size, window_size).unfold(1, window_size, window_size)
        windows = windows.reshape(-1, window_size**2)  # [W, M], numbers of patches
        same = piece[windows][:, :, None] == piece[windows][:, None, :]  # [W, M, M]
        self.pattern = with_prefix(piece[:, None] == piece[None, :], layout)  # [T, T]
        first = torch.arange(self.num_prefix).expand(len(windows), -1)
        self.register_buffer("own", windows + self.num_prefix, persistent=False)  # [W, M], numbers of tokens
        self.register_buffer("seen", torch.cat([first, windows + self.num_prefix], dim=1), persistent=False)
        allowed = F.pad(same, (self.num_prefix, 0), value=True)  # [W, M, P + M]
        self.register_buffer("allowed", None if allowed.all() else allowed, persistent=False)
        self.register_buffer("back", windows.flatten().argsort(), persistent=False)  # [N], from windows to the grid

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D], window by window; with a mask of its own, all at once."""
        if mask is not None:
            return super().forward(tokens, mask)
        q, k, v = self._heads(tokens)
        bias = None
        if self.relation is not None:
            q, k, bias = self.relation(q, k)
        k, v = self._for_each_head(k), self._for_each_head(v)
        bias = None if bias is None else bias.to(q.dtype)  # [1, H, T, T]
        own, seen = self.own, self.seen
        inside = None if bias is None else bias[:, :, own[:, :, None], seen[:, None, :]]  # [1, H, W, M, P + M]
        patches = self._mix(q[:, :, own], k[:, :, seen], v[:, :, seen], combine(self.allowed, inside))
        mixed = patches.flatten(2, 3)[:, :, self.back]  # [B, H, N, K]
        if self.num_prefix:
            q, bias = q[:, :, : self.num_prefix], None if bias is None else bias[:, :, : self.num_prefix]
            mixed = torch.cat([self._mix(q, k, v, bias), mixed], dim=2)  # [B, H, T, K]
        return self._merge(mixed, tokens)

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        dropout = self.attn_drop if self.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=self.scale)

    def extra_repr(self) -> str:
        """Show the windows when printed, and by how many patches they are moved."""
        return f"window_size={self.window_size}, moved={self.moved}"
