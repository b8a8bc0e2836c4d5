"""All that the microscope sees of one model, and what it is called.

Shapes: B batch, C channels, S x S image, L blocks, H heads, N patches.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from vitlab.evaluation.measures import interval
from vitlab.microscopy.ablation import ablate
from vitlab.microscopy.distance import patch_distances
from vitlab.microscopy.filters import Filters, principal_filters
from vitlab.microscopy.looking import Normalise, look
from vitlab.microscopy.maps import Maps, maps
from vitlab.microscopy.positions import PositionGrid, position_biases, position_grids
from vitlab.microscopy.reading import reading_in_words
from vitlab.models.vit import ViT


@dataclass(frozen=True)
class Observation:
    """What was seen.

    Args:
        found: figures, as plain values.
        maps: of single images.
        grids: of the positions; empty if they tell nothing.
        biases: of the scores, [L, H, N, N], or None.
        filters: of the patch embedding, or None if it has none.
    """

    found: dict[str, Any]
    maps: Maps
    grids: list[PositionGrid]
    biases: Tensor | None
    filters: Filters | None


def observe(
    model: ViT,
    normalise: Normalise,
    images: Tensor,
    *,
    batch_size: int,
    shown: int,
    right: Callable[[], Tensor] | None = None,
    other: tuple[ViT, Normalise] | None = None,
) -> Observation:
    """Look at ``model`` with ``images``.

    Args:
        model: in eval mode, on its device.
        normalise: from the uint8 images to what the model takes.
        images: uint8 [B, C, S, S], on the device.
        batch_size: images at once.
        shown: so many of the images get maps of their own.
        right: says of each image of a labelled set whether its class is found; parts are taken out only with it.
        other: a second model to compare layers with.
    """
    layout = model.layout
    rows, columns = layout.grid_size
    found: dict[str, Any] = {
        "images": len(images),
        "grid": [rows, columns],
        "pixels_a_patch": images.shape[-1] / columns,
        "tokens": layout.num_tokens,
        **look(model, normalise, torch.split(images, batch_size), other),
    }
    with torch.no_grad():
        patches = model.patch_embed(normalise(images[:batch_size]))
    grids = position_grids(model, patches) if layout.num_patches > 1 else []
    biases = position_biases(model)
    filters = principal_filters(model.patch_embed, *images.shape[1:3])
    pictured = maps(model, normalise, images[:shown])
    found["reads"] = reading_in_words(pictured.read, layout)
    found["agreement"] = agreement(pictured)
    found["positions"] = {**_part(model.position), "grids": [_near_and_far(grid, model) for grid in grids]}
    found["filters"] = {**_part(model.patch_embed), "variance": None if filters is None else filters.variance.tolist()}
    if right is not None:
        whole = right()
        found["ablation"] = {
            "images": len(whole),
            "accuracy": whole.double().mean().item(),
            "accuracy_95": list(interval(int(whole.sum()), len(whole))),
            "rows": [asdict(row) for row in ablate(model, right, bool(grids))],
        }
    return Observation(found, pictured, grids, biases, filters)


def refuse_opaque(model: nn.Module) -> ViT:
    """``model``, whose attentions the microscope can see into.

    Args:
        model: what a run has trained.

    Raises:
        ValueError: it is no ViT of vitlab's, or one of its attentions does not write its weights out.
    """
    if not isinstance(model, ViT):
        raise ValueError(f"its model is a {type(model).__name__}; the microscope looks at vitlab's ViT alone")
    needed = ("forward_with_weights", "proj", "num_heads", "head_dim")
    for block in model.blocks:
        attention = getattr(block, "attn", None)
        missing = [name for name in needed if not hasattr(attention, name)]
        if missing:
            raise ValueError(
                f"{type(attention).__name__} has no {missing[0]}; the microscope needs {', '.join(needed)}"
            )
    return model


def agreement(pictured: Maps) -> float | None:
    """Pearson's correlation of rollout and gradient rollout, the mean over images; None where all maps are even."""
    pairs = zip(pictured.rollout.flatten(1), pictured.gradient_rollout.flatten(1), strict=True)
    values = [torch.corrcoef(torch.stack(pair))[0, 1].item() for pair in pairs if min(map(_spread, pair)) > 0]
    return sum(values) / len(values) if values else None


def _spread(values: Tensor) -> float:
    return (values.max() - values.min()).item()


def _part(part: nn.Module) -> dict[str, Any]:
    return {"part": type(part).__name__, "formula": getattr(part, "formula", "")}


def _near_and_far(grid: PositionGrid, model: ViT) -> dict[str, Any]:
    """Its mean between neighbours, and between patches at least half of the greatest distance apart."""
    distances = patch_distances(model.layout)
    values = grid.grid.cpu()
    near, far = distances == 1, distances >= distances.max() / 2
    return {"kind": grid.kind, "near": values[near].mean().item(), "far": values[far].mean().item()}
