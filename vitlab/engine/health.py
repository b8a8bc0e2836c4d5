"""Whether a model in training is well: a look inside it now and then, and what is wrong with it in words.

What a look finds is in ``inside`` and ``strides``, what is wrong in ``symptoms``;
``docs/health.md`` tells how to read it.
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from vitlab.engine.distributed import ALONE, World
from vitlab.engine.inside import look
from vitlab.engine.precision import Precision
from vitlab.engine.strides import Stride
from vitlab.engine.symptoms import When, dead_heads, symptoms

IMAGES = 8  # that are looked at, of all processes together
Row = dict[str, float | str]


class Health:
    """Looks at every so many steps. The run is the same to the bit with it and without it.

    In several processes each has one, and all look at the same steps.

    Args:
        every: steps from one look to the next, or None for no look at all.
        world: the processes.
    """

    def __init__(self, every: int | None, world: World = ALONE) -> None:
        self._every, self._world = every, world
        self._stride: Stride | None = None
        self.told: list[str] = []  # the kinds of warnings that this run has had, each once

    def due(self, step: int) -> bool:
        """Whether step number ``step``, from 1, is looked at."""
        return self._every is not None and step % self._every == 0

    @contextmanager
    def stride(self, step: int, model: nn.Module, grad_norm: Tensor) -> Iterator[None]:
        """The optimizer's part of step number ``step``; does nothing where none is due.

        Args:
            step: from 1.
            model: with the gradients that the optimizer will use.
            grad_norm: norm of the whole gradient before it was clipped.
        """
        if not self.due(step):
            yield
            return
        stride = Stride(model, grad_norm, self._world)
        yield
        stride.end()
        self._stride = stride

    def look(self, model: nn.Module, images: Tensor, counted: int, precision: Precision, when: When) -> Row:
        """The row of the step that was just done; empty if it was left out, or its gradient not finite.

        Args:
            model: with the weights after the step.
            images: [B, C, S, S], normalised: this process's share of the first ``IMAGES`` of the batch, one at least.
            counted: so many of them count; 0 where there was nothing to share.
            precision: how a step computes.
            when: the moment.

        Returns:
            Figures under ``health/``, and under ``health/warning`` the first that is wrong and was not said before.
        """
        stride, self._stride = self._stride, None
        moved = stride.read() if stride is not None else None
        if moved is None:
            return {}
        figures = {name: [number] for name, number in moved.items()}
        figures |= look(model, images, counted, precision, self._world)
        row: Row = {f"health/{name}": number for name, number in _of_row(figures).items()}
        if found := next(symptoms(figures, when, self.told), None):  # the others may follow from it
            kind, row["health/warning"] = found
            self.told.append(kind)
        return row


def _of_row(figures: Mapping[str, list[float]]) -> dict[str, float]:
    """One number for each figure, the mean of those of heads; of powers of heads the number of dead ones."""
    row = {name: sum(each) / len(each) for name, each in figures.items() if not name.endswith("/head_power")}
    if len(row) < len(figures):
        row["dead_heads"] = sum(map(len, dead_heads(figures).values()))
    return {name: number for name, number in row.items() if math.isfinite(number)}
