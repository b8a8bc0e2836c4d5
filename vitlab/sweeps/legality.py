"""Which jobs of a sweep can be run at all: known before the first of them begins."""

import copy
import json
from collections.abc import Sequence
from functools import cache

from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.config_loader import ConfigLoader
from hydra.core.object_type import ObjectType
from hydra.core.override_parser.overrides_parser import OverridesParser
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
        self._is_group = cache(lambda key: bool(loader.get_group_options(key, ObjectType.CONFIG)))
        self._parser = OverridesParser.create(config_loader=loader)
        # Most jobs of a sweep choose the same files and differ in values, or in their seed alone:
        self._of_choices: dict[tuple[str, ...], DictConfig] = {}  # what Hydra reads and merges for a job
        self._of_model: dict[str, VitlabError | None] = {}  # whether its model can be built

    def compose(self, overrides: Sequence[str]) -> DictConfig:
        """The config of a job with the width that its budget gives it.

        It is not resolved: of a folder of images some values are known only when the folder is read.

        Raises:
            VitlabError: it does not compose, or is illegal.
        """
        try:
            cfg = self._load(overrides)
        except (HydraException, OmegaConfBaseException) as error:
            raise VitlabError(explain(error, self._config_name, overrides)) from error
        settle_budget(cfg, overrides)
        values = resolved(cfg)
        refuse_illegal(values, list(overrides))
        refuse_teacher(values)
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

    def _load(self, overrides: Sequence[str]) -> DictConfig:
        """What Hydra composes of ``overrides``, without its own settings and the sweep's.

        A tenth of the time of ``load_configuration``, which reads some thirty files: they are read once for all jobs
        that choose the same ones, and values are set as Hydra sets them.
        """
        parsed = self._parser.parse_overrides(list(overrides))
        values = [o for o in parsed if not self._is_group(o.key_or_group)]
        choices = tuple(str(o.input_line) for o in parsed if o not in values)
        if choices not in self._of_choices:
            found = self._loader.load_configuration(self._config_name, list(choices), RunMode.RUN)
            with open_dict(found):
                del found["hydra"], found["sweep"]
            self._of_choices[choices] = found
        cfg = copy.deepcopy(self._of_choices[choices])
        of_a_job = [o for o in values if not o.key_or_group.startswith(("hydra.", "sweep."))]
        ConfigLoaderImpl._apply_overrides_to_config(of_a_job, cfg)
        return cfg

    def _try_model(self, cfg: DictConfig) -> None:
        """Build the model of ``cfg``, unless one like it was built before."""
        cfg = resolved(cfg)
        if cfg.model.get("num_classes", 0) is None:  # counted in a folder of images when the run begins
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
