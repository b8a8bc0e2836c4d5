"""The weights of a model as timm, torchvision and Hugging Face hold them, with what their classes are built by.

Shapes: P tokens with a place before the N patches, D width, K classes.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vitlab.models.convert import names
from vitlab.models.convert.parts import Sizes, refuse, refuse_parts, sizes_of, state_with_positions
from vitlab.models.norm import RmsNorm
from vitlab.models.pool import ClsPool, MeanPool

if TYPE_CHECKING:
    from vitlab.models.vit import ViT


@dataclass(frozen=True)
class Outward:
    """A model as a library has it.

    Args:
        state: weights under the library's names.
        architecture: a class of the library; for timm a name that ``create_model`` knows.
        settings: what that is built by.
    """

    state: dict[str, Tensor]
    architecture: str
    settings: dict[str, Any]


def to_timm(model: "ViT") -> Outward:
    """``model`` for ``timm.create_model(architecture, **settings)``.

    Registers have no positions there either (``no_embed_class``); those of CLS then join the token.

    Raises:
        ValueError: timm has no such part; what would have to be chosen is named.
    """
    refuse_parts(model, "timm")
    sizes, average = sizes_of(model), isinstance(model.pool, MeanPool)
    architecture, extra = _timm_architecture(model, sizes, average)
    state = state_with_positions(model)
    if sizes.registers:
        placed = state["position.embedding"][:, : model.num_placed]
        if "cls_token" in state:
            state["cls_token"] = state["cls_token"] + placed
        state["position.embedding"] = state["position.embedding"][:, model.num_placed :]
    if sizes.gated:
        state = _with_scales(state, sizes)  # timm's names with a gated MLP all scale their branches
    written = names.to_theirs(state, names.TIMM_WRITTEN).state
    fc_norm = model.pool_before_norm and average
    if fc_norm:
        written = {f"fc_{name}" if name.startswith("norm.") else name: value for name, value in written.items()}
    rows = 2 * sizes.hidden_dim if sizes.gated else sizes.hidden_dim
    settings = {
        "img_size": sizes.image_size,
        "patch_size": sizes.patch_size,
        "in_chans": sizes.channels,
        "num_classes": sizes.num_classes,
        "embed_dim": sizes.embed_dim,
        "depth": sizes.depth,
        "num_heads": sizes.num_heads,
        "mlp_ratio": (rows + 0.5) / sizes.embed_dim,  # int() of its product with the width is the number of rows
        "qkv_bias": sizes.qkv_bias,
        "qk_norm": sizes.qk_norm,
        "init_values": 1e-5 if sizes.layer_scale or sizes.gated else None,
        "class_token": model.cls_token is not None,
        "no_embed_class": bool(sizes.registers),
        "reg_tokens": sizes.registers,
        "global_pool": "avg" if average else "token",
        "fc_norm": fc_norm,
        **extra,
    }
    return Outward(written, architecture, settings)


def _timm_architecture(model: "ViT", sizes: Sizes, average: bool) -> tuple[str, dict[str, Any]]:
    """A name of timm that stands for the model's norm and MLP, which are classes there, and what it needs besides."""
    rms, distilled, eps = isinstance(model.norm, RmsNorm), model.dist_token is not None, sizes.eps
    clip = eps == 1e-5 and not (rms or distilled or sizes.gated)  # the only plain one with torch's eps
    refuse("timm", not (clip or eps == 1e-6), f"norm.eps={eps:g} here", "model.norm.eps=1e-6")
    refuse(
        "timm", sizes.qk_norm and (rms or clip), "qk_norm=true with this norm", "model.norm.eps=1e-6, model/norm=layer"
    )
    if distilled:
        refuse("timm", average, "distillation_token=true with the mean", "model/pool=cls")
        refuse("timm", bool(sizes.registers), "distillation_token=true with registers", "model.num_registers=0")
        refuse("timm", sizes.gated, "distillation_token=true with swiglu", "model/mlp=gelu")
        return "deit_base_distilled_patch16_224", {"norm_layer": "rmsnorm"} if rms else {}
    if clip:
        return "vit_base_patch16_clip_224", {"pre_norm": False}
    return "vit_giant_patch14_dinov2" if sizes.gated else "vit_base_patch16_224", {
        "norm_layer": "rmsnorm"
    } if rms else {}


def to_torchvision(model: "ViT") -> Outward:
    """``model`` for ``torchvision.models.VisionTransformer(**settings)``, whose norms have an eps of 1e-6.

    Raises:
        ValueError: torchvision has no such part; what would have to be chosen is named.
    """
    library = "torchvision"
    refuse_parts(model, library)
    sizes = sizes_of(model)
    refuse(library, model.cls_token is None, "class_token=false", "model.class_token=true")
    refuse(library, model.dist_token is not None, "distillation_token=true", "model.distillation_token=false")
    refuse(library, sizes.registers > 0, f"num_registers={sizes.registers}", "model.num_registers=0")
    refuse(library, sizes.layer_scale, "layer_scale", "model.layer_scale=null")
    refuse(library, not sizes.qkv_bias, "qkv_bias=false", "model.attention.qkv_bias=true")
    refuse(library, sizes.qk_norm, "qk_norm=true", "model.attention.qk_norm=false")
    refuse(library, sizes.channels != 3, f"images of {sizes.channels} channels", "data of 3 channels")
    refuse(library, sizes.eps != 1e-6, f"norm.eps={sizes.eps:g} by default", "model.norm.eps=1e-6")
    settings = {
        "image_size": sizes.image_size,
        "patch_size": sizes.patch_size,
        "num_layers": sizes.depth,
        "num_heads": sizes.num_heads,
        "hidden_dim": sizes.embed_dim,
        "mlp_dim": sizes.hidden_dim,
        "num_classes": sizes.num_classes,
    }
    return Outward(names.to_theirs(state_with_positions(model), names.TORCHVISION).state, "VisionTransformer", settings)


def to_hugging_face(model: "ViT") -> Outward:
    """``model`` for a class of Transformers and its config: ViT, DeiT with a distillation token, else DINOv2.

    DINOv2 classifies CLS beside the mean of the patches and scales each branch. A model that looks at only one of the
    two, or scales nothing, gets zeros and ones there: the result is the same.

    Raises:
        ValueError: Hugging Face has no such part; what would have to be chosen is named.
    """
    library = "Hugging Face"
    refuse_parts(model, library)
    sizes = sizes_of(model)
    of_cls = isinstance(model.pool, ClsPool)
    refuse(library, model.cls_token is None, "class_token=false", "model.class_token=true")
    refuse(library, sizes.qk_norm, "qk_norm=true", "model.attention.qk_norm=false")
    after = model.pool_before_norm and not of_cls
    refuse(library, after, "pool_before_norm=true", "model.pool_before_norm=false")
    plain = of_cls and not (sizes.layer_scale or sizes.gated or sizes.registers)
    distilled = model.dist_token is not None
    needed = "model/pool=cls model/mlp=gelu model.num_registers=0 model.layer_scale=null"
    refuse(library, distilled and not plain, "distillation_token=true beside parts of DINOv2", needed)
    settings = {
        "hidden_size": sizes.embed_dim,
        "num_hidden_layers": sizes.depth,
        "num_attention_heads": sizes.num_heads,
        "qkv_bias": sizes.qkv_bias,
        "image_size": sizes.image_size,
        "patch_size": sizes.patch_size,
        "num_channels": sizes.channels,
        "num_labels": sizes.num_classes,
        "layer_norm_eps": sizes.eps,
        "hidden_act": "gelu",
    }
    state = state_with_positions(model)
    if not plain:
        return _to_dinov2(model, sizes, state, settings)
    settings["intermediate_size"] = sizes.hidden_dim
    if distilled:
        written = names.to_theirs(state, names.HUGGING_FACE_DEIT).state
        return Outward(_prefixed(written, "deit"), "DeiTForImageClassificationWithTeacher", settings)
    written = names.to_theirs(state, names.HUGGING_FACE_VIT).state
    return Outward(_prefixed(written, "vit"), "ViTForImageClassification", settings)


def _to_dinov2(model: "ViT", sizes: Sizes, state: dict[str, Tensor], settings: dict[str, Any]) -> Outward:
    ratio = _whole_mlp_ratio(sizes)
    refuse("Hugging Face", ratio is None, f"DINOv2 with an MLP of {sizes.hidden_dim}", "a whole model.mlp_ratio, as 4")
    state = _with_scales(state, sizes)
    unseen = torch.zeros_like(state["head.weight"])
    if isinstance(model.pool, ClsPool):
        state["head.weight"] = torch.cat([state["head.weight"], unseen], dim=1)  # [K, 2D]
    elif isinstance(model.pool, MeanPool):
        state["head.weight"] = torch.cat([unseen, state["head.weight"]], dim=1)  # [K, 2D]
    settings = {**settings, "mlp_ratio": ratio, "use_swiglu_ffn": sizes.gated}
    table = names.HUGGING_FACE_SWIGLU if sizes.gated else names.HUGGING_FACE_DINOV2
    written = names.to_theirs(state, table).state
    written["embeddings.mask_token"] = torch.zeros(1, sizes.embed_dim)  # of the pre-training; nothing reads it
    if not sizes.registers:
        return Outward(_prefixed(written, "dinov2"), "Dinov2ForImageClassification", settings)
    settings["num_register_tokens"] = sizes.registers
    name = "Dinov2WithRegistersForImageClassification"
    return Outward(_prefixed(written, "dinov2_with_registers"), name, settings)


def _with_scales(state: dict[str, Tensor], sizes: Sizes) -> dict[str, Tensor]:
    """``state`` with a scale for each branch: one, where it has none."""
    names_of_scales = [f"blocks.{number}.{scale}.gamma" for number in range(sizes.depth) for scale in ("ls1", "ls2")]
    return {**{name: torch.ones(sizes.embed_dim) for name in names_of_scales}, **state}


def _whole_mlp_ratio(sizes: Sizes) -> int | None:
    """The ratio from which DINOv2 gets the model's hidden width; Transformers takes whole numbers only."""
    for ratio in range(1, 17):
        hidden = sizes.embed_dim * ratio
        if (((int(hidden * 2 / 3) + 7) // 8 * 8) if sizes.gated else hidden) == sizes.hidden_dim:
            return ratio
    return None


def _prefixed(state: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """``state`` as the class with a classifier names it: all but the classifiers belong to the model in it."""
    return {name if "classifier" in name else f"{prefix}.{name}": tensor for name, tensor in state.items()}
