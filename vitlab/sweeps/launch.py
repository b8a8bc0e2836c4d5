"""A sweep from its command line to its end: the jobs, what is refused, the loop, what became of each."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from vitlab.errors import VitlabError
from vitlab.runs import SWEEP_FILE
from vitlab.sweeps import manifest as manifests
from vitlab.sweeps.combinations import varied
from vitlab.sweeps.executor import Executor
from vitlab.sweeps.legality import Legality
from vitlab.sweeps.loop import Jobs, Listed, Loop
from vitlab.sweeps.manifest import Job, Manifest, new_job
from vitlab.sweeps.table import SweepTable, report
from vitlab.sweeps.wandb_summary import log_summary

ENGINES = {"local": "LocalExecutor", "slurm": "SlurmExecutor", "ray": "RayExecutor"}
# What of Hydra's own settings is about the sweep; the rest is handed on to its jobs.
_OF_THE_SWEEP = ("hydra.mode", "hydra.sweep", "hydra.run", "hydra/launcher", "hydra.launcher", "hydra/sweeper")


def launch(
    engine: str,
    settings: dict[str, Any],
    config: DictConfig,
    context: HydraContext,
    job_overrides: Sequence[Sequence[str]],
    first: int,
) -> list[JobReturn]:
    """Run jobs in ``engine``, in the sweep's folder and with its manifest.

    Args:
        engine: a key of ``ENGINES``.
        settings: of its executor.
        config: of the sweep.
        context: Hydra's; composes the configs of jobs.
        job_overrides: the command line of each job.
        first: number of the first; jobs before it were launched by the same sweep earlier.

    Returns:
        For each job its best validation accuracy, or that it failed.

    Raises:
        VitlabError: another sweep is in the folder, a job is illegal and ``sweep.illegal=refuse``.
        Interrupted: a signal stopped the sweep; its jobs have saved.
    """
    manifest = _manifest(config, job_overrides, first)
    legality = Legality(context.config_loader, config.hydra.job.config_name)
    _settle_illegal(manifest, legality, config.sweep.illegal)
    waiting = manifest.by_state("pending", "interrupted")
    run(manifest, Listed(waiting), make_executor(engine, settings, config, len(waiting)), config)
    return [_returned(manifest, job) for job in manifest.jobs[first:]]


def run(manifest: Manifest, jobs: Jobs, executor: Executor, config: DictConfig) -> None:
    """Run ``jobs`` and tell of them; the manifest is saved before the first begins.

    Raises:
        Interrupted: a signal stopped the sweep; its jobs have saved.
    """
    manifest.save()
    OmegaConf.save(config, manifest.folder / "multirun.yaml")
    table = SweepTable(manifest)
    try:
        Loop(manifest, jobs, executor, partial(_command, _base(config), manifest), table.show).run()
    finally:
        table.close()
        manifest.save()
        report(manifest)
    if told := log_summary(manifest, config.allow_targets):
        print(told)


def make_executor(engine: str, settings: dict[str, Any], config: DictConfig, jobs: int) -> Executor:
    """The executor of ``engine`` with the settings of ``hydra.launcher``.

    Raises:
        VitlabError: a setting that it does not take or refuses.
    """
    make: Callable[..., Executor] = getattr(import_module(f"vitlab.sweeps.{engine}"), ENGINES[engine])
    submitted = Path(config.hydra.sweep.dir).absolute() / ".submitit"
    needs: dict[str, dict[str, Any]] = {"local": {"jobs": jobs}, "slurm": {"folder": submitted}, "ray": {}}
    try:
        return make(**needs[engine], **settings)
    except TypeError as error:
        raise VitlabError(f"hydra/launcher={engine}: {error}") from error


def _manifest(config: DictConfig, job_overrides: Sequence[Sequence[str]], first: int) -> Manifest:
    """The manifest of a new sweep, of one that goes on, or of one to which a sweeper adds jobs."""
    folder = Path(config.hydra.sweep.dir).absolute()
    if config.sweep.resume is not None:
        manifest = resumed(folder, retry=config.sweep.retry)
        manifest.refuse_other_jobs(job_overrides)
        return manifest
    if first == 0 and (folder / SWEEP_FILE).exists():
        hint = f"sweep.resume={folder} goes on with it, another hydra.sweep.dir starts afresh"
        raise VitlabError(f"{folder} holds a sweep already; {hint}")
    manifest = manifests.read(folder) if first else Manifest(folder)
    new = zip(job_overrides, varied(job_overrides), strict=True)
    manifest.jobs += [new_job(number, overrides, own) for number, (overrides, own) in enumerate(new, first)]
    return manifest


def resumed(folder: Path, retry: bool) -> Manifest:
    """The manifest of a sweep that goes on, its jobs as their run folders tell: what is not over is pending.

    Args:
        folder: of the sweep.
        retry: whether failed jobs are tried again.

    Raises:
        VitlabError: the manifest cannot be read.
    """
    manifest = manifests.read(folder)
    for job in manifest.by_state("pending", "running", "interrupted", *(["failed"] if retry else [])):
        _catch_up(manifest, job, retry)
    return manifest


def _catch_up(manifest: Manifest, job: Job, retry: bool) -> None:
    """Bring a job up to what its run folder says: its launcher may have died before it could note it."""
    run = manifest.run(job)
    status = run.status()
    if status == "done":
        job.state, job.reason = "done", None
    elif status == "failed" and not retry and not run.is_locked():
        job.state, job.reason = "failed", str(run.read_summary().get("error"))
    else:
        job.state = "pending"


def _settle_illegal(manifest: Manifest, legality: Legality, illegal: str) -> None:
    if illegal not in ("skip", "refuse"):
        raise VitlabError(f"sweep.illegal={illegal} is not one of skip, refuse")
    for job in manifest.by_state("pending"):
        if job.attempts == 0 and (reason := legality.refusal(job.overrides)) is not None:
            job.state, job.reason = "illegal", reason
    refused = manifest.by_state("illegal")
    if refused and len(refused) == len(manifest.jobs):
        reasons = " / ".join(dict.fromkeys(str(job.reason) for job in refused[:3]))
        raise VitlabError(f"none of the {len(refused)} jobs can be run: {reasons}")
    if refused and illegal == "refuse":
        told = "; ".join(f"job {job.name}: {job.reason}" for job in refused[:3])
        raise VitlabError(f"{len(refused)} of {len(manifest.jobs)} jobs are illegal, and nothing was begun: {told}")


def _base(config: DictConfig) -> list[str]:
    """What is the same in the command lines of all jobs."""
    sources = config.hydra.runtime.config_sources
    config_dirs = [f"--config-dir={source.path}" for source in sources if source.provider == "command-line"]
    handed_on = [o for o in config.hydra.overrides.hydra if not o.lstrip("+~").startswith(_OF_THE_SWEEP)]
    return [sys.executable, "-m", "vitlab.train", *config_dirs, *handed_on]


def _command(base: Sequence[str], manifest: Manifest, job: Job, goes_on: bool) -> list[str]:
    folder = str(manifest.run(job).path).replace("\\", "\\\\").replace("'", "\\'")
    return [*base, f"resume='{folder}'"] if goes_on else [*base, *job.overrides, f"hydra.run.dir='{folder}'"]


def _returned(manifest: Manifest, job: Job) -> JobReturn:
    if job.state == "failed":
        returned = JobReturn(overrides=job.overrides, status=JobStatus.FAILED)
        returned.return_value = VitlabError(f"job {job.name}: {job.reason}")
    else:
        returned = JobReturn(overrides=job.overrides, status=JobStatus.COMPLETED)
        returned.return_value = manifest.run(job).read_summary().get("val_accuracy")
    return returned
