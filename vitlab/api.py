"""vitlab from Python, in a notebook say: compose a config, build its model, load a finished run.

Each does what the command line does, and says the same ``VitlabError`` when it is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.singleton import Singleton
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf, open_dict
from omegaconf.errors import OmegaConfBaseException

from vitlab.config.build import build
from vitlab.config.command import explain
from vitlab.config.compose import HYDRA_VERSION_BASE, conf_dir, register_resolvers, resolved
from vitlab.config.rules import refuse_illegal
from vitlab.errors import VitlabError
from vitlab.sweeps.budget import fit_budget, settle_budget
from vitlab.tracking.records import Row, rows_of
from vitlab.trained import choose, load_trained

if TYPE_CHECKING:  # torch is imported only once there is a model
    from torch import nn

_OF_A_COMMAND = ("sweep", "resume", "hydra", "--")  # what starts runs, and is no setting of one


def compose(*overrides: str) -> DictConfig:
    """The config of ``python -m vitlab.train OVERRIDES``, with nothing left to resolve.

    A ``budget`` of parameters or FLOPs is spent: its width stands in ``model.embed_dim``.

    >>> config = compose("model=vit_tiny", "data=cifar10", "model.depth=6")
    >>> config.model.depth
    6

    Args:
        overrides: what would be typed, one string each.

    Raises:
        VitlabError: there is no such option or key, or a setting is illegal; in the words of the command line.
    """
    for override in overrides:
        if not isinstance(override, str):
            raise VitlabError(f"{override!r} is not an override; write compose('model=vit_tiny', 'model.depth=6')")
        if override.lstrip("+~").startswith(_OF_A_COMMAND):
            raise VitlabError(f"{override} is for the command line: a config is that of one new run; leave it out")
    register_resolvers()
    hydra_s = Singleton.get_state()  # of a program that runs under Hydra itself
    GlobalHydra.instance().clear()
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base=HYDRA_VERSION_BASE):
            config = hydra.compose("train", list(overrides))
        return _settled(config, list(overrides))
    except (HydraException, OmegaConfBaseException) as error:
        raise VitlabError(explain(error, "train", overrides)) from error
    finally:
        Singleton.set_state(hydra_s)


def _settled(config: DictConfig, overrides: list[str]) -> DictConfig:
    with open_dict(config):
        del config["sweep"]  # of many runs, and not of one
    if str(config.budget).startswith("time:"):
        raise VitlabError(f"budget={config.budget} is measured when a run begins; try trainer.max_steps")
    settle_budget(config, overrides)
    refuse_illegal(resolved(config), overrides)
    fit_budget(config, overrides)
    return resolved(config)


def build_model(config: DictConfig, allow_targets: Sequence[str] = ()) -> "nn.Module":
    """The model of ``config`` on the CPU, with the weights that its run would begin with.

    torch's own generator is left as it was.

    >>> model = build_model(compose("model=vit_tiny", "data=cifar10"))
    >>> sum(parameter.numel() for parameter in model.parameters())
    5362762

    Args:
        config: as ``compose`` or a run gives it.
        allow_targets: packages of your own that it may name, besides those in its ``allow_targets``.

    Raises:
        VitlabError: a part is refused.
    """
    import torch

    allow = [*config.get("allow_targets", ()), *allow_targets]
    if "num_classes" in config.data and config.data.num_classes is None:  # a folder of images, to be read for it
        config = config.copy()
        config.data.num_classes = build(config, "data", allow).spec.num_classes
        if "num_classes" in config.model and config.model.num_classes is None:
            config.model.num_classes = config.data.num_classes
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model: nn.Module = build(config, "model", allow)
    return model


@dataclass(frozen=True)
class LoadedRun:
    """A run as its folder has it.

    Args:
        model: on the CPU, in eval mode; with the averaged weights where the run averages them.
        config: all its settings.
        metrics: a row of figures for each time that it logged, oldest first; ``pandas.DataFrame(metrics)`` is a table.
        summary: its status, best and final figures, and what it cost.
        class_names: in the order of the model's answers.
        step: after which the weights were saved.
        path: its folder.
    """

    model: "nn.Module" = field(repr=False)
    config: DictConfig = field(repr=False)
    metrics: list[Row] = field(repr=False)
    summary: dict[str, object]
    class_names: tuple[str, ...]
    step: int
    path: Path


def load_run(path: str | Path, checkpoint: str = "best", allow_targets: Sequence[str] = ()) -> LoadedRun:
    """A run with its trained model, from nothing but its folder.

    >>> run = load_run("outputs/2026-11-23/10-00-00-123456")
    >>> run.summary["test_accuracy"], [row["val/loss"] for row in run.metrics if "val/loss" in row]

    Args:
        path: the folder of the run.
        checkpoint: ``best`` or ``last``.
        allow_targets: packages of your own that its config may name; what its folder says of that does not count.

    Raises:
        VitlabError: there is no such run or checkpoint, or it cannot be read.
    """
    run = choose(OmegaConf.create({"run": str(path), "checkpoint": checkpoint}))
    trained = load_trained(run, checkpoint, allow_targets)
    return LoadedRun(
        model=trained.model,
        config=trained.settings,
        metrics=rows_of(run.path),
        summary=run.read_summary(),
        class_names=trained.class_names,
        step=trained.step,
        path=run.path,
    )
