"""The run folder's own record of its figures: metrics.jsonl while it runs, metrics.csv and summary.json at its end."""

import csv
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vitlab.errors import VitlabError
from vitlab.runs import RunFolder, write_json

_POSITION = ("step", "epoch", "images_seen", "seconds")
_CLOCK = ("seconds", "images_per_second")

Row = dict[str, float | str | None]


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

    def log(self, row: Mapping[str, float | str]) -> None:
        """Append one row. Figures that are not finite become null, as JSON has no word for them."""
        line = json.dumps(_finite(dict(row)), allow_nan=False).encode() + b"\n"
        with self._jsonl.open("ab", buffering=0) as file:
            while line:  # a disk that is filling up may take a part first
                line = line[file.write(line) :]

    def rows(self) -> list[Row]:
        """Every whole row so far, oldest first."""
        return rows_of(self._folder)

    def truncate(self, count: int) -> int:
        """Keep the first ``count`` rows: a resumed run will write the others again. A torn last row goes too.

        Returns:
            How many there are now; fewer than ``count`` where some are gone.
        """
        kept = self.rows()[:count]
        temporary = self._jsonl.with_name(self._jsonl.name + ".tmp")
        temporary.write_text("".join(json.dumps(row) + "\n" for row in kept))
        temporary.replace(self._jsonl)
        return len(kept)

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


def rows_of(folder: Path) -> list[Row]:
    """Every whole row of the run in ``folder``, oldest first.

    Raises:
        VitlabError: the file holds something else; the line is named.
    """
    path = folder / "metrics.jsonl"
    if not path.exists():
        return []
    rows = []
    # What follows the last newline is nothing, or the torn row of a run that was killed.
    for number, line in enumerate(path.read_bytes().split(b"\n")[:-1], start=1):
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict) or not isinstance(row.get("step"), int | float):
            raise VitlabError(f"{path}, line {number}, is no row of figures")
        rows.append(row)
    return rows


def first_difference(ours: Sequence[Row], theirs: Sequence[Row], names: tuple[str, str]) -> str | None:
    """Where the figures of two runs part, in words with the runs' ``names``; the clock's do not count.

    Returns:
        None if they are the same to the last digit.
    """
    for one, other in zip(ours, theirs, strict=False):
        for key in dict.fromkeys([*one, *other]):
            if key not in _CLOCK and one.get(key) != other.get(key):
                return f"at step {one['step']:.0f} {key} is {one.get(key)} {names[0]} and {other.get(key)} {names[1]}"
    if len(ours) != len(theirs):
        return f"there are {len(ours)} rows of figures {names[0]} and {len(theirs)} {names[1]}"
    return None
