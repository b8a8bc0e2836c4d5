"""Which library a state dict is from, told by the names in it, and the same weights as ours."""

import re
from dataclasses import dataclass

from torch import Tensor

from vitlab.models.convert import names, positions
from vitlab.models.convert.names import Names, State

_WRAPPERS = ("module.", "_orig_mod.", "model.")
_LIBRARY_PREFIX = re.compile(r"(vit|deit|dinov2|dinov2_with_registers|backbone)\.")


@dataclass(frozen=True)
class Layout:
    """How a library lays out its weights.

    Args:
        name: of the library.
        marks: sets of names; a state dict that has all of one set is of this library.
        names: the library's names.
        ignored: names of what is no part of the ViT proper, and of no account.
        resize: how it brings positions to another grid.
    """

    name: str
    marks: tuple[frozenset[str], ...]
    names: Names
    ignored: re.Pattern[str]
    resize: positions.Resize

    def resize_of(self, state: State) -> positions.Resize:
        """Its way with positions, which for Hugging Face hangs on the registers."""
        has_registers = self.name == "Hugging Face" and "registers" in state
        return positions.HUGGING_FACE_REGISTERS if has_registers else self.resize


def _marks(*sets: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(marks.split()) for marks in sets)


_NOTHING = re.compile(r"(?!)")
LAYOUTS = (
    Layout(
        "torchvision",
        _marks("class_token conv_proj.weight", "encoder.pos_embedding"),
        names.TORCHVISION,
        _NOTHING,
        positions.TORCHVISION,
    ),
    Layout(
        "Hugging Face",
        _marks("embeddings.patch_embeddings.projection.weight"),
        names.HUGGING_FACE,
        re.compile(r"embeddings\.mask_token|pooler\..*"),
        positions.HUGGING_FACE,
    ),
    Layout(
        "timm",
        _marks("pos_embed patch_embed.proj.weight", "reg_token", "fc_norm.weight blocks.0.norm1.weight"),
        names.TIMM,
        re.compile(r"mask_token"),
        positions.TIMM,
    ),
    # Last, because timm's without positions has our names too.
    Layout("vitlab", _marks("blocks.0.attn.qkv.weight", "blocks.0.mlp.fc1.weight"), (), _NOTHING, positions.TIMM),
)


@dataclass(frozen=True)
class Ours:
    """Weights of a library, under our names.

    Args:
        layout: of the library.
        state: the weights; CLS and distillation token have positions, registers have none.
        unknown: names that the library's table does not hold.
        pools_before_norm: whether its last norm stands behind the pool.
    """

    layout: Layout
    state: State
    unknown: list[str]
    pools_before_norm: bool


def from_library(state: dict[str, Tensor], patches: int) -> Ours:
    """The weights of any library that is known here, under our names and with our tokens.

    Args:
        state: the state dict of a ViT, also wrapped as ``module.`` or ``vit.`` say.
        patches: N of the model they are for; it decides only where positions could be read in two ways.

    Raises:
        ValueError: no library is known that has such names, or the positions make no square grid.
    """
    state = unwrapped(state)
    layout = layout_of(state)
    state = {name: tensor for name, tensor in state.items() if not layout.ignored.fullmatch(name)}
    renamed = names.to_ours(state, layout.names) if layout.names else names.Renamed(state, [])
    placed = positions.placed_like_ours(renamed.state, patches)
    return Ours(layout, placed, renamed.unknown, "fc_norm.weight" in state)


def unwrapped(state: State) -> State:
    """``state`` without what stands before every name, and without the name of the model in a classifier."""
    for prefix in _WRAPPERS * 2:
        if all(name.startswith(prefix) for name in state):
            state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    state = {
        _LIBRARY_PREFIX.sub("", name, count=1) if _LIBRARY_PREFIX.match(name) else name: t for name, t in state.items()
    }
    state = {re.sub(r"^layers\.(\d+)\.", r"encoder.layer.\1.", name): t for name, t in state.items()}  # Transformers 5
    return {re.sub(r"^blocks\.\d+\.(\d+\.)", r"blocks.\1", name): t for name, t in state.items()}  # Meta's chunks


def layout_of(state: State) -> Layout:
    """The layout whose characteristic names are in ``state``.

    Raises:
        ValueError: there is none; what was looked for, and what there is, are named.
    """
    for layout in LAYOUTS:
        if any(marks <= state.keys() for marks in layout.marks):
            return layout
    looked_for = "; ".join(f"{layout.name}: {' and '.join(sorted(layout.marks[0]))}" for layout in LAYOUTS)
    found = ", ".join(list(state)[:4]) + (", …" if len(state) > 4 else "")
    raise ValueError(f"the names are of no library that is known here ({looked_for}), but {found}")
