"""Which tokens the head of a model gets to see.

Shapes: B batch, T tokens, D width.
"""

import torch
from torch import Tensor

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
