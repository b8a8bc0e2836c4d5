"""A Vision Transformer step by step: formula, shape, parameters and FLOPs of each stage, measured on the model."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby, pairwise

import torch
from torch import nn

from vitlab.analysis.anatomy import Anatomy, Heading, Section, Sizes, Stage
from vitlab.analysis.block_stages import Book, block_section, ended, flops_of
from vitlab.analysis.cost import count_parameters
from vitlab.analysis.teaching import LEARNED_TOKENS, formula_of, name_of, words_of
from vitlab.analysis.trace import Event, trace
from vitlab.models.drop import PatchDrop
from vitlab.models.vit import ViT

_SILENT = (nn.Identity, nn.Dropout, PatchDrop)  # they do nothing in eval mode


def anatomy_of(model: ViT, channels: int, image_size: int) -> Anatomy:
    """The stages of ``model`` in the order of its forward pass.

    Their parameters add up to those of the model, their FLOPs to ``vitlab.analysis.cost.flops_per_image``: both are
    taken from the model and torch's own counter, on one blank image in eval mode.

    Args:
        model: left in the mode in which it came.
        channels: of the images.
        image_size: height and width of the images, in pixels.
    """
    watched = dict(_watched(model))
    image = next(model.parameters()).new_zeros(1, channels, image_size, image_size)
    events = trace(model, watched, image)
    book = Book(watched, _owned(model, watched), sizes_of(model, image_size))
    sections = _merged(list(_sections(model, events, book)), model)
    return Anatomy(tuple(sections), book.sizes, count_parameters(model), _growth(sections, model.layout.num_tokens))


def sizes_of(model: ViT, image_size: int) -> Sizes:
    """What the letters of formulas and shapes stand for; H and the width of a head only if the attention has heads."""
    sizes = {
        "T": model.layout.num_tokens,
        "N": model.layout.num_patches,
        "P": image_size // model.layout.grid_size[0],
        "D": model.embed_dim,
        "K": model.head.out_features,
    }
    heads = getattr(getattr(model.blocks[0], "attn", None), "num_heads", None)
    return sizes | ({"H": heads, "dₖ": model.embed_dim // heads} if isinstance(heads, int) else {})


def _watched(model: ViT) -> Iterator[tuple[str, nn.Module]]:
    """Every module that is a stage, by name; blocks and attentions too, to know what they do between their stages."""
    yield from _loud("", model)
    for number, block in enumerate(model.blocks):
        yield f"blocks.{number}", block
        for path, part in _loud(f"blocks.{number}.", block):
            yield path, part
            if hasattr(part, "steps"):
                yield from _loud(f"{path}.", part)


def _loud(prefix: str, parent: nn.Module) -> Iterator[tuple[str, nn.Module]]:
    for name, part in parent.named_children():
        if not isinstance(part, (*_SILENT, nn.ModuleList)):
            yield f"{prefix}{name}", part


def _owned(model: nn.Module, watched: dict[str, nn.Module]) -> dict[str, int]:
    """Parameters of each watched module that lie in no watched module within it; learned tokens by their own name."""
    owned: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        path = name.rpartition(".")[0]
        while path and path not in watched:
            path = path.rpartition(".")[0]
        key = name if name in LEARNED_TOKENS else path
        owned[key] = owned.get(key, 0) + parameter.numel()
    return owned


def _sections(model: ViT, events: list[Event], book: Book) -> Iterator[Section]:
    def block_of(event: Event) -> int:
        parts = event.path.split(".")
        return int(parts[1]) if parts[0] == "blocks" else -1

    title = "From the image to tokens"
    for number, group in groupby((event for event in events if event.path), key=block_of):
        if number < 0:
            yield Section(Heading(title), tuple(_outside(model, list(group), book)))
            title = "From tokens to classes"
        else:
            yield block_section(model.blocks[number], number, list(group), book)
    flops = flops_of(event for event in events if not event.path)
    if rest := tuple(book.rest(sum(book.owned.values()), flops)):
        yield Section(Heading("Besides"), rest)


def _outside(model: ViT, events: list[Event], book: Book) -> Iterator[Stage]:
    """Stages before or behind the blocks, with the learned tokens where they join."""
    placed = model.layout.num_patches
    for event, products in ended(events):
        if event.path == "position":
            for name in LEARNED_TOKENS[:2]:
                if name in book.owned:
                    placed += 1
                    yield _token(name, placed, model, book)
        yield book.stage(event, flops_of(products))
        if event.path == "position" and "registers" in book.owned:
            yield _token("registers", model.layout.num_tokens, model, book)


def _token(name: str, number: int, model: ViT, book: Book) -> Stage:
    shape, words = (number, model.embed_dim), words_of(name, None, book.sizes)
    return Stage(name, name_of(name), formula_of(name, None), shape, book.owned.pop(name), 0, words)


def _merged(sections: list[Section], model: ViT) -> list[Section]:
    """Identical blocks as one section, at the place of the first of them."""
    merged: list[Section] = []
    for section in sections:
        like = next((i for i, other in enumerate(merged) if _alike(other, section, model)), None)
        if like is None:
            merged.append(section)
        else:
            merged[like] = replace(merged[like], blocks=merged[like].blocks + section.blocks)
    kinds = sum(bool(section.blocks) for section in merged)
    return [_titled(section, model, kinds) if section.blocks else section for section in merged]


def _alike(one: Section, other: Section, model: ViT) -> bool:
    """Whether two sections are blocks with the same stages and the same fixed numbers, such as masks."""
    if not (one.blocks and other.blocks and replace(one, blocks=()) == replace(other, blocks=())):
        return False
    first, second = (dict(model.blocks[section.blocks[0] - 1].named_buffers()) for section in (one, other))
    return first.keys() == second.keys() and all(
        first[k].shape == second[k].shape and torch.equal(first[k], second[k]) for k in first
    )


def _titled(section: Section, model: ViT, kinds: int) -> Section:
    numbers = section.blocks
    title = f"Blocks {_listed(numbers)} × {len(numbers)}" if len(numbers) > 1 else f"Block {numbers[0]}"
    attention = getattr(model.blocks[numbers[0] - 1], "attn", None)
    detail = attention.extra_repr() if kinds > 1 and isinstance(attention, nn.Module) else ""
    return replace(section, heading=replace(section.heading, name=title, detail=detail))


def _listed(numbers: tuple[int, ...]) -> str:
    """``1–12``, ``1, 3, …, 11`` or all of them."""
    steps = {after - before for before, after in pairwise(numbers)}
    if steps == {1}:
        return f"{numbers[0]}–{numbers[-1]}"
    if len(steps) == 1 and len(numbers) > 3:
        return f"{numbers[0]}, {numbers[1]}, …, {numbers[-1]}"
    return ", ".join(map(str, numbers))


def _growth(sections: list[Section], tokens: int) -> str:
    roles = {stage.role: stage for section in sections for stage in section.stages}
    if "memory" in roles:
        return "in step with the number of tokens"
    if "scores" not in roles:
        return ""
    if roles["scores"].shape[-2:] == (tokens, tokens):
        return "with the square of the number of tokens"
    return "with the number of tokens times how many of them each one sees"
