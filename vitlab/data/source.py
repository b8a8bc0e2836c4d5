"""What a source of images is asked for, and what it gives.

Shapes: N images, C channels, H x W pixels.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from vitlab.data.paths import Paths


@dataclass(frozen=True)
class Request:
    """What the images are wanted for.

    Args:
        image_size: height and width, in pixels.
        channels: 1 for grey, 3 for colour.
        memory_limit: bytes of decoded images up to which they are held in memory.
        root: the folder of the images, for sources that have one.
    """

    image_size: int
    channels: int
    memory_limit: int
    root: Path | None


@dataclass(frozen=True)
class Pixels:
    """Decoded images: uint8 [N, C, H, W], and their labels int64 [N]."""

    images: Tensor
    labels: Tensor


@dataclass(frozen=True)
class Files:
    """Images that are decoded when they are needed: N paths, and their labels int64 [N]."""

    paths: Paths
    labels: Tensor


class Source(Protocol):
    """Reads images from where they are."""

    def read(self, request: Request) -> tuple[dict[str, Pixels | Files], tuple[str, ...]]:
        """The splits that there are, of ``train``, ``val`` and ``test``, and the names of the classes.

        Raises:
            ValueError: what is found cannot be trained on.
            OSError: nothing is found, or it cannot be read.
        """


def pixels(images: np.ndarray, labels: np.ndarray) -> Pixels:
    """``images`` uint8 [N, H, W], [N, H, W, C] or [N, C, H, W] (C of 1 or 3), with labels [N], as tensors."""
    if images.ndim == 3:
        images = images[:, None]  # [N, 1, H, W]
    elif images.shape[-1] in (1, 3) and images.shape[1] not in (1, 3):
        images = images.transpose(0, 3, 1, 2)  # [N, C, H, W]
    return Pixels(
        torch.from_numpy(np.ascontiguousarray(images, dtype=np.uint8)), torch.from_numpy(labels.astype(np.int64))
    )
