"""A comparison as pictures, whose titles say what is to be seen."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from vitlab.comparison.comparing import Comparison, Group
from vitlab.comparison.effects import Effect, interactions, main_effects
from vitlab.comparison.pareto import COSTS, front
from vitlab.comparison.statistics import difference
from vitlab.comparison.words import points
from vitlab.pictures import COLOURS, STYLE, saved, subplots

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_CURVES = len(COLOURS)
_MOST_PAIRS = 6
_LONGEST_NAME, _LONGEST_LEVEL = 60, 20
_MOST_ON_FRONT = 4
_LOG_FROM = 30  # so many times the least cost is the greatest


def draw(comparison: Comparison, folder: Path) -> list[Path]:
    """Write the pictures into ``folder``: curves, main effects, interactions, accuracy against cost."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        return [saved(figure, folder / f"{name}.png") for name, figure in _figures(comparison)]


def _figures(comparison: Comparison) -> Iterator[tuple[str, "Figure"]]:
    if any(run.curve("val/accuracy")[0] for run in comparison.runs):
        yield "curves", _curves(comparison)
    effects = main_effects(comparison)
    if effects:
        yield "effects", _effects(comparison, effects)
    if len(comparison.keys) > 1:
        yield "interactions", _interactions(comparison)
    if len(comparison.groups) > 1:
        yield "costs", _costs(comparison)


def _curves(comparison: Comparison) -> "Figure":
    """Validation accuracy by epoch: the mean of the seeds, and their range as a band."""
    figure, (axes,) = subplots(1, width=8, height=4.6)
    groups = comparison.groups
    shown = groups if len(groups) <= _MOST_CURVES else [*groups[: _MOST_CURVES - 1], groups[-1]]
    for colour, group in zip(COLOURS, shown, strict=False):
        epochs, mean, low, high = mean_curve(group)
        if len(epochs) == 0:
            continue
        axes.plot(epochs, 100 * mean, color=colour, lw=2, label=_name(comparison, group))
        axes.fill_between(epochs, 100 * low, 100 * high, color=colour, alpha=0.18, lw=0)
    axes.set(xlabel="epoch", ylabel="validation accuracy, %")
    rest = f"; the best {len(shown) - 1} and the worst of {len(groups)}" if len(shown) < len(groups) else ""
    best = f"{_name(comparison, groups[0])} ends best" if len(groups) > 1 else _name(comparison, groups[0])
    axes.set_title(f"{best}{rest}")
    axes.legend(loc="lower right", fontsize=10)
    axes.grid(alpha=0.25)
    return figure


def mean_curve(group: Group) -> tuple[Any, Any, Any, Any]:
    """Epochs at which all seeds of a group were validated; mean, least and greatest validation accuracy there."""
    curves = [dict(zip(*run.curve("val/accuracy"), strict=True)) for run in group.runs]
    epochs = sorted(set.intersection(*(set(curve) for curve in curves)))
    values = np.array([[curve[epoch] for epoch in epochs] for curve in curves])
    return np.array(epochs), values.mean(axis=0), values.min(axis=0), values.max(axis=0)


def _effects(comparison: Comparison, effects: list[Effect]) -> "Figure":
    figure, panels = subplots(len(effects))
    factor = 100 if comparison.is_share else 1
    for axes, effect in zip(panels, effects, strict=True):
        means = [factor * effect.intervals[level].mean for level in effect.levels]
        halves = [factor * np.nan_to_num(effect.intervals[level].half) for level in effect.levels]
        at = range(len(effect.levels))
        axes.errorbar(at, means, yerr=halves, color=COLOURS[0], marker="o", ms=7, lw=2, capsize=5)
        names = [_words(level, _LONGEST_LEVEL) for level in effect.levels]
        axes.set_xticks(at, names, rotation=30 if max(map(len, names)) > 8 else 0)
        axes.set(xlabel=effect.key.name, ylabel=_axis(comparison))
        axes.set_xlim(-0.4, len(effect.levels) - 0.6)
        axes.set_title(effect_title(comparison, effect))
        axes.grid(axis="y", alpha=0.25)
        _cut_to_possible(comparison, axes)
    return figure


def _cut_to_possible(comparison: Comparison, axes: "Axes") -> None:
    """Keep an interval that is wider than all accuracies there can be from pressing the points together."""
    if comparison.is_share:
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, 0), min(high, 100.5))


def effect_title(comparison: Comparison, effect: Effect) -> str:
    """What the panel shows, in a few words."""
    by_mean = sorted(effect.levels, key=lambda level: -comparison.sign * effect.intervals[level].mean)
    ahead = difference(effect.by_seed[by_mean[0]], effect.by_seed[by_mean[-1]], comparison.method)
    best, worst = (_words(level, _LONGEST_LEVEL) for level in (by_mean[0], by_mean[-1]))
    by = points(comparison.sign * ahead.interval.mean, ahead.interval.half, comparison)
    if math.isnan(ahead.interval.half):
        return f"{best} is ahead of {worst} by {by}\n(one seed)"
    return f"{best} beats {worst} by\n{by}" if ahead.is_real else f"{best} and {worst}: within noise\n({by})"


def _interactions(comparison: Comparison) -> "Figure":
    pairs = interactions(comparison)[:_MOST_PAIRS]
    figure, panels = subplots(len(pairs))
    factor = 100 if comparison.is_share else 1
    for axes, (first, second, means) in zip(panels, pairs, strict=True):
        levels = comparison.levels(first)
        for colour, other in zip(COLOURS, comparison.levels(second), strict=False):
            values = [factor * means.get((level, other), math.nan) for level in levels]
            axes.plot(
                range(len(levels)),
                values,
                color=colour,
                marker="o",
                lw=2,
                label=_words(f"{second.short}={other}", _LONGEST_NAME),
            )
        axes.set_xticks(range(len(levels)), [_words(level, _LONGEST_LEVEL) for level in levels])
        axes.set(xlabel=first.name, ylabel=_axis(comparison))
        axes.set_xlim(-0.4, len(levels) - 0.6)
        axes.set_title(f"{first.short} by {second.short}\nparallel lines: no interaction")
        axes.legend(fontsize=10)
        axes.grid(axis="y", alpha=0.25)
    return figure


def _costs(comparison: Comparison) -> "Figure":
    from matplotlib.ticker import EngFormatter

    known = [cost for cost in COSTS if all(group.figure(cost) is not None for group in comparison.groups)]
    figure, panels = subplots(max(1, len(known)))
    factor = 100 if comparison.is_share else 1
    means = [comparison.interval(group).mean for group in comparison.groups]
    for axes, cost in zip(panels, known, strict=False):
        costs = [group.figure(cost) or 0.0 for group in comparison.groups]
        best = front(list(zip(costs, means, strict=True)), comparison.sign)
        halves = [factor * np.nan_to_num(comparison.interval(group).half) for group in comparison.groups]
        values = [factor * mean for mean in means]
        axes.errorbar(costs, values, yerr=halves, fmt="o", color=COLOURS[6], ms=6, capsize=3, alpha=0.8)
        axes.plot([costs[i] for i in best], [values[i] for i in best], color=COLOURS[1], lw=2)
        for colour, i in zip(COLOURS, best[-_MOST_ON_FRONT:], strict=False):
            name = _name(comparison, comparison.groups[i])
            axes.plot(costs[i], values[i], "o", color=colour, ms=9, zorder=3, label=name)
        if min(costs) > 0 and max(costs) / min(costs) > _LOG_FROM:
            axes.set_xscale("log")
        else:
            axes.xaxis.set_major_formatter(EngFormatter(sep=""))
        axes.set(xlabel=COSTS[cost], ylabel=_axis(comparison))
        axes.set_title(_cost_title(comparison, cost, costs, best))
        axes.legend(loc="lower right", fontsize=10)
        axes.grid(alpha=0.25)
    return figure


def _cost_title(comparison: Comparison, cost: str, costs: list[float], best: list[int]) -> str:
    dearest = best[-1]
    if costs[dearest] < max(costs):
        return f"{_name(comparison, comparison.groups[dearest])}:\nmore {COSTS[cost].split(' of ')[0]} buy nothing"
    return f"{len(best)} of {len(costs)} settings are not beaten\nat their cost or less"


def _name(comparison: Comparison, group: Group) -> str:
    return _words(comparison.label(group), _LONGEST_NAME)


def _words(text: str, most: int) -> str:
    """``text`` as it stands, not as a formula, and no longer than a picture bears."""
    return (text if len(text) <= most else f"{text[: most - 1]}…").replace("$", r"\$")


def _axis(comparison: Comparison) -> str:
    return comparison.metric.replace("_", " ") + (", %" if comparison.is_share else "")
