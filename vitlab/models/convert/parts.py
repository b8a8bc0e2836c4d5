"""What other libraries can have of a model: its sizes, and a refusal by name of the parts that they lack.

Shapes: P tokens with a place before the N patches, D width.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from vitlab.models.attention.full import Attention
from vitlab.models.block import LayerScale, PreNormBlock
from vitlab.models.convert.mismatch import scales_of_its_own
from vitlab.models.mlp import GeluMlp, SwigluMlp
from vitlab.models.norm import LayerNorm, RmsNorm
from vitlab.models.patch_embed.plain import ConvPatchEmbed, LinearPatchEmbed
from vitlab.models.pool import ClsMeanPool, ClsPool, MeanPool
from vitlab.models.position.absolute import LearnedPosition, NoPosition, Sincos2dPosition, SinusoidalPosition

if TYPE_CHECKING:
    from vitlab.models.vit import ViT

_Options = dict[type, str]  # a class here, and the option that makes it
_GELU: _Options = {GeluMlp: "gelu"}
_GATED: _Options = {**_GELU, SwigluMlp: "swiglu"}
_LAYER_NORM: _Options = {LayerNorm: "layer"}
_CLS: _Options = {ClsPool: "cls"}
_CLS_OR_MEAN: _Options = {**_CLS, MeanPool: "mean"}
_EVERYWHERE: dict[str, _Options] = {
    "patch_embed": {ConvPatchEmbed: "conv", LinearPatchEmbed: "linear"},
    "position": {
        LearnedPosition: "learned",
        Sincos2dPosition: "sincos_2d",  # computed here, written as numbers there
        SinusoidalPosition: "sinusoidal_1d",
        NoPosition: "none",
    },
    "attention": {Attention: "full"},
    "block": {PreNormBlock: "pre_norm"},
}
_LIBRARIES: dict[str, dict[str, _Options]] = {
    "timm": {**_EVERYWHERE, "mlp": _GATED, "norm": {**_LAYER_NORM, RmsNorm: "rms"}, "pool": _CLS_OR_MEAN},
    "torchvision": {**_EVERYWHERE, "mlp": _GELU, "norm": _LAYER_NORM, "pool": _CLS},
    "Hugging Face": {
        **_EVERYWHERE,
        "mlp": _GATED,
        "norm": _LAYER_NORM,
        "pool": {**_CLS_OR_MEAN, ClsMeanPool: "cls_mean"},
    },
}


def refuse(library: str, condition: bool, what: str, instead: str) -> None:
    """Refuse ``what`` of a model where ``condition`` holds.

    Raises:
        ValueError: it holds; the settings to train with ``instead`` are named.
    """
    if condition:
        raise ValueError(f"{library} has no {what}; a model for it is trained with {instead}")


def refuse_parts(model: "ViT", library: str) -> None:
    """Refuse a model with parts that ``library`` lacks.

    Raises:
        ValueError: the first such part, and the options in its place.
    """
    block: Any = model.blocks[0]
    parts = {
        "patch_embed": model.patch_embed,
        "position": model.position,
        "block": block,
        "attention": block.attn,
        "mlp": block.mlp,
        "norm": model.norm,
        "pool": model.pool,
    }
    for kind, part in parts.items():
        options = _LIBRARIES[library][kind]
        choices = " or ".join(f"model/{kind}={option}" for option in options.values())
        refuse(library, type(part) not in options, type(part).__name__, choices)
    attention = block.attn
    refuse(library, attention.relation is not None, type(attention.relation).__name__, "model/position=learned")
    refuse(library, attention.gate is not None, "gated attention", "model.attention.gated=false")
    shared = attention.num_kv_heads != attention.num_heads
    refuse(library, shared, f"num_kv_heads={attention.num_kv_heads}", "model.attention.num_kv_heads=null")
    refuse(library, block.shortcut is not None, "depthwise_shortcut", "model.depthwise_shortcut=false")
    refuse(library, scales_of_its_own(model), "scales of init=mup", "model/init=trunc_normal")


@dataclass(frozen=True)
class Sizes:
    """The numbers and switches of a plain ViT.

    Args:
        image_size, patch_size: in pixels.
        channels, num_classes: of the images, of the head.
        embed_dim, depth, num_heads: of the encoder.
        hidden_dim: columns of the MLP's second layer.
        registers: how many.
        eps: of the norms.
        qkv_bias, qk_norm, layer_scale, gated: whether it has them.
    """

    image_size: int
    patch_size: int
    channels: int
    num_classes: int
    embed_dim: int
    depth: int
    num_heads: int
    hidden_dim: int
    registers: int
    eps: float
    qkv_bias: bool
    qk_norm: bool
    layer_scale: bool
    gated: bool


def sizes_of(model: "ViT") -> Sizes:
    """The sizes of a model whose parts are those of ``refuse_parts``."""
    block: Any = model.blocks[0]
    patch_embed: Any = model.patch_embed
    channels, image_size, _ = patch_embed.image_shape
    return Sizes(
        image_size=image_size,
        patch_size=image_size // model.layout.grid_size[0],
        channels=channels,
        num_classes=model.head.out_features,
        embed_dim=model.embed_dim,
        depth=len(model.blocks),
        num_heads=block.attn.num_heads,
        hidden_dim=block.mlp.fc2.in_features,
        registers=model.layout.num_registers,
        eps=float(getattr(model.norm, "eps", 0) or 0),
        qkv_bias=block.attn.qkv.bias is not None,
        qk_norm=isinstance(block.attn.q_norm, nn.LayerNorm),
        layer_scale=isinstance(block.ls1, LayerScale),
        gated=isinstance(block.mlp, SwigluMlp),
    )


def state_with_positions(model: "ViT") -> dict[str, Tensor]:
    """The weights of ``model`` in float32 on the CPU: patches as a convolution, positions as numbers [1, P + N, D]."""
    state = {name: tensor.detach().cpu().float().clone() for name, tensor in model.state_dict().items()}
    sizes = sizes_of(model)
    kernel = (sizes.embed_dim, sizes.channels, sizes.patch_size, sizes.patch_size)
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].reshape(kernel)
    nothing = torch.zeros(1, model.num_placed + model.layout.num_patches, model.embed_dim)
    with torch.no_grad():
        device = next(model.parameters()).device
        state["position.embedding"] = model.position(nothing.to(device)).cpu().float()
    return state
