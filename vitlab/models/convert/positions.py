"""Position embeddings of another grid, and of other tokens before the patches.

Shapes: P tokens with a place before the N patches, R registers, D width.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Resize:
    """How a library brings its positions to another grid; always bicubic.

    Args:
        antialias: whether it blurs before it shrinks: timm and DINOv2 with registers.
        align_corners: whether the corners of both grids lie on each other: torchvision.
    """

    antialias: bool = False
    align_corners: bool = False


TIMM = Resize(antialias=True)
TORCHVISION = Resize(align_corners=True)
HUGGING_FACE = Resize()
HUGGING_FACE_REGISTERS = Resize(antialias=True)


def resized(positions: Tensor, grid_size: tuple[int, int], resize: Resize) -> Tensor:
    """``positions`` of a square grid [1, N, D], brought to ``grid_size``.

    Raises:
        ValueError: N is no square number.
    """
    side = math.isqrt(positions.shape[1])
    if side**2 != positions.shape[1]:
        raise ValueError(f"{positions.shape[1]} positions make no square grid")
    if (side, side) == grid_size:
        return positions
    image = positions.float().transpose(1, 2).reshape(1, -1, side, side)  # [1, D, side, side]
    image = F.interpolate(
        image, grid_size, mode="bicubic", antialias=resize.antialias, align_corners=resize.align_corners
    )
    return image.flatten(2).transpose(1, 2)


def num_prefix(count: int, placed: int, registers: int, patches: int) -> int | None:
    """How many of ``count`` positions stand before those of the patches.

    Args:
        count: positions in all.
        placed: CLS and distillation tokens in the file, P.
        registers: R in the file.
        patches: N of the model, which decides where two readings are square.

    Returns:
        P, or P + R where registers have positions too, or 0 where only patches have; None if no grid is square.
    """
    legal = [
        first for first in (placed, 0, placed + registers) if math.isqrt(max(count - first, 0)) ** 2 == count - first
    ]
    legal = [first for first in legal if count > first]
    return next((first for first in legal if count - first == patches), legal[0] if legal else None)


def placed_like_ours(state: dict[str, Tensor], patches: int) -> dict[str, Tensor]:
    """``state`` in which CLS and the distillation token have positions, registers have none, and nothing else changes.

    A token that has no position of its own gets zeros: the sum is the same. A register's position joins the register.

    Raises:
        ValueError: the positions make no square grid.
    """
    positions = state.get("position.embedding")
    if positions is None:
        return state
    placed = sum(name in state for name in ("cls_token", "dist_token"))
    registers = state["registers"].shape[1] if "registers" in state else 0
    first = num_prefix(positions.shape[1], placed, registers, patches)
    if first is None:
        raise ValueError(f"{positions.shape[1]} positions make no square grid with {placed} tokens before it")
    before, grid = positions[:, :first], positions[:, first:]
    if first == placed + registers and registers:
        state = {**state, "registers": state["registers"] + before[:, placed:]}
        before = before[:, :placed]
    elif first < placed:
        before = positions.new_zeros(1, placed, positions.shape[2])
    return {**state, "position.embedding": torch.cat([before, grid], dim=1)}
