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

_MANY = 256  # patches from which windows by themselves are faster than one mask


class WindowAttention(Attention):
    """Patches see the patches of their own window; CLS and registers see all, and are seen from every window.

    Windows do not overlap. With ``shift``, those of every second block are moved by half a window to both sides, so
    that neighbours across a border meet in the next block. At the border of the image a shifted window is cut, not
    wrapped around: its parts do not see each other.

    On large grids the fused path computes each window by itself, with W times fewer products; on small ones one mask
    for all tokens is faster (``benchmarks/attention.py`` compares the two).

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
    own: Tensor
    seen: Tensor
    allowed: Tensor | None

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
        self.layout, self.window_size = layout, window_size
        self.by_window = layout.num_patches >= _MANY
        self.moved = window_size // 2 if shift and block % 2 else 0
        first = layout.num_prefix
        row = torch.arange(rows).repeat_interleave(columns)
        column = torch.arange(columns).repeat(rows)
        # Moved back by the shift, the pieces at two opposite borders make one whole window; this tells them apart.
        piece = (row - self.moved).div(window_size, rounding_mode="floor") * (columns + 1)
        piece = piece + (column - self.moved).div(window_size, rounding_mode="floor")  # [N]
        self.pattern = with_prefix(piece[:, None] == piece[None, :], layout)  # [T, T]
        number = torch.arange(first, layout.num_tokens).view(1, 1, -1, 1)
        own = self._windows(number)[0, 0, :, :, 0]  # [W, M], numbers of tokens
        seen = torch.cat([torch.arange(first).expand(len(own), -1), own], dim=1)  # [W, P + M]
        self.register_buffer("own", own, persistent=False)
        self.register_buffer("seen", seen, persistent=False)
        inside = self.pattern[own[:, :, None], seen[:, None, :]]  # [W, M, P + M]
        self.register_buffer("allowed", None if inside.all() else inside, persistent=False)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D], window by window; with a mask of its own, all at once."""
        if mask is not None or not self.by_window:
            return super().forward(tokens, mask)
        q, k, v = self._heads(tokens)
        bias = None
        if self.relation is not None:
            q, k, bias = self.relation(q, k)
        k, v = self._for_each_head(k), self._for_each_head(v)
        bias = None if bias is None else bias.to(q.dtype)  # [1, H, T, T]
        inside = (
            None if bias is None else bias[:, :, self.own[:, :, None], self.seen[:, None, :]]
        )  # [1, H, W, M, P + M]
        allowed = combine(self.allowed, inside)
        if allowed is not None:
            allowed = allowed.expand(1, self.num_heads, *allowed.shape[-3:]).flatten(1, 2)  # [1, HW, M, P + M]
        first = self.layout.num_prefix
        # Each window of a head stands as a head of its own: torch's fused kernels take four dimensions, not five.
        windows, their_k, their_v = self._windows(q[:, :, first:]), self._seen(k), self._seen(v)  # [B, H, W, ., K]
        patches = self._mix(windows.flatten(1, 2), their_k.flatten(1, 2), their_v.flatten(1, 2), allowed)
        mixed = self._grid(patches.reshape(windows.shape))  # [B, H, N, K]
        if first:
            bias = None if bias is None else bias[:, :, :first]
            mixed = torch.cat([self._mix(q[:, :, :first], k, v, bias), mixed], dim=2)  # [B, H, T, K]
        return self._merge(mixed, tokens)

    def _windows(self, patches: Tensor) -> Tensor:
        """Cut the patches [B, H, N, K] into windows [B, H, W, M, K]."""
        size, (rows, columns) = self.window_size, self.layout.grid_size
        batch, heads, _, width = patches.shape
        grid = patches.reshape(batch, heads, rows, columns, width)
        if self.moved:
            grid = grid.roll((-self.moved, -self.moved), (2, 3))
        grid = grid.reshape(batch, heads, rows // size, size, columns // size, size, width)
        return grid.transpose(3, 4).reshape(batch, heads, -1, size**2, width)

    def _grid(self, windows: Tensor) -> Tensor:
        """Put windows [B, H, W, M, K] back to patches [B, H, N, K]."""
        size, (rows, columns) = self.window_size, self.layout.grid_size
        batch, heads, _, _, width = windows.shape
        grid = windows.reshape(batch, heads, rows // size, columns // size, size, size, width)
        grid = grid.transpose(3, 4).reshape(batch, heads, rows, columns, width)
        if self.moved:
            grid = grid.roll((self.moved, self.moved), (2, 3))
        return grid.flatten(2, 3)

    def _seen(self, tokens: Tensor) -> Tensor:
        """Keys or values [B, H, T, K] that each window sees: the prefix and its own, [B, H, W, P + M, K]."""
        first = self.layout.num_prefix
        windows = self._windows(tokens[:, :, first:])
        prefix = tokens[:, :, None, :first].expand(-1, -1, windows.shape[2], -1, -1)
        return torch.cat([prefix, windows], dim=3)

    def _mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        dropout = self.attn_drop if self.training else 0.0
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, dropout_p=dropout, scale=self.scale)

    def extra_repr(self) -> str:
        """Show the windows when printed, and by how many patches they are moved."""
        return f"window_size={self.window_size}, moved={self.moved}"
