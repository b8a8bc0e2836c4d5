"""Where weights and a model differ, as a short table that names the setting with which they would agree.

Shapes: D width, P patch, C channels, M hidden width, K width of a head.
"""

import math
import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from torch import Tensor

from vitlab.models.convert.layouts import Ours

if TYPE_CHECKING:
    from vitlab.models.vit import ViT

_NONE = "none"
_MOST_ROWS = 10
# What a name begins with, the setting if only the model has it, the setting if only the file has it.
_SETTINGS = (
    (r"cls_token", "model.class_token=false", "model.class_token=true"),
    (r"dist_token|head_dist\.", "model.distillation_token=false", "model.distillation_token=true"),
    (r"registers", "model.num_registers=0", "model.num_registers={count}"),
    (r"position\.embedding", "model/position=none", "model/position=learned"),
    (r"position\.conv", "model/position=learned", "model/position=conditional"),
    (r"patch_embed\.proj\.(weight|bias)", "", "model/patch_embed=conv"),
    (r"blocks\.\d+\.ls\d\.", "model.layer_scale=null", "model.layer_scale=1.0e-5"),
    (r"blocks\.\d+\.attn\.[qk]_norm\.", "model.attention.qk_norm=false", "model.attention.qk_norm=true"),
    (r"blocks\.\d+\.attn\.qkv\.bias", "model.attention.qkv_bias=false", "model.attention.qkv_bias=true"),
    (r"blocks\.\d+\.attn\.gate\.", "model.attention.gated=false", "model.attention.gated=true"),
    (r"blocks\.\d+\.attn\.relation\.", "model/position=learned", "model/position=relative_bias"),
    (r"blocks\.\d+\.shortcut\.", "model.depthwise_shortcut=false", "model.depthwise_shortcut=true"),
    (r"blocks\.\d+\.mlp\.conv\.", "model/mlp=gelu", "model/mlp=depthwise"),
    (r"blocks\.\d+\.norm2\.", "model/block=parallel", "model/block=pre_norm"),
    (r"pool\.importance\.", "model/pool=cls", "model/pool=sequence"),
    (r"pool\.", "model/pool=cls", "model/pool=attention"),
    (r".*norm\d?\.alpha", "model/norm=layer", "model/norm=dyt"),
    (r".*norm\d?\.bias", "model/norm=rms", "model/norm=layer"),
)


@dataclass(frozen=True)
class Row:
    """One difference.

    Args:
        name: of a tensor, or of what else differs.
        file, here: what the file and the model have, a shape mostly.
        setting: with which they would agree, or nothing if there is none.
    """

    name: str
    file: str
    here: str
    setting: str = ""


def differences(model: "ViT", state: dict[str, Tensor], unknown: Sequence[str]) -> list[Row]:
    """Every tensor that only one side has, or that has two shapes.

    Args:
        model: to be filled.
        state: the weights, under our names.
        unknown: names in the file that have no counterpart in ours.
    """
    own = model.state_dict()
    depth = 1 + max((_block(name) for name in state), default=-1)
    rows = []
    for name in [*own, *sorted(state.keys() - own.keys())]:
        here, there = own.get(name), state.get(name)
        if here is None or there is None:
            rows.append(Row(name, shape_of(there), shape_of(here), _setting_to_have(model, name, there, depth)))
        elif here.shape != there.shape:
            rows.append(Row(name, shape_of(there), shape_of(here), _setting_of_shape(model, name, state)))
    return rows + [Row(name, "unknown here", _NONE) for name in unknown]


def other_differences(model: "ViT", ours: Ours, facts: dict[str, Any]) -> list[Row]:
    """What makes another model of the same tensors: heads, the place of the last norm, activations, scales."""
    rows = []
    block: Any = model.blocks[0]
    heads = getattr(block.attn, "num_heads", None)
    if "num_heads" in facts and heads not in (None, facts["num_heads"]):
        rows.append(Row("heads", f"{facts['num_heads']}", f"{heads}", f"model.num_heads={facts['num_heads']}"))
    foreign = ours.layout.name != "vitlab"
    if foreign and type(model.pool).__name__ != "ClsPool" and ours.pools_before_norm != model.pool_before_norm:
        places = ("after the pool", "before it") if ours.pools_before_norm else ("before the pool", "after it")
        rows.append(Row("norm", *places, f"model.pool_before_norm={str(ours.pools_before_norm).lower()}"))
    if isinstance(facts.get("act"), str) and facts["act"] not in ("gelu", "silu"):
        rows.append(Row("activation of the MLP", facts["act"], "gelu"))
    if foreign and scales_of_its_own(model):
        rows.append(Row("scale of scores and branches", "the usual", "of init=mup", "model/init=trunc_normal"))
    return rows


def scales_of_its_own(model: "ViT") -> bool:
    """Whether scores or branches are scaled in a way that no other library has, as ``init=mup`` does."""
    return any(
        not math.isclose(block.attn.scale * math.sqrt(block.attn.head_dim), 1) or block.drop_path.branch_scale != 1
        for block in cast(Any, model.blocks)
        if hasattr(block.attn, "scale") and hasattr(block, "drop_path")
    )


def table(rows: Sequence[Row]) -> str:
    """``rows`` as lines of text, those with one remedy or of one kind together."""
    groups = defaultdict(list)
    for row in rows:
        kind = re.sub(r"\.\d+\.", ".*.", row.name)
        groups[row.setting or (kind, row.file, row.here)].append(row)
    lines = [("tensor", "in the file", "here", "to make it fit")]
    for group in groups.values():
        more = f" and {len(group) - 1} more" if len(group) > 1 else ""
        lines.append((group[0].name + more, group[0].file, group[0].here, group[0].setting))
    left_out = len(lines) - 1 - _MOST_ROWS
    lines = lines[: 1 + _MOST_ROWS]
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    text = ["  " + "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) for line in lines]
    return "\n".join([*(line.rstrip() for line in text), *([f"  … and {left_out} more"] if left_out > 0 else [])])


def shape_of(tensor: Tensor | None) -> str:
    """``12x3x4``, or ``none``."""
    return _NONE if tensor is None else "x".join(map(str, tensor.shape)) or "a number"


def _block(name: str) -> int:
    match = re.match(r"blocks\.(\d+)\.", name)
    return int(match[1]) if match else -1


def _setting_to_have(model: "ViT", name: str, there: Tensor | None, depth: int) -> str:
    """The setting with which both sides have the tensor ``name``, or neither."""
    if _block(name) >= min(depth, len(model.blocks)) and depth:
        return f"model.depth={depth}"
    for pattern, without, having in _SETTINGS:
        if re.match(pattern, name):
            return without if there is None else having.format(count=there.shape[1] if there.ndim == 3 else "")
    return ""


def _setting_of_shape(model: "ViT", name: str, state: dict[str, Tensor]) -> str:
    """The setting with which the model's tensor ``name`` has the shape of the file's."""
    there = state[name]
    width = state["blocks.0.attn.proj.weight"].shape[0] if "blocks.0.attn.proj.weight" in state else model.embed_dim
    if width != model.embed_dim:
        return f"model.embed_dim={width}"
    if name == "patch_embed.proj.weight" and there.ndim == 4:
        here = model.state_dict()[name]
        if here.ndim == 4 and here.shape[1] != there.shape[1]:
            return f"images of {there.shape[1]} channels"
        return f"model.patch_size={there.shape[2]}"
    if name == "registers":
        return f"model.num_registers={there.shape[1]}"
    if name == "head.weight":
        return f"model/pool={'cls_mean' if there.shape[1] == 2 * width else 'cls'}"
    if ".mlp.fc" in name:
        return _mlp_setting(model, state)
    if name.endswith("attn.relation.table"):
        return _grid_setting(model, there)
    if ".attn.qkv." in name:
        head_dim = model.blocks[0].attn.head_dim  # type: ignore[union-attr]
        return f"model.attention.num_kv_heads={(there.shape[0] - width) // (2 * int(head_dim))}"  # type: ignore[arg-type]
    return ""


def _mlp_setting(model: "ViT", state: dict[str, Tensor]) -> str:
    """A gated MLP has twice as many rows before its gate as columns behind it."""

    def kind(weights: dict[str, Tensor]) -> tuple[str, int]:
        rows, columns = weights["blocks.0.mlp.fc1.weight"].shape[0], weights["blocks.0.mlp.fc2.weight"].shape[1]
        return ("gelu", columns) if rows == columns else ("swiglu", columns)

    if not {"blocks.0.mlp.fc1.weight", "blocks.0.mlp.fc2.weight"} <= state.keys():
        return ""
    (there, hidden), (here, _) = kind(state), kind(model.state_dict())
    if there != here:
        return f"model/mlp={there}"
    ratio = hidden / model.embed_dim * (1.5 if there == "swiglu" else 1)
    return f"model.mlp_ratio={ratio:.6g}"


def _grid_setting(model: "ViT", table: Tensor) -> str:
    """A table has an entry for each distance on its grid, and three more with tokens before the patches."""
    side = (math.isqrt(table.shape[0]) + 1) // 2
    patch = cast(Any, model.patch_embed).image_shape[1] // model.layout.grid_size[0]
    rows, columns = model.layout.grid_size
    return f"model.image_size={side * patch} (a grid of {side}x{side}, here {rows}x{columns})"
