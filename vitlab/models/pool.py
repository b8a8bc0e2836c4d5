"""From the tokens of an image to one vector.

Shapes: B batch, T tokens, D width.
"""

from torch import Tensor, nn

from vitlab.models.layout import TokenLayout


class ClsPool(nn.Module):
    """The CLS token (Dosovitskiy et al. 2021, equation 4).

    Args:
        layout: how the tokens lie.

    Raises:
        ValueError: there is no CLS token.
    """

    def __init__(self, layout: TokenLayout) -> None:
        super().__init__()
        if layout.num_prefix < 1:
            raise ValueError("pool=cls needs class_token=true; without a CLS token take pool=mean")

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, D]."""
        return tokens[:, 0]


class MeanPool(nn.Module):
    """The mean of the patch tokens (Dosovitskiy et al. 2021, appendix D.3).

    Args:
        layout: how the tokens lie; its prefix is left out.
    """

    def __init__(self, layout: TokenLayout) -> None:
        super().__init__()
        self.num_prefix = layout.num_prefix

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to [B, D]."""
        return tokens[:, self.num_prefix :].mean(dim=1)
