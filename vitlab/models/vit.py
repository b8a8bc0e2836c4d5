"""The Vision Transformer: the whole architecture on one page.

Dosovitskiy et al. 2021, "An image is worth 16x16 words: Transformers for image recognition at scale", section 3.1.
Shapes: B batch, C channels, S x S image, N patches, T tokens (CLS and patches), D width, H heads, K classes.
"""

import math
from collections.abc import Callable
from typing import Any, cast

import torch
from torch import Tensor, nn

from vitlab.models.drop import DropPath, drop_path_rates
from vitlab.models.layout import TokenLayout


class Block(nn.Module):
    """One layer of the encoder: attention mixes the tokens, then an MLP works on each of them.

    Each of the two is a branch, whose output is added to its input; the norm stands at the head of the branch
    (pre-norm; equations 2 and 3 of the paper).

    Args:
        norm1: normalises what the attention sees.
        attention: mixes the tokens.
        norm2: normalises what the MLP sees.
        mlp: works on each token.
        drop_path: rate in [0, 1) at which each of the two branches is left out while training.
    """

    def __init__(
        self, norm1: nn.Module, attention: nn.Module, norm2: nn.Module, mlp: nn.Module, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = norm1
        self.attn: Any = attention  # a module with a second way through: forward_with_weights
        self.norm2 = norm2
        self.mlp = mlp
        self.drop_path = DropPath(drop_path)

    def forward(self, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D]."""
        tokens = tokens + self.drop_path(self.attn(self.norm1(tokens), mask))
        out: Tensor = tokens + self.drop_path(self.mlp(self.norm2(tokens)))
        return out

    def forward_stages(self, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, dict[str, Tensor]]:
        """The same step by step: the tokens, and beside them ``attn``, ``weights`` and ``mlp``."""
        attn, weights = self.attn.forward_with_weights(self.norm1(tokens), mask)  # [B, T, D], [B, H, T, T]
        tokens = tokens + self.drop_path(attn)
        mlp = self.mlp(self.norm2(tokens))  # [B, T, D]
        tokens = tokens + self.drop_path(mlp)
        return tokens, {"attn": attn, "weights": weights, "mlp": mlp}


class ViT(nn.Module):
    """Patches, tokens, positions, blocks, norm, pool, head.

    The parts come as factories, called with the sizes that only the whole knows; ``layout``, a ``TokenLayout``, tells
    how the tokens lie. What each is called with, and what the module that it makes has to do:

    - ``patch_embed(image_size=, patch_size=, channels=, embed_dim=)``: [B, C, S, S] to [B, N, D]; has a ``grid_size``.
    - ``position(embed_dim=, layout=)``: [B, T, D] to [B, T, D].
    - ``attention(embed_dim=, num_heads=, layout=, attn_drop=, proj_drop=)``: [B, T, D] and a mask to [B, T, D];
      ``forward_with_weights`` gives the weights [B, H, T, T] too.
    - ``mlp(embed_dim=, hidden_dim=, mlp_drop=)``: [B, T, D] to [B, T, D].
    - ``norm(embed_dim)``: [B, T, D] to [B, T, D].
    - ``pool(layout=)``: [B, T, D] to [B, D].
    - ``init(model)``: sets the weights of the whole, called last.

    Args:
        image_size: height and width of the images, in pixels.
        channels: of the images.
        num_classes: K.
        patch_size: height and width of a patch, in pixels.
        embed_dim: D.
        depth: number of blocks.
        num_heads: H, heads of each attention.
        patch_embed, position, attention, mlp, norm, pool, init: the parts.
        mlp_ratio: hidden width of the MLP in units of D.
        class_token: whether a learned CLS token stands before the patches.
        pos_drop: rate of dropout on the tokens with their positions.
        attn_drop, proj_drop: rates of dropout in the attention.
        mlp_drop: rate of dropout in the MLP.
        drop_path: rate at which a branch of the last block is left out.
        drop_path_schedule: ``linear`` or ``constant`` over the depth.

    Raises:
        ValueError: a size is not positive, a rate lies outside [0, 1), or a part refuses its sizes.
    """

    def __init__(
        self,
        image_size: int,
        channels: int,
        num_classes: int,
        patch_size: int,
        embed_dim: int,
        depth: int,
        num_heads: int,
        *,
        patch_embed: Callable[..., nn.Module],
        position: Callable[..., nn.Module],
        attention: Callable[..., nn.Module],
        mlp: Callable[..., nn.Module],
        norm: Callable[..., nn.Module],
        pool: Callable[..., nn.Module],
        init: Callable[["ViT"], None],
        mlp_ratio: float = 4.0,
        class_token: bool = True,
        pos_drop: float = 0.0,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        mlp_drop: float = 0.0,
        drop_path: float = 0.0,
        drop_path_schedule: str = "linear",
    ) -> None:
        super().__init__()
        _refuse_sizes(channels=channels, num_classes=num_classes, embed_dim=embed_dim, depth=depth, mlp_ratio=mlp_ratio)
        _refuse_rates(
            pos_drop=pos_drop, attn_drop=attn_drop, proj_drop=proj_drop, mlp_drop=mlp_drop, drop_path=drop_path
        )
        hidden_dim = int(embed_dim * mlp_ratio)
        if hidden_dim < 1:
            raise ValueError(f"mlp_ratio={mlp_ratio} leaves the MLP of embed_dim={embed_dim} no width; try 4.0")
        self.patch_embed = patch_embed(
            image_size=image_size, patch_size=patch_size, channels=channels, embed_dim=embed_dim
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, embed_dim)) if class_token else None
        layout = TokenLayout(cast(tuple[int, int], self.patch_embed.grid_size), num_prefix=int(class_token))
        self.position = position(embed_dim=embed_dim, layout=layout)
        self.pos_drop = nn.Dropout(pos_drop)
        self.blocks = nn.ModuleList(
            Block(
                norm(embed_dim),
                attention(
                    embed_dim=embed_dim, num_heads=num_heads, layout=layout, attn_drop=attn_drop, proj_drop=proj_drop
                ),
                norm(embed_dim),
                mlp(embed_dim=embed_dim, hidden_dim=hidden_dim, mlp_drop=mlp_drop),
                rate,
            )
            for rate in drop_path_rates(drop_path, depth, drop_path_schedule)
        )
        self.norm = norm(embed_dim)
        self.pool = pool(layout=layout)
        self.head = nn.Linear(embed_dim, num_classes)
        init(self)

    def forward(self, images: Tensor, mask: Tensor | None = None) -> Tensor:
        """Map images [B, C, S, S] to logits [B, K].

        Args:
            images: normalised floats.
            mask: which token may look at which, in every block: boolean (True: may) or additive, broadcast to
                [B, H, T, T].
        """
        patches = self.patch_embed(images)  # [B, N, D]
        tokens = self.pos_drop(self.position(self._prepend_class_token(patches)))  # [B, T, D]
        for block in self.blocks:
            tokens = block(tokens, mask)  # [B, T, D]
        pooled = self.pool(self.norm(tokens))  # [B, D]
        logits: Tensor = self.head(pooled)  # [B, K]
        return logits

    def forward_stages(self, images: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """The forward pass with every stage by name, attention weights written out: for looking inside.

        Returns:
            In the order of the pass: ``patches`` [B, N, D]; ``tokens`` [B, T, D], with CLS and positions; for each
            block ``block00.attn`` [B, T, D], ``block00.weights`` [B, H, T, T], ``block00.mlp`` [B, T, D] and its
            output ``block00`` [B, T, D]; then ``normed`` [B, T, D], ``pooled`` [B, D] and ``logits`` [B, K].
        """
        stages: dict[str, Tensor] = {}
        stages["patches"] = self.patch_embed(images)
        tokens = self.pos_drop(self.position(self._prepend_class_token(stages["patches"])))
        stages["tokens"] = tokens
        for number, block in enumerate(self.blocks):
            tokens, inside = cast(Block, block).forward_stages(tokens, mask)
            stages |= {f"block{number:02d}.{name}": stage for name, stage in inside.items()}
            stages[f"block{number:02d}"] = tokens
        stages["normed"] = self.norm(tokens)
        stages["pooled"] = self.pool(stages["normed"])
        stages["logits"] = self.head(stages["pooled"])
        return stages

    def _prepend_class_token(self, patches: Tensor) -> Tensor:
        if self.cls_token is None:
            return patches  # [B, N, D]
        class_token = self.cls_token.expand(len(patches), -1, -1)  # [B, 1, D]
        return torch.cat([class_token, patches], dim=1)  # [B, T, D]

    def no_weight_decay(self) -> list[str]:
        """Names of the parameters that are tokens and positions, not weights, always in the same order."""
        positions = [f"position.{name}" for name, _ in self.position.named_parameters()]
        return [*["cls_token"] * (self.cls_token is not None), *positions]


def _refuse_sizes(**sizes: float) -> None:
    for name, size in sizes.items():
        if not 0 < size < math.inf:
            raise ValueError(f"{name}={size} is not a positive number; try 1")


def _refuse_rates(**rates: float) -> None:
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"{name}={rate} lies outside [0, 1); try 0.1")
