"""RandAugment: a few operations one after the other, all at about the same strength.

Cubuk et al. 2020, "RandAugment: Practical automated data augmentation with a reduced search space", with the
operations and the ranges of timm. What an image was moved away from is black.
Shapes: B batch, C channels, H x W pixels.
"""

import numpy as np
from torch import Tensor

from vitlab.augment import ops
from vitlab.augment.operation import Operation, apply_chosen


def increasing_space(image_size: int) -> tuple[Operation, ...]:
    """The operations of timm's ``rand-…-inc1``, in which all do more at a higher level."""
    return (
        *_common_space(image_size),
        Operation(ops.posterize, 4, 0, whole=np.ceil),  # bits that are kept; at the highest level the image is black
        Operation(ops.solarize, 256 / 255, 0),
        Operation(ops.color, 0, 0.9, signed=True),
        Operation(ops.contrast, 0, 0.9, signed=True),
        Operation(ops.brightness, 0, 0.9, signed=True),
        Operation(ops.sharpness, 0, 0.9, signed=True),
    )


def original_space(image_size: int) -> tuple[Operation, ...]:
    """The same with the ranges of AutoAugment, some of which do less at a higher level."""
    return (
        *_common_space(image_size),
        Operation(ops.posterize, 0, 4, whole=np.floor),
        Operation(ops.solarize, 0, 256 / 255),
        Operation(ops.color, -0.9, 0.9),
        Operation(ops.contrast, -0.9, 0.9),
        Operation(ops.brightness, -0.9, 0.9),
        Operation(ops.sharpness, -0.9, 0.9),
    )


def _common_space(image_size: int) -> tuple[Operation, ...]:
    far = 0.45 * image_size
    return (
        Operation(ops.auto_contrast),
        Operation(ops.equalize),
        Operation(ops.invert),
        Operation(ops.solarize_add, 0, 110 / 255),
        Operation(ops.rotate, 0, 30, signed=True),
        Operation(ops.shear_x, 0, 0.3, signed=True),
        Operation(ops.shear_y, 0, 0.3, signed=True),
        Operation(ops.translate_x, 0, far, signed=True),
        Operation(ops.translate_y, 0, far, signed=True),
    )


_IDENTITY = Operation(ops.identity)


class RandAugment:
    """Draws ``count`` operations for each image, and leaves some of them out.

    Args:
        count: operations one after the other.
        strength: of all, as a share of each range, in [0, 1]: 0.9 is timm's ``m9``.
        spread: standard deviation of the strength, for each image and operation.
        probability: of doing an operation that was drawn.
        increasing: whether all of them grow with the strength; otherwise their ranges are those of AutoAugment.

    Raises:
        ValueError: ``count`` is below 1, ``spread`` below 0, or a share outside [0, 1].
    """

    def __init__(
        self,
        count: int = 2,
        strength: float = 0.9,
        spread: float = 0.05,
        probability: float = 0.5,
        increasing: bool = True,
    ) -> None:
        if count < 1:
            raise ValueError(f"count={count} is not positive; try 2, or augment.policy=null for none")
        if spread < 0:
            raise ValueError(f"spread={spread} is negative; try 0.05")
        for name, share in (("strength", strength), ("probability", probability)):
            if not 0 <= share <= 1:
                raise ValueError(f"{name}={share} lies outside [0, 1]; try 0.5")
        self.count, self.strength, self.spread, self.probability = count, strength, spread, probability
        self._space = increasing_space if increasing else original_space

    def __call__(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Change each of the images [B, C, H, W] in 0..1."""
        space = (*self._space(images.shape[-1]), _IDENTITY)
        batch = len(images)
        for _ in range(self.count):
            chosen = rng.integers(0, len(space) - 1, batch)
            chosen = np.where(rng.random(batch) < self.probability, chosen, len(space) - 1)
            level = np.clip(rng.normal(self.strength, self.spread, batch), 0, 1)
            images = apply_chosen(space, images, chosen, level, rng.choice([-1.0, 1.0], batch))
        return images
