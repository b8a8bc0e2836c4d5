"""What Hydra's two sweepers of vitlab do: go through all combinations, or search."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.utils import JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext
from omegaconf import DictConfig, OmegaConf

from vitlab.config.compose import plain
from vitlab.errors import VitlabError
from vitlab.sweeps import manifest as manifests
from vitlab.sweeps.combinations import combinations, is_of_the_sweep
from vitlab.sweeps.launch import make_executor, resumed, run
from vitlab.sweeps.legality import Legality
from vitlab.sweeps.manifest import Manifest

if TYPE_CHECKING:
    from hydra_plugins.vitlab_sweeps import SweepLauncher


def sweep(launcher: Launcher, config: DictConfig, context: HydraContext, arguments: list[str]) -> None:
    """Run all combinations that the command line and ``config.sweep`` describe, or only show the plan of them.

    Raises:
        VitlabError: the combinations contradict each other, or jobs failed.
        Interrupted: a signal stopped the sweep; its jobs have saved.
    """
    _refuse_unclear(config)
    settings = plain(config.sweep)
    typed = OverridesParser.create(config_loader=context.config_loader).parse_overrides(arguments)
    asks_for_jobs = settings["grid"] or settings["zip"] or settings["jobs"] or not all(map(is_of_the_sweep, typed))
    if settings["resume"] and not asks_for_jobs:
        manifest = manifests.read(Path(config.hydra.sweep.dir))
        if manifest.search is not None:
            how = shlex.join([*_sweeper_of(manifest.folder), *manifest.search])
            raise VitlabError(f"sweep.resume={settings['resume']} is a search; add what it was begun with: {how}")
        jobs = [job.overrides for job in manifest.jobs]
    else:
        jobs = combinations(typed, settings)
    if not jobs:
        raise VitlabError("the sweep has no job: one of its lists is empty")
    if settings["plan"]:
        from vitlab.sweeps.plan import show_plan

        show_plan(jobs, config, context)
        return
    returned = launcher.launch(jobs, 0)
    failed = sum(job.status == JobStatus.FAILED for job in returned)
    if failed:
        raise VitlabError(f"{failed} of {len(returned)} jobs failed")


def search(
    launcher: "SweepLauncher",
    config: DictConfig,
    context: HydraContext,
    arguments: list[str],
    settings: dict[str, Any],
) -> None:
    """Search in the ranges and lists of the command line, or go on with a search.

    Args:
        launcher: where the jobs run.
        config: of the sweep.
        context: Hydra's; composes the configs of jobs.
        arguments: the command line.
        settings: of ``hydra.sweeper``.

    Raises:
        VitlabError: there is nothing to search, Optuna is missing, or no job came to its end.
        Interrupted: a signal stopped the search; its jobs have saved.
    """
    try:
        from vitlab.sweeps.search import Trials
    except ImportError as error:
        raise VitlabError("hydra/sweeper=optuna needs Optuna: pip install 'vitlab[search]'") from error
    _refuse_unclear(config)
    if config.sweep.plan or config.sweep.retry:
        raise VitlabError("a search thinks of its jobs as it goes: it has no plan, and tries none twice")
    if not isinstance(settings["n_trials"], int) or settings["n_trials"] < 1:
        raise VitlabError(f"hydra.sweeper.n_trials={settings['n_trials']} is no whole number from 1 up; try 20")
    typed = OverridesParser.create(config_loader=context.config_loader).parse_overrides(arguments)
    wanted = [str(override.input_line) for override in typed if not is_of_the_sweep(override)]
    folder = Path(config.hydra.sweep.dir).absolute()
    if config.sweep.resume is None:
        manifest = Manifest(folder, search=wanted)
    else:
        manifest = resumed(folder, retry=False)
        _refuse_other_search(manifest, wanted)
    manifest.save()
    legality = Legality(context.config_loader, config.hydra.job.config_name)
    try:
        jobs = Trials(manifest, typed, plain(config.sweep), legality, **settings)
    except TypeError as error:
        raise VitlabError(f"hydra/sweeper=optuna: {error}") from error
    executor = make_executor(launcher.engine, launcher.settings, config, int(settings["n_trials"]))
    run(manifest, jobs, executor, config)
    if not manifest.by_state("done", "pruned"):
        raise VitlabError(f"none of the {len(manifest.jobs)} jobs came to its end")


def _refuse_unclear(config: DictConfig) -> None:
    for name in ("plan", "retry"):
        if not isinstance(config.sweep[name], bool):
            raise VitlabError(f"sweep.{name}={config.sweep[name]} is neither true nor false")


def _sweeper_of(folder: Path) -> list[str]:
    """What was typed of the sweeper when the search in ``folder`` began."""
    saved = folder / "multirun.yaml"
    if not saved.exists():  # its launcher died in its first moments
        return ["hydra/sweeper=optuna"]
    typed = OmegaConf.select(OmegaConf.load(saved), "hydra.overrides.hydra", default=[])
    return [override for override in typed if override.startswith(("hydra/sweeper", "hydra.sweeper"))]


def _refuse_other_search(manifest: Manifest, wanted: list[str]) -> None:
    begun = manifest.search
    if begun is None or sorted(begun) != sorted(wanted):
        was = " ".join(begun) if begun is not None else "no search"
        raise VitlabError(
            f"sweep.resume={manifest.folder} is another search: it was {was}; now it is {' '.join(wanted)}"
        )
