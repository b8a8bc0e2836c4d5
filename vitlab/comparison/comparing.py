"""What differs between runs, and the runs that differ in nothing but their seed as one."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from vitlab.comparison.loading import Loaded, Run
from vitlab.comparison.statistics import Interval, interval
from vitlab.errors import VitlabError, did_you_mean

# Settings that say where and how a run was done, and not what it is.
_NO_DIFFERENCE = (
    *("seed", "resume", "sweep", "tracker", "allow_targets", "allow_changed_data", "data.root", "data.num_workers"),
    *("trainer.device", "trainer.log_every", "trainer.save_every", "trainer.health_every", "hydra"),
)
_LESS_IS_BETTER = ("loss", "seconds", "parameters", "flops", "grad_norm")
_NO_METRICS = ("step", "epoch", "images_seen", "best_step", "test_images")


@dataclass(frozen=True)
class Key:
    """A setting in which the runs differ; ``also`` are those that change whenever it does, and cannot be told apart."""

    name: str
    also: tuple[str, ...] = ()

    @property
    def short(self) -> str:
        """Without the path in front."""
        return self.name.replace("/", ".").rpartition(".")[2]


@dataclass
class Group:
    """The runs of one setting, by their seeds.

    Args:
        values: of the keys, in their order, as text.
        runs: that have them.
        metric: for each seed the figure that is compared, the mean where a seed was run twice.
    """

    values: tuple[str, ...]
    runs: list[Run]
    metric: dict[Any, float]

    def figure(self, name: str) -> float | None:
        """The mean of a figure of their summaries."""
        found = [run.figures[name] for run in self.runs if name in run.figures]
        return sum(found) / len(found) if found else None


@dataclass
class Comparison:
    """Runs side by side.

    Args:
        runs: finished ones, each with the metric.
        keys: in which they differ.
        metric: the figure that is compared.
        method: of the intervals, ``t`` or ``bootstrap``.
        left_out: names and reasons of what could not be compared.
    """

    runs: list[Run]
    keys: list[Key]
    metric: str
    method: str
    left_out: list[tuple[str, str]] = field(default_factory=list)

    @property
    def sign(self) -> int:
        """1 where more of the metric is better, -1 where less is."""
        return -1 if any(word in self.metric for word in _LESS_IS_BETTER) else 1

    @property
    def is_share(self) -> bool:
        """Whether the metric is a fraction that people read as per cent."""
        return "accuracy" in self.metric

    @cached_property
    def groups(self) -> list[Group]:
        """Best first."""
        found: dict[tuple[str, ...], list[Run]] = {}
        for run in self.runs:
            found.setdefault(tuple(value_of(run, key) for key in self.keys), []).append(run)
        groups = [Group(values, runs, _by_seed(runs, self.metric)) for values, runs in found.items()]
        return sorted(groups, key=lambda group: -self.sign * self.interval(group).mean)

    def interval(self, group: Group) -> Interval:
        """The metric of a group, over its seeds."""
        return interval(list(group.metric.values()), self.method)

    def levels(self, key: Key) -> list[str]:
        """The values of ``key``, numbers by their size."""
        at = self.keys.index(key)
        return sorted({group.values[at] for group in self.groups}, key=as_sortable)

    def label(self, group: Group) -> str:
        """``depth=8 patch_size=2``."""
        pairs = zip(self.keys, group.values, strict=True)
        return " ".join(f"{key.short}={value}" for key, value in pairs) or group.runs[0].name


def compare(loaded: Loaded, metric: str = "val_accuracy", method: str = "t") -> Comparison:
    """The comparison of ``loaded`` by ``metric``: a figure of the summaries, or the last of a column as ``val/loss``.

    Raises:
        VitlabError: no run has the metric.
    """
    runs, left_out = [], list(loaded.left_out)
    for run in loaded.runs:
        if (value := _metric(run, metric)) is None:
            left_out.append((run.name, f"has no {metric}"))
        else:
            run.figures[metric] = value
            runs.append(run)
    if not runs:
        legal = sorted({name for run in loaded.runs for name in metrics_of(run)})
        raise VitlabError(
            f"metric={metric}: no run has it{did_you_mean(metric, legal)} (there are: {', '.join(legal)})"
        )
    return Comparison(runs, differing_keys(runs), metric, method, left_out)


def metrics_of(run: Run) -> list[str]:
    """What a run can be compared by."""
    columns = {key for row in run.rows for key in row if "/" in key and not key.startswith("health/")}
    return [name for name in (*run.figures, *sorted(columns)) if name not in _NO_METRICS]


def differing_keys(runs: Sequence[Run]) -> list[Key]:
    """The settings in which ``runs`` differ, apart from their seed; those that change together are one key.

    What was typed stands for what follows from it: ``model/attention`` for all settings of the attention.
    """
    typed = list(dict.fromkeys(name for run in runs for name in run.typed))
    names = [*typed, *dict.fromkeys(name for run in runs for name in run.config)]
    together: dict[tuple[int, ...], list[str]] = {}
    for name in dict.fromkeys(names):
        if name.startswith(_NO_DIFFERENCE):
            continue
        values = [value_of(run, Key(name)) for run in runs]
        if len(set(values)) > 1:
            order = list(dict.fromkeys(values))
            together.setdefault(tuple(order.index(value) for value in values), []).append(name)
    keys = [Key(same[0], tuple(_told_beside(same))) for same in together.values()]
    return [key for key in keys if not _follows_from_typed(key, keys, typed)]


def value_of(run: Run, key: Key) -> str:
    """The value of ``key`` in ``run``, as text; a dash where it has none."""
    if key.name in run.config:
        value = run.config[key.name]
        return value if isinstance(value, str) else json.dumps(value)
    return run.typed.get(key.name, "–")


def as_sortable(value: str) -> tuple[int, float, str]:
    """So that numbers come by their size, and before words."""
    try:
        return 0, float(value), value
    except ValueError:
        return 1, 0.0, value


def _told_beside(same: Sequence[str]) -> list[str]:
    """Of the names that change with the first, those that do not merely follow from it."""
    first = same[0].replace("/", ".")
    return [name for name in same[1:] if not name.replace("/", ".").startswith(f"{first}.") and "_target_" not in name]


def _follows_from_typed(key: Key, keys: Sequence[Key], typed: Sequence[str]) -> bool:
    """Whether a key that nobody typed lies inside a group that somebody chose."""
    if key.name in typed:
        return False
    chosen = [other.name.replace("/", ".") for other in keys if other.name in typed]
    return any(key.name.startswith(f"{group}.") for group in chosen)


def _metric(run: Run, metric: str) -> float | None:
    if metric in run.figures:
        return run.figures[metric]
    _, values = run.curve(metric)
    return values[-1] if values else None


def _by_seed(runs: Sequence[Run], metric: str) -> dict[Any, float]:
    by_seed: dict[Any, list[float]] = {}
    for run in runs:
        by_seed.setdefault(run.seed, []).append(run.figures[metric])
    return {seed: sum(values) / len(values) for seed, values in by_seed.items()}
