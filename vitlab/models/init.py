"""The weights that a Vision Transformer begins with."""

import math

import torch
from torch import Tensor, nn

from vitlab.models.attention.full import Attention
from vitlab.models.position.absolute import LearnedPosition, Sincos2dPosition
from vitlab.models.vit import ViT

STD = 0.02


def trunc_normal(model: ViT) -> None:
    """Weights, positions and tokens from a normal distribution with std 0.02, cut at two units; biases zero.

    As DeiT (Touvron et al. 2021). The convolution of a patch embedding counts as the linear layer that it is; those
    whose kernels overlap keep torch's own init, which goes by the few numbers that they see. Norms keep the scale of
    one and the shift of zero that torch gives them.
    """
    for module in model.modules():
        if is_linear(module):
            nn.init.trunc_normal_(module.weight, std=STD)  # type: ignore[arg-type]
        if isinstance(module, nn.Linear | nn.Conv2d) and module.bias is not None:
            nn.init.zeros_(module.bias)
    draw_tokens(model)


def torch_default(model: ViT) -> None:
    """Leave every layer as torch made it; only positions and tokens are drawn, normal with std 0.02."""
    draw_tokens(model)


def mimetic(model: ViT, query_key: float = 0.7, value_proj: float = 0.4) -> None:
    """``trunc_normal``, with attentions that look as if they were trained: near tokens are alike from the start.

    Trockman & Kolter 2023, "Mimetic initialization of self-attention layers", section 4. With Z a matrix of normal
    numbers with variance 1 / D, in each head ``W_q^T W_k`` is near ``a (Z + I)``, and over all heads ``W_proj W_v`` is
    ``b (Z - I)``; both are taken apart by their singular values. Learned positions begin as sines and cosines.

    Args:
        model: to be initialised.
        query_key: a, how strongly a token looks at those like it.
        value_proj: b, how strongly what it finds is taken off it.

    Raises:
        ValueError: an attention shares its keys between heads, or 4 does not divide the width of learned positions.
    """
    trunc_normal(model)
    for module in model.modules():
        if isinstance(module, Attention):
            _mimic(module, query_key, value_proj)
        if isinstance(module, LearnedPosition):
            width = module.embedding.shape[2]
            if width % 4:
                raise ValueError(f"init=mimetic needs an embed_dim that 4 divides, not {width}; try init=trunc_normal")
            module.embedding.data.copy_(Sincos2dPosition(width, 1, module.layout).embedding)


@torch.no_grad()
def _mimic(attention: Attention, query_key: float, value_proj: float) -> None:
    if attention.num_kv_heads != attention.num_heads:
        raise ValueError(
            f"init=mimetic pairs each head's queries with keys of its own; num_kv_heads={attention.num_kv_heads} "
            f"has fewer; try {attention.num_heads}"
        )
    width, head_dim = attention.proj.in_features, attention.head_dim
    q, k, v = attention.qkv.weight.chunk(3)  # views of [D, D]
    like = q.new_empty(width, width)
    for head in range(attention.num_heads):
        left, right = _factors(query_key * (_noise(like) + torch.eye(width, device=like.device)), head_dim)
        rows = slice(head * head_dim, (head + 1) * head_dim)
        q[rows], k[rows] = left.T, right
    left, right = _factors(value_proj * (_noise(like) - torch.eye(width, device=like.device)), width)
    attention.proj.weight.copy_(left)
    v.copy_(right)


def _noise(like: Tensor) -> Tensor:
    return torch.randn_like(like) / math.sqrt(like.shape[0])


def _factors(product: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """The two matrices, [D, rank] and [rank, D], whose product is nearest to ``product`` [D, D]."""
    u, s, vh = torch.linalg.svd(product)
    root = s[:rank].sqrt()
    return u[:, :rank] * root, root[:, None] * vh[:rank]


def is_linear(module: nn.Module) -> bool:
    """Whether ``module`` is a linear layer, or a convolution that maps each patch by itself as one."""
    return isinstance(module, nn.Linear) or (isinstance(module, nn.Conv2d) and module.stride == module.kernel_size)


def draw_tokens(model: ViT) -> None:
    """Tokens and positions, normal with std 0.02."""
    for name in model.no_weight_decay():
        nn.init.trunc_normal_(model.get_parameter(name), std=STD)
