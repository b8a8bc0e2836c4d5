"""An evaluation as pictures, whose titles say what is to be seen."""

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitlab.evaluation.corruptions import CORRUPTIONS
from vitlab.evaluation.words import calibration, confused, hardest, weakest
from vitlab.pictures import COLOURS, STYLE, saved, shortened, subplots, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_MOST_CLASSES = 25  # whose names and numbers can be read beside each other


def draw(found: dict[str, Any], folder: Path) -> list[Path]:
    """Write the pictures of an evaluation into ``folder``: reliability, classes, confusion, robustness."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        return [saved(figure, folder / f"{name}.png") for name, figure in _figures(found)]


def _figures(found: dict[str, Any]) -> Iterator[tuple[str, "Figure"]]:
    yield "reliability", _reliability(found)
    yield "classes", _classes(found)
    yield "confusion", _confusion(found)
    if "robustness" in found:
        yield "robustness", _robustness(found)


def _reliability(found: dict[str, Any]) -> "Figure":
    """Accuracy against confidence, and how many images have which."""
    figure, (axes,) = subplots(1, width=6.4, height=5.2)
    bins = found["reliability"]
    axes.plot([0, 100], [0, 100], color="#7F7F7F", lw=1, ls="--", label="as right as sure")
    middle = [100 * one["confidence"] for one in bins]
    axes.plot(middle, [100 * one["accuracy"] for one in bins], color=COLOURS[0], marker="o", lw=2, label="this model")
    most = max(one["images"] for one in bins)
    edges, widths = [100 * one["low"] for one in bins], [100 * (one["high"] - one["low"]) for one in bins]
    heights = [25 * one["images"] / most for one in bins]
    axes.bar(edges, heights, widths, align="edge", color=COLOURS[4], alpha=0.35, label="images, as a share of the most")
    axes.set(xlabel="confidence, %", ylabel="accuracy, %", xlim=(0, 100), ylim=(0, 103))
    axes.legend(loc="best", fontsize=10)
    axes.grid(alpha=0.25)
    axes.set_title(calibration(found))
    return figure


def _classes(found: dict[str, Any]) -> "Figure":
    """Precision and recall of each class, the hardest on top."""
    rows = sorted(found["classes"], key=lambda row: row["f1"], reverse=True)[-_MOST_CLASSES:]
    figure, (axes,) = subplots(1, width=7.5, height=1.2 + 0.36 * len(rows))
    at = np.arange(len(rows))
    styles: dict[str, dict[str, Any]] = {
        "precision": {"s": 45, "color": COLOURS[0], "marker": "o", "zorder": 3},
        "recall": {"s": 110, "edgecolors": COLOURS[1], "facecolors": "none", "marker": "D", "lw": 2, "zorder": 4},
    }
    for kind, style in styles.items():
        axes.scatter([100 * row[kind] for row in rows], at, label=kind, **style)
    low, high = ([100 * function(row["precision"], row["recall"]) for row in rows] for function in (min, max))
    axes.hlines(at, low, high, color="#7F7F7F", lw=1)
    axes.set_yticks(at, [f"{shortened(row['class'], 24)} ({row['images']})" for row in rows])
    axes.set(xlabel="%", ylim=(-0.6, len(rows) - 0.4))
    axes.margins(x=0.06)
    axes.legend(loc="best", fontsize=10)
    axes.grid(axis="x", alpha=0.25)
    rest = f"; the {len(rows)} hardest of {len(found['classes'])}" if len(rows) < len(found["classes"]) else ""
    axes.set_title(text(f"{hardest(found)}{rest}"))
    return figure


def _confusion(found: dict[str, Any]) -> "Figure":
    """Which class (row) is taken for which (column), as a share of the row."""
    table = np.array(found["confusion"], dtype=float)
    shares = 100 * table / np.maximum(1, table.sum(axis=1, keepdims=True))
    names = [shortened(row["class"], 14) for row in found["classes"]]
    few = len(names) <= _MOST_CLASSES
    side = 1.6 + 0.52 * len(names) if few else 8
    figure, (axes,) = subplots(1, width=max(side, 5), height=max(side - 0.6, 4.4))
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=100)
    if few:
        for row, column in np.ndindex(shares.shape):
            if shares[row, column] >= 0.5:
                shade = "white" if shares[row, column] > 55 else "black"
                axes.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", fontsize=9, color=shade)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="taken for", ylabel="is")
    axes.spines[:].set_visible(False)
    figure.colorbar(image, ax=axes, shrink=0.8, label="% of the class")
    lines = textwrap.wrap(confused(found), int(7 * max(side, 5)))  # a wider title would leave the table no room
    axes.set_title("\n".join(map(text, lines)))
    return figure


def _robustness(found: dict[str, Any]) -> "Figure":
    """Accuracy in five levels of each corruption, and under what is done to patches, place and resolution."""
    damages = found["robustness"]
    corruptions = [name for name in damages if name in CORRUPTIONS]
    others = [name for name in damages if name not in CORRUPTIONS]
    figure, (left, right) = subplots(2, width=7.2, height=6.0)
    order = sorted(corruptions, key=lambda name: np.mean([row["accuracy"] for row in damages[name]]))
    shares = np.array([[100 * row["accuracy"] for row in damages[name]] for name in order])
    image = left.imshow(shares, cmap="cividis", vmin=0, vmax=100, aspect="auto")
    for row, column in np.ndindex(shares.shape):
        shade = "black" if shares[row, column] > 55 else "white"
        left.text(column, row, f"{shares[row, column]:.0f}", ha="center", va="center", fontsize=10, color=shade)
    left.set_yticks(range(len(order)), [name.replace("_", " ") for name in order])
    left.set_xticks(range(shares.shape[1]), [str(level + 1) for level in range(shares.shape[1])])
    left.set(xlabel="level")
    left.spines[:].set_visible(False)
    left.set_title(weakest(found))
    figure.colorbar(image, ax=left, shrink=0.8, label="accuracy, %")
    names, at = [], 0
    for colour, name in zip(COLOURS, others, strict=False):
        rows = damages[name]
        places = np.arange(at, at + len(rows))
        accuracy = np.array([row["accuracy"] for row in rows])
        ends = np.array([row["accuracy_95"] for row in rows])
        below_above = 100 * np.abs(ends.T - accuracy)
        right.errorbar(places, 100 * accuracy, yerr=below_above, color=colour, marker="o", lw=2, capsize=4)
        names += [f"{name.replace('_', ' ')}, {row['level']}" for row in rows]
        at += len(rows)
    right.axhline(100 * found["accuracy_of_these"], color="#7F7F7F", lw=1, ls="--")
    right.set_xticks(range(len(names)), names, rotation=55, ha="right", fontsize=10)
    right.set(ylabel="accuracy, %", ylim=(0, 101))
    right.grid(axis="y", alpha=0.25)
    right.set_title(f"undamaged: {found['accuracy_of_these']:.1%} (dashed)")
    return figure
