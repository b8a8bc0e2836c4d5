"""``python -m benchmarks.health``: what a look inside the model costs, as a share of the run that it is a part of.

A step that is looked at and the look are timed in turns with a step that is not, on the data and the model of
``benchmarks.epoch`` and on the default run. The share is that of one look
in every hundred steps, as the default has it.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

import vitlab
from benchmarks.epoch import ours
from benchmarks.side_by_side import machine, write
from vitlab.assembly import assemble
from vitlab.engine.health import Health
from vitlab.engine.stop import GracefulStop
from vitlab.engine.trainer import Trainer
from vitlab.tracking.silent import Silent

_EVERY = 100  # as in conf/trainer/default.yaml
_ROUNDS = 40


def main() -> None:
    """Measure and write the table."""
    torch.set_num_threads(2)
    lines = [f"{machine()}; median of {_ROUNDS} rounds in turns", ""]
    lines += [
        "| run | ms a step | ms more when looked at | of a run with `health_every=100 steps` |",
        "|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder:
        config = vitlab.compose("tracker=none", "trainer.device=cpu")
        runs = {
            "the default: vit_micro on digits, batch 64": assemble(config, Path(folder), GracefulStop()).trainer,
            "vit_micro at 32 px, batch 128": ours(Path(folder)),
        }
        for name, trainer in runs.items():
            plain, looked_at = _measured(trainer)
            more = median(b - a for a, b in zip(plain, looked_at, strict=True))
            lines.append(
                f"| {name} | {1e3 * median(plain):.1f} | {1e3 * more:.1f} | {more / median(plain) / _EVERY:.2%} |"
            )
    write("health", "\n".join(lines))


def _measured(trainer: Trainer) -> tuple[list[float], list[float]]:
    """Seconds of steps that are not looked at, and of those that are."""
    trainer.tracker = Silent()
    batch = next(iter(trainer.train_batches.epoch(0)))
    never, always = Health(None), Health(1)
    times: tuple[list[float], list[float]] = [], []
    for number in range(_ROUNDS + 1):
        for health, taken in zip((never, always), times, strict=True):
            trainer.health = health
            took = _step(trainer, *batch)
            if number > 0:
                taken.append(took)
    return times


def _step(trainer: Trainer, images: Tensor, labels: Tensor) -> float:
    begin = time.perf_counter()
    trainer.train_step(images, labels)
    if trainer.health.due(trainer.step):
        trainer._look(images)
    return time.perf_counter() - begin


if __name__ == "__main__":
    main()
