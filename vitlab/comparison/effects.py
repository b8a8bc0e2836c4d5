"""What each setting does by itself, all the others averaged; and what two do together."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from vitlab.comparison.comparing import Comparison, Group, Key
from vitlab.comparison.statistics import Interval, interval

Cells = dict[tuple[str, ...], dict[str, Group]]
"""For each setting of the others, the group of each level."""


@dataclass(frozen=True)
class Effect:
    """A key's main effect.

    Args:
        key: that was varied.
        levels: its values, numbers by their size.
        by_seed: for each level and seed the metric, averaged over the settings of all other keys.
        intervals: of each level, over its seeds.
        cells: how many settings of the others are averaged.
        balanced: whether each level was run with the same of them, so that nothing else is mixed in.
    """

    key: Key
    levels: list[str]
    by_seed: dict[str, dict[Any, float]]
    intervals: dict[str, Interval]
    cells: int
    balanced: bool


def main_effects(comparison: Comparison) -> list[Effect]:
    """One for each key. Where combinations are missing, only settings of the others that all levels share are used."""
    return [_main_effect(comparison, key) for key in comparison.keys]


def interactions(comparison: Comparison) -> list[tuple[Key, Key, dict[tuple[str, str], float]]]:
    """For each pair of keys, the mean of the metric at each pair of their levels, all others averaged."""
    found = []
    for first, second in combinations(comparison.keys, 2):
        at, beside = comparison.keys.index(first), comparison.keys.index(second)
        values: dict[tuple[str, str], list[float]] = {}
        for group in comparison.groups:
            mean = float(np.mean(list(group.metric.values())))
            values.setdefault((group.values[at], group.values[beside]), []).append(mean)
        found.append((first, second, {levels: float(np.mean(means)) for levels, means in values.items()}))
    return found


def _main_effect(comparison: Comparison, key: Key) -> Effect:
    levels, cells = comparison.levels(key), _cells(comparison, key)
    shared = {others: groups for others, groups in cells.items() if len(groups) == len(levels)}
    used = shared or cells
    by_seed = {level: _by_seed(used, level) for level in levels}
    means = {level: interval(list(by_seed[level].values()), comparison.method) for level in levels}
    return Effect(key, levels, by_seed, means, len(used), balanced=bool(shared))


def _cells(comparison: Comparison, key: Key) -> Cells:
    at, cells = comparison.keys.index(key), Cells()
    for group in comparison.groups:
        others = group.values[:at] + group.values[at + 1 :]
        cells.setdefault(others, {})[group.values[at]] = group
    return cells


def _by_seed(cells: Mapping[tuple[str, ...], Mapping[str, Group]], level: str) -> dict[Any, float]:
    """The mean over the cells of the level, for each seed that all of them have; over all seeds if there is none."""
    groups = [groups[level] for groups in cells.values() if level in groups]
    seeds = [seed for seed in groups[0].metric if all(seed in group.metric for group in groups)]
    if not seeds:
        return {None: float(np.mean([np.mean(list(group.metric.values())) for group in groups]))}
    return {seed: float(np.mean([group.metric[seed] for group in groups])) for seed in seeds}
