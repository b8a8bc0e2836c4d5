"""What the patch embedding looks for: the principal components of its filters.

Dosovitskiy et al. 2021, "An image is worth 16x16 words", figure 7 (left).
Shapes: C channels, S x S image, D width, P x P pixels that a token sees.
"""

from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

_CHUNK = 64  # numbers of a token whose filters are taken at once


@dataclass(frozen=True)
class Filters:
    """The principal components of the filters of a patch embedding, on the CPU.

    Args:
        components: patterns of pixels of length one, those that the filters differ in most first, [R, C, P, P].
        variance: the share of each in the variance of the filters, [R].
    """

    components: Tensor
    variance: Tensor


def principal_filters(patch_embed: nn.Module, channels: int, size: int) -> Filters | None:
    """The components of the filters, or None if the embedding has none.

    Where a ReLU or a norm stands between pixels and token, no pattern of pixels is what a number of the token measures.

    Args:
        patch_embed: maps images [B, C, S, S] to tokens [B, N, D]; in eval mode.
        channels: C.
        size: S, height and width of the images, in pixels.
    """
    filters = pixel_filters(patch_embed, channels, size)
    if filters is None:
        return None
    flat = filters.flatten(1).cpu().double()  # [D, C*P*P]
    centred = flat - flat.mean(dim=0)
    _, sizes, components = torch.linalg.svd(centred, full_matrices=False)
    variance = sizes.square() / sizes.square().sum().clamp_min(torch.finfo(torch.float64).tiny)
    return Filters(components.view(-1, *filters.shape[1:]).float(), variance.float())


def pixel_filters(patch_embed: nn.Module, channels: int, size: int) -> Tensor | None:
    """What each number of a token multiplies the pixels with, [D, C, P, P]; None if it is no sum of pixels.

    Taken from the token in the middle of the grid, by its gradient, and cut to the pixels that it sees.
    """
    if not _is_affine(patch_embed, channels, size):
        return None
    device = next(patch_embed.parameters()).device
    rows, columns = cast(tuple[int, int], patch_embed.grid_size)
    middle = rows // 2 * columns + columns // 2
    with torch.enable_grad():
        width = patch_embed(torch.zeros(1, channels, size, size, device=device)).shape[-1]
        parts = []
        for numbers in torch.split(torch.arange(width), _CHUNK):
            images = torch.zeros(len(numbers), channels, size, size, device=device, requires_grad=True)
            tokens = patch_embed(images)[:, middle]  # [chunk, D]
            parts.append(torch.autograd.grad(tokens[range(len(numbers)), numbers].sum(), images)[0])
    filters = torch.cat(parts)  # [D, C, S, S]
    across = (filters != 0).any(dim=0).any(dim=0)  # [S, S]
    inside = [across.any(dim=1 - axis).nonzero().flatten() for axis in (0, 1)]
    if not len(inside[0]):
        return filters
    (top, bottom), (left, right) = ((int(places.min()), int(places.max()) + 1) for places in inside)
    return filters[:, :, top:bottom, left:right]


def _is_affine(patch_embed: nn.Module, channels: int, size: int) -> bool:
    """Whether the tokens of a sum of images are the sum of their tokens, but for a constant."""
    draw = torch.Generator().manual_seed(0)
    one, other = torch.randn(2, 1, channels, size, size, generator=draw).to(next(patch_embed.parameters()))
    with torch.no_grad():
        of_sum = patch_embed(one + other) + patch_embed(torch.zeros_like(one))
        of_each = patch_embed(one) + patch_embed(other)
    return torch.allclose(of_sum, of_each, rtol=1e-3, atol=1e-3 * float(of_each.abs().max()))
