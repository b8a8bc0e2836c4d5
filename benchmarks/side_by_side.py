"""Timing two ways of doing the same, in turns, so that a busy machine slows both alike."""

import platform
import time
from collections.abc import Callable
from statistics import median

import torch


def ratio(baseline: Callable[[], object], ours: Callable[[], object], rounds: int = 9) -> tuple[float, float, float]:
    """Median seconds of both, and the median of ``baseline / ours`` over the rounds; above 1, ours is faster."""
    baseline(), ours()
    slow, fast = [], []
    for _ in range(rounds):
        for times, run in ((slow, baseline), (fast, ours)):
            begin = time.perf_counter()
            run()
            times.append(time.perf_counter() - begin)
    return median(slow), median(fast), median(a / b for a, b in zip(slow, fast, strict=True))


def machine() -> str:
    """What it was measured on, in one line."""
    return f"{torch.get_num_threads()} threads, torch {torch.__version__}, Python {platform.python_version()}, CPU"
