"""What a model loses without one of its parts: heads, blocks, positions.

The parts stay in the model; hooks take out what they add for as long as a context is open, and both ways through the
attention, the fused one and that with weights, run as they do otherwise.
Shapes: B batch, T tokens, D width, H heads, K = D / H.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, cast

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from vitlab.models.vit import ViT

HEAD, BLOCK, POSITIONS = "head", "block", "positions"
_Z = 1.959964  # of a 95 % interval


@dataclass(frozen=True)
class Ablation:
    """A part, and what is left without it.

    Args:
        part: ``head``, ``block`` or ``positions``.
        block: its number, from 1; None for the positions.
        head: its number within the block, from 1; None for all else.
        accuracy: without the part, a fraction.
        drop: accuracy with the part less that without, in fractions.
        drop_95: the ends of its 95 % interval.
    """

    part: str
    block: int | None
    head: int | None
    accuracy: float
    drop: float
    drop_95: tuple[float, float]


def ablate(model: ViT, right: Callable[[], Tensor], has_positions: bool) -> list[Ablation]:
    """Take each head, each block and the positions out of ``model``, one at a time.

    Args:
        model: whole again at the end.
        has_positions: whether there are any to take out.
        right: shows the images to the model and says of each whether its class is found, boolean [images].
    """
    whole = right()
    found = []
    for part, block, head, without in _parts(model, has_positions):
        with without:
            left = right()
        drop, interval = _drop(whole, left)
        found.append(Ablation(part, block, head, left.double().mean().item(), drop, interval))
    return found


def _parts(
    model: ViT, has_positions: bool
) -> Iterator[tuple[str, int | None, int | None, AbstractContextManager[None]]]:
    for number, block in enumerate(model.blocks, start=1):
        attention = cast(Any, block).attn
        for head in range(attention.num_heads):
            yield HEAD, number, head + 1, without_head(attention, head)
        yield BLOCK, number, None, without_block(block)
    if has_positions:
        yield POSITIONS, None, None, without_positions(model)


@contextmanager
def without_head(attention: Any, head: int) -> Iterator[None]:
    """Zeros from head number ``head``, from 0, where the heads are put together.

    Michel et al. 2019, "Are sixteen heads really better than one?", section 2.3.
    """
    width = attention.proj.in_features // attention.num_heads

    def mask(module: nn.Module, args: tuple[Tensor]) -> tuple[Tensor]:
        merged = args[0].clone()  # [B, T, D]
        merged[..., head * width : (head + 1) * width] = 0
        return (merged,)

    with _removed([attention.proj.register_forward_pre_hook(mask)]):
        yield


@contextmanager
def without_block(block: nn.Module) -> Iterator[None]:
    """The tokens leave ``block`` as they came (Veit et al. 2016, "Residual networks behave like ensembles")."""
    with _removed([block.register_forward_hook(lambda module, args, out: args[0])]):
        yield


@contextmanager
def without_positions(model: ViT) -> Iterator[None]:
    """Nothing is added to the tokens, no query or key is turned, no bias joins the scores."""
    handles = [model.position.register_forward_hook(lambda module, args, out: args[0])]
    relations = [getattr(block.attn, "relation", None) for block in model.blocks]
    handles += [part.register_forward_hook(_unrelated) for part in relations if part is not None]
    with _removed(handles):
        yield


def _unrelated(module: nn.Module, args: tuple[Tensor, Tensor], out: Any) -> tuple[Tensor, Tensor, None]:
    return args[0], args[1], None


@contextmanager
def _removed(handles: list[RemovableHandle]) -> Iterator[None]:
    """Remove the hooks at the end, whatever happens."""
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _drop(whole: Tensor, left: Tensor) -> tuple[float, tuple[float, float]]:
    """The loss of accuracy, and its 95 % interval from the images on which the two differ.

    Agresti & Min 2005, "Simple improved confidence intervals for comparing matched proportions", equation 3.
    """
    lost, won, images = int((whole & ~left).sum()), int((left & ~whole).sum()), len(whole)
    middle = (lost - won) / (images + 2)
    spread = ((lost + won + 1) / (images + 2) - middle**2) / (images + 2)
    half = _Z * spread**0.5
    return (lost - won) / images, (middle - half, middle + half)
