"""Figures and words to all who keep them: the files first, the console and W&B beside them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from vitlab.tracking.console import Console
from vitlab.tracking.records import Records

_LOGGER = logging.getLogger("vitlab")


class Beside(Protocol):
    """Keeps figures beside the run folder; the run does not depend on it."""

    def log(self, row: Mapping[str, float | str]) -> None:
        """Keep one row."""

    def finish(self, summary: Mapping[str, Any], exit_code: int) -> None:
        """The run is over."""


class Fanout:
    """The tracker of a run. What goes wrong beside the files is said once and switched off, never raised.

    Args:
        records: the files, which the run does depend on.
        console: shows the run to a person.
        beside: further trackers, W&B say.

    Raises:
        OSError: from ``log`` and ``finish``, when the files cannot be written.
    """

    def __init__(self, records: Records, console: Console, beside: Sequence[Beside] = ()) -> None:
        self._records = records
        self._console = console
        self._working: list[Beside] = [console, *beside]

    def log(self, row: Mapping[str, float | str]) -> None:
        """Keep one row of plain numbers with its ``step``, ``epoch``, ``images_seen`` and ``seconds``."""
        self._records.log(row)
        for tracker in tuple(self._working):
            with self._switched_off_if_it_fails(tracker):
                tracker.log(row)

    def progress(self, step: int) -> None:
        """So many optimizer steps are done."""
        if self._console in self._working:
            with self._switched_off_if_it_fails(self._console):
                self._console.progress(step)

    def say(self, message: str) -> None:
        """One sentence for the console and the log."""
        if self._console in self._working:
            with self._switched_off_if_it_fails(self._console):
                self._console.say(message)
        else:
            _LOGGER.info(message)

    def finish(self, status: str, summary: Mapping[str, Any], exit_code: int) -> None:
        """End the run: summary.json and metrics.csv, then the others.

        Args:
            status: ``done``, ``failed`` or ``interrupted``.
            summary: best and final figures, cost; plain values.
            exit_code: of the process; W&B shows a run as failed if it is not 0.
        """
        try:
            self._records.write_summary({"status": status, **summary})
            self._records.write_csv()
        finally:
            for tracker in tuple(self._working):
                with self._switched_off_if_it_fails(tracker):
                    tracker.finish(summary, exit_code)

    @contextmanager
    def _switched_off_if_it_fails(self, tracker: Beside) -> Iterator[None]:
        try:
            yield
        except Exception as error:
            self._working.remove(tracker)
            self.say(f"{type(tracker).__name__} is switched off, the run goes on: {type(error).__name__}: {error}")
