"""Durations with units: ``5 epochs``, ``500 steps``, ``0.05 of run``, parsed once and turned into steps."""

import math
import re
from dataclasses import dataclass
from functools import lru_cache

_PATTERN = re.compile(r"(?P<amount>\d+(\.\d*)?|\.\d+)\s*(?P<unit>epochs?|steps?|of run)")
_EXAMPLES = "write it with its unit: '5 epochs', '500 steps' or '0.05 of run'"


@dataclass(frozen=True)
class RunLength:
    """How long a run is: ``total_steps`` optimizer steps, of which ``steps_per_epoch`` make an epoch."""

    total_steps: int
    steps_per_epoch: int


@dataclass(frozen=True)
class Duration:
    """An amount of training in one unit: ``epochs``, ``steps`` or ``of run``."""

    amount: float
    unit: str

    def steps(self, length: RunLength) -> int:
        """This duration in whole optimizer steps, rounded to the nearest."""
        size = {"epochs": length.steps_per_epoch, "steps": 1, "of run": length.total_steps}[self.unit]
        return math.floor(self.amount * size + 0.5)


@lru_cache
def parse(text: str) -> Duration:
    """Read ``text`` as a duration.

    Raises:
        ValueError: there is no unit, an unknown one, a fraction of a step, or more than the whole run.
    """
    match = _PATTERN.fullmatch(str(text).strip())
    if match is None:
        raise ValueError(f"{text!r} is not a duration; {_EXAMPLES}")
    amount, unit = float(match["amount"]), match["unit"]
    unit = unit if unit == "of run" else unit.rstrip("s") + "s"
    if unit == "of run" and amount > 1:
        raise ValueError(f"{text!r} is longer than the run; a share of the run lies between 0 and 1")
    if unit == "steps" and not amount.is_integer():
        raise ValueError(f"{text!r} is a part of a step; try '{round(amount)} steps'")
    return Duration(amount, unit)
