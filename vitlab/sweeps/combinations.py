"""Which jobs a sweep has: lists on the command line, and grids, zipped lists and explicit jobs of the config."""

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from hydra.core.override_parser.types import Override, Quote, QuotedString

from vitlab.errors import VitlabError

_PLAIN = re.compile(r"[A-Za-z_][\w./:-]*( [\w./:-]+)*", re.ASCII)
_NO_WORDS = ("true", "false", "null", "nan", "inf")

Choices = list[dict[str, str]]
"""Overrides by their key, one mapping for each way to go."""


def combinations(typed: Sequence[Override], sweep: Mapping[str, Any]) -> list[list[str]]:
    """The overrides of each job: every way of each axis with every way of the others.

    An axis is a list on the command line (``model.depth=4,8``), an entry of ``sweep.grid``, all of ``sweep.zip``, whose
    lists go side by side, or ``sweep.jobs``, which are taken as they stand.

    Args:
        typed: the command line; what it says of a key of ``sweep.grid`` counts in place of the grid's list.
        sweep: plain values of ``cfg.sweep``.

    Raises:
        VitlabError: a list that is none, zipped lists of different lengths, a key on two axes, a range without steps.
    """
    ours = [o for o in typed if not is_of_the_sweep(o)]
    by_key = {override.get_key_element(): override for override in ours}
    grid = {key: values for key, values in grid_of(sweep).items() if key not in by_key}
    axes: list[Choices] = [[{key: _written(key, value)} for value in values] for key, values in grid.items()]
    axes += [_zipped(_mapping(sweep, "zip"))] if sweep.get("zip") else []
    axes += [_listed(sweep["jobs"])] if sweep.get("jobs") else []
    axes += [_ways(override) for override in ours]
    _refuse_twice(axes)
    return [[text for way in ways for text in way.values()] for ways in product(*axes)]


def grid_of(sweep: Mapping[str, Any]) -> dict[str, list[Any]]:
    """The lists of ``sweep.grid`` by their dotted key.

    Raises:
        VitlabError: it holds something else.
    """
    return {key: _values(f"grid.{key}", values) for key, values in _mapping(sweep, "grid").items()}


def varied(jobs: Sequence[Sequence[str]]) -> list[list[str]]:
    """Of the overrides of each job, those that not all jobs share."""
    shared = set[str]().union(*jobs[:1]).intersection(*jobs)
    return [[text for text in job if text not in shared] for job in jobs]


def is_of_the_sweep(override: Override) -> bool:
    """Whether it speaks of the sweep itself and not of its jobs."""
    return override.key_or_group.split(".")[0] == "sweep"


def written(value: Any) -> str:
    """``value`` as Hydra reads it on a command line."""
    if isinstance(value, QuotedString):
        return value.with_quotes()
    if isinstance(value, str):
        is_plain = _PLAIN.fullmatch(value) and value.lower() not in _NO_WORDS
        return value if is_plain else QuotedString(value, Quote.single).with_quotes()
    if isinstance(value, list):
        return f"[{','.join(map(written, value))}]"
    if isinstance(value, dict):
        return f"{{{','.join(f'{key}:{written(inner)}' for key, inner in value.items())}}}"
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _written(key: str, value: Any) -> str:
    return f"{key}={written(value)}"


def _ways(override: Override) -> Choices:
    """One way for a plain override, one for each value of a list or range."""
    key = override.get_key_element()
    if not override.is_sweep_override():
        return [{key: override.input_line or ""}]
    if not override.is_discrete_sweep():
        hint = "a list as in model.depth=4,8 does, or hydra/sweeper=optuna, which searches in it"
        raise VitlabError(f"{override.input_line} has no steps to go through; {hint}")
    return [{key: _written(key, value)} for value in override.sweep_iterator()]


def _zipped(lists: dict[str, Any]) -> Choices:
    lengths = {key: len(_values(f"zip.{key}", values)) for key, values in lists.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{key} has {length}" for key, length in lengths.items())
        raise VitlabError(f"sweep.zip goes through its lists side by side, and they differ in length: {told}")
    rows = zip(*lists.values(), strict=True)
    return [{key: _written(key, value) for key, value in zip(lists, row, strict=True)} for row in rows]


def _listed(jobs: Any) -> Choices:
    if not isinstance(jobs, list) or not all(isinstance(job, dict) and job for job in jobs):
        hint = "as in sweep.jobs=[{model.depth:4,model.num_heads:2},{model.depth:8,model.num_heads:4}]"
        raise VitlabError(f"sweep.jobs is a list of combinations, {hint}")
    return [{key: _written(key, value) for key, value in job.items()} for job in jobs]


def _mapping(sweep: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = sweep.get(name) or {}
    if not isinstance(found, dict):
        raise VitlabError(f"sweep.{name}={found} holds no keys with lists, as in sweep.{name}={{model.depth:[4,8]}}")
    return dict(_flat(found))


def _flat(nested: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Lists by dotted key; ``{model: {depth: [4]}}`` is another way to write ``{model.depth: [4]}``."""
    for key, value in nested.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _values(key: str, values: Any) -> list[Any]:
    if not isinstance(values, list) or not values:
        raise VitlabError(f"sweep.{key}={values} is no list of values, as in [4,8]")
    return values


def _refuse_twice(axes: Sequence[Choices]) -> None:
    seen: set[str] = set()
    for axis in axes:
        keys = {key for way in axis for key in way}
        if twice := sorted(seen & keys):
            raise VitlabError(
                f"{twice[0]} is given twice: leave one out, on the command line or under sweep.zip, sweep.jobs"
            )
        seen |= keys
