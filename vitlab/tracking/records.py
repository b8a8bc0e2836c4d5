"""The run folder's own record of its figures: metrics.jsonl while it runs, metrics.csv and summary.json at its end."""

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from vitlab.runs import RunFolder, write_json

_POSITION = ("step", "epoch", "images_seen", "seconds")


class Records:
    """The files that hold a run's figures.

    The system has every row when ``log`` returns, so that only a crash of the machine itself can lose one.

    Args:
        folder: the run folder, which exists.

    Raises:
        OSError: from every method, when the disk is full or the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._jsonl = folder / "metrics.jsonl"

    def log(self, row: Mapping[str, float]) -> None:
        """Append one row. Figures that are not finite become null, as JSON has no word for them."""
        line = json.dumps(_finite(dict(row)), allow_nan=False).encode() + b"\n"
        with self._jsonl.open("ab", buffering=0) as file:
            while line:  # a disk that is filling up may take a part first
                line = line[file.write(line) :]

    def rows(self) -> list[dict[str, float | None]]:
        """Every whole row so far, oldest first."""
        if not self._jsonl.exists():
            return []
        # What follows the last newline is nothing, or the torn row of a run that was killed.
        return [json.loads(line) for line in self._jsonl.read_text().split("\n")[:-1]]

    def truncate(self, count: int) -> None:
        """Keep the first ``count`` rows: a resumed run will write the others again. A torn last row goes too."""
        kept = self.rows()[:count]
        temporary = self._jsonl.with_name(self._jsonl.name + ".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
        temporary.replace(self._jsonl)

    def write_summary(self, summary: Mapping[str, Any]) -> None:
        """Replace summary.json whole: a reader sees the old one or the new one."""
        write_json(RunFolder(self._folder).summary, _finite(dict(summary)))

    def write_csv(self) -> None:
        """Write metrics.csv from the rows; its columns are all that any row has, the position first."""
        rows = self.rows()
        seen = dict.fromkeys(key for row in rows for key in row)
        columns = [key for key in _POSITION if key in seen] + [key for key in seen if key not in _POSITION]
        with (self._folder / "metrics.csv").open("w", newline="") as file:
            writer = csv.DictWriter(file, columns)
            writer.writeheader()
            writer.writerows(rows)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(inner) for inner in value]
    return value
