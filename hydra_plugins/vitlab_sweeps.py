"""vitlab's launchers and sweepers, where Hydra looks for its plugins. Read by every command, so nothing heavy here."""

from collections.abc import Sequence
from typing import Any

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from vitlab.errors import VitlabError


class SweepLauncher(Launcher):
    """Runs the jobs of a sweep in an engine; its settings are those of ``hydra.launcher``."""

    engine = ""

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from vitlab.sweeps.launch import launch

        return launch(self.engine, self.settings, self._config, self._context, job_overrides, initial_job_idx)


class LocalLauncher(SweepLauncher):
    """Processes of this machine."""

    engine = "local"


class SlurmLauncher(SweepLauncher):
    """Jobs of a Slurm cluster."""

    engine = "slurm"


class RayLauncher(SweepLauncher):
    """Tasks of a Ray cluster."""

    engine = "ray"


class _Sweeper(Sweeper):
    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self._context, self._config = hydra_context, config
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )


class CombinationsSweeper(_Sweeper):
    """Goes through lists, grids, zipped lists and explicit combinations."""

    def sweep(self, arguments: list[str]) -> None:
        from vitlab.sweeps.sweepers import sweep

        sweep(self._launcher, self._config, self._context, arguments)


class OptunaSweeper(_Sweeper):
    """Searches, with the settings of ``hydra.sweeper``."""

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    def sweep(self, arguments: list[str]) -> None:
        from vitlab.sweeps.sweepers import search

        if not isinstance(self._launcher, SweepLauncher):
            raise VitlabError("hydra/sweeper=optuna runs with hydra/launcher=local, slurm or ray")
        search(self._launcher, self._config, self._context, arguments, self._settings)
