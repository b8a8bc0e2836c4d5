"""Crops and flips.

Shapes: B batch, C channels, H x W pixels.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vitlab.augment.draws import send

_TRIES = 10


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


class ResizedCrop:
    """A part of the image, blown up to its whole size: each image shows a place and a shape of its own.

    Szegedy et al. 2015, "Going deeper with convolutions" (section 6), as torchvision draws it: the share of the area
    evenly, the shape evenly in its logarithm; a box larger than the image is drawn again, ten times at most, and is
    then all of it. Pixels are interpolated linearly.

    Args:
        area: least and greatest share of the image's area.
        aspect: least and greatest width of the part in units of its height.

    Raises:
        ValueError: ``area`` lies outside (0, 1] or ``aspect`` is not positive, or one of them falls.
    """

    def __init__(self, area: Sequence[float] = (0.05, 1.0), aspect: Sequence[float] = (3 / 4, 4 / 3)) -> None:
        if len(area) != 2 or not 0 < area[0] <= area[1] <= 1:
            raise ValueError(
                f"area={list(area)} are two shares of the image in (0, 1], the smaller first; try [0.05, 1]"
            )
        if len(aspect) != 2 or not 0 < aspect[0] <= aspect[1]:
            raise ValueError(f"aspect={list(aspect)} are two widths by height, the smaller first; try [0.75, 1.33]")
        self.area, self.aspect = tuple(area), tuple(aspect)

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Crop each of the images [B, C, H, W] by a draw of its own."""
        boxes = send(self.boxes(len(images), images.shape[-2], images.shape[-1], rng), images.device).float()  # [B, 4]
        top, left, height, width = (boxes / boxes.new_tensor(images.shape[-2:] * 2)).unbind(
            dim=1
        )  # shares of the image
        matrices = images.new_zeros(len(images), 2, 3, dtype=torch.float32)  # from the new image to the old, in -1..1
        matrices[:, 0, 0], matrices[:, 0, 2] = width, 2 * left + width - 1
        matrices[:, 1, 1], matrices[:, 1, 2] = height, 2 * top + height - 1
        grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
        cropped = F.grid_sample(images.float(), grid, padding_mode="border", align_corners=False)
        return cropped if images.is_floating_point() else cropped.round().to(images.dtype)

    def boxes(self, count: int, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        """Draw top, left, height and width of ``count`` parts, in whole pixels: [count, 4]."""
        area = height * width * rng.uniform(self.area[0], self.area[1], (count, _TRIES))
        aspect = np.exp(rng.uniform(np.log(self.aspect[0]), np.log(self.aspect[1]), (count, _TRIES)))
        sizes = np.stack([np.sqrt(area / aspect), np.sqrt(area * aspect)], axis=-1).round().astype(np.int64)
        fits = np.all((sizes > 0) & (sizes <= (height, width)), axis=-1)  # [count, tries]
        first = sizes[np.arange(count), fits.argmax(axis=1)]  # [count, 2]
        size = np.where(np.any(fits, axis=1)[:, None], first, (height, width))
        corner = rng.integers(0, np.array([height, width]) - size + 1)
        return np.concatenate([corner, size], axis=1)


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
