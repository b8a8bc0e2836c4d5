"""The Vision Transformer: the whole architecture on one page.

Dosovitskiy et al. 2021, "An image is worth 16x16 words: Transformers for image recognition at scale", section 3.1.
Shapes: B batch, C channels, S x S image, N patches, T tokens (CLS, registers and patches), D width, H heads, K classes.
"""

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from vitlab.models.convert import load_weights
from vitlab.models.drop import Dropout, PatchDrop, drop_path_rates
from vitlab.models.finetune import freeze_blocks, layer_wise_scales
from vitlab.models.layout import TokenLayout


class ViT(nn.Module):
    """Patches, tokens, positions, blocks, norm, pool, head.

    The parts come as factories, called with the sizes that only the whole knows; ``layout``, a ``TokenLayout``, tells
    how the tokens lie. What each is called with, and what the module that it makes has to do:

    - ``patch_embed(image_size=, patch_size=, channels=, embed_dim=)``: [B, C, S, S] to [B, N, D]; has a ``grid_size``.
    - ``position(embed_dim=, num_heads=, layout=)``: [B, T, D] to [B, T, D], before the registers join. If it has a
      method ``relation(layout)``, each attention is handed the module which that returns.
    - ``attention(embed_dim=, num_heads=, layout=, relation=, block=, attn_drop=, proj_drop=)``: [B, T, D] and a mask to
      [B, T, D]; ``forward_with_weights`` gives the weights [B, H, T, T] too.
    - ``mlp(embed_dim=, hidden_dim=, layout=, mlp_drop=)``: [B, T, D] to [B, T, D].
    - ``norm(embed_dim)``: [B, T, D] to [B, T, D].
    - ``block(embed_dim=, norm=, attention=, mlp=, layout=, drop_path=, layer_scale=, depthwise_shortcut=)``: puts a
      norm factory, an attention and an MLP together; ``PreNormBlock`` says how it is called.
    - ``pool(embed_dim=, num_heads=, layout=)``: [B, T, D] to [B, D], or to [B, out_dim] if it has an ``out_dim``.
    - ``init(model)``: sets the weights of the whole, called last.

    A part whose ``needs_all_patches`` is true cannot be had with ``patch_drop``. A part names its parameters that are
    tokens or positions, not weights, in ``embeddings``: they are drawn small and not decayed.

    Args:
        image_size: height and width of the images, in pixels.
        channels: of the images.
        num_classes: K, how many numbers the head gives.
        patch_size: height and width of a patch, in pixels.
        embed_dim: D, the width of a token.
        depth: number of blocks.
        num_heads: H, heads of each attention.
        patch_embed, position, attention, mlp, norm, block, pool, init: the parts.
        mlp_ratio: hidden width of the MLP in units of D.
        class_token: whether a learned CLS token stands before the patches.
        distillation_token: whether a second one, with a head of its own, learns from a teacher (DeiT, Touvron et al.
            2021, section 4).
        num_registers: learned tokens without a place that serve as scratch space (Darcet et al. 2024).
        layer_scale: start of each branch's learned scale, 1e-5 for deep models, or None for none.
        depthwise_shortcut: whether each block adds a depth-wise convolution of its input.
        pool_before_norm: whether the pooled vector is normalised, not the tokens, as timm's mean-pooled models have it.
        pos_drop: rate of dropout on the tokens with their positions.
        patch_drop: share of the patches that is left out while training.
        attn_drop, proj_drop: rates of dropout in the attention.
        mlp_drop: rate of dropout in the MLP.
        drop_path: rate at which a branch of the last block is left out.
        drop_path_schedule: ``linear`` or ``constant`` over the depth.
        grad_checkpointing: whether the backward pass computes each block anew, so that the forward pass keeps nothing
            of it but its input (Chen et al. 2016, "Training deep nets with sublinear memory cost").
        weights: a file of weights to begin with, or the name of a model; see ``vitlab.models.convert.load``.
        allow_mismatch: whether weights may lack parts of the model, or hold more.
        freeze: how many of the first blocks stay as loaded, with all that comes before them; ``all`` but the head.
        layer_decay: learning rate of a block in units of the next one's (Bao et al. 2022), or 1 for the same.

    Attributes:
        lr_scale: learning rate of a parameter by name, in units of the run's; 1 where it has none.
        decay_scale: the same of its weight decay.
        loaded: what the weights brought, in one line, or None.

    Raises:
        ValueError: a size is not positive, a rate lies outside [0, 1), a part refuses its sizes, or the weights do
            not fit.
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
        norm: Callable[[int], nn.Module],
        block: Callable[..., nn.Module],
        pool: Callable[..., nn.Module],
        init: Callable[["ViT"], None],
        mlp_ratio: float = 4.0,
        class_token: bool = True,
        distillation_token: bool = False,
        num_registers: int = 0,
        layer_scale: float | None = None,
        depthwise_shortcut: bool = False,
        pool_before_norm: bool = False,
        pos_drop: float = 0.0,
        patch_drop: float = 0.0,
        attn_drop: float = 0.0,
        proj_drop: float = 0.0,
        mlp_drop: float = 0.0,
        drop_path: float = 0.0,
        drop_path_schedule: str = "linear",
        grad_checkpointing: bool = False,
        weights: str | None = None,
        allow_mismatch: bool = False,
        freeze: int | str = 0,
        layer_decay: float = 1.0,
    ) -> None:
        super().__init__()
        _refuse_sizes(channels=channels, num_classes=num_classes, embed_dim=embed_dim, depth=depth, mlp_ratio=mlp_ratio)
        rates = {"pos_drop": pos_drop, "patch_drop": patch_drop, "attn_drop": attn_drop, "proj_drop": proj_drop}
        _refuse_rates(**rates, mlp_drop=mlp_drop, drop_path=drop_path)
        hidden_dim = int(embed_dim * mlp_ratio)
        if hidden_dim < 1:
            raise ValueError(f"mlp_ratio={mlp_ratio} leaves the MLP of embed_dim={embed_dim} no width; try 4.0")
        if distillation_token and not class_token:
            raise ValueError("distillation_token=true needs class_token=true, beside which it learns")
        if num_registers < 0:
            raise ValueError(f"num_registers={num_registers} is negative; try 4")

        def token(count: int) -> nn.Parameter:
            return nn.Parameter(torch.zeros(1, count, embed_dim))

        self.embed_dim, self.grad_checkpointing = embed_dim, grad_checkpointing
        self.patch_embed = patch_embed(
            image_size=image_size, patch_size=patch_size, channels=channels, embed_dim=embed_dim
        )
        self.cls_token = token(1) if class_token else None
        self.dist_token = token(1) if distillation_token else None
        self.registers = token(num_registers) if num_registers else None
        grid_size = cast(tuple[int, int], self.patch_embed.grid_size)
        self.num_placed = int(class_token) + int(distillation_token)  # tokens before the patches that have a place
        placed = TokenLayout(grid_size, self.num_placed)
        self.layout = layout = TokenLayout(grid_size, self.num_placed + num_registers, num_registers)
        self.position = position(embed_dim=embed_dim, num_heads=num_heads, layout=placed)
        self.pos_drop = Dropout(pos_drop)
        self.patch_drop = PatchDrop(patch_drop, self.num_placed)
        relation = getattr(self.position, "relation", lambda layout: None)
        self.blocks = nn.ModuleList(
            block(
                embed_dim=embed_dim,
                norm=norm,
                attention=attention(
                    embed_dim=embed_dim,
                    num_heads=num_heads,
                    layout=layout,
                    relation=relation(layout),
                    block=number,
                    attn_drop=attn_drop,
                    proj_drop=proj_drop,
                ),
                mlp=mlp(embed_dim=embed_dim, hidden_dim=hidden_dim, layout=layout, mlp_drop=mlp_drop),
                layout=layout,
                drop_path=rate,
                layer_scale=layer_scale,
                depthwise_shortcut=depthwise_shortcut,
            )
            for number, rate in enumerate(drop_path_rates(drop_path, depth, drop_path_schedule))
        )
        self.pool = pool(embed_dim=embed_dim, num_heads=num_heads, layout=layout)
        pooled_dim = getattr(self.pool, "out_dim", embed_dim)
        if distillation_token and pool_before_norm and pooled_dim != embed_dim:
            raise ValueError("distillation_token=true cannot be had with pool=cls_mean and pool_before_norm=true")
        self.pool_before_norm = pool_before_norm
        self.norm = norm(pooled_dim if pool_before_norm else embed_dim)
        self.head = nn.Linear(pooled_dim, num_classes)
        self.head_dist = nn.Linear(embed_dim, num_classes) if distillation_token else None
        if patch_drop:
            _refuse_holes(self, patch_drop)

        self.lr_scale: dict[str, float] = {}
        self.decay_scale: dict[str, float] = {}
        init(self)
        self.loaded = load_weights(self, weights, allow_mismatch) if weights is not None else None
        freeze_blocks(self, freeze)
        layer_wise_scales(self, layer_decay)

    def forward(self, images: Tensor, mask: Tensor | None = None, both_heads: bool = False) -> Tensor:
        """Map images [B, C, S, S] to logits [B, K].

        Args:
            images: normalised floats.
            mask: which token may look at which, in every block: boolean (True: may) or additive, broadcast to
                [B, H, T, T].
            both_heads: whether the logits of the class and of the distillation head come side by side, [2, B, K],
                and not their mean.
        """
        tokens = self._embed(self.patch_embed(images))  # [B, T, D]
        recomputed = self.grad_checkpointing and torch.is_grad_enabled()
        for block in self.blocks:
            tokens = checkpoint(block, tokens, mask, use_reentrant=False) if recomputed else block(tokens, mask)
        return self._classify(self._summarise(tokens), tokens, both_heads)

    def forward_stages(self, images: Tensor, mask: Tensor | None = None) -> dict[str, Tensor]:
        """The forward pass with every stage by name, attention weights written out: for looking inside.

        Returns:
            In the order of the pass: ``patches`` [B, N, D]; ``tokens`` [B, T, D], with CLS and positions; for each
            block ``block00.attn`` [B, T, D], ``block00.weights`` [B, H, T, T], ``block00.mlp`` [B, T, D] and its
            output ``block00`` [B, T, D]; then ``pooled`` [B, D], normalised, and ``logits`` [B, K].
        """
        stages: dict[str, Tensor] = {}
        stages["patches"] = self.patch_embed(images)
        stages["tokens"] = tokens = self._embed(stages["patches"])
        for number, block in enumerate(self.blocks):
            inside: dict[str, Tensor] = {}
            tokens = block(tokens, mask, inside)
            stages |= {f"block{number:02d}.{name}": inside[name] for name in ("attn", "weights", "mlp")}
            stages[f"block{number:02d}"] = tokens
        stages["pooled"] = self._summarise(tokens)
        stages["logits"] = self._classify(stages["pooled"], tokens, both_heads=False)
        return stages

    def _embed(self, patches: Tensor) -> Tensor:
        """CLS before the patches, positions on both, registers between them: [B, N, D] to [B, T, D]."""
        batch = patches.shape[0]  # len(patches) would be a constant in an exported graph
        first = [token.expand(batch, -1, -1) for token in (self.cls_token, self.dist_token) if token is not None]
        tokens = self.position(torch.cat([*first, patches], dim=1) if first else patches)
        tokens = self.patch_drop(self.pos_drop(tokens))
        if self.registers is None:
            return cast(Tensor, tokens)
        registers = self.registers.expand(batch, -1, -1)  # [B, R, D]
        return torch.cat([tokens[:, : self.num_placed], registers, tokens[:, self.num_placed :]], dim=1)

    def _summarise(self, tokens: Tensor) -> Tensor:
        """One normalised vector for each image: [B, T, D] to [B, D]."""
        pooled = self.norm(self.pool(tokens)) if self.pool_before_norm else self.pool(self.norm(tokens))
        return cast(Tensor, pooled)

    def _classify(self, pooled: Tensor, tokens: Tensor, both_heads: bool) -> Tensor:
        logits: Tensor = self.head(pooled)  # [B, K]
        if self.head_dist is None:
            return logits
        distilled = self.head_dist(self.norm(tokens[:, 1]))  # [B, K]
        return torch.stack([logits, distilled]) if both_heads else (logits + distilled) / 2

    def no_weight_decay(self) -> list[str]:
        """Names of the parameters that are tokens and positions, not weights, always in the same order."""
        own = [name for name in ("cls_token", "dist_token", "registers") if getattr(self, name) is not None]
        parts = [
            f"{path}.{name}" for path, part in self.named_modules() for name in getattr(part, "embeddings", ()) if path
        ]
        return [*own, *parts]


def _refuse_sizes(**sizes: float) -> None:
    for name, size in sizes.items():
        if not 0 < size < math.inf:
            raise ValueError(f"{name}={size} is not a positive number; try 1")


def _refuse_rates(**rates: float) -> None:
    for name, rate in rates.items():
        if not 0 <= rate < 1:
            raise ValueError(f"{name}={rate} lies outside [0, 1); try 0.1")


def _refuse_holes(model: ViT, patch_drop: float) -> None:
    for part in model.modules():
        if getattr(part, "needs_all_patches", False):
            raise ValueError(
                f"patch_drop={patch_drop} leaves holes among the patches, which {type(part).__name__} cannot have; "
                "try patch_drop=0"
            )
