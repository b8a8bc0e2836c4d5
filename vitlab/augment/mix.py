"""Mixup and cutmix: images are mixed in pairs, and their labels in the same shares.

Zhang et al. 2018, "mixup: Beyond empirical risk minimization"; Yun et al. 2019, "CutMix". Which of the two is drawn
for each batch, as in DeiT. Shapes: B batch, C channels, H x W pixels, K classes.
"""

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vitlab.augment.draws import send


class MixupCutmix:
    """Mixes each image of a batch with another one.

    Args:
        num_classes: K.
        mixup_alpha: of the Beta distribution of the shares of mixup; 0 leaves mixup out.
        cutmix_alpha: the same for cutmix.
        switch_probability: of cutmix, where both are in.

    Raises:
        ValueError: both are left out, or a value lies outside its range.
    """

    def __init__(
        self,
        num_classes: int,
        mixup_alpha: float = 0.8,
        cutmix_alpha: float = 1.0,
        switch_probability: float = 0.5,
    ) -> None:
        if min(mixup_alpha, cutmix_alpha) < 0 or max(mixup_alpha, cutmix_alpha) == 0:
            raise ValueError(
                f"mixup_alpha={mixup_alpha} and cutmix_alpha={cutmix_alpha} must not be negative, and not both 0; "
                "augment.mix=null leaves both out"
            )
        if not 0 <= switch_probability <= 1:
            raise ValueError(f"switch_probability={switch_probability} lies outside [0, 1]; try 0.5")
        self.num_classes = num_classes
        self.mixup_alpha, self.cutmix_alpha = mixup_alpha, cutmix_alpha
        only_one = mixup_alpha == 0 or cutmix_alpha == 0
        self.cutmix_probability = float(mixup_alpha == 0) if only_one else switch_probability

    def __call__(self, images: Tensor, labels: Tensor, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Mix images [B, C, H, W]; labels [B] become the shares of each class [B, K], which sum to one."""
        partner = send(rng.permutation(len(images)), images.device)
        if rng.random() < self.cutmix_probability:
            mixed, share = _cutmix(images, partner, rng.beta(self.cutmix_alpha, self.cutmix_alpha), rng)
        else:
            share = rng.beta(self.mixup_alpha, self.mixup_alpha)
            mixed = images.lerp(images[partner], 1 - share)
        one_hot = F.one_hot(labels, self.num_classes).to(images.dtype)  # [B, K]
        return mixed, one_hot.lerp(one_hot[partner], 1 - share)


def _cutmix(images: Tensor, partner: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Paste one box of the partner into each image; the share that is left is counted in pixels."""
    height, width = images.shape[-2:]
    side = np.sqrt(1 - share)
    centre_row, centre_column = rng.integers(height), rng.integers(width)
    top, bottom = (int(np.clip(centre_row + s * side * height / 2, 0, height)) for s in (-1, 1))
    left, right = (int(np.clip(centre_column + s * side * width / 2, 0, width)) for s in (-1, 1))
    mixed = images.clone()
    mixed[:, :, top:bottom, left:right] = torch.index_select(images[:, :, top:bottom, left:right], 0, partner)
    return mixed, 1 - (bottom - top) * (right - left) / (height * width)
