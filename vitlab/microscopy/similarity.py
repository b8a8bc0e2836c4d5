"""How alike the tokens of an image are: where they all grow the same, depth is of no more use (over-smoothing)."""

from torch import Tensor
from torch.nn import functional as F


def token_similarity(patches: Tensor) -> Tensor:
    """The cosine between each two patches of an image, on average over pairs and images.

    Gong et al. 2021, "Vision transformers with patch diversification", equation 3; why it grows with the depth of
    attention alone, Dong et al. 2021, "Attention is not all you need".

    Args:
        patches: [B, N, D].

    Returns:
        A number from about 0 (nothing in common) to 1 (all the same); 0 if there is but one patch.
    """
    units = F.normalize(patches.float(), dim=-1)
    count = units.shape[1]
    pairs = units.sum(dim=1).square().sum(dim=-1) - units.square().sum(dim=(1, 2))  # [B], the sum over all pairs
    return pairs.mean() / max(1, count * (count - 1))
