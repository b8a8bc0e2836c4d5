"""The validation that a run is judged by."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Best:
    """Highest validation accuracy (a fraction), the earliest of equals, with its loss (nats) and step."""

    accuracy: float = -1.0
    loss: float = float("inf")
    step: int = 0
