"""The operations of automatic augmentation, each on a batch in which every image has a strength of its own.

They are those of AutoAugment (Cubuk et al. 2019, table 6), as torchvision has them for one image at a time.
Shapes: G images of a group, C channels, H = W pixels, in 0..1; strengths [G].
"""

import math

import torch
from torch import Tensor
from torch.nn import functional as F

_LUMA = (0.2989, 0.587, 0.114)


def _affine(images: Tensor, matrices: Tensor) -> Tensor:
    """Resample [G, C, H, W], nearest neighbour, black outside; ``matrices`` [G, 2, 3] lead from the new to the old."""
    grid = F.affine_grid(matrices, list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, mode="nearest", padding_mode="zeros", align_corners=False)


def _matrices(strength: Tensor, entries: dict[tuple[int, int], Tensor]) -> Tensor:
    """Identity matrices [G, 2, 3] with some entries replaced."""
    out = torch.eye(2, 3, device=strength.device).repeat(len(strength), 1, 1)
    for (row, column), value in entries.items():
        out[:, row, column] = value
    return out


def shear_x(images: Tensor, strength: Tensor) -> Tensor:
    """Slant by ``strength`` columns a row, about the centre."""
    return _affine(images, _matrices(strength, {(0, 1): strength}))


def shear_y(images: Tensor, strength: Tensor) -> Tensor:
    """Slant by ``strength`` rows a column, about the centre."""
    return _affine(images, _matrices(strength, {(1, 0): strength}))


def translate_x(images: Tensor, strength: Tensor) -> Tensor:
    """Move right by ``strength`` pixels."""
    return _affine(images, _matrices(strength, {(0, 2): -2 * strength / images.shape[-1]}))


def translate_y(images: Tensor, strength: Tensor) -> Tensor:
    """Move down by ``strength`` pixels."""
    return _affine(images, _matrices(strength, {(1, 2): -2 * strength / images.shape[-2]}))


def rotate(images: Tensor, strength: Tensor) -> Tensor:
    """Turn by ``strength`` degrees about the centre, counter-clockwise."""
    angle = strength * (math.pi / 180)
    cos, sin = angle.cos(), angle.sin()
    return _affine(images, _matrices(strength, {(0, 0): cos, (0, 1): -sin, (1, 0): sin, (1, 1): cos}))


def _blend(images: Tensor, other: Tensor, strength: Tensor) -> Tensor:
    """``other`` at strength -1, the images at 0, beyond them above: all in 0..1."""
    return (images + strength[:, None, None, None] * (images - other)).clamp(0, 1)


def _grey(images: Tensor) -> Tensor:
    """Brightness as the eye sees it: [G, 1, H, W]."""
    if images.shape[1] == 1:
        return images
    red, green, blue = images.unbind(dim=1)  # [G, H, W] each
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue)[:, None]


def brightness(images: Tensor, strength: Tensor) -> Tensor:
    """Away from black."""
    return _blend(images, torch.zeros_like(images), strength)


def color(images: Tensor, strength: Tensor) -> Tensor:
    """Away from grey."""
    return _blend(images, _grey(images), strength)


def contrast(images: Tensor, strength: Tensor) -> Tensor:
    """Away from the image's mean grey."""
    return _blend(images, _grey(images).mean(dim=(1, 2, 3), keepdim=True), strength)


def sharpness(images: Tensor, strength: Tensor) -> Tensor:
    """Away from the smoothed image; its outermost pixels stay."""
    if min(images.shape[-2:]) < 3:  # nothing but outermost pixels
        return images
    channels = images.shape[1]
    kernel = torch.ones(3, 3, device=images.device)
    kernel[1, 1] = 5
    smooth = images.clone()
    smooth[..., 1:-1, 1:-1] = F.conv2d(images, (kernel / 13).expand(channels, 1, 3, 3), groups=channels)
    return _blend(images, smooth, strength)


def posterize(images: Tensor, strength: Tensor) -> Tensor:
    """Keep the upper ``strength`` bits of each value."""
    step = (2 ** (8 - strength))[:, None, None, None]
    return ((images * 255).round() / step).floor() * step / 255


def solarize(images: Tensor, strength: Tensor) -> Tensor:
    """Turn over the values from ``strength`` (in 0..1) up."""
    return torch.where(images >= strength[:, None, None, None], 1 - images, images)


def solarize_add(images: Tensor, strength: Tensor) -> Tensor:
    """Add ``strength`` (in 0..1) to the values in the darker half."""
    return torch.where(images < 128 / 255, (images + strength[:, None, None, None]).clamp(max=1), images)


def invert(images: Tensor, strength: Tensor) -> Tensor:
    """Turn over all values; it has no strength."""
    return 1 - images


def auto_contrast(images: Tensor, strength: Tensor) -> Tensor:
    """Stretch each channel to 0..1; it has no strength."""
    low, high = images.amin(dim=(2, 3), keepdim=True), images.amax(dim=(2, 3), keepdim=True)
    spread = high - low
    return torch.where(spread > 0, (images - low) / spread.clamp(min=1e-12), images)


def equalize(images: Tensor, strength: Tensor) -> Tensor:
    """Spread the values of each channel evenly over 0..255, by its histogram; it has no strength."""
    values = (images * 255).round().long().flatten(2)  # [G, C, H*W]
    counts = torch.zeros(*values.shape[:2], 256, device=images.device).scatter_add_(
        2, values, torch.ones_like(values, dtype=torch.float32)
    )
    brightest = torch.gather(counts, 2, values.amax(dim=2, keepdim=True))  # [G, C, 1]
    step = ((counts.sum(dim=2, keepdim=True) - brightest) / 255).floor()  # [G, C, 1]
    below = counts.cumsum(dim=2) - counts  # pixels darker than each value, [G, C, 256]
    table = ((below + (step / 2).floor()) / step.clamp(min=1)).floor().clamp(0, 255)
    equalized = torch.gather(table, 2, values).view_as(images) / 255
    return torch.where(step[..., None] > 0, equalized, images)


def identity(images: Tensor, strength: Tensor) -> Tensor:
    """Leave the images as they are."""
    return images
