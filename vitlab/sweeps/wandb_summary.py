"""A sweep's last run at W&B: the comparison of all its jobs, as a table and pictures, in their group."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from vitlab.comparison import figures
from vitlab.comparison.comparing import Comparison, compare
from vitlab.comparison.loading import load
from vitlab.comparison.pareto import COSTS
from vitlab.comparison.words import sentences
from vitlab.config import saved
from vitlab.config.build import build
from vitlab.sweeps.manifest import Manifest, group_of

_JOB_TYPE = "summary"


def log_summary(manifest: Manifest, allow_targets: Sequence[str]) -> str | None:
    """Send the comparison of a sweep that is over to W&B, where its runs are tracked there.

    Args:
        manifest: of the sweep.
        allow_targets: what the tracker's config may build, beside vitlab's own.

    Returns:
        One sentence for the user; None where W&B is not used, or there is nothing to compare.
    """
    over = manifest.by_state("done", "pruned")
    if len(over) < 2:
        return None
    folder = manifest.folder / _JOB_TYPE
    try:
        settings = saved.load(manifest.run(over[0]))  # the jobs' own: a sweep goes on with fewer words than it began
        if OmegaConf.select(settings, "tracker._target_") != "vitlab.tracking.wandb.WandbTracker":
            return None
        settings.tracker.job_type = settings.tracker.name = _JOB_TYPE
        make = build(settings, "tracker", allow_targets)
        comparison = compare(load([manifest.folder]))
        folder.mkdir(exist_ok=True)
        return _send(comparison, folder, make, manifest)
    except Exception as error:  # of whatever kind: W&B never ends a sweep
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        return f"W&B has no summary of the sweep: {reason}"


def _send(comparison: Comparison, folder: Path, make: Callable[..., Any], manifest: Manifest) -> str | None:
    told: list[str] = []
    settings = {"metric": comparison.metric, "jobs": len(manifest.jobs), "states": _states(manifest)}
    tracker = make(folder, settings, group_of(manifest.folder), _JOB_TYPE, told.append)
    best = comparison.groups[0]
    try:
        tracker.log_media(_media(comparison, folder))
    finally:
        tracker.finish({comparison.metric: comparison.interval(best).mean, "best": comparison.label(best)}, 0)
    return f"summary of the sweep: {told[-1]}" if told else None


def _states(manifest: Manifest) -> dict[str, int]:
    return {state: len(manifest.by_state(state)) for state in {job.state for job in manifest.jobs}}


def _media(comparison: Comparison, folder: Path) -> dict[str, Any]:
    """What the run shows: one row a run in a table, the sentences, the pictures."""
    import wandb

    names = [name for name in (comparison.metric, "test_accuracy", *COSTS) if name in comparison.runs[0].figures]
    names = list(dict.fromkeys(names))
    table = wandb.Table(columns=["run", *(key.name for key in comparison.keys), "seed", *names])
    for group in comparison.groups:
        for run in group.runs:
            table.add_data(run.name, *group.values, run.seed, *(run.figures.get(name) for name in names))
    findings = wandb.Table(columns=["finding"], data=[[sentence] for sentence in sentences(comparison)])
    pictures = {path.stem: wandb.Image(str(path)) for path in figures.draw(comparison, folder)}
    return {"comparison": table, "findings": findings, **pictures}
