"""What attention does and layers hold, on average over many images.

Shapes: B batch, C channels, S x S image, L blocks, H heads, T tokens.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

from vitlab.microscopy.capture import Captured, capture
from vitlab.microscopy.cka import Alignment
from vitlab.microscopy.distance import even_distance, mean_distance
from vitlab.microscopy.entropy import head_entropy
from vitlab.microscopy.shares import share_by_kind
from vitlab.microscopy.similarity import token_similarity
from vitlab.models.layout import TokenLayout
from vitlab.models.vit import ViT

Normalise = Callable[[Tensor], Tensor]


def look(
    model: ViT,
    normalise: Normalise,
    batches: Iterable[Tensor],
    other: tuple[ViT, Normalise] | None = None,
) -> dict[str, Any]:
    """Figures of every head and layer, the mean over all images.

    Args:
        model: in eval mode, on its device.
        normalise: from the uint8 images to what the model takes.
        batches: uint8 images [B, C, S, S], on the device.
        other: a second model to compare layers with, and what normalises for it.

    Returns:
        ``distance``: ``patches`` [L, H], and ``even`` for an attention that looks at all patches alike. ``entropy``:
        ``nats`` [L, H], and ``even``. ``shares``: by kind of token, [L, H]. ``similarity``: [L + 1], before the first
        block and after each. ``cka``: [L + 1, L + 1], and ``cka_other`` [L + 1, M + 1] if there is another model;
        each None of fewer than four images.
    """
    layout, images = model.layout, 0
    sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros(()))
    own, beside = Alignment(), Alignment()
    for batch in batches:
        captured = capture(model, normalise(batch))
        images += len(batch)
        for name, figure in _figures(captured, layout).items():
            sums[name] = sums[name] + figure.cpu() * len(batch)
        own.add(captured.layers, captured.layers)
        if other is not None:
            their_model, their_normalise = other
            beside.add(captured.layers, capture(their_model, their_normalise(batch)).layers)
    mean = {name: (figure / images).tolist() for name, figure in sums.items()}
    found: dict[str, Any] = {
        "distance": {"patches": mean["distance"], "even": even_distance(layout)},
        "entropy": {"nats": mean["entropy"], "even": math.log(layout.num_tokens)},
        "shares": {name.removeprefix("share/"): mean[name] for name in mean if name.startswith("share/")},
        "similarity": mean["similarity"],
        "cka": _listed(own.found()),
    }
    if other is not None:
        found["cka_other"] = _listed(beside.found())
    return found


def _figures(captured: Captured, layout: TokenLayout) -> dict[str, Tensor]:
    """Of one batch: [L, H] of what is told of heads, [L + 1] of what is told of layers."""
    of_blocks: dict[str, list[Tensor]] = defaultdict(list)
    for weights in captured.weights:
        of_blocks["distance"].append(mean_distance(weights, layout))
        of_blocks["entropy"].append(head_entropy(weights))
        for kind, share in share_by_kind(weights, layout).items():
            of_blocks[f"share/{kind}"].append(share)
    patches = [layer[:, layout.num_prefix :] for layer in captured.layers]
    of_blocks["similarity"] = [token_similarity(patches_of_layer) for patches_of_layer in patches]
    return {name: torch.stack(figures) for name, figures in of_blocks.items()}


def _listed(table: Tensor | None) -> list[list[float]] | None:
    return None if table is None else table.tolist()
