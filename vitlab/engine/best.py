"""The validation that a run is judged by."""

import math
from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True)
class Best:
    """The highest validation accuracy so far; of equals the latest, which has trained longest.

    Args:
        accuracy: a fraction; below 0 before the first validation.
        loss: mean cross-entropy at the same step, in nats.
        step: whose weights they are.
        risen_at: step at which this accuracy was first reached; patience counts from here.
    """

    accuracy: float = -1.0
    loss: float = float("inf")
    step: int = 0
    risen_at: int = 0

    def after(self, accuracy: float, loss: float, step: int) -> Self:
        """The best once the validation of ``step`` is known; itself if that was worse, or its loss not finite."""
        if accuracy < self.accuracy or not math.isfinite(loss):
            return self
        return type(self)(accuracy, loss, step, risen_at=step if accuracy > self.accuracy else self.risen_at)
