"""All pictures of an observation, whose titles say what is to be seen."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from vitlab.microscopy import depth_figures, map_figures, part_figures, table_figures
from vitlab.microscopy.observing import Observation
from vitlab.microscopy.words import has_patches
from vitlab.pictures import STYLE, saved

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(observation: Observation, folder: Path) -> list[Path]:
    """Write the pictures into ``folder``, those of what there is."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        return [saved(figure, folder / f"{name}.png") for name, figure in _figures(observation)]


def _figures(seen: Observation) -> Iterator[tuple[str, "Figure"]]:
    found = seen.found
    yield "rollout", map_figures.rollouts(found, seen.maps)
    yield "heads", map_figures.heads(found, seen.maps)
    if has_patches(found):
        yield "distance", depth_figures.distances(found)
    yield "focus", depth_figures.focused(found)
    yield "shares", depth_figures.shared(found)
    if has_patches(found):
        yield "similarity", depth_figures.alike(found)
    if found["cka"]:
        yield "cka", table_figures.aligned(found)
    if "ablation" in found:
        yield "ablation", table_figures.lost(found)
    if seen.grids:
        yield "positions", part_figures.positions(found, seen.grids)
    if seen.biases is not None:
        yield "biases", part_figures.biases(seen.biases, tuple(found["grid"]))
    if seen.filters is not None:
        yield "filters", part_figures.filters(found, seen.filters)
