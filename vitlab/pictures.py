"""The style of every picture that vitlab makes."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe & Ito (2008), told apart by colour-blind people too; black and yellow left out.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#7F7F7F", "#8C564B")
STYLE: dict[Any, Any] = {
    "figure.dpi": 120,
    "font.size": 12,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 13,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "legend.frameon": False,
}


def saved(figure: "Figure", path: Path) -> Path:
    """Write ``figure`` to ``path``."""
    figure.savefig(path, bbox_inches="tight", facecolor="white")
    return path


def text(words: str) -> str:
    """``words`` of strangers as they are: no dollar begins a formula, and what cannot be shown is a question mark."""
    return "".join(letter if letter.isprintable() else "?" for letter in words).replace("$", r"\$")


def shortened(words: str, longest: int) -> str:
    """``text`` of the first ``longest`` characters; that there are more is seen."""
    return text(words if len(words) <= longest else f"{words[: longest - 1]}…")


def subplots(count: int, width: float = 4.6, height: float = 3.8, most: int = 3) -> "tuple[Figure, list[Axes]]":
    """A figure without pyplot, which would keep it alive, and its ``count`` axes."""
    from matplotlib.figure import Figure

    columns = min(count, most)
    rows = math.ceil(count / columns)
    figure = Figure(figsize=(width * columns, height * rows), layout="constrained")
    return figure, [figure.add_subplot(rows, columns, number + 1) for number in range(count)]
