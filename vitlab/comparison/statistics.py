"""How sure a difference is: intervals over seeds, and differences between runs that share them."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
METHODS = ("t", "bootstrap")
_RESAMPLES = 9999


@dataclass(frozen=True)
class Interval:
    """A mean of ``n`` values with its 95 % interval, which there is from two values on.

    Args:
        mean: of the values.
        low, high: ends of the interval; both NaN for one value.
        n: how many values.
    """

    mean: float
    low: float
    high: float
    n: int

    @property
    def half(self) -> float:
        """Half the width of the interval."""
        return (self.high - self.low) / 2

    @property
    def excludes_zero(self) -> bool:
        """Whether the values speak for a mean above or below zero."""
        return self.low > 0 or self.high < 0


def interval(values: Sequence[float], method: str = "t") -> Interval:
    """Mean and 95 % interval of independent ``values``.

    Args:
        values: at least one.
        method: ``t``, Student's (1908), exact for normal values; or ``bootstrap``, bias-corrected and accelerated
            (Efron 1987), which assumes less and needs more values: below about ten it is too narrow.
    """
    n, mean = len(values), float(np.mean(values))
    if n < 2:
        return Interval(mean, math.nan, math.nan, n)
    if min(values) == max(values):
        return Interval(mean, mean, mean, n)
    if method == "t":
        half = float(stats.t.ppf((1 + CONFIDENCE) / 2, n - 1) * np.std(values, ddof=1) / math.sqrt(n))
        return Interval(mean, mean - half, mean + half, n)
    rng = np.random.default_rng(0)  # the same values always have the same interval
    found: Any = stats.bootstrap((values,), np.mean, confidence_level=CONFIDENCE, n_resamples=_RESAMPLES, rng=rng)
    return Interval(mean, float(found.confidence_interval.low), float(found.confidence_interval.high), n)


@dataclass(frozen=True)
class Difference:
    """How much one setting is ahead of another.

    Args:
        interval: of the difference.
        paired: whether it is that of runs with the same seed, which share their data order, or of two groups.
    """

    interval: Interval
    paired: bool

    @property
    def is_real(self) -> bool:
        """Whether zero lies outside of the interval."""
        return self.interval.excludes_zero


def difference(ours: Mapping[Any, float], theirs: Mapping[Any, float], method: str = "t") -> Difference:
    """``ours`` minus ``theirs``, values by seed.

    Paired over the seeds that both have where there are two at least; else between the groups, without the assumption
    of equal spreads (Welch 1947).
    """
    common = [seed for seed in ours if seed in theirs]
    if len(common) >= 2:
        return Difference(interval([ours[seed] - theirs[seed] for seed in common], method), paired=True)
    a, b = list(ours.values()), list(theirs.values())
    mean, n = float(np.mean(a) - np.mean(b)), min(len(a), len(b))
    if n < 2:
        return Difference(Interval(mean, math.nan, math.nan, n), paired=bool(common))
    half = _welch_half(a, b)
    return Difference(Interval(mean, mean - half, mean + half, n), paired=False)


def _welch_half(a: Sequence[float], b: Sequence[float]) -> float:
    """Half the interval of a difference of means, with Welch's degrees of freedom."""
    errors = [float(np.var(values, ddof=1)) / len(values) for values in (a, b)]  # squared, of each mean
    if sum(errors) == 0:
        return 0.0
    freedom = sum(errors) ** 2 / sum(error**2 / (len(v) - 1) for error, v in zip(errors, (a, b), strict=True))
    return float(stats.t.ppf((1 + CONFIDENCE) / 2, freedom) * math.sqrt(sum(errors)))
