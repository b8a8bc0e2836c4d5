"""One model in several processes: copies that share their gradients, or one that is cut into shards."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from vitlab.engine.distributed import World

KINDS = ("ddp", "fsdp")


def distribute(model: nn.Module, ema: nn.Module | None, kind: str, device: torch.device, world: World) -> nn.Module:
    """Give each process its copy or its shard of ``model``, and of its average.

    Args:
        model: the same in all processes, on its device; cut in place for ``fsdp``.
        ema: the running average of its weights, or None.
        kind: ``ddp`` or ``fsdp``.
        device: where the model lies.
        world: the processes.

    Returns:
        What the objective calls in training, so that the gradients of all processes meet.

    Raises:
        ValueError: ``kind`` is neither.
    """
    if kind not in KINDS:
        raise ValueError(f"parallel={kind} is not one of {', '.join(KINDS)}")
    if world.size == 1:
        return model
    if kind == "ddp":
        return Copies(model)
    for one in (model, ema):
        if one is not None:
            _shard(one, device, world)
    return model


def _shard(model: nn.Module, device: torch.device, world: World) -> None:
    """Cut the parameters of ``model`` into shards, one for each process, a block at a time (FSDP2).

    Rajbhandari et al. 2020, "ZeRO: memory optimizations toward training trillion parameter models", stage 3.
    """
    from torch.distributed.device_mesh import init_device_mesh  # these take a second
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh(device.type, (world.size,))
    for module in model.modules():
        for block in module if isinstance(module, nn.ModuleList) else ():
            fully_shard(block, mesh=mesh)
    fully_shard(model, mesh=mesh)


class Copies(DistributedDataParallel):
    """A copy of the model in each process; whatever else is asked of it, the model answers."""

    def __getattr__(self, name: str) -> Any:
        """An attribute of the model's own."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(self.module, name)


def meeting(model: nn.Module, now: bool) -> AbstractContextManager[Any]:
    """The context of one micro-batch; the gradients of the processes meet ``now`` or with a later one."""
    if isinstance(model, Copies):
        return nullcontext() if now else model.no_sync()
    if in_shards := getattr(model, "set_requires_gradient_sync", None):
        in_shards(now)
    return nullcontext()
