"""Leaving things out while training: single numbers, whole residual branches, or patches.

Shapes: B batch, T tokens of which P stand before the N patches, D width.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

SCHEDULES = ("linear", "constant")


class Dropout(nn.Dropout):
    """torch's dropout (Srivastava et al. 2014), which on a CPU draws for four numbers at once.

    There a draw for each number takes longer than the linear layer before it. 16 random bits are enough to decide
    about one, and the generator gives 64 at a time; the rate is rounded to a multiple of 2^-16.
    """

    def forward(self, tokens: Tensor) -> Tensor:
        """Zero each number with probability ``p`` while training, and scale the others by ``1 / (1 - p)``."""
        drops = self.training and self.p > 0
        if not drops or tokens.device.type != "cpu" or torch.compiler.is_compiling():
            return super().forward(tokens)
        draws = torch.empty(-(-tokens.numel() // 4), dtype=torch.int64).random_(-(2**63), None)  # all 64 bits
        bits = draws.view(torch.int16)[: tokens.numel()].view(tokens.shape)  # -2^15 to 2^15 - 1, evenly
        dropped = min(round(self.p * 2**16), 2**16 - 1)  # how many of the 2^16 values
        keep = (bits >= dropped - 2**15).to(tokens.dtype)
        return tokens * keep.mul_(2**16 / (2**16 - dropped))


class DropPath(nn.Module):
    """Adds a residual branch to its input, or leaves it out, for each image of a batch by itself (stochastic depth).

    Huang et al. 2016, "Deep networks with stochastic depth", as DeiT (Touvron et al. 2021) uses it. While training, the
    branch of an image is left out with probability ``rate`` and scaled by ``1 / (1 - rate)`` otherwise, so that its
    expectation stays. In eval mode it is always added.

    On a CPU the branch is computed for the images that keep it and no others: the same result from less work. On a
    GPU, whose kernels would have to wait until the number of those images is known, all are computed.

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
        self.branch_scale = 1.0  # set by initialisations that weigh the branches by depth

    def forward(self, tokens: Tensor, branch: Callable[[Tensor], Tensor], whole: bool = False) -> Tensor:
        """``tokens + branch(tokens)``, [B, T, D]; ``whole`` computes the branch for all images in any case."""
        if not self.training or self.rate == 0:
            return tokens + self.branch_scale * branch(tokens) if self.branch_scale != 1 else tokens + branch(tokens)
        keep = torch.rand(len(tokens), device=tokens.device) >= self.rate  # [B]
        scale = self.branch_scale / (1 - self.rate)
        if tokens.device.type == "cpu" and not whole and not torch.compiler.is_compiling() and keep.any():
            kept = keep.nonzero().flatten()
            return tokens.index_add(0, kept, branch(tokens.index_select(0, kept)).to(tokens.dtype), alpha=scale)
        out = branch(tokens)
        return tokens + out * (keep * scale).to(out.dtype)[:, None, None]

    def extra_repr(self) -> str:
        """Show the rate when printed."""
        return f"rate={self.rate:.3f}"


class PatchDrop(nn.Module):
    """Leaves a share of each image's patches out while training, another choice for each image.

    Liu et al. 2023, "PatchDropout: economizing vision transformers using patch dropout". Nothing is scaled; in eval
    mode all patches stay.

    Args:
        rate: share in [0, 1); at least one patch stays.
        num_prefix: tokens before the patches, which always stay.
    """

    def __init__(self, rate: float, num_prefix: int) -> None:
        super().__init__()
        self.rate, self.num_prefix = rate, num_prefix

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens [B, T, D] to the prefix and the patches that stay."""
        if not self.training or self.rate == 0:
            return tokens
        prefix, patches = tokens[:, : self.num_prefix], tokens[:, self.num_prefix :]
        stay = max(1, round(patches.shape[1] * (1 - self.rate)))
        chosen = torch.rand(patches.shape[:2], device=tokens.device).argsort(dim=1)[:, :stay]  # [B, stay]
        patches = patches.gather(1, chosen[:, :, None].expand(-1, -1, patches.shape[2]))
        return torch.cat([prefix, patches], dim=1)


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
