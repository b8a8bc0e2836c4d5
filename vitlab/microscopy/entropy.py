"""How many tokens a head looks at."""

import torch
from torch import Tensor

from vitlab.microscopy.shares import as_shares


def head_entropy(weights: Tensor) -> Tensor:
    """Shannon's entropy of the attention of each head, in nats, on average over images and tokens.

    0 for a head of which each token looks at one other, log T for one that looks at all alike. Its exponential is the
    number of tokens that a head of the same entropy would look at evenly.

    Args:
        weights: [B, H, T, T].

    Returns:
        [H].
    """
    shares = as_shares(weights)
    return -torch.xlogy(shares, shares).sum(dim=-1).mean(dim=(0, 2))
