"""Pictures of tables: which layers are alike, and what is lost without each part."""

from typing import TYPE_CHECKING, Any

import numpy as np

from vitlab.microscopy.tiles import folded
from vitlab.microscopy.words import alignment, alignment_with_other, loss
from vitlab.pictures import shortened, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LONGEST = 30  # characters of a run's name
_FEW = 14  # layers whose numbers can be read beside each other


def aligned(found: dict[str, Any]) -> "Figure":
    """CKA of each layer with each, and with those of another run."""
    tables = [(found["cka"], "this run", alignment(found))]
    if found.get("cka_other"):
        tables.append((found["cka_other"], found["other"], alignment_with_other(found)))
    figure, all_axes = subplots(len(tables), width=6.2, height=5.4)
    for axes, (values, beside, told) in zip(all_axes, tables, strict=True):
        table = np.array(values)
        shown = axes.imshow(table, cmap="cividis", vmin=0, vmax=1, origin="lower")
        if max(table.shape) <= _FEW:
            _write(axes, table, _cka, lambda value: value < 0.6)
        axes.set(
            xlabel=f"layer of {shortened(beside, _LONGEST)} (0: before the first block)", ylabel="layer of this run"
        )
        for ticks, count in ((axes.set_xticks, table.shape[1]), (axes.set_yticks, table.shape[0])):
            ticks(range(0, count, max(1, round(count / 13))))
        axes.spines[:].set_visible(False)
        figure.colorbar(shown, ax=axes, shrink=0.8, label="CKA")
        axes.set_title(folded(told, 50), fontsize=11)
    return figure


def lost(found: dict[str, Any]) -> "Figure":
    """Points of accuracy lost without each head, block, and the positions: a map, the positions as a last row."""
    rows = found["ablation"]["rows"]
    heads = max(row["head"] or 0 for row in rows)
    blocks = max(row["block"] or 0 for row in rows)
    table = np.full((blocks, heads + 1), np.nan)
    for row in rows:
        if row["block"] is not None:
            table[row["block"] - 1, heads if row["head"] is None else row["head"] - 1] = 100 * row["drop"]
    figure, (axes,) = subplots(1, width=max(6.2, 2.8 + 0.62 * (heads + 1)), height=2.0 + 0.5 * blocks)
    top = max(1.0, np.nanmax(np.abs(table)))
    shown = axes.imshow(table, cmap="PuOr_r", vmin=-top, vmax=top, aspect="auto")
    if heads < _FEW:
        _write(axes, table, lambda value: f"{value:.1f}", lambda value: abs(value) > 0.6 * top)
    axes.axvline(heads - 0.5, color="white", lw=6)
    axes.set_xticks(range(heads + 1), [*map(str, range(1, heads + 1)), "whole\nblock"])
    axes.set_yticks(range(blocks), [str(number + 1) for number in range(blocks)])
    whole = [f"without positions: {100 * row['drop']:.1f} points lost" for row in rows if row["block"] is None]
    axes.set(xlabel="\n".join(["head", *whole]), ylabel="block")
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    figure.colorbar(shown, ax=axes, shrink=0.9, label="points of accuracy lost")
    axes.set_title(folded(loss(found), max(56, 24 + 7 * heads)), fontsize=11)
    return figure


def _cka(value: float) -> str:
    """``.98``, ``-.05`` or ``1``."""
    return "1" if value >= 0.995 else f"{value:.2f}".replace("0.", ".").replace("-.00", ".00")


def _write(axes: "Axes", table: np.ndarray[Any, Any], as_text: Any, is_dark: Any) -> None:
    for (row, column), value in np.ndenumerate(table):
        if np.isfinite(value):
            colour = "white" if is_dark(value) else "black"
            axes.text(column, row, as_text(value), ha="center", va="center", fontsize=9, color=colour)
