"""A forward pass in which everything is kept that the microscope looks at; the model is not changed.

Shapes: B batch, L blocks, H heads, T tokens, D width.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from vitlab.models.vit import ViT


@dataclass(frozen=True)
class Captured:
    """What a model had in mind while it looked at a batch.

    Args:
        weights: of each block, [B, H, T, T].
        layers: tokens before the first block and after each, [B, T, D].
        logits: [B, K].
    """

    weights: list[Tensor]
    layers: list[Tensor]
    logits: Tensor


def capture(model: ViT, images: Tensor) -> Captured:
    """Show normalised images [B, C, S, S] to ``model``, whose attentions write their weights out."""
    with torch.no_grad():
        return _captured(model, images)


def capture_with_gradients(model: ViT, images: Tensor) -> tuple[Captured, list[Tensor]]:
    """The same, and how much each weight speaks for the class that the model sees in the image.

    Returns:
        What was captured, detached, and the gradient of the greatest logit of each image for the weights of each
        block, [B, H, T, T].
    """
    with torch.enable_grad():
        # Asked of the images, so that the weights of a model whose blocks are frozen have gradients too.
        captured = _captured(model, images.detach().requires_grad_())
        gradients = torch.autograd.grad(captured.logits.max(dim=1).values.sum(), captured.weights)
    weights, layers = ([part.detach() for part in parts] for parts in (captured.weights, captured.layers))
    return Captured(weights, layers, captured.logits.detach()), list(gradients)


def _captured(model: ViT, images: Tensor) -> Captured:
    stages = model.forward_stages(images)
    blocks = [f"block{number:02d}" for number in range(len(model.blocks))]
    weights = [stages[f"{name}.weights"] for name in blocks]
    return Captured(weights, [stages["tokens"], *(stages[name] for name in blocks)], stages["logits"])
