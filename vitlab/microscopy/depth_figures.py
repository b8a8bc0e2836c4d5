"""Pictures of what changes from block to block."""

from typing import TYPE_CHECKING, Any

import numpy as np

from vitlab.microscopy.shares import ITSELF, OTHERS, REGISTERS
from vitlab.microscopy.tiles import folded
from vitlab.microscopy.words import distance, focus, shares, similarity
from vitlab.pictures import COLOURS, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_EVEN = "#7F7F7F"
_SHADES = {"CLS": COLOURS[1], "distillation token": COLOURS[3], REGISTERS: COLOURS[5], ITSELF: COLOURS[0]}
_HATCHES = {"CLS": "//", "distillation token": "xx", REGISTERS: "..", ITSELF: "", OTHERS: ""}


def distances(found: dict[str, Any]) -> "Figure":
    """Mean attention distance of each head, by depth; in patches at the left, in pixels at the right."""
    figure, (axes,) = subplots(1, width=6.4, height=4.4)
    of_heads, even = found["distance"]["patches"], found["distance"]["even"]
    _heads(axes, of_heads)
    axes.axhline(even, color=_EVEN, lw=1.5, ls="--", label="looking everywhere alike")
    axes.set(ylabel="mean attention distance, patches")
    axes.set_ylim(0, 1.12 * max(even, *(max(block) for block in of_heads)))
    size = found["pixels_a_patch"]
    right = axes.secondary_yaxis("right", functions=(lambda patches: patches * size, lambda pixels: pixels / size))
    right.set_ylabel("pixels")
    right.spines["right"].set_visible(True)
    axes.legend(loc="lower right", fontsize=10)
    axes.set_title(folded(distance(found), 54), fontsize=12)
    return figure


def focused(found: dict[str, Any]) -> "Figure":
    """On how many tokens each head looks, by depth."""
    figure, (axes,) = subplots(1, width=6.4, height=4.4)
    _heads(axes, np.exp(np.array(found["entropy"]["nats"])).tolist())
    axes.axhline(found["tokens"], color=_EVEN, lw=1.5, ls="--", label="looking everywhere alike")
    axes.set_yscale("log", base=2)
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.set(ylabel="tokens looked at, exp(entropy)", ylim=(0.9, 1.25 * found["tokens"]))
    axes.legend(loc="lower right", fontsize=10)
    axes.set_title(folded(focus(found), 54), fontsize=12)
    return figure


def shared(found: dict[str, Any]) -> "Figure":
    """Where the patches look, by kind of token and depth."""
    figure, (axes,) = subplots(1, width=6.4, height=4.4)
    blocks = len(found["distance"]["patches"])
    below = np.zeros(blocks)
    for kind, of_heads in found["shares"].items():
        part = 100 * np.array(of_heads).mean(axis=1)
        colour = _SHADES.get(kind, "#C9D6DF")
        style: dict[str, Any] = {"color": colour, "hatch": _HATCHES.get(kind, ""), "edgecolor": "white", "lw": 0.5}
        axes.bar(range(1, blocks + 1), part, bottom=below, width=0.75, label=kind, **style)
        below = below + part
    axes.set(xlabel="block", ylabel="attention of patches, %", ylim=(0, 100))
    axes.set_xticks(_blocks(blocks))
    axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), fontsize=10, reverse=True)
    axes.set_title(folded(shares(found), 54), fontsize=12)
    return figure


def alike(found: dict[str, Any]) -> "Figure":
    """How alike the patches of an image are, by depth."""
    figure, (axes,) = subplots(1, width=6.4, height=4.0)
    values = found["similarity"]
    axes.plot(range(len(values)), values, color=COLOURS[0], marker="o", lw=2.5)
    axes.set(xlabel="block (0: before the first)", ylabel="cosine of two patches of an image")
    axes.set_ylim(min(0, *values) - 0.02, 1.02)
    axes.set_xticks([0, *_blocks(len(values) - 1)])
    axes.grid(axis="y", alpha=0.25)
    axes.set_title(folded(similarity(found), 54), fontsize=12)
    return figure


def _heads(axes: "Axes", of_heads: list[list[float]]) -> None:
    """A point for each head, and their mean."""
    blocks = range(1, len(of_heads) + 1)
    for number, block in zip(blocks, of_heads, strict=True):
        label = "a head" if number == 1 else None
        axes.scatter([number] * len(block), block, color=COLOURS[0], s=46, alpha=0.75, label=label, zorder=3)
    axes.plot(blocks, [np.mean(block) for block in of_heads], color=COLOURS[1], lw=2.5, label="mean of the heads")
    axes.set(xlabel="block")
    axes.set_xticks(_blocks(len(of_heads)))
    axes.set_xlim(0.5, len(of_heads) + 0.5)
    axes.grid(axis="y", alpha=0.25)


def _blocks(count: int) -> list[int]:
    """Numbers under the axis, about a dozen at most."""
    return list(range(1, count + 1, max(1, round(count / 12))))
