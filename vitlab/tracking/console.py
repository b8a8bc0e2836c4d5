"""What a person sees of a run: a progress line on a terminal, plain sparse lines in a pipe, all of them in the log."""

import logging
import os
import time
import weakref
from collections.abc import Mapping
from typing import Any, TextIO

import rich.console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Column

from vitlab.duration import RunLength

_LOGGER = logging.getLogger("vitlab")
_SECONDS_BETWEEN_REFRESHES = 0.2
_WIDE = 100  # columns from which on there is room for a bar
_TRAIN_LINES = 20  # at most so many lines a run are owed to training figures alone


class Console:
    """Progress and words for a person. Every line goes to Python's logging too, under the name ``vitlab``.

    Args:
        length: how long the run is.
        stream: where to write, ``sys.stdout`` if None; whether it is a terminal decides how.
    """

    def __init__(self, length: RunLength, stream: TextIO | None = None) -> None:
        self._length = length
        self._out = _Out(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True)
        self._animated = self._out.is_terminal and not self._out.is_dumb_terminal
        self._progress: Progress | None = None
        self._refreshed = 0.0
        self._latest: dict[str, Any] = {}
        self._printed_step = -length.total_steps

    def log(self, row: Mapping[str, float | str]) -> None:
        """Show one row: at once if it holds a validation or a test, else now and then."""
        self._latest.update(row)
        step = int(row["step"])
        evaluated = any(key.startswith(("val/", "test/")) for key in row)
        if evaluated or step - self._printed_step >= self._length.total_steps / _TRAIN_LINES:
            self._printed_step = step
            self.say(describe(row, self._latest, self._length))

    def progress(self, step: int) -> None:
        """Move the progress line, a few times a second at most."""
        if not self._animated or time.monotonic() - self._refreshed < _SECONDS_BETWEEN_REFRESHES:
            return
        if self._progress is None:
            self._progress = self._start(step)
        self._progress.update(TaskID(0), completed=step, figures=self._figures(step), refresh=True)
        self._refreshed = time.monotonic()

    def say(self, message: str) -> None:
        """One sentence, above the progress line if there is one."""
        _LOGGER.info(message)
        self._out.print(message)

    def finish(self, summary: Mapping[str, Any], exit_code: int) -> None:
        """Take the progress line away and give the cursor back."""
        if self._progress is not None:
            self._restore()
            self._progress = None

    def _start(self, step: int) -> Progress:
        bar = [BarColumn(bar_width=20)] if self._out.width >= _WIDE else []
        progress = Progress(
            *bar,
            TimeRemainingColumn(table_column=Column(min_width=len("0:00:00"))),
            TextColumn("left  {task.fields[figures]}"),
            console=self._out,
            auto_refresh=False,
            transient=True,
        )
        progress.add_task("", total=self._length.total_steps, completed=step, figures=self._figures(step))
        progress.start()
        # Also runs at the interpreter's end, so that no exception leaves a terminal without a cursor.
        self._restore = weakref.finalize(self, progress.stop)
        return progress

    def _figures(self, step: int) -> str:
        epochs = -(-self._length.total_steps // self._length.steps_per_epoch)
        epoch = min(epochs, step // self._length.steps_per_epoch + 1)
        latest = self._latest
        parts = [f"epoch {epoch}/{epochs}", f"step {step}/{self._length.total_steps}"]
        parts += [f"loss {latest['train/loss']:.4f}"] if "train/loss" in latest else []
        parts += [f"val {latest['val/accuracy']:.2%}"] if "val/accuracy" in latest else []
        return "  ".join(parts + _shown(latest, ("images_per_second",)))


def describe(row: Mapping[str, Any], latest: Mapping[str, Any], length: RunLength) -> str:
    """One line for ``row``; training figures that it lacks are those of ``latest``."""
    epochs = length.total_steps / length.steps_per_epoch
    parts = [f"epoch {row['epoch']:.2f}/{epochs:g}", f"step {int(row['step'])}/{length.total_steps}"]
    parts += _shown(latest, ("train/loss",)) + _shown(row, ("val/loss", "val/accuracy", "test/loss", "test/accuracy"))
    return "  ".join(parts + _shown(latest, ("images_per_second",)))


def _shown(row: Mapping[str, Any], keys: tuple[str, ...]) -> list[str]:
    return [_figure(key, row[key]) for key in keys if key in row]


def _figure(key: str, value: float) -> str:
    if key == "images_per_second":
        return f"{value:,.0f} images/s"
    split, name = key.split("/")
    return f"{split} {name} {value:.2%}" if name == "accuracy" else f"{split} {name} {value:.4f}"


class _Out(rich.console.Console):
    def on_broken_pipe(self) -> None:
        """A reader that went away (``| head``) ends its lines, not the training as rich would have it."""
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
