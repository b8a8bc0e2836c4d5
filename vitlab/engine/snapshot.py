"""All that a run needs to go on as if it had never stopped, as tensors and plain values."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import torch

from vitlab.engine.best import Best
from vitlab.engine.checkpoint import LAST, load_weights
from vitlab.engine.pace import Pace
from vitlab.engine.seeding import generator_state, part_ways, set_generator_state
from vitlab.engine.shards import cut_state, each, forget_other_shards, gathered, with_shards, write_shards
from vitlab.errors import VitlabError

if TYPE_CHECKING:
    from vitlab.engine.trainer import Trainer


def snapshot(trainer: "Trainer") -> dict[str, Any]:
    """The state of a run between two steps; what lies in shards stays in them. All its processes call it together."""
    ema = trainer.ema
    return {
        "step": trainer.step,
        "skipped": trainer.skipped,
        "accumulate": trainer.accumulation.pieces,
        "rows": trainer.rows,
        "model": trainer.model.state_dict(),
        "ema": {"n_averaged": ema.n_averaged, "model": ema.module.state_dict()} if ema is not None else None,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.precision.scaler.state_dict(),
        "generators": trainer.world.gather(generator_state()),
        "best": asdict(trainer.best),
        "validated_step": trainer.validated_step,
        "window": trainer.window.state(),
        "told": trainer.health.told,
        "seconds": trainer.pace.seconds,
    }


def save(trainer: "Trainer", name: str) -> None:
    """Write the state of a run as its checkpoint ``name``. All its processes call it together.

    What lies in shards is written by each process to a file of its own for the last checkpoint; the best one is whole,
    for whoever evaluates and exports it.

    Raises:
        VitlabError: it cannot be written; the checkpoint that was there stays whole.
    """
    state, checkpoints, world = snapshot(trainer), trainer.parts.checkpoints, trainer.world
    in_shards = name == LAST
    state = write_shards(state, checkpoints.folder, world) if in_shards else gathered(state, world)
    if world.leads:
        checkpoints.save(name, state)
        if in_shards:
            forget_other_shards(state, checkpoints.folder)
    world.wait()  # for the first, whose file the others may read


def restore(trainer: "Trainer", state: dict[str, Any], say: Callable[[str], None]) -> None:
    """Bring ``trainer`` to a state that ``snapshot`` gave.

    Raises:
        VitlabError: the state is of another architecture or optimizer, or not whole.
    """
    folder = trainer.parts.checkpoints.folder
    try:
        state = with_shards(state, trainer)
        load_weights(trainer.model, state["model"], folder)
        if trainer.ema is not None:
            trainer.ema.n_averaged.copy_(state["ema"]["n_averaged"])
            load_weights(trainer.ema.module, state["ema"]["model"], folder)
        trainer.optimizer.load_state_dict(state["optimizer"])
        cut_state(trainer.optimizer)
        trainer.precision.scaler.load_state_dict(state["scaler"])
        trainer.window.set_state(state["window"])
        trainer.step = trainer.saved_step = state["step"]
        trainer.skipped, trainer.accumulation.pieces = state["skipped"], state["accumulate"]
        trainer.rows, trainer.validated_step = state["rows"], state["validated_step"]
        trainer.health.told = list(state.get("told", ()))
        trainer.best = Best(**state["best"])
        trainer.pace = Pace(state["seconds"])
        same = _set_generators(trainer, state["generators"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise VitlabError(
            f"the checkpoint in {folder} does not fit this run: {type(error).__name__}: {error}"
        ) from error
    if not same:
        say("the checkpoint is from other devices or processes: dropout draws other numbers from here on")


def _set_generators(trainer: "Trainer", states: list[dict[str, Any]]) -> bool:
    """Take up those of this process; False if they were not saved, so that the draws go on differently."""
    rank, size = trainer.world.rank, trainer.world.size
    if rank < len(states):
        return set_generator_state(states[rank]) and len(states) == size
    part_ways(trainer.seed, rank, trainer.step)
    return False


def weights_to_evaluate(state: dict[str, Any]) -> dict[str, Any]:
    """The weights in a checkpoint that count: the averaged ones where the run averages them."""
    weights: dict[str, Any] = state["ema"]["model"] if state["ema"] is not None else state["model"]
    return weights


def values_of(state: Any) -> dict[str, Any]:
    """Every tensor and plain value of a snapshot by its dotted name, but the clock's."""
    values: dict[str, Any] = {}
    each(state, values.__setitem__)
    return {name: value for name, value in values.items() if name.rpartition(".")[2] != "seconds"}


def first_difference_of_states(one: dict[str, Any], other: dict[str, Any]) -> str | None:
    """Name of the first value in which two snapshots are not the same to the bit, or None."""
    ours, theirs = values_of(one), values_of(other)
    return next((name for name in ours | theirs if not _same(ours.get(name), theirs.get(name))), None)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    return bool(one == other)
