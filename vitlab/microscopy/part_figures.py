"""Pictures of what parts of a model have learned: positions and patch filters."""

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from vitlab.microscopy.filters import Filters
from vitlab.microscopy.positions import BIASED, TURNED, PositionGrid
from vitlab.microscopy.tiles import folded, tiled
from vitlab.microscopy.words import filters as filters_in_words
from vitlab.microscopy.words import positions as positions_in_words
from vitlab.pictures import subplots

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_PLACES = 8  # rows and columns of places that are shown of a grid
_MOST_FILTERS = 28  # as in the paper
_KINDS = {BIASED: "what places add to the score", TURNED: "what is left of a score"}
_SIGNED = "PuOr_r"  # purple to orange, told apart by all


def positions(found: dict[str, Any], grids: list[PositionGrid]) -> "Figure":
    """For each place of the grid a map of all others, as they are seen from there."""
    figure, all_axes = subplots(len(grids), width=6.6, height=6.4)
    for axes, grid, told in zip(all_axes, grids, positions_in_words(found), strict=True):
        rows, columns = found["grid"]
        maps = grid.grid.cpu().numpy().reshape(rows, columns, rows, columns)
        chosen = [_some(rows), _some(columns)]
        top = float(np.abs(maps).max()) or 1.0
        low = -top if grid.kind == BIASED or maps.min() < 0 else 0.0
        sheet = _numbers([[maps[row, column] for column in chosen[1]] for row in chosen[0]])
        shown = axes.imshow(sheet, cmap=_SIGNED if low else "viridis", vmin=low, vmax=top, interpolation="nearest")
        axes.set_facecolor("white")
        for ticks, places, side in (
            (axes.set_xticks, chosen[1], columns),
            (axes.set_yticks, chosen[0], rows),
        ):
            ticks(
                [number * (side + 1) + (side - 1) / 2 for number in range(len(places))],
                [str(place + 1) for place in places],
            )
        axes.tick_params(length=0)
        axes.spines[:].set_visible(False)
        axes.set(xlabel="column of the patch that looks", ylabel="its row")
        figure.colorbar(shown, ax=axes, shrink=0.75, label=_KINDS.get(grid.kind, "cosine of what is added"))
        axes.set_title(folded(told, 62), fontsize=11)
    return figure


def biases(of_heads: Tensor, grid: tuple[int, int]) -> "Figure":
    """What each head of each block adds to scores, by the place of the other patch: [L, H, N, N] to a map each."""
    blocks, heads = of_heads.shape[:2]
    rows, columns = grid
    middle = rows // 2 * columns + columns // 2
    maps = of_heads[:, :, middle].cpu().reshape(blocks, heads, rows, columns).numpy()
    figure, (axes,) = subplots(1, width=1.8 + 0.95 * heads, height=1.3 + 0.95 * blocks)
    top = float(np.abs(maps).max()) or 1.0
    sheet = _numbers([list(of_block) for of_block in maps])
    shown = axes.imshow(sheet, cmap=_SIGNED, vmin=-top, vmax=top, interpolation="nearest")
    axes.set_xticks(
        [number * (columns + 1) + (columns - 1) / 2 for number in range(heads)], [str(n + 1) for n in range(heads)]
    )
    axes.set_yticks(
        [number * (rows + 1) + (rows - 1) / 2 for number in range(blocks)], [str(n + 1) for n in range(blocks)]
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel="head", ylabel="block")
    figure.colorbar(shown, ax=axes, shrink=0.75, label="added to the score")
    block, head = np.unravel_index(np.abs(maps).reshape(blocks, heads, -1).max(axis=2).argmax(), (blocks, heads))
    axes.set_title(f"Bias of the patch in the middle\nstrongest in head {head + 1} of block {block + 1}", fontsize=11)
    return figure


def filters(found: dict[str, Any], of_patches: Filters) -> "Figure":
    """The principal components of the patch filters, the first at the top left."""
    count = min(_MOST_FILTERS, len(of_patches.components))
    columns = min(7, count)
    figure, (axes,) = subplots(1, width=max(4.6, 0.95 * columns), height=1.2 + 0.95 * math.ceil(count / columns))
    pictures = [_pattern(pattern) for pattern in of_patches.components[:count]]
    size = pictures[0].shape[0]
    gap = max(1, size // 6)
    sheet = tiled([pictures[start : start + columns] for start in range(0, count, columns)], gap)
    axes.imshow(sheet, interpolation="nearest")
    for number, share in enumerate(of_patches.variance[:count].tolist()):
        row, column = divmod(number, columns)
        place = (column * (size + gap) + (size - 1) / 2, row * (size + gap) + size - 0.4)
        axes.annotate(f"{share:.0%}", place, ha="center", va="top", fontsize=8, annotation_clip=False)
    axes.set_axis_off()
    axes.set_title(f"Principal components of the patch filters\n{folded(filters_in_words(found), 62)}", fontsize=11)
    return figure


def _pattern(pattern: Tensor) -> np.ndarray[Any, Any]:
    """A component [C, P, P] as RGB, grey where it is zero."""
    colours = pattern if pattern.shape[0] == 3 else pattern[:1].expand(3, -1, -1)
    top = colours.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    return (0.5 + 0.5 * colours / top).permute(1, 2, 0).numpy()


def _numbers(rows: list[list[np.ndarray[Any, Any]]]) -> np.ndarray[Any, Any]:
    """Maps of numbers as one, with gaps of nothing between them."""
    height, width = rows[0][0].shape
    sheet = np.full((len(rows) * (height + 1) - 1, len(rows[0]) * (width + 1) - 1), np.nan)
    for down, row in enumerate(rows):
        for across, numbers in enumerate(row):
            top, left = down * (height + 1), across * (width + 1)
            sheet[top : top + height, left : left + width] = numbers
    return sheet


def _some(count: int) -> list[int]:
    """Of so many places, a few in even steps."""
    return sorted({round(place) for place in np.linspace(0, count - 1, min(count, _MOST_PLACES))})
