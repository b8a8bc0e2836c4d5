"""Images side by side, with what a model sees in them."""

import math
from pathlib import Path
from typing import Any

from PIL import Image, ImageOps

from vitlab.data.decode import decode
from vitlab.pictures import STYLE, saved, shortened, subplots

_COLUMNS, _MOST, _SIDE = 6, 60, 160
_LONGEST = 22  # characters under a picture


def contact_sheet(rows: list[dict[str, Any]], path: Path) -> None:
    """Write a picture of the first images and their likeliest class.

    Args:
        rows: ``image``, a path, and ``classes``, pairs of a name and its probability, the likeliest first.
        path: where the picture goes.
    """
    import matplotlib as mpl

    shown = rows[:_MOST]
    with mpl.rc_context({**STYLE, "axes.titlesize": 10, "axes.titleweight": "normal"}):
        figure, all_axes = subplots(len(shown), width=2.1, height=2.3, most=_COLUMNS)
        for axes, row in zip(all_axes, shown, strict=True):
            axes.imshow(_thumbnail(Path(row["image"])), interpolation="nearest")
            axes.set_axis_off()
            name, share = row["classes"][0]
            file = shortened(Path(row["image"]).name, _LONGEST)
            axes.set_title(f"{shortened(name, _LONGEST)} {share:.0%}\n{file}", loc="center")
        more = f", the first {len(shown)} of {len(rows)}" if len(shown) < len(rows) else ""
        sure = sum(row["classes"][0][1] for row in rows) / len(rows)
        figure.suptitle(f"{len(rows)} image{'s' if len(rows) > 1 else ''}{more}: {sure:.0%} sure on average")
        saved(figure, path)


def _thumbnail(path: Path) -> Any:
    with Image.open(path) as file:
        size = ImageOps.exif_transpose(file).size
    side = min(_SIDE, max(8, math.ceil(max(size))))
    return decode(path, side, 3).transpose(1, 2, 0)
