"""Which jobs of a sweep can be run at all: known before the first of them begins."""

import json
from collections.abc import Sequence

from hydra.core.config_loader import ConfigLoader
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from vitlab.analysis.skeleton import skeleton
from vitlab.config.command import explain
from vitlab.config.compose import resolved
from vitlab.config.rules import refuse_illegal
from vitlab.errors import VitlabError
from vitlab.sweeps.budget import fit_budget, parse_budget, settle_budget
from vitlab.teacher import refuse_teacher


class Legality:
    """Tells why a job is refused, or that it is not.

    Args:
        loader: composes configs.
        config_name: of the command that the jobs are.
    """

    def __init__(self, loader: ConfigLoader, config_name: str) -> None:
        self._loader, self._config_name = loader, config_name
        self._of_model: dict[
            str, VitlabError | None
        ] = {}  # jobs that differ in their seed alone have one model to build

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The config of a job, resolved, with the width that its budget gives it.

        Raises:
            VitlabError: it does not compose, or is illegal.
        """
        try:
            cfg = self._loader.load_configuration(self._config_name, list(overrides), RunMode.RUN)
            with open_dict(cfg):
                del cfg["hydra"], cfg["sweep"]
            cfg = resolved(cfg)
        except (HydraException, OmegaConfBaseException) as error:
            raise VitlabError(explain(error, self._config_name, overrides)) from error
        settle_budget(cfg, overrides)
        refuse_illegal(cfg, list(overrides))
        refuse_teacher(cfg)
        if cfg.budget is not None and parse_budget(cfg.budget, overrides).kind != "time":
            fit_budget(cfg, overrides)
        return cfg

    def compose_legal(self, overrides: Sequence[str]) -> DictConfig:
        """As ``compose``; besides, the model was built.

        Raises:
            VitlabError: it is refused.
        """
        cfg = self.compose(overrides)
        self._try_model(cfg)
        return cfg

    def refusal(self, overrides: Sequence[str]) -> str | None:
        """Why the job with these overrides cannot be run, or None if it can; its model is built to know."""
        try:
            self.compose_legal(overrides)
        except VitlabError as error:
            return str(error)
        return None

    def _try_model(self, cfg: DictConfig) -> None:
        """Build the model of ``cfg``, unless one like it was built before."""
        if cfg.model.get("num_classes", 0) is None:  # counted in a folder of images when the run begins
            cfg = cfg.copy()
            cfg.model.num_classes = 1
        key = json.dumps([OmegaConf.to_container(cfg.model), list(cfg.allow_targets)], sort_keys=True)
        if key not in self._of_model:
            try:
                skeleton(cfg)
                self._of_model[key] = None
            except VitlabError as error:
                self._of_model[key] = error
        if (refused := self._of_model[key]) is not None:
            raise refused
