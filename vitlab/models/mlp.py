"""What each token does by itself, between two looks at the others.

Shapes: B batch, T tokens, D width, M hidden width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from vitlab.models.drop import Dropout
from vitlab.models.layout import TokenLayout, refuse_even


class GeluMlp(nn.Module):
    """Two linear layers with GELU (Hendrycks & Gimpel 2016, the exact form) between them.

    Dosovitskiy et al. 2021, "An image is worth 16x16 words", section 3.1, equation 3.

    Args:
        embed_dim: width of a token.
        hidden_dim: width between the layers.
        layout: how the tokens lie; this MLP treats each by itself and keeps nothing of it.
        mlp_drop: rate of dropout after each layer.
    """

    formula = "GELU(x W₁ + b₁) W₂ + b₂"

    def __init__(self, embed_dim: int, hidden_dim: int, layout: TokenLayout, mlp_drop: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dim, hidden_dim)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_dim, embed_dim)
        self.drop = Dropout(mlp_drop)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D]."""
        hidden = self.drop(self.act(self.fc1(tokens)))  # [B, T, M]
        out: Tensor = self.drop(self.fc2(hidden))  # [B, T, D]
        return out


class SwigluMlp(nn.Module):
    """Two linear layers with a gate between them: ``silu(a) * b``, where a and b are halves of the first layer.

    Shazeer 2020, "GLU variants improve transformer". The hidden width is two thirds of that of ``GeluMlp``, which
    makes the parameters as many, rounded up to a multiple of eight, as DINOv2 (Oquab et al. 2023) does.

    Args:
        embed_dim: width of a token.
        hidden_dim: of the ``GeluMlp`` in whose place it stands.
        layout: how the tokens lie; this MLP treats each by itself and keeps nothing of it.
        mlp_drop: rate of dropout after each layer.
    """

    formula = "(SiLU(a) ⊙ c) W₂ + b₂, [a c] = x W₁ + b₁"

    def __init__(self, embed_dim: int, hidden_dim: int, layout: TokenLayout, mlp_drop: float = 0.0) -> None:
        super().__init__()
        gated_dim = (int(hidden_dim * 2 / 3) + 7) // 8 * 8
        self.fc1 = nn.Linear(embed_dim, 2 * gated_dim)
        self.fc2 = nn.Linear(gated_dim, embed_dim)
        self.drop = Dropout(mlp_drop)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D]."""
        gate, value = self.fc1(tokens).chunk(2, dim=-1)  # 2 x [B, T, 2M/3]
        hidden = self.drop(F.silu(gate) * value)
        out: Tensor = self.drop(self.fc2(hidden))  # [B, T, D]
        return out


class DepthwiseMlp(nn.Module):
    """A ``GeluMlp`` in which each patch meets its neighbours: a depth-wise convolution between the two layers.

    Li et al. 2021, "LocalViT: bringing locality to vision transformers", section 3.2. CLS and registers have no
    neighbours and pass the convolution by. With ``pool=cls`` nothing reads the convolution of the last block.

    Args:
        embed_dim: width of a token.
        hidden_dim: width between the layers.
        layout: how the tokens lie.
        mlp_drop: rate of dropout after each layer.
        kernel_size: height and width of the neighbourhood, in patches; odd.

    Raises:
        ValueError: ``kernel_size`` is even.
    """

    formula = "GELU(conv k×k(x W₁ + b₁)) W₂ + b₂"
    needs_all_patches = True

    def __init__(
        self, embed_dim: int, hidden_dim: int, layout: TokenLayout, mlp_drop: float = 0.0, kernel_size: int = 3
    ) -> None:
        super().__init__()
        refuse_even("kernel_size", kernel_size)
        self.layout = layout
        self.fc1 = nn.Linear(embed_dim, hidden_dim)
        self.conv = nn.Conv2d(hidden_dim, hidden_dim, kernel_size, padding=kernel_size // 2, groups=hidden_dim)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_dim, embed_dim)
        self.drop = Dropout(mlp_drop)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D]."""
        prefix, grid = self.layout.split(self.fc1(tokens))  # [B, P, M], [B, M, rows, columns]
        patches = self.conv(grid).flatten(2).transpose(1, 2)  # [B, N, M]
        hidden = self.drop(self.act(torch.cat([prefix, patches], dim=1)))  # [B, T, M]
        out: Tensor = self.drop(self.fc2(hidden))  # [B, T, D]
        return out
