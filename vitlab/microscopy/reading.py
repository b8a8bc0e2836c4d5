"""Which tokens the head of a model gets to see.

Shapes: B batch, T tokens, D width.
"""

import torch
from torch import Tensor

from vitlab.microscopy.shares import PLACED
from vitlab.models.layout import TokenLayout
from vitlab.models.vit import ViT


def reading(model: ViT, tokens: Tensor) -> Tensor:
    """The share of each token in what the head reads: [B, T].

    With ``pool=cls`` it is all CLS, with ``pool=mean`` as much of each patch. It is taken from the gradient of the
    pool, so that any pool has it. A distillation token, whose head has one half of the say, has one half.

    Args:
        model: in eval mode.
        tokens: the last block's, [B, T, D].
    """
    with torch.enable_grad():
        read = (tokens if model.pool_before_norm else model.norm(tokens)).detach().requires_grad_()
        pooled = model.pool(read)  # [B, D]
        # Each number of the pooled vector counts up or down: summed as they are, those of a norm would cancel out.
        draw = torch.Generator().manual_seed(0)
        signs = torch.randint(0, 2, pooled.shape[1:], generator=draw).to(pooled) * 2 - 1
        (gradient,) = torch.autograd.grad((pooled * signs).sum(), read)
    size = gradient.abs().sum(dim=-1)  # [B, T]
    shares = size / size.sum(dim=-1, keepdim=True)
    if model.head_dist is not None:
        shares = shares / 2
        shares[:, 1] += 0.5
    return shares


def reading_in_words(read: Tensor, layout: TokenLayout) -> str:
    """What the head reads, as in ``CLS`` or ``CLS (50 %) and the patches (50 %)``.

    Args:
        read: as ``reading`` gives it, [B, T].
        layout: how the tokens lie.
    """
    means = read.mean(dim=0)
    placed = layout.num_prefix - layout.num_registers
    parts = {name: means[number].item() for number, name in enumerate(PLACED[:placed])}
    parts["the patches"] = means[layout.num_prefix :].sum().item()
    parts = {name: share for name, share in parts.items() if share > 0.005}
    if len(parts) == 1:
        return next(iter(parts))
    return " and ".join(f"{name} ({share:.0%})" for name, share in parts.items())
