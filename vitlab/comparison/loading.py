"""Runs as they lie in their folders."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vitlab.config import saved
from vitlab.errors import VitlabError, did_you_mean
from vitlab.runs import RunFolder, read_sweep

Row = dict[str, float | str | None]


@dataclass
class Run:
    """A finished run.

    Args:
        path: its folder.
        name: its folder's name, made longer where two runs share it.
        config: its settings by dotted key.
        typed: what its command line set, by key (``model.depth``, ``model/attention``).
        figures: the numbers of its summary.
        rows: of its figures, oldest first.
    """

    path: Path
    name: str
    config: dict[str, Any]
    typed: dict[str, str]
    figures: dict[str, float]
    rows: list[Row] = field(repr=False)

    @property
    def seed(self) -> Any:
        """The seed that it was trained with."""
        return self.config.get("seed")

    def curve(self, key: str, over: str = "epoch") -> tuple[list[float], list[float]]:
        """The column ``key`` of its rows against the column ``over``, where both are there."""
        both = [(row.get(over), row.get(key)) for row in self.rows]
        points = [(x, y) for x, y in both if isinstance(x, int | float) and isinstance(y, int | float)]
        return [x for x, _ in points], [y for _, y in points]


@dataclass
class Loaded:
    """The finished runs, and the folders that hold something else, with the reason."""

    runs: list[Run]
    left_out: list[tuple[str, str]]


def load(folders: Sequence[Path]) -> Loaded:
    """Every run in and below ``folders``.

    Raises:
        VitlabError: a folder is not there, or none of them holds a finished run.
    """
    for folder in folders:
        if not folder.is_dir():
            siblings = [p.name for p in folder.parent.iterdir()] if folder.parent.is_dir() else []
            raise VitlabError(f"{folder}: there is no such folder{did_you_mean(folder.name, siblings)}")
    runs: list[Run] = []
    left_out: list[tuple[str, str]] = []
    for path in dict.fromkeys(path for folder in folders for path in _run_folders(folder)):
        try:
            run = _read(RunFolder(path))
        except (VitlabError, OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            left_out.append((path.name, f"cannot be read: {error}"))
            continue
        status = RunFolder(path).status()
        if status == "done":
            runs.append(run)
        else:
            left_out.append((path.name, str(RunFolder(path).read_summary().get("error") or status)))
    left_out += [entry for folder in folders for entry in _not_begun(folder)]
    if not runs:
        why = "; ".join(f"{name}: {reason}" for name, reason in left_out[:3])
        told = " ".join(map(str, folders))
        raise VitlabError(f"{told}: there is no finished run to compare{f' ({why})' if why else ''}")
    _name_apart(runs)
    return Loaded(runs, left_out)


def _run_folders(folder: Path) -> Iterator[Path]:
    found = (path.parent for path in folder.rglob("config.yaml"))  # W&B's own folders have one too
    yield from sorted((path for path in found if RunFolder(path).summary.exists()), key=_natural)


def _natural(path: Path) -> list[Any]:
    """So that job 10 comes after job 9."""
    number = path.name.partition("-")[0]
    return [str(path.parent), int(number) if number.isdigit() else -1, path.name]


def _read(folder: RunFolder) -> Run:
    settings = saved.load(folder)
    typed = dict(override.lstrip("+~").partition("=")[::2] for override in saved.load_overrides(folder))
    summary = folder.read_summary()
    figures = {key: float(value) for key, value in summary.items() if _is_number(value)}
    rows = folder.path / "metrics.jsonl"
    lines = rows.read_text().split("\n")[:-1] if rows.exists() else []  # the last may be torn
    plain = OmegaConf.to_container(settings, resolve=True)
    return Run(folder.path, folder.path.name, dict(_flat(plain)), typed, figures, [json.loads(line) for line in lines])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _flat(value: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _flat(inner, f"{prefix}.{key}" if prefix else str(key))
    else:
        yield prefix, value


def _not_begun(folder: Path) -> Iterator[tuple[str, str]]:
    """Jobs of a sweep that left no run: illegal ones, and those that were never started."""
    try:
        jobs = read_sweep(folder)["jobs"]
    except (OSError, ValueError, LookupError, TypeError):
        return
    for job in jobs:
        if isinstance(job, dict) and not (folder / str(job.get("folder")) / "config.yaml").exists():
            state = job.get("state")
            reason = "its config.yaml is gone" if state == "done" else job.get("reason") or state
            yield str(job.get("folder")), str(reason)


def _name_apart(runs: list[Run]) -> None:
    """Give runs of different folders that share a name more of their path."""
    for parts in (2, 3, 4):
        names = [run.name for run in runs]
        for run in runs:
            if names.count(run.name) > 1:
                run.name = "/".join(run.path.parts[-parts:])
