"""TrivialAugment: one operation for each image, drawn evenly, at a strength that is drawn evenly.

Müller & Hutter 2021, "TrivialAugment: Tuning-free yet state-of-the-art data augmentation", the wide space (table 5).
Shapes: B batch, C channels, H x W pixels.
"""

import numpy as np
from torch import Tensor

from vitlab.augment import ops
from vitlab.augment.operation import Operation, apply_chosen

_LEVELS = 31


def wide_space(image_size: int) -> tuple[Operation, ...]:
    """The operations of the wide space; images are moved by 32 pixels at most, and not by more than they measure."""
    far = float(min(32, image_size))
    return (
        Operation(ops.identity),
        Operation(ops.shear_x, 0, 0.99, signed=True),
        Operation(ops.shear_y, 0, 0.99, signed=True),
        Operation(ops.translate_x, 0, far, signed=True),
        Operation(ops.translate_y, 0, far, signed=True),
        Operation(ops.rotate, 0, 135, signed=True),
        Operation(ops.brightness, 0, 0.99, signed=True),
        Operation(ops.color, 0, 0.99, signed=True),
        Operation(ops.contrast, 0, 0.99, signed=True),
        Operation(ops.sharpness, 0, 0.99, signed=True),
        Operation(ops.posterize, 8, 2, whole=np.round),
        Operation(ops.solarize, 1, 0),
        Operation(ops.auto_contrast),
        Operation(ops.equalize),
    )


class TrivialAugment:
    """Draws an operation and a strength for each image.

    Args:
        strongest: how far up the strengths go, as a share of the wide space, in [0, 1].

    Raises:
        ValueError: ``strongest`` lies outside [0, 1].
    """

    def __init__(self, strongest: float = 1.0) -> None:
        if not 0 <= strongest <= 1:
            raise ValueError(f"strongest={strongest} lies outside [0, 1]; try 1.0")
        self.strongest = strongest

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Change each of the images [B, C, H, W] in 0..1."""
        space = wide_space(images.shape[-1])
        chosen = rng.integers(0, len(space), len(images))
        level = rng.integers(0, _LEVELS, len(images)) / (_LEVELS - 1) * self.strongest  # [B] in 0..1
        sign = rng.choice([-1.0, 1.0], len(images))
        return apply_chosen(space, images, chosen, level, sign)
