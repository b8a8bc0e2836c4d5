"""Where jobs run: what the loop of a sweep needs of this machine, of Slurm, of Ray."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol


class Running(Protocol):
    """One job that was handed over."""

    @property
    def reference(self) -> str:
        """What finds the job again after the launcher has died: a Slurm job id, say; empty if nothing does."""

    def waiting(self) -> bool:
        """Whether the job stands in a queue of the engine and has not begun."""

    def exit_code(self) -> int | None:
        """The exit code of the job's command, or None while it waits or runs. Never blocks."""

    def stop(self) -> None:
        """Ask the job to save its checkpoint and end."""

    def kill(self) -> None:
        """End the job now."""


class Executor(Protocol):
    """Hands jobs over to something that runs them."""

    def room(self) -> bool:
        """Whether one more job may be handed over now."""

    def start(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> Running:
        """Hand one job over.

        Args:
            command: its command line.
            log: the file that takes its output, appended.
            environment: variables to add to its environment.
        """

    def attach(self, reference: str) -> Running | None:
        """The job that an earlier launcher handed over, or None if the engine knows it no more."""

    def close(self) -> None:
        """Nothing more will be started."""
