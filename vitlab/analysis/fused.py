"""The same attention twice: through torch's fused kernel, and eager, with the weights written out."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from vitlab.models.vit import ViT

_ROUNDING = 1e-4  # of 32-bit floats, gathered over a deep model; what is larger has another cause


@dataclass(frozen=True)
class Difference:
    """How far two results of the same computation are apart.

    Args:
        greatest: absolute difference.
        relative: the same in units of the largest number in the result.
    """

    greatest: float
    relative: float

    def __str__(self) -> str:
        """The verdict in words."""
        if self.greatest == 0:
            return "the same to the last bit"
        verdict = "the same up to rounding" if self.relative < _ROUNDING else "NOT the same"
        return f"{verdict} ({self.greatest:.1e} at most, {self.relative:.1e} of the largest number)"


@dataclass(frozen=True)
class Comparison:
    """Eager against fused attention in one model.

    Args:
        attention: difference of the first block's attention.
        logits: difference of the model's logits.
        weights_shape: of the weights that the eager path holds for one image in each block, H x T x T.
        weights_bytes: that these take in one block.
        images: how many random ones were compared.
    """

    attention: Difference
    logits: Difference
    weights_shape: tuple[int, ...]
    weights_bytes: int
    images: int


def compare_paths(model: ViT, images: Tensor) -> Comparison | None:
    """``forward`` of the attentions against ``forward_with_weights``, in eval mode.

    Args:
        model: left in the mode in which it came.
        images: [B, C, S, S].

    Returns:
        None if an attention of the model has no second path.
    """
    attentions = [getattr(block, "attn", None) for block in model.blocks]
    if not all(hasattr(attention, "forward_with_weights") for attention in attentions):
        return None
    was_training = model.training
    model.eval()
    first = cast(Any, attentions[0])
    seen: list[Tensor] = []
    with torch.no_grad():
        handle = first.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
        fused_logits = model(images)
        handle.remove()
        fused = first(seen[0])
        eager, weights = first.forward_with_weights(seen[0])
        with _eager(attentions):
            eager_logits = model(images)
    model.train(was_training)
    return Comparison(
        _difference(fused, eager),
        _difference(fused_logits, eager_logits),
        tuple(weights.shape[1:]),
        weights[0].numel() * weights.element_size(),
        len(images),
    )


@contextmanager
def _eager(attentions: list[nn.Module | None]) -> Iterator[None]:
    """Each attention goes the way with weights; these are let go block by block."""

    def forward(attention: Any, tokens: Tensor, mask: Tensor | None = None) -> Tensor:
        out: Tensor = attention.forward_with_weights(tokens, mask)[0]
        return out

    for attention in attentions:
        cast(Any, attention).forward = partial(forward, attention)
    try:
        yield
    finally:
        for attention in attentions:
            del cast(Any, attention).forward


def _difference(one: Tensor, other: Tensor) -> Difference:
    greatest = (one - other).abs().max().item()
    largest = one.abs().max().item()
    return Difference(greatest, greatest / largest if largest else greatest)
