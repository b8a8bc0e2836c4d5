"""Crops and flips, the augmentation that is light.

Shapes: B batch, C channels, H x W pixels.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vitlab.augment.draws import send


class PadCrop:
    """Black borders, then a crop of the old size at a random place: each image is moved by up to the border.

    Args:
        padding: width of the border as a share of the image's width (an eighth is 4 of 32 pixels).

    Raises:
        ValueError: ``padding`` lies outside [0, 1].
    """

    def __init__(self, padding: float = 0.125) -> None:
        if not 0 <= padding <= 1:
            raise ValueError(f"padding={padding} is a share of the image and lies in [0, 1]; try 0.125")
        self.padding = padding

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Move each of the images [B, C, H, W] by a draw of its own."""
        batch, _, height, width = images.shape
        border = int(self.padding * width + 0.5)
        padded = F.pad(images, [border] * 4)  # [B, C, H + 2 border, W + 2 border]
        windows = padded.unfold(2, height, 1).unfold(3, width, 1)  # [B, C, places, places, H, W], a view of the borders
        row, column = send(rng.integers(0, 2 * border + 1, (2, batch)), images.device)  # [B] each
        return windows[torch.arange(batch, device=images.device), :, row, column]


class HorizontalFlip:
    """Mirrors each image with some probability.

    Args:
        probability: of mirroring, in [0, 1].
        allowed: whether a mirrored image keeps its label; otherwise nothing is ever mirrored.

    Raises:
        ValueError: ``probability`` lies outside [0, 1].
    """

    def __init__(self, probability: float = 0.5, allowed: bool = True) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"probability={probability} lies outside [0, 1]; try 0.5")
        self.probability = probability if allowed else 0.0

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Mirror some of the images [B, C, H, W]."""
        mirrored = send(rng.random(len(images)) < self.probability, images.device)
        return torch.where(mirrored[:, None, None, None], images.flip(-1), images)
