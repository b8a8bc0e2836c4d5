"""Many small pictures as one: heat over images, tiles with gaps between them, and what stands over them."""

import textwrap
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from vitlab.pictures import text

HEAT = "inferno"  # dark to bright, the same order for all eyes
_INK = 0.62  # how much of the heat covers the image


def heated(image: Tensor, heat: Tensor, side: int) -> np.ndarray[Any, Any]:
    """``heat`` over ``image``, each patch in one colour: RGB in 0..1, [side, side, 3].

    Args:
        image: uint8 [C, S, S].
        heat: [rows, columns]; its greatest number is the brightest.
        side: height and width of the result, in pixels.
    """
    import matplotlib as mpl

    positive = heat.float().clamp_min(0)
    share = positive / positive.max().clamp_min(torch.finfo(torch.float32).tiny)
    colours = mpl.colormaps[HEAT](_resized(share[None], side)[0].numpy())[..., :3]
    grey = plain(image, side).mean(axis=-1, keepdims=True)
    return np.asarray(_INK * colours + (1 - _INK) * grey)


def plain(image: Tensor, side: int) -> np.ndarray[Any, Any]:
    """``image``, uint8 [C, S, S], as RGB in 0..1, [side, side, 3]."""
    colours = image[:1] if image.shape[0] != 3 else image
    return _resized(colours.float() / 255, side).expand(3, -1, -1).permute(1, 2, 0).numpy()


def tiled(rows: list[list[np.ndarray[Any, Any]]], gap: int) -> np.ndarray[Any, Any]:
    """Rows of pictures of the same size, [h, w, 3], as one with white gaps between them."""
    height, width = rows[0][0].shape[:2]
    count = max(len(row) for row in rows)
    sheet = np.ones((len(rows) * (height + gap) - gap, count * (width + gap) - gap, 3))
    for down, row in enumerate(rows):
        for across, picture in enumerate(row):
            top, left = down * (height + gap), across * (width + gap)
            sheet[top : top + height, left : left + width] = picture
    return sheet


def middles(count: int, side: int, gap: int) -> list[float]:
    """Where the middles of ``count`` tiles lie."""
    return [number * (side + gap) + (side - 1) / 2 for number in range(count)]


def folded(words: str, width: int) -> str:
    """A title of lines of ``width`` characters at most, with a capital."""
    return "\n".join(map(text, textwrap.wrap(words[:1].upper() + words[1:], width)))


def _resized(planes: Tensor, side: int) -> Tensor:
    """Planes [C, h, w] as [C, side, side]: repeated where they grow, averaged where they shrink."""
    mode = "area" if planes.shape[-1] > side else "nearest"
    return F.interpolate(planes[None], (side, side), mode=mode)[0]
