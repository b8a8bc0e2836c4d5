"""The images that a model is looked at with: a draw from a split, or files of the user's.

Shapes: B batch, C channels, S x S image.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from vitlab.engine.contracts import Data
from vitlab.evaluation.predictions import Predictor


@dataclass(frozen=True)
class Sample:
    """Images, and what is known of them.

    Args:
        images: uint8 [B, C, S, S], on the device.
        labels: [B], or None if nobody knows.
        names: of each image.
        source: where they come from, in words.
    """

    images: Tensor
    labels: Tensor | None
    names: list[str]
    source: str

    def first(self, count: int) -> Tensor:
        """The first so many images, [B, C, S, S]."""
        return self.images[:count]

    def right(self, predictor: Predictor, count: int, batch_size: int) -> Tensor:
        """Whether ``predictor`` finds the class of each of the first ``count`` images, boolean [B]."""
        assert self.labels is not None
        images = torch.split(self.first(count), batch_size)
        found = torch.cat([predictor.logits(batch).argmax(dim=1) for batch in images])
        return (found == self.labels[:count]).cpu()


def drawn(data: Data, split: str, count: int, seed: int, device: torch.device) -> Sample:
    """``count`` images of a split, or all that it has; the same ones for the same seed.

    Args:
        data: the data set.
        split: ``train``, ``val`` or ``test``.
        count: how many.
        seed: of the draw.
        device: where they are wanted.
    """
    size = min(count, 256)
    limit = math.ceil(count / size)
    batches = data.batches(split, batch_size=size, device=device, seed=seed, shuffle=True, limit=limit)
    of_batches = list(batches.epoch(0))
    images, labels = (torch.cat(parts)[:count] for parts in zip(*of_batches, strict=True))
    numbers = [number for batch in range(len(of_batches)) for number in batches.numbers(0, batch)][:count]
    return Sample(images, labels, [f"{split} {number}" for number in numbers], split)


def of_files(images: Tensor, paths: Sequence[Path], device: torch.device) -> Sample:
    """Images that were read from ``paths``."""
    return Sample(images.to(device), None, [path.name for path in paths], "files")


def shown(sample: Sample, probabilities: Tensor, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """A row for each of the first images: its name, the likeliest class, and its own where that is known.

    Args:
        sample: the images.
        probabilities: of each class for the first of them, [I, K].
        class_names: in the order of the labels.
    """
    rows = []
    best = probabilities.max(dim=1)
    for number, (share, label) in enumerate(zip(best.values.tolist(), best.indices.tolist(), strict=True)):
        row = {"image": sample.names[number], "class": class_names[label], "probability": share}
        if sample.labels is not None:
            row["label"] = class_names[int(sample.labels[number])]
        rows.append(row)
    return rows
