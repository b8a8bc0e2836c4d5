"""From a composed config to a trainer with all its parts in their places."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from omegaconf import DictConfig, OmegaConf

from vitlab.analysis.cost import count_parameters, flops_per_image
from vitlab.config import saved
from vitlab.config.build import build, refusals_of
from vitlab.config.compose import resolved
from vitlab.config.rules import refuse_model_of_other_data
from vitlab.engine.checkpoint import Checkpoints
from vitlab.engine.contracts import StopSignal
from vitlab.engine.trainer import Parts, Trainer
from vitlab.optim.parameter_groups import apply_scales, parameter_groups
from vitlab.teacher import build_objective

if TYPE_CHECKING:
    from torch import nn

    from vitlab.engine.contracts import Optimizer


@dataclass
class Assembled:
    """A trainer, and what is known of its run before the first step."""

    trainer: Trainer
    settings: DictConfig  # resolved, with the number of classes that only the data could tell
    cost: dict[str, Any]  # parameters, FLOPs of an image
    hashes: dict[str, str]  # of the data, its splits and the teacher
    class_names: tuple[str, ...]


def assemble(cfg: DictConfig, checkpoints: Path, stop: StopSignal, begun: bool = False) -> Assembled:
    """Build everything that ``cfg`` names.

    Args:
        cfg: the composed config of ``train``.
        checkpoints: the folder for them.
        stop: tells the loop when to end.
        begun: whether the weights will come from a checkpoint, so that a file they first came from is not needed.

    Raises:
        VitlabError: a part or its setting is refused, or the data cannot be read.
    """
    allow = cfg.allow_targets
    data = build(resolved(cfg), "data", allow)
    if OmegaConf.select(cfg, "data.num_classes") is None:  # a folder of images knows it only now
        cfg.data.num_classes = data.spec.num_classes
    cfg = resolved(cfg)
    refuse_model_of_other_data(cfg)

    objective, teacher_hash = build_objective(cfg, allow)
    torch.manual_seed(cfg.seed)
    model = build(saved.from_checkpoint(cfg) if begun else cfg, "model", allow)
    make_optimizer = build(cfg, "optimizer", allow)

    def optimizer_for(model: "nn.Module") -> "Optimizer":
        with refusals_of("optimizer"):
            optimizer: Optimizer = make_optimizer(parameter_groups(model))
        apply_scales(optimizer)
        return optimizer

    parts = Parts(
        model=model,
        data=data,
        augment=build(cfg, "augment", allow),
        objective=objective,
        optimizer=optimizer_for,
        schedule=build(cfg, "scheduler", allow),
        checkpoints=Checkpoints(checkpoints),
        stop=stop,
    )
    cost = {
        "parameters": count_parameters(model),
        "flops_per_image": flops_per_image(model, data.spec.channels, data.spec.image_size),
    }
    make_trainer = build(cfg, "trainer", allow)
    with refusals_of("trainer or scheduler"):
        trainer: Trainer = make_trainer(parts, cfg.seed)
    return Assembled(trainer, cfg, cost, {**data.hashes(), **teacher_hash}, tuple(data.spec.class_names))
