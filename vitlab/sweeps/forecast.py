"""What a run will cost, from a few of its own steps on a model that is then thrown away."""

import tempfile
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any
from weakref import finalize

import torch
from omegaconf import DictConfig
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from vitlab.assembly import assemble
from vitlab.duration import RunLength
from vitlab.engine.trainer import Trainer

_MEASURED_STEPS = 3


@dataclass(frozen=True)
class Forecast:
    """Cost of a run.

    Args:
        tokens: of an image, the prefix among them; None for a model that does not tell.
        parameters: trainable ones.
        flops_per_image: of a forward pass.
        memory: bytes of the weights, their gradients and averages, the optimizer's state, and all that a backward pass
            keeps of one batch; on a GPU the most that was allocated.
        seconds_per_step, seconds_per_validation: measured.
        length: of the run.
        validations: how many there will be.
    """

    tokens: int | None
    parameters: int
    flops_per_image: int
    memory: int
    seconds_per_step: float
    seconds_per_validation: float
    length: RunLength
    validations: int

    @property
    def seconds(self) -> float:
        """Of all steps and validations; starting the process, saving and the test are not in it."""
        return self.length.total_steps * self.seconds_per_step + self.validations * self.seconds_per_validation


def forecast(cfg: DictConfig) -> Forecast:
    """Measure ``cfg``: its parts are built, one step warms up, three are timed, and one batch of val.

    Args:
        cfg: the composed config of ``train``; weights are not read from a file.

    Raises:
        VitlabError: a part or its setting is refused, or the data cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        assembled = assemble(cfg.copy(), Path(folder), _NeverStops(), begun=True)
    trainer = assembled.trainer
    batches = trainer.train_batches.epoch(0)
    images, labels = next(batches)
    memory = _memory_of_a_step(trainer, images, labels)
    took = [_seconds(trainer, lambda: trainer.train_step(images, labels)) for _ in range(_MEASURED_STEPS)]
    total = trainer.length.total_steps
    layout = getattr(trainer.model, "layout", None)
    return Forecast(
        tokens=layout.num_tokens if layout is not None else None,
        parameters=assembled.cost["parameters"],
        flops_per_image=assembled.cost["flops_per_image"],
        memory=memory,
        seconds_per_step=median(took),
        seconds_per_validation=_seconds_per_validation(trainer),
        length=trainer.length,
        validations=-(-total // trainer.validate_every),
    )


def _memory_of_a_step(trainer: Trainer, images: Tensor, labels: Tensor) -> int:
    """Bytes at the height of a step."""
    if trainer.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(trainer.device)
        trainer.train_step(images, labels)
        return torch.cuda.max_memory_allocated(trainer.device)
    weights = {p.untyped_storage().data_ptr(): p.untyped_storage().nbytes() for p in trainer.model.parameters()}
    kept = _Kept(set(weights))
    with saved_tensors_hooks(kept.pack, lambda held: held.tensor):
        trainer.train_step(images, labels)
    copies = 2 + (trainer.ema is not None)  # weights, gradients, their average
    return copies * sum(weights.values()) + kept.most + _bytes(trainer.optimizer.state_dict())


class _Held:
    """A tensor that a backward pass keeps, for as long as it does."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


class _Kept:
    """How many bytes backward passes keep at once, and the most that it was; each storage counts once."""

    def __init__(self, others: set[int]) -> None:
        self.most = 0
        self._others = others  # addresses of what is counted elsewhere
        self._held: Counter[int] = Counter()
        self._bytes = 0

    def pack(self, tensor: Tensor) -> _Held:
        storage, held = tensor.untyped_storage(), _Held(tensor)
        address, size = storage.data_ptr(), storage.nbytes()
        if address not in self._others:
            self._bytes += 0 if self._held[address] else size
            self._held[address] += 1
            self.most = max(self.most, self._bytes)
            finalize(held, self._release, address, size)
        return held

    def _release(self, address: int, size: int) -> None:
        self._held[address] -= 1
        self._bytes -= 0 if self._held[address] else size


def _bytes(state: Any) -> int:
    """Of all tensors in nested dicts and lists."""
    if isinstance(state, Tensor):
        return state.nbytes
    inner = state.values() if isinstance(state, dict) else state if isinstance(state, list | tuple) else ()
    return sum(map(_bytes, inner))


def _seconds_per_validation(trainer: Trainer) -> float:
    """Of all batches, from the time of the first."""
    images, _ = next(iter(trainer.val_batches.epoch(0)))

    def look() -> None:
        with torch.inference_mode(), trainer.precision.autocast():
            trainer.model(trainer.parts.augment.eval(images))

    trainer.model.eval()
    look()
    seconds = _seconds(trainer, look)
    trainer.model.train()
    return seconds * len(trainer.val_batches)


def _seconds(trainer: Trainer, work: Any) -> float:
    _wait_for(trainer.device)
    begun = time.perf_counter()
    work()
    _wait_for(trainer.device)
    return time.perf_counter() - begun


def _wait_for(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _NeverStops:
    requested = False

    def obey(self) -> None:
        pass
