"""The coordinate check: how far a few steps of training move the activations, against the size of the model.

Yang et al. 2022, "Tensor programs V", appendix D.1. Where one learning rate serves all sizes, the lines are flat.
"""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from vitlab.models.vit import ViT
from vitlab.optim.parameter_groups import apply_scales, parameter_groups

STAGES = ("tokens", "attn", "mlp", "blocks", "pooled", "logits")


def activation_changes(
    make: Callable[[], ViT], images: Tensor, labels: Tensor, lr: float, steps: int = 4
) -> dict[str, float]:
    """Train on one batch with Adam, and measure how far each kind of activation has moved.

    Args:
        make: makes the model.
        images: [B, C, S, S].
        labels: [B].
        lr: learning rate; the model's own scales are applied.
        steps: of training.

    Returns:
        For the tokens, what the attentions and MLPs add, the outputs of the blocks (the last of each), the pooled
        vector and the logits: root mean square of the change.
    """
    model = make().train()
    optimizer = torch.optim.Adam(parameter_groups(model), lr=lr)
    apply_scales(optimizer)
    before = _activations(model, images)
    for _ in range(steps):
        F.cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        optimizer.zero_grad()
    after = _activations(model, images)
    return {name: (after[name] - before[name]).square().mean().sqrt().item() for name in STAGES}


@torch.no_grad()
def _activations(model: ViT, images: Tensor) -> dict[str, Tensor]:
    stages = model.eval().forward_stages(images)
    model.train()
    last = f"block{len(model.blocks) - 1:02d}"
    inside = {"attn": stages[f"{last}.attn"], "mlp": stages[f"{last}.mlp"], "blocks": stages[last]}
    return {**inside, **{name: stages[name] for name in ("tokens", "pooled", "logits")}}


def growth(sizes: list[int], changes: list[float]) -> float:
    """The exponent p of the power law ``change ~ size^p`` that fits best; 0 is flat, 1 in proportion."""
    log_sizes, log_changes = torch.tensor(sizes).double().log(), torch.tensor(changes).double().log()
    centred = log_sizes - log_sizes.mean()
    return float((centred * log_changes).sum() / centred.square().sum())
