"""Weights of any library into a model: ``model.weights=…``."""

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vitlab.models.convert import files
from vitlab.models.convert.layouts import Ours, from_library
from vitlab.models.convert.mismatch import differences, other_differences, table
from vitlab.models.convert.positions import Resize, resized

if TYPE_CHECKING:
    from vitlab.models.vit import ViT

_HEADS = ("head", "head_dist")


def load_weights(model: "ViT", weights: str, allow_mismatch: bool) -> str:
    """Fill ``model`` with given weights; its head stays new where the classes differ or the file has none.

    Args:
        model: to be filled.
        weights: a ``.safetensors`` or ``.pt`` file, a folder that ``save_pretrained`` of Hugging Face wrote, or the
            name of a model: ``timm:NAME``, ``hf:OWNER/NAME`` or ``torchvision:NAME``. A file may hold the weights of
            timm, torchvision, Hugging Face (ViT, DeiT, DINOv2), Meta's DeiT and DINOv2, or vitlab's own.
        allow_mismatch: whether parts of the model may stay as they are, and parts of the file unused.

    Returns:
        One line on what was loaded.

    Raises:
        ValueError: there is no such file or model, it is of no known layout, or it does not fit; a table then names
            the tensors, their shapes, and the settings with which they would.
    """
    source = files.read(str(weights))
    try:
        ours = from_library(source.state, model.layout.num_patches)
        state, notes = _fitted(model, ours)
    except ValueError as error:
        raise ValueError(f"weights={weights}: {error}") from None
    rows = [*other_differences(model, ours, source.facts), *differences(model, state, ours.unknown)]
    head_is_new = [f"{head}." for head in _HEADS if f"{head}.weight" not in state and hasattr(model, head)]
    rows = [row for row in rows if not (row.file == "none" and row.name.startswith(tuple(head_is_new)))]
    own = model.state_dict()
    fitting = {name: tensor for name, tensor in state.items() if name in own and tensor.shape == own[name].shape}
    if rows and (not allow_mismatch or not fitting):
        hint = "\nmodel.allow_mismatch=true loads what fits" if fitting else "\nnothing fits"
        raise ValueError(f"weights={weights} ({ours.layout.name} layout) do not fit the model:\n{table(rows)}{hint}")
    model.load_state_dict(fitting, strict=False)
    if rows:
        missing, unexpected = sum(row.file == "none" for row in rows), sum(row.here == "none" for row in rows)
        notes.append(
            f"missing in the file {missing}, unused {unexpected}, different {len(rows) - missing - unexpected}"
        )
    notes += _facts_of_account(model, source.facts)
    return "; ".join([f"weights from {weights} ({ours.layout.name} layout): {len(fitting)} tensors", *notes])


def _fitted(model: "ViT", ours: Ours) -> tuple[dict[str, Tensor], list[str]]:
    """The weights with the head, the patches and the grid of ``model``, and what was done to them."""
    state, notes = dict(ours.state), []
    own = model.state_dict()
    patches = "patch_embed.proj.weight"
    if patches in state and patches in own and _is_same_map(state[patches], own[patches]):
        state[patches] = state[patches].reshape(own[patches].shape)
    classes = model.head.out_features
    if "head.weight" not in state:
        notes.append(f"head new ({classes} classes; the file has none)")
    elif len(state["head.weight"]) != classes:
        notes.append(f"head replaced ({len(state['head.weight'])} classes in the file, {classes} here)")
        state = {name: tensor for name, tensor in state.items() if name.split(".")[0] not in _HEADS}
    elif model.head_dist is not None and "head_dist.weight" not in state:
        notes.append("distillation head new (the file has none)")
    if "position.embedding" in own and "position.embedding" in state:
        before = math.isqrt(state["position.embedding"].shape[1] - _placed(state))
        state["position.embedding"] = _positions_for(model, state, ours.layout.resize_of(state))
        if (before, before) != model.layout.grid_size:
            rows, columns = model.layout.grid_size
            notes.append(f"positions resized from {before}x{before} to {rows}x{columns}")
    return state, notes


def _is_same_map(there: Tensor, here: Tensor) -> bool:
    """A linear layer over a patch is a convolution whose stride is its kernel."""
    return {there.ndim, here.ndim} == {2, 4} and there.numel() == here.numel()


def _placed(state: dict[str, Tensor]) -> int:
    return sum(name in state for name in ("cls_token", "dist_token"))


def _positions_for(model: "ViT", state: dict[str, Tensor], resize: Resize) -> Tensor:
    """The positions on the grid of ``model``, with one for each of its tokens before the patches."""
    positions, placed = state["position.embedding"], _placed(state)
    grid = resized(positions[:, placed:], model.layout.grid_size, resize)
    before = positions[:, : min(placed, model.num_placed)]
    missing = positions.new_zeros(1, model.num_placed - before.shape[1], positions.shape[2])
    return torch.cat([before, missing, grid], dim=1)


def _facts_of_account(model: "ViT", facts: dict[str, Any]) -> list[str]:
    """What changes the result a little, and is no reason to refuse."""
    eps = getattr(model.norm, "eps", None)
    if "eps" in facts and eps is not None and not math.isclose(facts["eps"], eps):
        return [f"norms have eps {facts['eps']:g} in the file and {eps:g} here (model.norm.eps={facts['eps']:g})"]
    return []
