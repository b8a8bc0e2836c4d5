"""Attention weights as shares: how much of a token's attention goes where.

Shapes: B batch, H heads, T tokens of which the first are CLS, a distillation token and registers, N patches.
"""

import torch
from torch import Tensor

from vitlab.models.layout import TokenLayout

PLACED = ("CLS", "distillation token")  # what can stand before the registers, in this order
REGISTERS, ITSELF, OTHERS = "registers", "itself", "other patches"


def as_shares(weights: Tensor) -> Tensor:
    """Weights [..., T, T] as shares whose rows sum to one.

    They are so from the start where they come from a softmax. Those of ``attention=linear`` with ``position=rope_2d``
    can be negative, which counts as nothing. The row of a token that looks at nothing stays zero.
    """
    positive = weights.clamp_min(0)
    return positive / positive.sum(dim=-1, keepdim=True).clamp_min(torch.finfo(weights.dtype).tiny)


def share_by_kind(weights: Tensor, layout: TokenLayout) -> dict[str, Tensor]:
    """Where the patches look: shares of their attention by kind of token, on average over images and patches.

    Registers draw the attention that would otherwise pile up on patches without content (Darcet et al. 2024, "Vision
    transformers need registers").

    Args:
        weights: [B, H, T, T].
        layout: how the tokens lie.

    Returns:
        [H] for each kind of token that there is, in the order of the tokens; they sum to one.
    """
    shares = as_shares(weights)[:, :, layout.num_prefix :]  # [B, H, N, T]
    placed = layout.num_prefix - layout.num_registers
    found = {name: shares[..., number].mean(dim=(0, 2)) for number, name in enumerate(PLACED[:placed])}
    if layout.num_registers:
        found[REGISTERS] = shares[..., placed : layout.num_prefix].sum(dim=-1).mean(dim=(0, 2))
    among = shares[..., layout.num_prefix :]  # [B, H, N, N]
    found[ITSELF] = among.diagonal(dim1=-2, dim2=-1).mean(dim=(0, 2))
    found[OTHERS] = among.sum(dim=-1).mean(dim=(0, 2)) - found[ITSELF]
    return found
