"""What differs between two runs, in words: what was set, what follows from it, what came of it."""

import json
from collections.abc import Iterator
from typing import Any

from omegaconf import DictConfig

from vitlab.analysis.skeleton import skeleton
from vitlab.comparison.comparing import Comparison, Key, differing_keys, value_of
from vitlab.comparison.loading import Run
from vitlab.comparison.pareto import COSTS
from vitlab.config import saved
from vitlab.errors import VitlabError
from vitlab.runs import RunFolder

_SAME_SIZE = 0.005  # costs that differ by less are told as the same


def difference_in_words(first: Run, second: Run) -> list[str]:
    """Lines that tell ``second`` from ``first``."""
    keys = [name for key in differing_keys([first, second]) for name in (key.name, *key.also)]
    told = [f"{name}: {value_of(first, Key(name))} → {value_of(second, Key(name))}" for name in keys]
    told = told or ["no setting differs" if first.seed == second.seed else "no setting but the seed differs"]
    told += [f"seed: {first.seed} → {second.seed}"] if first.seed != second.seed else []
    told += [*_derived(first, second), *_origin(first, second), *_results(first, second)]
    return told


def _derived(first: Run, second: Run) -> Iterator[str]:
    tokens = (_tokens(first), _tokens(second))
    if None not in tokens and tokens[0] != tokens[1]:
        yield f"so tokens {tokens[0]} → {tokens[1]}"
    for figure, name in COSTS.items():
        if figure not in first.figures or figure not in second.figures:
            continue
        a, b = first.figures[figure], second.figures[figure]
        if abs(b - a) > _SAME_SIZE * max(abs(a), abs(b)):
            times = f" (x{b / a:.3g})" if a else ""
            yield f"so {name} {a:,.6g} → {b:,.6g}{times}"


def _origin(first: Run, second: Run) -> Iterator[str]:
    """Code, versions, device and data, where they are not the same."""
    a, b = (_provenance(run) for run in (first, second))
    for name in ("commit", "device"):
        if a.get(name) != b.get(name):
            yield f"{name}: {a.get(name)} → {b.get(name)}"
    if bool(a.get("uncommitted")) or bool(b.get("uncommitted")):
        yield "code: at least one ran with changes that were not committed (provenance.json has them)"
    for kind, title in (("versions", "version of "), ("hashes", "")):
        ours, theirs = a.get(kind) or {}, b.get(kind) or {}
        for name in sorted({*ours, *theirs}):
            if ours.get(name) != theirs.get(name):
                values = f"{ours.get(name)} → {theirs.get(name)}" if kind == "versions" else "are not the same images"
                yield f"{title}{name}: {values}"


def _results(first: Run, second: Run) -> Iterator[str]:
    for metric in ("val_accuracy", "test_accuracy"):
        if metric in first.figures and metric in second.figures:
            a, b = first.figures[metric], second.figures[metric]
            name = metric.replace("_", " ")
            yield f"{name} {a:.2%} → {b:.2%} ({100 * (b - a):+.2f} points; one run each tells no noise)"


def _tokens(run: Run) -> int | None:
    """Tokens of an image, of a model that tells."""
    settings: DictConfig = saved.load(RunFolder(run.path))
    settings.allow_targets = []  # what a stranger's folder may build is not for the folder to say
    try:
        layout: Any = getattr(skeleton(settings), "layout", None)
    except VitlabError:
        return None
    return int(layout.num_tokens) if layout is not None else None


def _provenance(run: Run) -> dict[str, Any]:
    try:
        found = json.loads(RunFolder(run.path).provenance.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def refuse_other_than_two(comparison: Comparison) -> tuple[Run, Run]:
    """The two runs of a comparison of two.

    Raises:
        VitlabError: there are more or fewer.
    """
    if len(comparison.runs) != 2:
        raise VitlabError(f"--diff tells two runs apart, and there are {len(comparison.runs)} in these folders")
    return comparison.runs[0], comparison.runs[1]
