"""Normalisation of each token.

Ba et al. 2016, "Layer normalization". Shapes: B batch, T tokens, D width.
"""

from torch import nn


class LayerNorm(nn.LayerNorm):
    """Each token minus its mean, divided by its standard deviation, with learned scale and shift: [B, T, D] as it was.

    Args:
        embed_dim: width of a token.
        eps: added to the variance; 1e-6 in the ViT of Dosovitskiy et al., 1e-5 in torch.
    """

    def __init__(self, embed_dim: int, eps: float = 1e-6) -> None:
        super().__init__(embed_dim, eps=eps)
