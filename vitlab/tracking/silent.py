"""What a process keeps of a run whose figures and words another one keeps: nothing."""

from collections.abc import Mapping
from typing import Any


class Silent:
    """The tracker of every process but the first."""

    def log(self, row: Mapping[str, float | str]) -> None:
        """Keep nothing."""

    def progress(self, step: int) -> None:
        """Show nothing."""

    def say(self, message: str) -> None:
        """Say nothing."""

    def finish(self, status: str, summary: Mapping[str, Any], exit_code: int) -> None:
        """Leave nothing."""
