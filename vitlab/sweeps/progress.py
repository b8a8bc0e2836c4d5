"""How far a run has come, read from its folder alone: so it is the same for a job next door and one in a cluster."""

import json
from dataclasses import dataclass, field
from typing import Any

from vitlab.runs import RunFolder


@dataclass
class Progress:
    """The figures of a run that another process writes; ``update`` reads what has come since the last time."""

    run: RunFolder
    step: int = 0
    epoch: float = 0.0
    total_steps: int | None = None
    steps_per_epoch: int | None = None
    validations: list[tuple[int, float]] = field(default_factory=list)  # (step, accuracy), oldest first
    _read: int = 0

    def update(self) -> None:
        """Read the new rows; all of them again where the run went back to a checkpoint."""
        try:
            with (self.run.path / "metrics.jsonl").open("rb") as file:
                if file.seek(0, 2) < self._read:
                    self._read, self.step, self.epoch, self.validations = 0, 0, 0.0, []
                file.seek(self._read)
                new = file.read()
        except FileNotFoundError:
            return
        whole = new[: new.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            self._add(json.loads(line))
        if self.total_steps is None:
            begun = self.run.read_summary()
            self.total_steps, self.steps_per_epoch = begun.get("total_steps"), begun.get("steps_per_epoch")

    def _add(self, row: dict[str, Any]) -> None:
        self.step, self.epoch = int(row["step"]), row["epoch"]
        if row.get("val/accuracy") is not None:
            self.validations.append((self.step, row["val/accuracy"]))

    @property
    def best(self) -> float | None:
        """The best validation accuracy so far, a fraction."""
        return max((accuracy for _, accuracy in self.validations), default=None)

    def epochs(self) -> str:
        """Where the run stands, as ``3.5/60``."""
        if self.total_steps is None or not self.steps_per_epoch:
            return ""
        return f"{self.epoch:.1f}/{self.total_steps / self.steps_per_epoch:g}"
