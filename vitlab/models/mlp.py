"""What each token does by itself, between two looks at the others.

Dosovitskiy et al. 2021, "An image is worth 16x16 words", section 3.1, equation 3.
Shapes: B batch, T tokens, D width, M hidden width.
"""

from torch import Tensor, nn


class GeluMlp(nn.Module):
    """Two linear layers with GELU (Hendrycks & Gimpel 2016, the exact form) between them.

    Args:
        embed_dim: width of a token.
        hidden_dim: width between the layers.
        mlp_drop: rate of dropout after each layer.
    """

    def __init__(self, embed_dim: int, hidden_dim: int, mlp_drop: float = 0.0) -> None:
        super().__init__()
        self.fc1 = nn.Linear(embed_dim, hidden_dim)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden_dim, embed_dim)
        self.drop = nn.Dropout(mlp_drop)

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, T, D]."""
        hidden = self.drop(self.act(self.fc1(tokens)))  # [B, T, M]
        out: Tensor = self.drop(self.fc2(hidden))  # [B, T, D]
        return out
