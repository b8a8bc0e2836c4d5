"""The stages of one block of a Vision Transformer, read from what happened while it ran."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from torch import nn

from vitlab.analysis.anatomy import Heading, Section, Sizes, Stage
from vitlab.analysis.teaching import formula_of, name_of, words_of
from vitlab.analysis.trace import FUSED, Event
from vitlab.models.drop import DropPath


@dataclass
class Book:
    """What is known of the model while its events are read.

    Args:
        watched: modules that are stages, by name.
        owned: parameters by the name of their module; taken out as they are given to a stage.
        sizes: what the letters of the sentences stand for.
    """

    watched: dict[str, nn.Module]
    owned: dict[str, int]
    sizes: Sizes

    def stage(self, event: Event, flops: int) -> Stage:
        """The stage of a module that has ended. One that runs twice holds its parameters once."""
        part, role = self.watched[event.path], event.path.rpartition(".")[2]
        words = words_of(role, part, self.sizes)
        parameters = self.owned.pop(event.path, 0)
        of_attention, of_branch = self.runs_in(event, "steps"), self.runs_in(event, "branch_scale")
        formula = formula_of(role, part)
        return Stage(role, name_of(role), formula, event.shape, parameters, flops, words, of_attention, of_branch)

    def runs_in(self, event: Event, mark: str) -> bool:
        """Whether the module began while one with the attribute ``mark`` was running, and no other within that."""
        return hasattr(self.watched.get(event.within), mark)

    def rest(self, parameters: int, flops: int) -> Iterator[Stage]:
        """What no stage has taken, if there is any."""
        if parameters or flops:
            yield Stage("rest", "the rest", "", (), parameters, flops, words_of("rest", None, self.sizes))


def ended(events: Iterable[Event]) -> Iterator[tuple[Event, list[Event]]]:
    """Each module that has ended, with the products that were its own since it last did."""
    own: dict[str, list[Event]] = {}
    for event in events:
        if event.function:
            own.setdefault(event.path, []).append(event)
        else:
            yield event, own.pop(event.path, [])


def flops_of(products: Iterable[Event]) -> int:
    """All of them together."""
    return sum(product.flops for product in products)


@dataclass
class _Reading:
    stages: list[Stage] = field(default_factory=list)
    branch: list[str] = field(default_factory=list)  # what has run since the last sum
    attention: Heading | None = None


def block_section(block: nn.Module, number: int, events: list[Event], book: Book) -> Section:
    """The section of one block.

    Args:
        block: the block.
        number: of the block, from 0.
        events: those of the block, in order.
        book: from which the parameters of its stages are taken.
    """
    reading = _Reading()
    for event, products in ended(events):
        part, role = book.watched[event.path], event.path.rpartition(".")[2]
        if event.path == f"blocks.{number}":
            reading.stages += book.rest(book.owned.pop(event.path, 0), flops_of(products))
        elif hasattr(part, "steps"):
            _attention(reading, part, event, _middle(events, event.path), products, book)
        elif isinstance(part, DropPath):
            added = reading.branch if _side_by_side(block) else reading.branch[-1:]
            reading.stages.append(_sum(book.stage(event, flops_of(products)), added, part.branch_scale))
            reading.branch = []
        else:
            reading.stages.append(book.stage(event, flops_of(products)))
            reading.branch += [name_of(role)] if role in ("attn", "mlp") else []
    heading = Heading("Block", formula_of("block", block), words_of("block", block, book.sizes))
    return Section(heading, tuple(reading.stages), (number + 1,), reading.attention, _side_by_side(block))


def _side_by_side(block: nn.Module) -> bool:
    return bool(getattr(block, "side_by_side", False))


def _middle(events: list[Event], path: str) -> int:
    """How many modules of the attention ``path`` end before it takes the first product of its own."""
    before = 0
    for event in events:
        if event.path == path:
            break
        before += not event.function and event.path.startswith(f"{path}.")
    return before


def _attention(reading: _Reading, part: Any, event: Event, middle: int, products: list[Event], book: Book) -> None:
    """Put the steps between the attention's layers where they were taken, and note its heading."""
    inside = sum(stage.of_attention for stage in reading.stages)
    at = len(reading.stages) - inside
    steps = reading.stages[at:]
    steps[middle:middle] = _steps(part, event, products, book)
    of_branch = book.runs_in(event, "branch_scale")
    reading.stages[at:] = [replace(step, of_branch=of_branch) for step in steps]
    reading.branch.append("attention")
    role = event.path.rpartition(".")[2]
    reading.attention = Heading(type(part).__name__, formula_of(role, part), words_of(role, part, book.sizes))


def _steps(part: Any, event: Event, products: list[Event], book: Book) -> Iterator[Stage]:
    """Scores, softmax, mixing, or what the attention has in their place; what it holds itself goes to the first."""
    names = [name for name, _ in part.steps]
    taken = _taken([name for name in names if name != "softmax"], products)
    fused = next((product for product in products if product.function == FUSED), None)
    parameters = book.owned.pop(event.path, 0)
    for name, formula in part.steps:
        flops, shape = taken.get(name, (0, ()))
        if fused is not None:
            shape = fused.shape if name == "mixing" else fused.scores
        if name == "scores":
            formula += " + B" if getattr(part.relation, "adds_bias", False) else ""
            formula += " + M" if part.pattern is not None else ""
        held, parameters = parameters, 0
        yield Stage(name, name_of(name), formula, shape, held, flops, words_of(name, None, book.sizes), True)


def _taken(names: list[str], products: list[Event]) -> dict[str, tuple[int, tuple[int, ...]]]:
    """FLOPs and shape of each step that is a product.

    A fused attention is one product for all steps: the scores and the mixing are as large as each other, for values
    are as wide as keys.
    """
    flops, shapes = dict.fromkeys(names, 0), dict[str, tuple[int, ...]]()
    for number, product in enumerate(products):
        if product.function == FUSED:
            for name in names:
                flops[name] += product.flops // len(names)
        else:
            name = names[number % len(names)]
            flops[name] += product.flops
            shapes.setdefault(name, product.shape)
    return {name: (flops[name], shapes.get(name, ())) for name in names}


def _sum(stage: Stage, branch: list[str], scale: float) -> Stage:
    """A shortcut, whose formula names what is added."""
    added = " + ".join(branch) or "branch"
    if scale != 1:
        added = f"{scale:.3g} · ({added})"
    return replace(stage, formula=f"x + {added}")
