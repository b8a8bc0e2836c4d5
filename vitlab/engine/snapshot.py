"""All that a run needs to go on as if it had never stopped, as tensors and plain values."""

from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from vitlab.engine.best import Best
from vitlab.engine.checkpoint import load_weights
from vitlab.engine.pace import Pace
from vitlab.engine.seeding import generator_state, set_generator_state
from vitlab.errors import VitlabError

if TYPE_CHECKING:
    from vitlab.engine.trainer import Trainer


def snapshot(trainer: "Trainer") -> dict[str, Any]:
    """The state of a run between two steps."""
    ema = trainer.ema
    return {
        "step": trainer.step,
        "rows": trainer.rows,
        "model": trainer.model.state_dict(),
        "ema": {"n_averaged": ema.n_averaged, "model": ema.module.state_dict()} if ema is not None else None,
        "optimizer": trainer.optimizer.state_dict(),
        "scaler": trainer.precision.scaler.state_dict(),
        "generators": generator_state(),
        "best": asdict(trainer.best),
        "validated_step": trainer.validated_step,
        "window": trainer.window.state(),
        "seconds": trainer.pace.seconds,
    }


def restore(trainer: "Trainer", state: dict[str, Any], say: Callable[[str], None]) -> None:
    """Bring ``trainer`` to a state that ``snapshot`` gave.

    Raises:
        VitlabError: the state is of another architecture or optimizer, or not whole.
    """
    folder = trainer.parts.checkpoints.folder
    try:
        load_weights(trainer.model, state["model"], folder)
        if trainer.ema is not None:
            trainer.ema.n_averaged.copy_(state["ema"]["n_averaged"])
            load_weights(trainer.ema.module, state["ema"]["model"], folder)
        trainer.optimizer.load_state_dict(state["optimizer"])
        trainer.precision.scaler.load_state_dict(state["scaler"])
        trainer.window.set_state(state["window"])
        trainer.step = trainer.saved_step = state["step"]
        trainer.rows, trainer.validated_step = state["rows"], state["validated_step"]
        trainer.best = Best(**state["best"])
        trainer.pace = Pace(state["seconds"])
        same_devices = set_generator_state(state["generators"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise VitlabError(
            f"the checkpoint in {folder} does not fit this run: {type(error).__name__}: {error}"
        ) from error
    if not same_devices:
        say("the checkpoint is from other devices: dropout draws other numbers from here on")


def weights_to_evaluate(state: dict[str, Any]) -> dict[str, Any]:
    """The weights in a checkpoint that count: the averaged ones where the run averages them."""
    weights: dict[str, Any] = state["ema"]["model"] if state["ema"] is not None else state["model"]
    return weights
