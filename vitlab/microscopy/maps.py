"""Where a model looks in single images: maps over the grid of patches.

Shapes: I images, C channels, S x S image, L blocks, H heads, grid of rows x columns patches.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vitlab.microscopy.capture import capture_with_gradients
from vitlab.microscopy.looking import Normalise
from vitlab.microscopy.reading import reading
from vitlab.microscopy.rollout import gradient_rollout, rollout, seen
from vitlab.microscopy.shares import as_shares
from vitlab.models.vit import ViT


@dataclass(frozen=True)
class Maps:
    """All on the CPU.

    Args:
        images: uint8 [I, C, S, S], as the model got them.
        probabilities: of each class, [I, K].
        read: the share of each token in what the head reads, [I, T].
        attention: of what the head reads, by block and head, [I, L, H, rows, columns]: CLS's own with ``pool=cls``, the
            mean of all patches' with ``pool=mean``.
        rollout: through all blocks, [I, rows, columns].
        gradient_rollout: the same for the likeliest class, [I, rows, columns].
    """

    images: Tensor
    probabilities: Tensor
    read: Tensor
    attention: Tensor
    rollout: Tensor
    gradient_rollout: Tensor

    def tensors(self) -> dict[str, Tensor]:
        """All of them by name, to be kept in a file."""
        return {name: getattr(self, name).contiguous() for name in self.__dataclass_fields__}


def maps(model: ViT, normalise: Normalise, images: Tensor) -> Maps:
    """Maps of uint8 ``images`` [I, C, S, S], one image after the other, so that large models fit."""
    of_each = [_maps(model, normalise, image[None]) for image in images]
    return Maps(*(torch.cat(parts) for parts in zip(*of_each, strict=True)))


def _maps(model: ViT, normalise: Normalise, image: Tensor) -> tuple[Tensor, ...]:
    captured, gradients = capture_with_gradients(model, normalise(image))
    read, layout = reading(model, captured.layers[-1]), model.layout
    attention = [seen(as_shares(weights), read, layout) for weights in captured.weights]  # L x [1, H, rows, columns]
    parts = (
        image,
        captured.logits.softmax(dim=1),
        read,
        torch.stack(attention, dim=1),
        seen(rollout(captured.weights), read, layout),
        seen(gradient_rollout(captured.weights, gradients), read, layout),
    )
    return tuple(part.cpu() for part in parts)
