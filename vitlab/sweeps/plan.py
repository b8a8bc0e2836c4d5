"""The plan of a sweep: every job, whether it can be run, and what it will cost. Nothing is trained."""

import heapq
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, TextIO

import rich.console
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf
from rich.progress import track
from rich.table import Table

from vitlab.config.compose import plain
from vitlab.errors import VitlabError
from vitlab.sweeps.budget import fit_budget
from vitlab.sweeps.combinations import varied
from vitlab.sweeps.legality import Legality

if TYPE_CHECKING:
    from vitlab.sweeps.forecast import Forecast

# What changes the figures of a run and not what it costs.
_FREE = ("seed", "tracker", "scheduler", "optimizer.lr", "optimizer.weight_decay", "objective.label_smoothing")
_WIDE = 160  # columns of a table that goes to no terminal
_COLUMNS = ("width", "tokens", "parameters", "FLOPs/image", "memory", "time")


@dataclass(frozen=True)
class Planned:
    """One job: what it will cost, or why it is not run."""

    overrides: Sequence[str]
    width: int | None = None
    cost: "Forecast | None" = None
    refusal: str | None = None


def show_plan(jobs: Sequence[Sequence[str]], config: DictConfig, context: HydraContext) -> None:
    """Print the plan of ``jobs``.

    Args:
        jobs: the command line of each.
        config: of the sweep.
        context: Hydra's; composes the configs of jobs.

    Raises:
        VitlabError: no job can be run, or ``sweep.illegal=refuse`` and one cannot.
    """
    at_once = _divide_machine(config, len(jobs))
    legality = Legality(context.config_loader, config.hydra.job.config_name)
    planned = list(plan(jobs, legality))
    show(planned, at_once)
    refused = [one for one in planned if one.refusal is not None]
    if refused and (len(refused) == len(planned) or config.sweep.illegal == "refuse"):
        raise VitlabError(f"{len(refused)} of {len(planned)} jobs cannot be run")


def plan(jobs: Sequence[Sequence[str]], legality: Legality) -> Iterator[Planned]:
    """What each job will cost; jobs that cost the same are measured once."""
    measured: dict[str, Forecast] = {}
    watched = track(jobs, "measuring", transient=True, disable=not sys.stdout.isatty())
    for overrides, own in zip(watched, varied(jobs), strict=True):
        try:
            cfg = legality.compose_legal(overrides)
            fit_budget(cfg, overrides)
            key = _key(cfg)
            if key not in measured:
                measured[key] = _cost(cfg)
            yield Planned(own, OmegaConf.select(cfg, "model.embed_dim"), cost=measured[key])
        except VitlabError as error:
            yield Planned(own, refusal=str(error))


def _cost(cfg: DictConfig) -> "Forecast":
    from vitlab.sweeps.forecast import forecast

    return forecast(cfg)


def show(planned: Sequence[Planned], at_once: int | None, stream: TextIO | None = None) -> None:
    """Print ``planned`` as a table, with the total below.

    Args:
        planned: the jobs.
        at_once: how many run at a time, or None where that is a cluster's business.
        stream: where to write, ``sys.stdout`` if None.
    """
    out = rich.console.Console(file=stream, markup=False, highlight=False, emoji=False)
    if not out.is_terminal:
        out.width = _WIDE
    keys = list(dict.fromkeys(override.split("=")[0] for job in planned for override in job.overrides))
    table = Table("job", *(key.rpartition(".")[2] for key in keys), *_COLUMNS)
    for column in table.columns:
        column.justify = "right"
    for number, job in enumerate(planned):
        values = dict(override.split("=", 1) for override in job.overrides)
        swept = (values.get(key, "") for key in keys)
        table.add_row(str(number), *swept, *_cells(job), style="dim" if job.refusal else None)
    out.print(table)
    for number, job in enumerate(planned):
        if job.refusal:
            out.print(f"illegal {' '.join([str(number), *job.overrides])}: {job.refusal}", soft_wrap=True)
    out.print(_total(planned, at_once), soft_wrap=True)


def _total(planned: Sequence[Planned], at_once: int | None) -> str:
    seconds = [job.cost.seconds for job in planned if job.cost is not None]
    illegal = len(planned) - len(seconds)
    words = [f"{len(planned)} jobs"] + ([f"{illegal} illegal, which are skipped"] if illegal else [])
    words += [f"{_time(sum(seconds))} of training and validation"]
    if at_once is not None:
        words += [f"about {_time(makespan(seconds, at_once))} with {at_once} at once"]
    return ", ".join(words) + "; nothing was trained"


def makespan(seconds: Sequence[float], at_once: int) -> float:
    """When the last job ends if each begins, in order, as soon as one of ``at_once`` places is free."""
    ends = [0.0] * at_once
    for duration in seconds:
        heapq.heapreplace(ends, ends[0] + duration)
    return max(ends)


def _divide_machine(config: DictConfig, jobs: int) -> int | None:
    """Jobs at once on this machine, whose threads are then what each of them will have; None for a cluster."""
    if not str(config.hydra.launcher._target_).endswith(".LocalLauncher"):
        return None
    import torch

    from vitlab.sweeps.local import LocalExecutor

    settings = {key: value for key, value in plain(config.hydra.launcher).items() if key != "_target_"}
    executor = LocalExecutor(jobs, **settings)
    torch.set_num_threads(executor.threads)
    return executor.limit


def _key(cfg: DictConfig) -> str:
    cfg = cfg.copy()
    for key in _FREE:
        if OmegaConf.select(cfg, key) is not None:
            OmegaConf.update(cfg, key, None, force_add=True)
    return json.dumps(plain(cfg), sort_keys=True)


def _cells(job: Planned) -> tuple[str, ...]:
    if job.cost is None:
        return ("", "", "", "", "", "illegal")
    cost = job.cost
    sizes = (str(job.width or ""), str(cost.tokens or ""), f"{cost.parameters:,}")
    return (*sizes, f"{cost.flops_per_image / 1e6:,.1f} M", f"{cost.memory / 2**20:,.0f} MiB", _time(cost.seconds))


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds))) if seconds >= 1 else f"{seconds:.1f} s"
