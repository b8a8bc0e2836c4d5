"""Random erasing: a rectangle of each image is blanked.

Zhong et al. 2020, "Random erasing data augmentation". Shapes: B batch, C channels, H x W pixels.
"""

import numpy as np
import torch
from torch import Tensor

from vitlab.augment.draws import send


class RandomErasing:
    """Blanks a rectangle of an image with some probability; in normalised images the blank is the mean.

    Args:
        probability: of erasing, in [0, 1].
        area: least and greatest share of the image.
        aspect: least and greatest height in units of the width.

    Raises:
        ValueError: a value lies outside its range.
    """

    def __init__(
        self,
        probability: float = 0.25,
        area: tuple[float, float] = (0.02, 0.33),
        aspect: tuple[float, float] = (0.3, 3.3),
    ) -> None:
        if not 0 <= probability <= 1:
            raise ValueError(f"probability={probability} lies outside [0, 1]; try 0.25")
        if not 0 < area[0] <= area[1] <= 1:
            raise ValueError(f"area={list(area)} must be two rising shares in (0, 1]; try [0.02, 0.33]")
        if not 0 < aspect[0] <= aspect[1]:
            raise ValueError(f"aspect={list(aspect)} must be two rising positive numbers; try [0.3, 3.3]")
        self.probability, self.area, self.aspect = probability, area, aspect

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Blank a rectangle in some of the images [B, C, H, W]."""
        batch, _, height, width = images.shape
        share = rng.uniform(self.area[0], self.area[1], batch) * (rng.random(batch) < self.probability)
        flattest, steepest = np.log(self.aspect)
        aspect = np.exp(rng.uniform(flattest, steepest, batch))  # tall as often as wide
        sides = np.sqrt(share * height * width * np.stack([aspect, 1 / aspect]))  # heights and widths, [2, B]
        sides = np.minimum(np.round(sides), [[height], [width]]).astype(np.int64)
        corners = np.floor(rng.random((2, batch)) * (np.array([[height], [width]]) - sides + 1)).astype(np.int64)
        (top, left), (bottom, right) = send(corners, images.device), send(corners + sides, images.device)
        rows, columns = (torch.arange(size, device=images.device) for size in (height, width))
        inside_rows = (rows >= top[:, None]) & (rows < bottom[:, None])  # [B, H]
        inside_columns = (columns >= left[:, None]) & (columns < right[:, None])  # [B, W]
        return images.masked_fill((inside_rows[:, :, None] & inside_columns[:, None, :])[:, None], 0)
