"""From the bytes of a batch to what the model sees: augmented while training, normalised always.

Everything is batched tensor code on the device of the images. The few numbers that it draws come from a generator
on the host and are sent along, so that no step waits for the device, and so that the draws are the same everywhere.
Shapes: B batch, C channels, H x W pixels, K classes.
"""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from torch import Tensor

ImageOp = Callable[[Tensor, np.random.Generator], Tensor]
"""Maps images [B, C, H, W] to images of the same shape."""
MixOp = Callable[[Tensor, Tensor, np.random.Generator], tuple[Tensor, Tensor]]
"""Maps images and labels [B] to mixed images and shares of each class [B, K]."""


class Augment:
    """The slots of an augmentation, in the order in which they work; each may be empty.

    Args:
        mean, std: of each channel, for images in 0..1.
        crop: moves the image; sees bytes.
        flip: mirrors it; sees bytes.
        policy: changes shape or colours; sees 0..1.
        erase: blanks a part; sees normalised images, in which 0 is the mean.
        mix: mixes images and labels; sees normalised images.

    Raises:
        ValueError: a slot holds something that is no operation.
    """

    def __init__(
        self,
        mean: Sequence[float],
        std: Sequence[float],
        crop: ImageOp | None = None,
        flip: ImageOp | None = None,
        policy: ImageOp | None = None,
        erase: ImageOp | None = None,
        mix: MixOp | None = None,
    ) -> None:
        for name, op in {"crop": crop, "flip": flip, "policy": policy, "erase": erase, "mix": mix}.items():
            if op is not None and not callable(op):
                raise ValueError(f"{name}={op} is no operation; {name}=null leaves it out")
        self.mean, self.std = tuple(mean), tuple(std)
        self.crop, self.flip, self.policy, self.erase, self.mix = crop, flip, policy, erase, mix
        self._constants = cache(self._make_constants)

    def train(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Augment a batch.

        Args:
            images: uint8 [B, C, H, W].
            labels: int64 [B].
            rng: what all draws come from.

        Returns:
            Normalised float32 images [B, C, H, W], and targets: the labels, or with ``mix`` shares [B, K].
        """
        for op in (self.crop, self.flip):
            if op is not None:
                images = op(images, rng)
        floats = images.float() / 255  # [B, C, H, W] in 0..1
        if self.policy is not None:
            floats = self.policy(floats, rng)
        floats = self._normalise(floats)
        if self.erase is not None:
            floats = self.erase(floats, rng)
        return self.mix(floats, labels, rng) if self.mix is not None else (floats, labels)

    def eval(self, images: Tensor) -> Tensor:
        """Normalise uint8 images [B, C, H, W] to float32."""
        return self._normalise(images.float() / 255)

    def _normalise(self, floats: Tensor) -> Tensor:
        mean, std = self._constants(floats.device)
        return (floats - mean) / std

    def _make_constants(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Mean and std [C, 1, 1] on ``device``, sent there once."""
        mean, std = (torch.tensor(values, device=device)[:, None, None] for values in (self.mean, self.std))
        return mean, std
