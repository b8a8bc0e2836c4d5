"""What each library calls the parts of a ViT, as tables of pairs: our name, their name.

``#`` stands for the number of a block. A name covers what lies below it: ``norm`` covers ``norm.weight``. Where they
hold in several tensors what we hold in one, their names are joined by ``+``, in the order of our rows. Where a library
has had several names for one thing, the first is the one that is written, and all are read.
Shapes: D width.
"""

import re
from collections import defaultdict
from dataclasses import dataclass

import torch
from torch import Tensor

State = dict[str, Tensor]
Names = tuple[tuple[str, str], ...]

_SAME = ("cls_token", "dist_token", "patch_embed", "norm", "head", "head_dist")
_SAME_IN_BLOCK = ("norm1", "attn", "ls1", "norm2", "mlp", "ls2")
_OWN: Names = tuple((name, name) for name in (*_SAME, *(f"blocks.#.{part}" for part in _SAME_IN_BLOCK)))

TIMM: Names = (
    ("position.embedding", "pos_embed"),
    ("registers", "reg_token"),
    ("registers", "register_tokens"),  # Meta's DINOv2, whose names are timm's but for these
    ("norm", "fc_norm"),
    ("blocks.#.mlp.fc1", "blocks.#.mlp.fc1_g + blocks.#.mlp.fc1_x"),
    ("blocks.#.mlp.fc1", "blocks.#.mlp.w12"),
    ("blocks.#.mlp.fc2", "blocks.#.mlp.w3"),
    ("blocks.#.ls1.gamma", "blocks.#.gamma_1"),  # DeiT III
    ("blocks.#.ls2.gamma", "blocks.#.gamma_2"),
    *_OWN,
)
TIMM_WRITTEN: Names = (("position.embedding", "pos_embed"), ("registers", "reg_token"), *_OWN)

_BLOCK = "encoder.layers.encoder_layer_#"
TORCHVISION: Names = (
    ("cls_token", "class_token"),
    ("position.embedding", "encoder.pos_embedding"),
    ("patch_embed.proj", "conv_proj"),
    ("blocks.#.norm1", f"{_BLOCK}.ln_1"),
    ("blocks.#.attn.qkv.weight", f"{_BLOCK}.self_attention.in_proj_weight"),
    ("blocks.#.attn.qkv.bias", f"{_BLOCK}.self_attention.in_proj_bias"),
    ("blocks.#.attn.proj", f"{_BLOCK}.self_attention.out_proj"),
    ("blocks.#.norm2", f"{_BLOCK}.ln_2"),
    ("blocks.#.mlp.fc1", f"{_BLOCK}.mlp.0"),
    ("blocks.#.mlp.fc1", f"{_BLOCK}.mlp.linear_1"),
    ("blocks.#.mlp.fc2", f"{_BLOCK}.mlp.3"),
    ("blocks.#.mlp.fc2", f"{_BLOCK}.mlp.linear_2"),
    ("norm", "encoder.ln"),
    ("head", "heads.head"),
)

_LAYER = "encoder.layer.#"
_HUGGING_FACE: Names = (
    ("cls_token", "embeddings.cls_token"),
    ("dist_token", "embeddings.distillation_token"),
    ("registers", "embeddings.register_tokens"),
    ("position.embedding", "embeddings.position_embeddings"),
    ("patch_embed.proj", "embeddings.patch_embeddings.projection"),
    (
        "blocks.#.attn.qkv",
        " + ".join(f"{_LAYER}.attention.attention.{part}" for part in ("query", "key", "value")),
    ),
    ("blocks.#.attn.qkv", " + ".join(f"{_LAYER}.attention.{part}_proj" for part in "qkv")),
    ("blocks.#.attn.proj", f"{_LAYER}.attention.output.dense"),
    ("blocks.#.attn.proj", f"{_LAYER}.attention.o_proj"),
    ("norm", "layernorm"),
)
HUGGING_FACE_VIT: Names = (
    *_HUGGING_FACE,
    ("blocks.#.norm1", f"{_LAYER}.layernorm_before"),
    ("blocks.#.norm2", f"{_LAYER}.layernorm_after"),
    ("blocks.#.mlp.fc1", f"{_LAYER}.intermediate.dense"),
    ("blocks.#.mlp.fc1", f"{_LAYER}.mlp.fc1"),
    ("blocks.#.mlp.fc2", f"{_LAYER}.output.dense"),
    ("blocks.#.mlp.fc2", f"{_LAYER}.mlp.fc2"),
    ("head", "classifier"),
)
HUGGING_FACE_DEIT: Names = (
    ("head", "cls_classifier"),
    ("head_dist", "distillation_classifier"),
    *HUGGING_FACE_VIT,
)
HUGGING_FACE_DINOV2: Names = (
    *_HUGGING_FACE,
    ("blocks.#.norm1", f"{_LAYER}.norm1"),
    ("blocks.#.ls1.gamma", f"{_LAYER}.layer_scale1.lambda1"),
    ("blocks.#.norm2", f"{_LAYER}.norm2"),
    ("blocks.#.mlp.fc1", f"{_LAYER}.mlp.fc1"),
    ("blocks.#.mlp.fc2", f"{_LAYER}.mlp.fc2"),
    ("blocks.#.ls2.gamma", f"{_LAYER}.layer_scale2.lambda1"),
    ("head", "classifier"),
)
HUGGING_FACE_SWIGLU: Names = (
    ("blocks.#.mlp.fc1", f"{_LAYER}.mlp.weights_in"),
    ("blocks.#.mlp.fc1", f"{_LAYER}.mlp.gate_proj + {_LAYER}.mlp.up_proj"),
    ("blocks.#.mlp.fc2", f"{_LAYER}.mlp.weights_out"),
    ("blocks.#.mlp.fc2", f"{_LAYER}.mlp.down_proj"),
    *HUGGING_FACE_DINOV2,
)
HUGGING_FACE: Names = tuple(dict.fromkeys((*HUGGING_FACE_DEIT, *HUGGING_FACE_SWIGLU)))


@dataclass(frozen=True)
class Renamed:
    """Weights under other names.

    Args:
        state: what had a name in the table.
        unknown: the names that had none.
    """

    state: State
    unknown: list[str]


def to_ours(state: State, names: Names) -> Renamed:
    """``state`` of a library under our names; what it holds in parts is put together."""
    rules = [
        (_pattern(part), ours, number, len(parts))
        for ours, theirs in names
        for parts in [theirs.split(" + ")]
        for number, part in enumerate(parts)
    ]
    found: dict[str, dict[int, str]] = defaultdict(dict)
    wanted: dict[str, int] = {}
    unknown = []
    for key in state:
        for pattern, ours, number, count in rules:
            if match := pattern.fullmatch(key):
                name = ours.replace("#", match.groupdict().get("block", "")) + match["below"]
                found[name][number], wanted[name] = key, count
                break
        else:
            unknown.append(key)
    renamed = {}
    for name, parts in found.items():
        if len(parts) == wanted[name]:
            pieces = [state[parts[number]] for number in range(wanted[name])]
            renamed[name] = pieces[0] if len(pieces) == 1 else torch.cat(pieces)
        else:
            unknown += parts.values()
    return Renamed(renamed, unknown)


def to_theirs(state: State, names: Names) -> Renamed:
    """Our ``state`` under the names of a library, cut into parts where it has parts."""
    rules = [(_pattern(ours), theirs.split(" + ")) for ours, theirs in names]
    renamed: State = {}
    unknown = []
    for key, tensor in state.items():
        for pattern, parts in rules:
            if match := pattern.fullmatch(key):
                block = match.groupdict().get("block", "")
                for part, piece in zip(parts, tensor.chunk(len(parts)), strict=True):
                    renamed[part.replace("#", block) + match["below"]] = piece
                break
        else:
            unknown.append(key)
    return Renamed(renamed, unknown)


def _pattern(name: str) -> re.Pattern[str]:
    return re.compile(re.escape(name).replace(r"\#", r"(?P<block>\d+)", 1) + r"(?P<below>(\.\w+)*)")
