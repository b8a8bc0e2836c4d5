"""A comparison in sentences: which differences are real, and which are within noise."""

import math

from vitlab.comparison.comparing import Comparison
from vitlab.comparison.effects import Effect, main_effects
from vitlab.comparison.statistics import Difference, difference

_METHOD = {
    "t": "intervals are 95 %, Student's t over seeds",
    "bootstrap": "intervals are 95 %, BCa bootstrap over seeds (too narrow below about ten)",
}


def sentences(comparison: Comparison) -> list[str]:
    """For each key how its levels compare, then the best two settings, then what to bear in mind."""
    told, count = [], 0
    for effect in main_effects(comparison):
        told += (lines := _of_effect(comparison, effect))
        count += len(lines)
    if len(comparison.keys) > 1 and len(comparison.groups) > 1:
        told.append(_of_the_best(comparison))
        count += 1
    return told + _notes(comparison, count)


def _of_effect(comparison: Comparison, effect: Effect) -> list[str]:
    """The best level against each of the others."""
    best = max(effect.levels, key=lambda level: comparison.sign * effect.intervals[level].mean)
    others = [level for level in effect.levels if level != best]
    over = f", mean of {effect.cells} settings of the others" if effect.cells > 1 else ""
    mixed = "" if effect.balanced else "; no setting of the others has all values, so that their effect is mixed in"
    also = f" (with {', '.join(effect.key.also[:3])})" if effect.key.also else ""
    return [
        verdict(
            f"{effect.key.name}={best}",
            level,
            difference(effect.by_seed[best], effect.by_seed[level], comparison.method),
            comparison,
            over,
        )
        + also
        + mixed
        for level in others
    ]


def _of_the_best(comparison: Comparison) -> str:
    first, second = comparison.groups[:2]
    ahead = difference(first.metric, second.metric, comparison.method)
    return "best setting: " + verdict(comparison.label(first), comparison.label(second), ahead, comparison)


def verdict(ours: str, theirs: str, ahead: Difference, comparison: Comparison, over: str = "") -> str:
    """``depth=8 beats 4 by 1.3 ± 0.4 points (5 seeds, paired)``, or that it is within noise."""
    by = points(comparison.sign * ahead.interval.mean, ahead.interval.half, comparison)
    n = ahead.interval.n
    seeds = (
        f"{n} seed{'s' if n != 1 else ''}{', paired' if ahead.paired and n > 1 else ', not paired' if n > 1 else ''}"
    )
    if math.isnan(ahead.interval.half):
        return f"{ours} is ahead of {theirs} by {by} ({seeds}{over}): one seed tells no noise, run more"
    if not ahead.is_real:
        return f"{ours} against {theirs}: {by} is within noise ({seeds}{over}): run more seeds"
    return f"{ours} beats {theirs} by {by} ({seeds}{over})"


def points(value: float, half: float, comparison: Comparison) -> str:
    """``1.3 ± 0.4 points`` of a percentage, or the bare number of another metric."""
    factor, digits, unit = (100, ".1f", " points") if comparison.is_share else (1, ".3g", f" of {comparison.metric}")
    spread = "" if math.isnan(half) else f" ± {factor * half:{digits}}"
    return f"{factor * value:{digits}}{spread}{unit}"


def _notes(comparison: Comparison, count: int) -> list[str]:
    notes = [_METHOD[comparison.method]] if any(len(group.metric) > 1 for group in comparison.groups) else []
    if count > 1 and notes:
        notes.append(f"{count} comparisons were made: where nothing is different, 1 in 20 looks real all the same")
    if comparison.metric.startswith("test"):
        notes.append("chosen by a test figure: whoever picks the best of these has selected on the test split")
    return notes
