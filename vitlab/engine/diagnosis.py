"""Why a step came out with numbers that are not finite, as far as another look at its batch tells."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from vitlab.engine.precision import Precision

_MOST_NAMED = 4


@torch.no_grad()
def reason(model: nn.Module, images: Tensor, numbers: list[int], precision: Precision) -> str:
    """What is first found not to be finite: the images, or a part of the model and the images that it fails on.

    The weights must still be good. Draws no random numbers.

    Args:
        model: what was trained.
        images: [B, C, H, W], augmented.
        numbers: of these images in their data set; with mixed images, of the first of each mixture.
        precision: how a step computes.
    """
    bad = _rows(images)
    if bad:
        return f"{_named(bad, numbers)} not finite after augmentation"
    with _first_to_fail(model) as failed, precision.autocast(), torch.compiler.set_stance("force_eager"):
        logits = model(images)
    if failed:
        name, largest = failed[0]
        whom = f"; {_named(_rows(logits), numbers)} concerned" if len(_rows(logits)) < len(images) else ""
        hint = "model.attention.qk_norm=true keeps attention small" if "att" in name else "try a smaller optimizer.lr"
        return f"{name} made numbers that are not finite out of such up to {largest:.3g}{whom} ({hint})"
    return "the forward pass is finite in eval mode, the gradient was not (try a smaller optimizer.lr)"


@contextmanager
def _first_to_fail(model: nn.Module) -> Iterator[list[tuple[str, float]]]:
    """In eval mode: the module that first gives out what is not finite, with the largest number it took in."""
    failed: list[tuple[str, float]] = []

    def watch(name: str) -> torch.utils.hooks.RemovableHandle:
        def look(_: nn.Module, taken: tuple[object, ...], given: object) -> None:
            if not failed and isinstance(given, Tensor) and not _is_finite(given):
                tensors = [x.abs().max().item() for x in taken if isinstance(x, Tensor) and x.is_floating_point()]
                failed.append((name or "the model", max(tensors, default=float("nan"))))

        handle: torch.utils.hooks.RemovableHandle = modules[name].register_forward_hook(look)
        return handle

    modules = dict(model.named_modules())
    was_training = model.training
    handles = [watch(name) for name in modules]
    model.eval()
    try:
        yield failed
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()


def _is_finite(tensor: Tensor) -> bool:
    local = tensor.to_local() if hasattr(tensor, "to_local") else tensor  # of a model in shards
    return bool(local.isfinite().all())


def _rows(tensor: Tensor) -> list[int]:
    """Which images of [B, ...] hold what is not finite."""
    rows: list[int] = (~tensor.flatten(1).isfinite().all(dim=1)).nonzero().flatten().tolist()
    return rows


def _named(rows: list[int], numbers: list[int]) -> str:
    """``images 3, 17 of train are``."""
    shown = ", ".join(str(numbers[row]) for row in rows[:_MOST_NAMED])
    more = f" and {len(rows) - _MOST_NAMED} more" if len(rows) > _MOST_NAMED else ""
    return f"image {shown} of train is" if len(rows) == 1 else f"images {shown}{more} of train are"
