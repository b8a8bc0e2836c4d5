"""What automatic augmentation draws from: operations with the range of their strengths, and one of them for each image.

Shapes: B batch, C channels, H x W pixels.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from vitlab.augment.draws import send


@dataclass(frozen=True)
class Operation:
    """An operation and its strengths.

    Args:
        apply: maps images in 0..1 and strengths to images.
        weakest, strongest: strength at the lowest and at the highest level.
        signed: whether half of the draws go the other way.
        whole: makes whole numbers of strengths that have to be, as ``np.round``.
    """

    apply: Callable[[Tensor, Tensor], Tensor]
    weakest: float = 0.0
    strongest: float = 0.0
    signed: bool = False
    whole: Callable[[np.ndarray], np.ndarray] | None = None


def apply_chosen(
    space: Sequence[Operation], images: Tensor, chosen: np.ndarray, level: np.ndarray, sign: np.ndarray
) -> Tensor:
    """Change each image by an operation of its own.

    Args:
        space: the operations.
        images: [B, C, H, W] in 0..1.
        chosen: [B], which operation.
        level: [B] in 0..1, from its weakest to its strongest.
        sign: [B] of -1 and 1, for those that are signed.
    """
    table = np.array([(o.weakest, o.strongest, o.signed) for o in space])
    weakest, strongest, signed = table[chosen].T  # [B] each
    strength = weakest + level * (strongest - weakest)
    strength = np.where(signed > 0, strength * sign, strength)
    for number, operation in enumerate(space):
        if operation.whole is not None:
            strength = np.where(chosen == number, operation.whole(strength), strength)
    # Sorted by operation, each has one run of images: two transfers serve all of them.
    order = np.argsort(chosen, kind="stable")
    sizes = np.bincount(chosen, minlength=len(space)).tolist()
    groups = torch.split(send(order, images.device), sizes)
    strengths = torch.split(send(strength[order], images.device), sizes)
    out = torch.empty_like(images)
    for operation, group, of_group in zip(space, groups, strengths, strict=True):
        if len(group) > 0:
            out[group] = operation.apply(images[group], of_group)
    return out
