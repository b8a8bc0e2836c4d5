"""The same ViT from vitlab, from its peers, and as a plain script writes it, all with random weights.

Each is as its package builds it. Where a package has stochastic depth or dropout in the MLP, both rates are the given
ones; what a package does not have stays out, to its advantage.
"""

from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version

import torch
from torch import Tensor, nn

from vitlab.models.attention.full import Attention
from vitlab.models.block import PreNormBlock
from vitlab.models.init import trunc_normal
from vitlab.models.mlp import GeluMlp
from vitlab.models.norm import LayerNorm
from vitlab.models.patch_embed.plain import ConvPatchEmbed
from vitlab.models.pool import ClsPool
from vitlab.models.position.absolute import LearnedPosition
from vitlab.models.vit import ViT

PACKAGES = ("timm", "torchvision", "vit-pytorch", "transformers")


@dataclass(frozen=True)
class Size:
    """Of a ViT with an MLP four times as wide as a token; rates are the same in all blocks."""

    name: str
    image_size: int
    patch_size: int
    embed_dim: int
    depth: int
    num_heads: int
    num_classes: int
    drop_path: float = 0.0
    mlp_drop: float = 0.0

    @property
    def num_tokens(self) -> int:
        """Patches and CLS."""
        return (self.image_size // self.patch_size) ** 2 + 1


SEED = Size("vit_seed", 32, 4, 192, 8, 6, 10, drop_path=0.1)
SMALL_32 = Size("ViT-S/4 at 32 px", 32, 4, 384, 12, 6, 10)
SMALL_224 = Size("ViT-S/16 at 224 px", 224, 16, 384, 12, 6, 1000)
BASE_224 = Size("ViT-B/16 at 224 px", 224, 16, 768, 12, 12, 1000)


def versions() -> str:
    """Of the peers."""
    return ", ".join(f"{package} {version(package)}" for package in PACKAGES)


def vitlab(size: Size) -> nn.Module:
    """Ours."""
    return ViT(
        image_size=size.image_size,
        channels=3,
        num_classes=size.num_classes,
        patch_size=size.patch_size,
        embed_dim=size.embed_dim,
        depth=size.depth,
        num_heads=size.num_heads,
        patch_embed=ConvPatchEmbed,
        position=LearnedPosition,
        attention=Attention,
        mlp=GeluMlp,
        norm=LayerNorm,
        block=PreNormBlock,
        pool=ClsPool,
        init=trunc_normal,
        drop_path=size.drop_path,
        drop_path_schedule="constant",
        mlp_drop=size.mlp_drop,
    )


def timm(size: Size) -> nn.Module:
    """Timm's."""
    from timm.layers import DropPath, Mlp
    from timm.models.vision_transformer import VisionTransformer

    model = VisionTransformer(
        img_size=size.image_size,
        patch_size=size.patch_size,
        embed_dim=size.embed_dim,
        depth=size.depth,
        num_heads=size.num_heads,
        num_classes=size.num_classes,
        drop_path_rate=size.drop_path,
    )
    for part in model.modules():
        if isinstance(part, DropPath):
            part.drop_prob = size.drop_path  # timm's rises with the depth
    return _with_dropout_in(Mlp, model, size)


def torchvision(size: Size) -> nn.Module:
    """torchvision's; it has no stochastic depth."""
    from torchvision.models.vision_transformer import MLPBlock, VisionTransformer

    model = VisionTransformer(
        image_size=size.image_size,
        patch_size=size.patch_size,
        num_layers=size.depth,
        num_heads=size.num_heads,
        hidden_dim=size.embed_dim,
        mlp_dim=4 * size.embed_dim,
        num_classes=size.num_classes,
    )
    return _with_dropout_in(MLPBlock, model, size)


def vit_pytorch(size: Size) -> nn.Module:
    """lucidrains'; it has no stochastic depth."""
    from vit_pytorch.vit import FeedForward, ViT

    model = ViT(
        image_size=size.image_size,
        patch_size=size.patch_size,
        num_classes=size.num_classes,
        dim=size.embed_dim,
        depth=size.depth,
        heads=size.num_heads,
        mlp_dim=4 * size.embed_dim,
        dim_head=size.embed_dim // size.num_heads,
    )
    return _with_dropout_in(FeedForward, model, size)


class HuggingFace(nn.Module):
    """Hugging Face's, from images to logits; it has neither stochastic depth nor dropout in its MLP."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        from transformers import ViTConfig, ViTForImageClassification

        config = ViTConfig(
            image_size=size.image_size,
            patch_size=size.patch_size,
            hidden_size=size.embed_dim,
            num_hidden_layers=size.depth,
            num_attention_heads=size.num_heads,
            intermediate_size=4 * size.embed_dim,
            num_labels=size.num_classes,
            attn_implementation="sdpa",
        )
        self.model = ViTForImageClassification(config)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, 3, S, S] to logits [B, K]."""
        logits: Tensor = self.model(images).logits
        return logits


class PlainBlock(nn.Module):
    """What a script of one's own begins with: attention written out, stochastic depth as a mask."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        width = size.embed_dim
        self.heads, self.rate = size.num_heads, size.drop_path
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Dropout(size.mlp_drop),
            nn.Linear(4 * width, width),
            nn.Dropout(size.mlp_drop),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D]."""
        x = x + self.drop(self.attention(self.norm1(x)))
        return x + self.drop(self.mlp(self.norm2(x)))

    def attention(self, x: Tensor) -> Tensor:
        """Every token looks at every other."""
        batch, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(batch, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        weights = (q @ k.transpose(-2, -1) * (width // self.heads) ** -0.5).softmax(dim=-1)
        out: Tensor = self.proj((weights @ v).transpose(1, 2).reshape(batch, tokens, width))
        return out

    def drop(self, branch: Tensor) -> Tensor:
        """Leave a branch out."""
        if self.rate == 0 or not self.training:
            return branch
        keep = 1 - self.rate
        mask = torch.rand(len(branch), 1, 1, device=branch.device) < keep
        return branch * mask.to(branch.dtype) / keep


class Plain(nn.Module):
    """A ViT on one page, as vitlab's own first version was described."""

    def __init__(self, size: Size) -> None:
        super().__init__()
        self.embed = nn.Conv2d(3, size.embed_dim, size.patch_size, size.patch_size)
        self.cls = nn.Parameter(torch.zeros(1, 1, size.embed_dim))
        self.position = nn.Parameter(torch.zeros(1, size.num_tokens, size.embed_dim))
        self.blocks = nn.Sequential(*(PlainBlock(size) for _ in range(size.depth)))
        self.norm = nn.LayerNorm(size.embed_dim)
        self.head = nn.Linear(size.embed_dim, size.num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, 3, S, S] to logits [B, K]."""
        x = self.embed(images).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls.expand(len(x), -1, -1), x], dim=1) + self.position
        logits: Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return logits


MODELS: dict[str, Callable[[Size], nn.Module]] = {
    "vitlab": vitlab,
    "timm": timm,
    "torchvision": torchvision,
    "vit-pytorch": vit_pytorch,
    "Hugging Face": HuggingFace,
    "plain script": Plain,
}


def _with_dropout_in(kind: type[nn.Module], model: nn.Module, size: Size) -> nn.Module:
    for mlp in model.modules():
        if isinstance(mlp, kind):
            for part in mlp.modules():
                if isinstance(part, nn.Dropout):
                    part.p = size.mlp_drop
    return model
