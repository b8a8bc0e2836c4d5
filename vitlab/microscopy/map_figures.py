"""Pictures of where a model looks in single images."""

from typing import TYPE_CHECKING, Any

import numpy as np

from vitlab.microscopy.maps import Maps
from vitlab.microscopy.tiles import HEAT, heated, middles, plain, tiled
from vitlab.microscopy.words import agreement, focus
from vitlab.pictures import shortened, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SIDE, _GAP = 96, 8  # of a tile, in pixels
_LONGEST = 16  # characters over a picture
_FEW = 8  # heads, whose pictures can be large


def heads(found: dict[str, Any], maps: Maps) -> "Figure":
    """The attention of each head of each block over the first image."""
    blocks, count = maps.attention.shape[1:3]
    inches = 1.0 if count <= _FEW else 0.65
    figure, (axes,) = subplots(1, width=1.6 + inches * (count + 1), height=1.1 + inches * blocks)
    image = maps.images[0]
    blank = np.ones((_SIDE, _SIDE, 3))
    rows = [
        [plain(image, _SIDE) if block == 0 else blank, *(heated(image, head, _SIDE) for head in of_block)]
        for block, of_block in enumerate(maps.attention[0])
    ]
    axes.imshow(tiled(rows, _GAP), interpolation="nearest")
    across = ["image", *(f"head {number + 1}" if count <= _FEW else str(number + 1) for number in range(count))]
    _label(axes, across, [f"block {number + 1}" for number in range(blocks)])
    axes.set_title(f"Attention of {found['reads']}, by block and head\n{focus(found)}", fontsize=11)
    _scale(figure, axes)
    return figure


def rollouts(found: dict[str, Any], maps: Maps) -> "Figure":
    """Image, attention of the last block, rollout and gradient rollout, an image a column."""
    count = len(maps.images)
    figure, (axes,) = subplots(1, width=2.4 + 1.15 * max(count, 3), height=1.8 + 1.15 * 4)
    last = maps.attention[:, -1].mean(dim=1)  # [I, rows, columns]
    rows = [[plain(image, _SIDE) for image in maps.images]]
    for heat in (last, maps.rollout, maps.gradient_rollout):
        rows.append([heated(image, one, _SIDE) for image, one in zip(maps.images, heat, strict=True)])
    axes.imshow(tiled(rows, _GAP), interpolation="nearest")
    names = [_taken_for(one) for one in found["shown"]]
    _label(axes, names, ["image", "attention,\nlast block", "rollout", "gradient\nrollout"])
    axes.set_title(f"What the class is read from\n{agreement(found)}", fontsize=11)
    _scale(figure, axes)
    return figure


def _taken_for(row: dict[str, Any]) -> str:
    """The likeliest class, its probability, and what it is if it is something else."""
    told = f"{shortened(row['class'], _LONGEST)}\n{row['probability']:.0%}"
    same = row.get("label", row["class"]) == row["class"]
    return told if same else f"{told}\n(is {shortened(row['label'], _LONGEST)})"


def _label(axes: "Axes", across: list[str], down: list[str]) -> None:
    axes.set_xticks(middles(len(across), _SIDE, _GAP), across, fontsize=9)
    axes.set_yticks(middles(len(down), _SIDE, _GAP), down, fontsize=9)
    axes.tick_params(length=0, top=False, labeltop=True, bottom=False, labelbottom=False)
    axes.spines[:].set_visible(False)


def _scale(figure: "Figure", axes: "Axes") -> None:
    from matplotlib.cm import ScalarMappable

    bar = figure.colorbar(ScalarMappable(cmap=HEAT), ax=axes, shrink=0.5, ticks=[0, 1], aspect=12)
    bar.ax.set_yticklabels(["none", "most"], fontsize=9)
