"""The stages of a model as one page of HTML that needs nothing else: a drawing, then a card for each stage."""

import re
from itertools import groupby
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from vitlab import __version__
from vitlab.analysis import figures
from vitlab.analysis.anatomy import Anatomy, Section, Stage
from vitlab.analysis.facts import NOTE
from vitlab.analysis.teaching import LEARNED_TOKENS, LETTERS

_TEMPLATE = "stage_page.html.j2"
_MOST_CELLS = 14  # rows and columns of the grid in the drawing


def render(anatomy: Anatomy, facts: list[tuple[str, str]], title: str, command: str, grid_size: tuple[int, int]) -> str:
    """The page.

    Args:
        anatomy: of the model.
        facts: pairs of a heading and its sentences.
        title: of the page.
        command: that made it, shown at its foot.
        grid_size: rows and columns of patches.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"amount": figures.amount, "share": figures.share, "shape": figures.shape}
    environment.filters["formula"] = _formula
    sizes = anatomy.sizes
    return environment.get_template(_TEMPLATE).render(
        anatomy=anatomy,
        facts=facts,
        title=title,
        command=command,
        note=NOTE,
        version=__version__,
        letters=[(letter, sizes[letter], LETTERS[letter]) for letter in LETTERS if letter in sizes],
        grid=[min(_MOST_CELLS, number) for number in grid_size],
        grid_size=grid_size,
        prefix=sizes["T"] - sizes["N"],
        drawings=[_drawing(section) for section in anatomy.sections],
        share_of_section=lambda part, whole: part / whole if whole else 0.0,
    )


def _drawing(section: Section) -> dict[str, Any]:
    """A section as boxes: the runs of stages under a shortcut, with the sum in which it ends, and those outside."""
    parts: list[dict[str, Any]] = []
    for is_branch, run in groupby(section.stages, key=lambda stage: stage.of_branch):
        boxes = list(_boxes(list(run)))
        if parts and parts[-1]["is_branch"] and boxes[0]["kind"] == "sum":
            parts[-1]["boxes"].append(boxes.pop(0))
        if boxes:
            parts.append({"is_branch": is_branch, "boxes": boxes})
    for part in parts:
        part["lanes"] = _lanes(part["boxes"]) if section.side_by_side else []
    return {"section": section, "parts": parts}


def _lanes(boxes: list[dict[str, Any]]) -> list[list[dict[str, Any]]]:
    """What runs side by side: the attention's lane and the MLP's, taken out of ``boxes``; none if it has not both."""
    kinds = [box["kind"] for box in boxes]
    if "attention" not in kinds or "mlp" not in kinds:
        return []
    first, second = sorted((kinds.index("attention"), kinds.index("mlp")))
    end = kinds.index("sum") if "sum" in kinds else len(kinds)
    lanes = [boxes[first:second], boxes[second:end]]
    boxes[first:end] = [{"kind": "lanes", "name": "", "steps": []}]
    return lanes


def _formula(text: str) -> Markup:
    """A formula with what stands behind an underscore as an index."""
    return Markup(re.sub(r"_(\w+)", r"<sub>\1</sub>", str(escape(text))))  # noqa: S704 -- escaped


def _boxes(stages: list[Stage]) -> list[dict[str, Any]]:
    """A box for each stage; one for all steps of an attention."""
    boxes = []
    for of_attention, run in groupby(stages, key=lambda stage: stage.of_attention):
        if of_attention:
            boxes.append({"kind": "attention", "name": "attention", "steps": [stage.name for stage in run]})
        else:
            boxes += [{"kind": _kind(stage.role), "name": stage.name, "steps": []} for stage in run]
    return boxes


def _kind(role: str) -> str:
    """Which colour a stage has."""
    if role in ("attn", "mlp", "patch_embed", "drop_path"):
        return {"attn": "attention", "drop_path": "sum"}.get(role, role)
    if role.startswith("norm"):
        return "norm"
    if role in (*LEARNED_TOKENS, "position"):
        return "tokens"
    return "end" if role in ("pool", "head", "head_dist") else "other"
