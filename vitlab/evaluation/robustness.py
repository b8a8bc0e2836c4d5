"""How much accuracy is left when images are damaged: all of it made on the fly, the same for every model."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from vitlab.engine.contracts import Batches
from vitlab.evaluation.corruptions import CORRUPTIONS, LEVELS, corrupt
from vitlab.evaluation.measures import interval
from vitlab.evaluation.predictions import First, Predictor

BATCH = 100  # images that are damaged at once: the draws depend on it, and so it is the same for all
SEED = 0  # of the images and of the damage, whatever the run's seed is
_DROPPED = (0.25, 0.5, 0.75)  # share of the patches
_SHIFTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4)  # of the side
_RESOLUTIONS = (0.75, 0.5, 0.25)  # of the side

Row = dict[str, Any]


def robustness(predictor: Predictor, batches: Batches | First, patch_size: int) -> dict[str, list[Row]]:
    """Accuracy under each kind of damage, level by level.

    Args:
        predictor: the model.
        batches: clean images, ``BATCH`` at a time.
        patch_size: pixels along the side of a patch, for what is done to patches.

    Returns:
        By kind a row for each level: ``level`` in words, ``accuracy``, ``accuracy_95``.
    """
    size = next(iter(batches.epoch(0)))[0].shape[-1]
    found: dict[str, list[Row]] = {}
    for kind, level, damage in _damages(size, patch_size):
        draw = torch.Generator(predictor.precision.device).manual_seed(SEED)
        predictions = predictor.on(batches, partial(damage, draw=draw))
        correct = int((predictions.logits.argmax(dim=1) == predictions.labels).sum())
        images = len(predictions.labels)
        row: Row = {"level": level, "accuracy": correct / images, "accuracy_95": list(interval(correct, images))}
        found.setdefault(kind, []).append(row)
    return found


def mean_corrupted(found: dict[str, list[Row]]) -> float:
    """Mean accuracy over the fifteen corruptions and their levels."""
    values = [float(row["accuracy"]) for kind in CORRUPTIONS for row in found[kind]]
    return sum(values) / len(values)


def _damages(size: int, patch_size: int) -> Iterator[tuple[str, str, Callable[..., Tensor]]]:
    """Kind, level in words, and what maps images and ``draw=`` to damaged images."""
    for name in CORRUPTIONS:
        for level in range(1, LEVELS + 1):
            yield name, str(level), partial(corrupt, name=name, level=level)
    sides = [side for side in (size // 2, size // 4, size // 8) if side >= patch_size and size % side == 0]
    for side in dict.fromkeys([*sides, patch_size]):
        if side < size:
            yield "patch_shuffle", f"pieces of {side} px", partial(shuffle_patches, side=side)
    for share in _DROPPED:
        yield "patch_drop", f"{share:.0%}", partial(drop_patches, side=patch_size, share=share)
    for pixels in dict.fromkeys(max(1, round(share * size)) for share in _SHIFTS):
        yield "shift", f"{pixels} px", partial(shift, pixels=pixels)
    for pixels in dict.fromkeys(max(1, round(share * size)) for share in _RESOLUTIONS):
        yield "resolution", f"{pixels} px", partial(coarsen, size=pixels)


def shuffle_patches(images: Tensor, side: int, draw: torch.Generator) -> Tensor:
    """Cut images [B, C, S, S] into squares of ``side`` pixels and lay them in another order, one for each image."""
    batch, _, size, _ = images.shape
    count = (size // side) ** 2
    pieces = F.unfold(images.float(), side, stride=side)  # [B, C side side, N]
    order = torch.rand(batch, count, generator=draw, device=images.device).argsort(dim=1)
    pieces = pieces.gather(2, order[:, None].expand(-1, pieces.shape[1], -1))
    return F.fold(pieces, size, side, stride=side).to(images.dtype)


def drop_patches(images: Tensor, side: int, share: float, draw: torch.Generator) -> Tensor:
    """Paint a share of the squares of ``side`` pixels of each image in its mean colour."""
    batch, _, size, _ = images.shape
    per_side = size // side
    rank = torch.rand(batch, per_side**2, generator=draw, device=images.device).argsort(dim=1).argsort(dim=1)
    gone = (rank < round(share * per_side**2)).view(batch, 1, per_side, per_side)
    mask = gone.repeat_interleave(side, dim=2).repeat_interleave(side, dim=3)
    mean = images.float().mean(dim=(2, 3), keepdim=True).round().to(images.dtype)
    return torch.where(mask, mean, images)


def shift(images: Tensor, pixels: int, draw: torch.Generator) -> Tensor:
    """Move each image up, down, left or right; at the border it goes on as it is there."""
    way = torch.randint(4, (len(images),), generator=draw, device=images.device)
    padded = F.pad(images.float(), [pixels] * 4, mode="replicate").to(images.dtype)
    size, moved = images.shape[-1], torch.empty_like(images)
    for number, (top, left) in enumerate(((0, pixels), (2 * pixels, pixels), (pixels, 0), (pixels, 2 * pixels))):
        chosen = way == number
        moved[chosen] = padded[chosen, :, top : top + size, left : left + size]
    return moved


def coarsen(images: Tensor, size: int, draw: torch.Generator) -> Tensor:
    """Make images smaller and large again: what is left of them at a resolution of ``size`` pixels."""
    small = F.interpolate(images.float(), size=size, mode="bilinear", antialias=True, align_corners=False)
    large = F.interpolate(small, size=images.shape[-1], mode="bilinear", align_corners=False)
    return large.round().clamp(0, 255).to(images.dtype)
