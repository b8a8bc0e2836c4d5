"""How fast training goes, validation and saving left out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Pace:
    """A stopwatch that counts images.

    Args:
        seconds: training time of earlier parts of the run.
    """

    def __init__(self, seconds: float = 0.0) -> None:
        self._before = seconds
        self._started = self._lap = time.perf_counter()
        self._images = 0
        self._paused = 0.0

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of the run so far, all of its parts together."""
        return self._before + time.perf_counter() - self._started

    def add(self, images: int) -> None:
        """Count images that were trained on."""
        self._images += images

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Do something that is not training."""
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._paused += time.perf_counter() - begin

    def lap(self) -> float:
        """Images a second of training since the last lap."""
        now = time.perf_counter()
        rate = self._images / max(1e-9, now - self._lap - self._paused)
        self._lap, self._images, self._paused = now, 0, 0.0
        return rate
