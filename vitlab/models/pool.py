"""From the tokens of an image to one vector.

Shapes: B batch, T tokens, N patches, D width, H heads, K width of a head.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitlab.models.layout import TokenLayout
from vitlab.models.mlp import GeluMlp
from vitlab.models.norm import LayerNorm


class ClsPool(nn.Module):
    """The CLS token (Dosovitskiy et al. 2021, equation 4).

    Args:
        embed_dim, num_heads: of the tokens and attentions; nothing is kept of them.
        layout: how the tokens lie.

    Raises:
        ValueError: there is no CLS token.
    """

    formula = "y = x_CLS"

    def __init__(self, embed_dim: int, num_heads: int, layout: TokenLayout) -> None:
        super().__init__()
        if not layout.has_class_token:
            raise ValueError("pool=cls needs class_token=true; without a CLS token take pool=mean")

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, D]."""
        return tokens[:, 0]


class MeanPool(nn.Module):
    """The mean of the patch tokens (Dosovitskiy et al. 2021, appendix D.3).

    Args:
        embed_dim, num_heads: of the tokens and attentions; nothing is kept of them.
        layout: how the tokens lie; its prefix is left out.
    """

    formula = "y = Σ xᵢ / N, over the patches"

    def __init__(self, embed_dim: int, num_heads: int, layout: TokenLayout) -> None:
        super().__init__()
        self.num_prefix = layout.num_prefix

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, D]."""
        return tokens[:, self.num_prefix :].mean(dim=1)


class ClsMeanPool(nn.Module):
    """CLS beside the mean of the patches, as the linear classifiers of DINOv2 (Oquab et al. 2023) see them.

    Args:
        embed_dim: D.
        num_heads: of the attentions; nothing is kept of it.
        layout: how the tokens lie.

    Raises:
        ValueError: there is no CLS token.
    """

    formula = "y = [x_CLS, Σ xᵢ / N]"

    def __init__(self, embed_dim: int, num_heads: int, layout: TokenLayout) -> None:
        super().__init__()
        if not layout.has_class_token:
            raise ValueError("pool=cls_mean needs class_token=true; without a CLS token take pool=mean")
        self.num_prefix = layout.num_prefix
        self.out_dim = 2 * embed_dim

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, 2D]."""
        return torch.cat([tokens[:, 0], tokens[:, self.num_prefix :].mean(dim=1)], dim=1)


class AttentionPool(nn.Module):
    """A learned query looks at all patches, and an MLP works on what it saw (the MAP head).

    Zhai et al. 2022, "Scaling vision transformers", section 2.2; Lee et al. 2019, "Set transformer", equation 11.

    Args:
        embed_dim: D.
        num_heads: H.
        layout: how the tokens lie; its prefix is left out.
    """

    formula = "y = s + MLP(LN(s)), s = softmax(q Kᵀ / √dₖ) V W + b"
    embeddings = ("query",)

    def __init__(self, embed_dim: int, num_heads: int, layout: TokenLayout) -> None:
        super().__init__()
        self.num_prefix, self.num_heads = layout.num_prefix, num_heads
        self.query = nn.Parameter(torch.zeros(1, 1, embed_dim))
        self.q = nn.Linear(embed_dim, embed_dim)
        self.kv = nn.Linear(embed_dim, 2 * embed_dim)
        self.proj = nn.Linear(embed_dim, embed_dim)
        self.norm = LayerNorm(embed_dim)
        self.mlp = GeluMlp(embed_dim, 4 * embed_dim, layout)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, D]."""
        q = self.q(self.query).expand(tokens.shape[0], -1, -1)  # [B, 1, D]
        k, v = self.kv(tokens[:, self.num_prefix :]).chunk(2, dim=-1)  # 2 x [B, N, D]
        q, k, v = (x.unflatten(-1, (self.num_heads, -1)).transpose(1, 2) for x in (q, k, v))  # [B, H, 1 or N, K]
        seen = self.proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))  # [B, 1, D]
        out: Tensor = seen + self.mlp(self.norm(seen))
        return out[:, 0]


class SequencePool(nn.Module):
    """The mean of the patch tokens, each weighted by how important a linear layer finds it.

    Hassani et al. 2021, "Escaping the big data paradigm with compact transformers" (SeqPool), section 3.2. The layer
    has no bias: the same number added to all patches would change no weight.

    Args:
        embed_dim: D.
        num_heads: of the attentions; nothing is kept of it.
        layout: how the tokens lie; its prefix is left out.
    """

    formula = "y = Σ aᵢ xᵢ, a = softmax(x w) over the patches"

    def __init__(self, embed_dim: int, num_heads: int, layout: TokenLayout) -> None:
        super().__init__()
        self.num_prefix = layout.num_prefix
        self.importance = nn.Linear(embed_dim, 1, bias=False)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, D]."""
        patches = tokens[:, self.num_prefix :]  # [B, N, D]
        weights = self.importance(patches).softmax(dim=1)  # [B, N, 1], sums to one over the patches
        out: Tensor = (weights * patches).sum(dim=1)
        return out
