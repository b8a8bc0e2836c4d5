"""Stochastic depth: leaving out whole residual branches while training.

Huang et al. 2016, "Deep networks with stochastic depth", as DeiT (Touvron et al. 2021) uses it.
Shapes: B batch, T tokens, D width.
"""

import torch
from torch import Tensor, nn

SCHEDULES = ("linear", "constant")


class DropPath(nn.Module):
    """Leaves a residual branch out, for each image of a batch by itself.

    While training, the branch of an image is set to zero with probability ``rate`` and scaled by
    ``1 / (1 - rate)`` otherwise, so that its expectation stays. In eval mode nothing happens.

    Args:
        rate: probability in [0, 1).

    Raises:
        ValueError: ``rate`` lies outside [0, 1).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"drop_path={rate} lies outside [0, 1); try 0.1")
        self.rate = rate

    def forward(self, branch: Tensor) -> Tensor:
        """Map [B, T, D] to [B, T, D]."""
        if not self.training or self.rate == 0:
            return branch
        keep = torch.rand(len(branch), 1, 1, device=branch.device) >= self.rate  # [B, 1, 1]
        return branch * (keep / (1 - self.rate)).to(branch.dtype)

    def extra_repr(self) -> str:
        """Show the rate when printed."""
        return f"rate={self.rate:.3f}"


def drop_path_rates(rate: float, depth: int, schedule: str) -> list[float]:
    """The rate of each block.

    Args:
        rate: of the last block.
        depth: number of blocks.
        schedule: ``linear`` rises from 0 at the first block, as in DeiT; ``constant`` is the same for all.

    Raises:
        ValueError: ``schedule`` is neither.
    """
    if schedule not in SCHEDULES:
        raise ValueError(f"drop_path_schedule={schedule} is not one of {', '.join(SCHEDULES)}")
    if schedule == "constant" or depth == 1:
        return [rate] * depth
    return [rate * block / (depth - 1) for block in range(depth)]
