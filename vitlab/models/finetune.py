"""Training on from given weights: blocks that stay as they are, learning rates that fall towards the image."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from vitlab.models.vit import ViT


def freeze_blocks(model: "ViT", freeze: int | str) -> None:
    """Let the first ``freeze`` blocks, and all that comes before them, stay as they are; 0 freezes nothing.

    Args:
        model: to be frozen.
        freeze: a number of blocks, or ``all`` for everything but the heads.

    Raises:
        ValueError: there are not so many blocks.
    """
    depth = len(model.blocks)
    if freeze == "all":
        model.requires_grad_(False)
        for head in (model.head, model.head_dist):
            if head is not None:
                head.requires_grad_(True)
        return
    if isinstance(freeze, bool) or not isinstance(freeze, int) or not 0 <= freeze <= depth:
        raise ValueError(f"freeze={freeze} is neither a number of blocks from 0 to {depth} nor all; try {depth}")
    for name, parameter in model.named_parameters():
        if freeze and _layer(name, depth) <= freeze:
            parameter.requires_grad_(False)


def layer_wise_scales(model: "ViT", decay: float) -> None:
    """Give each block ``decay`` times the learning rate of the next one, into ``model.lr_scale``.

    Bao et al. 2022, "BEiT", appendix; the heads and the last norm have the whole rate, patches and positions the least.

    Args:
        model: whose ``lr_scale`` is filled.
        decay: in (0, 1]; 0.65 to 0.85 are usual, 1 changes nothing.

    Raises:
        ValueError: ``decay`` lies outside (0, 1].
    """
    if not 0 < decay <= 1:
        raise ValueError(f"layer_decay={decay} lies outside (0, 1]; try 0.75")
    if decay == 1:
        return
    depth = len(model.blocks)
    for name, _ in model.named_parameters():
        below = depth + 1 - _layer(name, depth)
        model.lr_scale[name] = model.lr_scale.get(name, 1.0) * decay**below


def _layer(name: str, depth: int) -> int:
    """0 for what stands before the blocks, 1 to ``depth`` for them, one more for what comes after."""
    if name.startswith("blocks."):
        return int(name.split(".")[1]) + 1
    after = name.startswith(("norm.", "pool.", "head.", "head_dist."))
    return depth + 1 if after else 0
