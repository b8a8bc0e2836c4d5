"""Where the configs lie, and the composed config as plain, resolved values."""

import os
import re
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vitlab.config.secrets import hidden_in
from vitlab.errors import VitlabError, first_line
from vitlab.runs import open_run, open_sweep

HYDRA_VERSION_BASE = "1.3"
RUN_FOLDER = "VITLAB_RUN_FOLDER"  # in the environment of several processes: the new folder of their run
_LONGEST_FOLDER_NAME = 120


@cache
def conf_dir() -> Path:
    """The folder of the configs: ``conf/`` beside the package in a checkout, inside the package in a wheel."""
    package = Path(__file__).resolve().parents[1]
    checkout = package.parent / "conf"
    return checkout if (checkout / "train.yaml").is_file() else package / "conf"


def register_resolvers() -> None:
    """Teach OmegaConf the functions that ``conf/`` uses for the names of folders."""
    OmegaConf.register_new_resolver("vitlab.run_folder", _run_folder, replace=True)
    OmegaConf.register_new_resolver("vitlab.sweep_folder", _sweep_folder, replace=True)
    OmegaConf.register_new_resolver("vitlab.folder_name", folder_name, replace=True)


def _run_folder(resume: str | None, new: str) -> str:
    """The folder of the run to go on with, or else the new one. Refused here, before Hydra makes the folder."""
    if resume is not None:
        return str(open_run("resume", resume).path)
    return os.environ.get(RUN_FOLDER, new)


def _sweep_folder(resume: str | None, new: str) -> str:
    """The folder of the sweep to go on with, or else the new one."""
    return new if resume is None else str(open_sweep("sweep.resume", resume))


def folder_name(overrides: str) -> str:
    """``overrides`` as one folder name: no secrets, no separators of paths, not too long for a file system."""
    return re.sub(r"[^\w.,=+-]", "-", hidden_in(overrides))[:_LONGEST_FOLDER_NAME]


def plain(node: Any) -> Any:
    """``node`` as plain lists and dicts; interpolations in it stay as they were typed."""
    return OmegaConf.to_container(node, resolve=False)


def resolved(cfg: DictConfig) -> DictConfig:
    """A copy of ``cfg`` in which every interpolation stands as its value.

    Raises:
        VitlabError: an interpolation leads nowhere, or a mandatory value (``???``) is missing.
    """
    try:
        copy = OmegaConf.create(OmegaConf.to_container(cfg, resolve=True, throw_on_missing=True))
    except OmegaConfBaseException as error:
        raise VitlabError(f"{error.full_key or 'the config'}: {first_line(error)}") from error
    assert isinstance(copy, DictConfig)
    return copy
