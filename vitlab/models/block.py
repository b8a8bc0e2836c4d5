"""One layer of the encoder: attention mixes the tokens, then an MLP works on each of them.

Each of the two is a branch, whose output is added to its input. The classes differ in where the norm stands.
Shapes: B batch, T tokens, D width, H heads.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from vitlab.models.drop import DropPath
from vitlab.models.layout import TokenLayout

Stages = dict[str, Tensor]


class LayerScale(nn.Module):
    """A learned factor for each number of a branch's output.

    Touvron et al. 2021, "Going deeper with image transformers" (CaiT), section 2.

    Args:
        embed_dim: D.
        start: the factor at the start of training, small, so that a deep model begins near the identity.
    """

    formula = "γ ⊙ branch"

    def __init__(self, embed_dim: int, start: float) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.full((embed_dim,), float(start)))

    def forward(self, branch: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        return branch * self.gamma


class DepthwiseShortcut(nn.Module):
    """A depth-wise 3 x 3 convolution of the patches, to be added to a block's output; zero for CLS and registers.

    The locality that a plain ViT lacks, for 10 D more parameters a block; Li et al. 2021, "LocalViT", and Guo et al.
    2022, "CMT", bring it in by like means. With ``pool=cls`` nothing reads that of the last block.

    Args:
        embed_dim: D.
        layout: how the tokens lie.
    """

    formula = "x + conv 3×3(input of the block)"
    needs_all_patches = True

    def __init__(self, embed_dim: int, layout: TokenLayout) -> None:
        super().__init__()
        self.layout = layout
        self.conv = nn.Conv2d(embed_dim, embed_dim, kernel_size=3, padding=1, groups=embed_dim)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to what is added to them, [B, T, D]."""
        prefix, grid = self.layout.split(tokens)
        patches = self.conv(grid).flatten(2).transpose(1, 2)  # [B, N, D]
        return torch.cat([torch.zeros_like(prefix), patches.to(prefix.dtype)], dim=1)


class PreNormBlock(nn.Module):
    """The norm at the head of each branch (Dosovitskiy et al. 2021, equations 2 and 3).

    Args:
        embed_dim: D.
        norm: makes a norm for the width D.
        attention: mixes the tokens.
        mlp: works on each token.
        layout: how the tokens lie.
        drop_path: rate in [0, 1) at which a branch is left out while training.
        layer_scale: start of the ``LayerScale`` of each branch, or None for none.
        depthwise_shortcut: whether a depth-wise convolution of the block's input is added to its output.
    """

    formula = "x += Attn(N(x)); x += MLP(N(x))"

    def __init__(
        self,
        embed_dim: int,
        *,
        norm: Callable[[int], nn.Module],
        attention: nn.Module,
        mlp: nn.Module,
        layout: TokenLayout,
        drop_path: float = 0.0,
        layer_scale: float | None = None,
        depthwise_shortcut: bool = False,
    ) -> None:
        super().__init__()
        self.norm1 = norm(embed_dim)
        self.attn: Any = attention  # a module with a second way through: forward_with_weights
        self.ls1 = nn.Identity() if layer_scale is None else LayerScale(embed_dim, layer_scale)
        self.norm2 = norm(embed_dim)
        self.mlp = mlp
        self.ls2 = nn.Identity() if layer_scale is None else LayerScale(embed_dim, layer_scale)
        self.drop_path = DropPath(drop_path)
        self.shortcut = DepthwiseShortcut(embed_dim, layout) if depthwise_shortcut else None

    def forward(self, tokens: Tensor, mask: Tensor | None = None, stages: Stages | None = None) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D].

        Args:
            tokens: [B, T, D].
            mask: which token may look at which, or None.
            stages: takes up ``attn`` [B, T, D], ``weights`` [B, H, T, T] and ``mlp`` [B, T, D] on the way, if given;
                the attention then writes its weights out.
        """
        out = self._branches(tokens, mask, stages)
        return out if self.shortcut is None else out + self.shortcut(tokens)

    def _branches(self, tokens: Tensor, mask: Tensor | None, stages: Stages | None) -> Tensor:
        whole = _whole(mask, stages)
        tokens = self.drop_path(tokens, lambda x: self._attend(self.norm1(x), mask, stages), whole)
        out: Tensor = self.drop_path(tokens, lambda x: self._think(self.norm2(x), stages), whole)
        return out

    def _attend(self, tokens: Tensor, mask: Tensor | None, stages: Stages | None) -> Tensor:
        if stages is None:
            out: Tensor = self.ls1(self.attn(tokens, mask))
            return out
        attn, stages["weights"] = self.attn.forward_with_weights(tokens, mask)
        stages["attn"] = self.ls1(attn)
        return stages["attn"]

    def _think(self, tokens: Tensor, stages: Stages | None) -> Tensor:
        out: Tensor = self.ls2(self.mlp(tokens))
        if stages is not None:
            stages["mlp"] = out
        return out


class PostNormBlock(PreNormBlock):
    """The norm after each sum, as in the first transformer (Vaswani et al. 2017, section 3.1).

    Takes what ``PreNormBlock`` takes.
    """

    formula = "x = N(x + Attn(x)); x = N(x + MLP(x))"

    def _branches(self, tokens: Tensor, mask: Tensor | None, stages: Stages | None) -> Tensor:
        whole = _whole(mask, stages)
        tokens = self.norm1(self.drop_path(tokens, lambda x: self._attend(x, mask, stages), whole))
        out: Tensor = self.norm2(self.drop_path(tokens, lambda x: self._think(x, stages), whole))
        return out


class ParallelBlock(PreNormBlock):
    """Attention and MLP side by side behind one norm (Dehghani et al. 2023, "Scaling ViT to 22 billion parameters").

    Takes what ``PreNormBlock`` takes.
    """

    formula = "x += Attn(N(x)) + MLP(N(x))"
    side_by_side = True

    def __init__(self, embed_dim: int, **parts: Any) -> None:
        super().__init__(embed_dim, **parts)
        del self.norm2

    def _branches(self, tokens: Tensor, mask: Tensor | None, stages: Stages | None) -> Tensor:
        def branch(x: Tensor) -> Tensor:
            x = self.norm1(x)
            return self._attend(x, mask, stages) + self._think(x, stages)

        out: Tensor = self.drop_path(tokens, branch, _whole(mask, stages))
        return out


def _whole(mask: Tensor | None, stages: Stages | None) -> bool:
    """Whether a branch must see all images: to be looked at, or because each image has a mask of its own."""
    return stages is not None or (mask is not None and mask.ndim == 4 and mask.shape[0] > 1)
