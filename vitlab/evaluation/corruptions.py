"""Fifteen corruptions in five levels, made on the fly in the manner of CIFAR-10-C.

Hendrycks & Dietterich 2019, "Benchmarking neural network robustness to common corruptions and perturbations"; the
levels are those of their images of 32 px, with lengths in proportion to the size. They are drawn anew here, in batches
and from torch's generator, and frost is made of noise where theirs is photographed: figures on them may be compared
with each other, and not with figures on the published set.

Each takes images [B, C, S, S] in 0..1, its level's constants and a generator, and gives images that may leave 0..1.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Generator, Tensor
from torch.nn import functional as F

_PUBLISHED_SIZE = 32
LEVELS = 5


def gaussian_noise(images: Tensor, sigma: float, draw: Generator) -> Tensor:
    """Normal noise of the standard deviation ``sigma``."""
    return images + sigma * _normal(images.shape, draw)


def shot_noise(images: Tensor, photons: float, draw: Generator) -> Tensor:
    """Each pixel counts photons, ``photons`` where it is white."""
    return torch.poisson(images * photons, generator=draw) / photons


def impulse_noise(images: Tensor, share: float, draw: Generator) -> Tensor:
    """``share`` of the numbers become 0 or 1."""
    dice = _uniform(images.shape, draw)
    return images.masked_fill(dice < share / 2, 0.0).masked_fill(dice > 1 - share / 2, 1.0)


def defocus_blur(images: Tensor, radius: float, smoothing: float, draw: Generator) -> Tensor:
    """Each point becomes a disk, whose edge is smoothed."""
    at = torch.arange(-8, 9, device=images.device)
    disk = ((at[:, None] ** 2 + at**2) <= radius**2).float()
    return _gaussian_blur(_filtered(images, disk / disk.sum()), smoothing)


def glass_blur(images: Tensor, sigma: float, reach: int, times: int, draw: Generator) -> Tensor:
    """Blurred, each pixel exchanged for one nearby, blurred again."""
    batch, _, size, _ = images.shape
    images = _gaussian_blur(images, sigma)
    at = torch.arange(size, device=images.device)
    for _ in range(times):
        shape = (batch, 2, size, size)
        moved = torch.randint(-reach, reach, shape, generator=draw, device=images.device)
        rows, columns = (at[:, None] + moved[:, 0]).clamp(0, size - 1), (at + moved[:, 1]).clamp(0, size - 1)
        places = (rows * size + columns).flatten(1)[:, None].expand(-1, images.shape[1], -1)
        images = images.flatten(2).gather(2, places).view_as(images)
    return _gaussian_blur(images, sigma)


def motion_blur(images: Tensor, radius: float, sigma: float, draw: Generator, middle: float = 0.0) -> Tensor:
    """Each point is drawn out in a direction within 45 degrees of ``middle``, one for each image."""
    size, batch = images.shape[-1], len(images)
    angle = math.radians(middle) + (_uniform((batch,), draw) - 0.5) * math.pi / 2
    direction = torch.stack([angle.cos(), angle.sin()], dim=1)  # [B, 2], x and y
    steps = torch.arange(round(radius * size / _PUBLISHED_SIZE) + 1, device=images.device)
    weights = torch.exp(-(steps**2) / (2 * (sigma * size / _PUBLISHED_SIZE) ** 2))
    weights = weights / weights.sum()
    return sum((w * _moved(images, t * direction) for t, w in zip(steps, weights, strict=True)), torch.zeros(()))


def zoom_blur(images: Tensor, most: float, draw: Generator) -> Tensor:
    """The mean of the image in all magnifications up to ``most``."""
    factors = [1.0, *(1 + step / 100 for step in range(round(100 * (most - 1))))]
    return torch.stack([_zoomed(images, factor) for factor in factors]).mean(dim=0)


def snow(
    images: Tensor,
    mean: float,
    deviation: float,
    flake: float,
    threshold: float,
    length: float,
    sigma: float,
    clear: float,
    draw: Generator,
) -> Tensor:
    """Flakes that fall, before a scene that is paler."""
    layer = mean + deviation * _normal((len(images), 1, *images.shape[2:]), draw)
    layer = _zoomed(layer, flake)
    layer = motion_blur(layer.masked_fill(layer < threshold, 0.0).clamp(0, 1), length, sigma, draw, middle=-90.0)
    paler = torch.maximum(images, 1.5 * images.mean(dim=1, keepdim=True) + 0.5)
    return clear * images + (1 - clear) * paler + layer + layer.flip(-1, -2)


def frost(images: Tensor, clear: float, ice: float, draw: Generator) -> Tensor:
    """Ice flowers on the pane: the ridges of two fractals."""
    ridges = [1 - (2 * _fractal(images, 1.7, draw) - 1).abs() for _ in range(2)]
    return clear * images + ice * torch.maximum(*ridges) ** 2


def fog(images: Tensor, density: float, decay: float, draw: Generator) -> Tensor:
    """Banks of fog: a fractal, the smoother the greater its ``decay``."""
    brightest = images.amax(dim=(1, 2, 3), keepdim=True)
    return (images + density * _fractal(images, decay, draw)) * brightest / (brightest + density)


def brightness(images: Tensor, more: float, draw: Generator) -> Tensor:
    """The value of hue, saturation and value is raised."""
    value = images.amax(dim=1, keepdim=True)
    raised = (value + more).clamp(max=1)
    return torch.where(value > 0, images * raised / value.clamp_min(1e-6), raised)


def contrast(images: Tensor, factor: float, draw: Generator) -> Tensor:
    """Each channel comes nearer to its mean."""
    mean = images.mean(dim=(2, 3), keepdim=True)
    return (images - mean) * factor + mean


def elastic_transform(images: Tensor, strength: float, sigma: float, affine: float, draw: Generator) -> Tensor:
    """Stretched and bent: three corners of a square are moved by up to ``affine``, each place by a smooth field.

    All lengths are shares of the image.
    """
    size, batch = images.shape[-1], len(images)
    corners = torch.tensor([[2 / 3, 2 / 3, 1.0], [2 / 3, -2 / 3, 1.0], [-2 / 3, -2 / 3, 1.0]], device=images.device)
    moved = corners[:, :2] + 2 * affine * (2 * _uniform((batch, 3, 2), draw) - 1)  # [B, 3, 2], the image is -1..1
    matrix = torch.linalg.solve(moved_with_one(moved), corners[:, :2].expand(batch, 3, 2)).transpose(1, 2)
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)  # [B, S, S, 2]
    field = 2 * _uniform((batch, 2, size, size), draw) - 1
    bend = _gaussian_blur(field, sigma * size) * strength * 2  # in units of half the image
    return _sampled(images, grid + bend.permute(0, 2, 3, 1))


def moved_with_one(points: Tensor) -> Tensor:
    """Points [B, 3, 2] as [B, 3, 3], with a one for what does not depend on them."""
    return torch.cat([points, torch.ones_like(points[..., :1])], dim=-1)


def pixelate(images: Tensor, share: float, draw: Generator) -> Tensor:
    """Made smaller, and large again."""
    size = images.shape[-1]
    small = F.interpolate(images, size=max(1, int(size * share)), mode="area")
    return F.interpolate(small, size=size, mode="area")


def jpeg_compression(images: Tensor, quality: int, draw: Generator) -> Tensor:
    """Written as JPEG by Pillow and read again."""
    compressed = []
    for image in (255 * images).round().byte().cpu().movedim(1, -1).numpy():
        file = BytesIO()
        Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file, "JPEG", quality=quality)
        compressed.append(torch.from_numpy(np.array(Image.open(file))).view(image.shape))
    return torch.stack(compressed).movedim(-1, 1).to(images.device) / 255


@dataclass(frozen=True)
class Corruption:
    """A function with the constants of its five levels."""

    apply: Callable[..., Tensor]
    levels: tuple[tuple[Any, ...], ...]


def _plain(apply: Callable[..., Tensor], *levels: Any) -> Corruption:
    return Corruption(apply, tuple(level if isinstance(level, tuple) else (level,) for level in levels))


CORRUPTIONS = {
    "gaussian_noise": _plain(gaussian_noise, 0.04, 0.06, 0.08, 0.09, 0.10),
    "shot_noise": _plain(shot_noise, 500, 250, 100, 75, 50),
    "impulse_noise": _plain(impulse_noise, 0.01, 0.02, 0.03, 0.05, 0.07),
    "defocus_blur": _plain(defocus_blur, (0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "glass_blur": _plain(glass_blur, (0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "motion_blur": _plain(motion_blur, (6, 1.0), (6, 1.5), (6, 2.0), (8, 2.0), (9, 2.5)),
    "zoom_blur": _plain(zoom_blur, 1.06, 1.11, 1.16, 1.21, 1.26),
    "snow": _plain(
        snow,
        (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
        (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
        (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
    ),
    "frost": _plain(frost, (1, 0.2), (1, 0.3), (0.9, 0.4), (0.85, 0.4), (0.75, 0.45)),
    "fog": _plain(fog, (0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "brightness": _plain(brightness, 0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": _plain(contrast, 0.75, 0.5, 0.4, 0.3, 0.15),
    "elastic_transform": _plain(
        elastic_transform, (0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06), (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)
    ),
    "pixelate": _plain(pixelate, 0.95, 0.9, 0.85, 0.75, 0.65),
    "jpeg_compression": _plain(jpeg_compression, 80, 65, 58, 50, 40),
}


def corrupt(images: Tensor, name: str, level: int, draw: Generator) -> Tensor:
    """Corrupt a batch.

    Args:
        images: uint8 [B, C, S, S]; C is 1 or 3.
        name: one of ``CORRUPTIONS``.
        level: 1 to 5.
        draw: on the device of the images.

    Returns:
        uint8 [B, C, S, S].
    """
    corruption = CORRUPTIONS[name]
    corrupted = corruption.apply(images.float() / 255, *corruption.levels[level - 1], draw=draw)
    return (255 * corrupted.clamp(0, 1)).round().byte()


def _normal(shape: Any, draw: Generator) -> Tensor:
    return torch.randn(shape, generator=draw, device=draw.device)


def _uniform(shape: Any, draw: Generator) -> Tensor:
    return torch.rand(shape, generator=draw, device=draw.device)


def _filtered(images: Tensor, kernel: Tensor) -> Tensor:
    """Each channel filtered with ``kernel`` [k, k], k odd; the image goes on at its border as it is there."""
    margin, channels = kernel.shape[0] // 2, images.shape[1]
    padded = F.pad(images, [margin] * 4, mode="replicate")
    return F.conv2d(padded, kernel.expand(channels, 1, -1, -1), groups=channels)


def _gaussian_blur(images: Tensor, sigma: float) -> Tensor:
    if sigma <= 0:
        return images
    at = torch.arange(-math.ceil(3 * sigma), math.ceil(3 * sigma) + 1, device=images.device)
    line = torch.exp(-(at**2) / (2 * sigma**2))
    kernel = line[:, None] * line
    return _filtered(images, kernel / kernel.sum())


def _sampled(images: Tensor, grid: Tensor) -> Tensor:
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="reflection", align_corners=False)


def _moved(images: Tensor, pixels: Tensor) -> Tensor:
    """Images [B, C, S, S] moved by ``pixels`` [B, 2], x and y."""
    matrix = torch.eye(2, 3, device=images.device).repeat(len(images), 1, 1)
    matrix[:, :, 2] = -2 * pixels / images.shape[-1]
    return _sampled(images, F.affine_grid(matrix, list(images.shape), align_corners=False))


def _zoomed(images: Tensor, factor: float) -> Tensor:
    matrix = torch.eye(2, 3, device=images.device).repeat(len(images), 1, 1) / factor
    return _sampled(images, F.affine_grid(matrix, list(images.shape), align_corners=False))


def _fractal(images: Tensor, decay: float, draw: Generator) -> Tensor:
    """A height map [B, 1, S, S] in 0..1: noise in all sizes, each half as wide and ``decay`` times weaker."""
    batch, size = len(images), images.shape[-1]
    height = torch.zeros(batch, 1, size, size, device=draw.device)
    octaves = max(1, math.ceil(math.log2(size)))
    for octave in range(octaves):
        points = min(size, 2**octave + 1)
        noise = _uniform((batch, 1, points, points), draw) - 0.5
        height += F.interpolate(noise, size=size, mode="bilinear", align_corners=True) / decay**octave
    least, most = height.amin(dim=(2, 3), keepdim=True), height.amax(dim=(2, 3), keepdim=True)
    return (height - least) / (most - least).clamp_min(1e-6)
