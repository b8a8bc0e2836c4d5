"""Normalisation of each token, or what stands in for it.

Shapes: B batch, T tokens, D width.
"""

import torch
from torch import Tensor, nn


class LayerNorm(nn.LayerNorm):
    """Each token minus its mean, divided by its standard deviation, with learned scale and shift.

    Ba et al. 2016, "Layer normalization". [B, T, D] as it was.

    Args:
        embed_dim: width of a token.
        eps: added to the variance; 1e-6 in the ViT of Dosovitskiy et al., 1e-5 in torch.
    """

    formula = "γ ⊙ (x − μ) / √(σ² + ε) + β"

    def __init__(self, embed_dim: int, eps: float = 1e-6) -> None:
        super().__init__(embed_dim, eps=eps)


class RmsNorm(nn.RMSNorm):
    """Each token divided by the root of its mean square, with a learned scale.

    Zhang & Sennrich 2019, "Root mean square layer normalization". [B, T, D] as it was.

    Args:
        embed_dim: width of a token.
        eps: added to the mean square.
    """

    formula = "γ ⊙ x / √(mean x² + ε)"

    def __init__(self, embed_dim: int, eps: float = 1e-6) -> None:
        super().__init__(embed_dim, eps=eps)


class DynamicTanh(nn.Module):
    """``scale * tanh(alpha x) + shift``: squashes what is large, and looks at no statistics.

    Zhu et al. 2025, "Transformers without normalization" (DyT), section 4.

    Args:
        embed_dim: width of a token.
        alpha: at the start; learned, one for all numbers of a token.
    """

    formula = "γ ⊙ tanh(α x) + β"

    def __init__(self, embed_dim: int, alpha: float = 0.5) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.tensor([float(alpha)]))
        self.weight = nn.Parameter(torch.ones(embed_dim))
        self.bias = nn.Parameter(torch.zeros(embed_dim))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D]."""
        return self.weight * torch.tanh(self.alpha * tokens) + self.bias
