"""Open one run at W&B: online if that is wanted and can be had, else offline."""

import logging
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import wandb

_LOGGER = logging.getLogger("vitlab.wandb")
_LOGGER.setLevel(logging.WARNING)


def open_run(mode: str, arguments: dict[str, Any], say: Callable[[str], None]) -> wandb.Run | None:
    """The opened run, or None if ``WANDB_MODE`` or the user's W&B settings disable it.

    Args:
        mode: ``online``, ``offline``, or ``auto``, which leaves it to ``WANDB_MODE`` and the user's W&B settings.
        arguments: what ``wandb.init`` is called with, ``dir`` among them.
        say: told why an online run was not to be had.

    Raises:
        Exception: whatever ``wandb`` raises when not even an offline run can be opened.
    """
    _end_earlier_runs()
    mode = _set_up({} if mode == "auto" else {"mode": mode})
    if mode == "disabled":
        return None
    run = None
    if mode not in ("offline", "dryrun"):
        run = _open_online(arguments, say)
    if run is None:
        _set_up({})
        run = wandb.init(mode="offline", **arguments)
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run


def _end_earlier_runs() -> None:
    """End W&B's own process, and as failed what a job before this one left open in it."""
    with suppress(Exception, SystemExit):  # a process that has died is at its end as well
        wandb.teardown(exit_code=1)


def _set_up(settings: dict[str, Any]) -> str:
    """Start W&B's own process, quietly, and tell the mode that is in force; its warnings go to the log."""
    in_force = wandb.setup(wandb.Settings(silent=True, **settings)).settings
    wandb.termsetup(in_force, _LOGGER)
    return in_force.mode


def _open_online(arguments: dict[str, Any], say: Callable[[str], None]) -> wandb.Run | None:
    folder = Path(arguments["dir"])
    before = set(folder.glob("wandb/run-*"))
    try:
        if wandb.login(prompt=False, verify=False):
            return wandb.init(mode="online", **arguments)
        say("W&B has no key; `wandb login` stores one")
    except Exception as error:
        say(f"W&B opens no online run: {reason(error)}")
        _end_earlier_runs()  # the attempt too, which else holds on to the run's id
        for attempt in set(folder.glob("wandb/run-*")) - before:
            shutil.rmtree(attempt)
    return None


class Losses(logging.Handler):
    """Hears from W&B's warnings, which go to the log, that it has given up sending: ``finish`` says nothing of it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard = False
        _LOGGER.addHandler(self)

    def emit(self, record: logging.LogRecord) -> None:
        """Take note of a warning."""
        self.heard = self.heard or "not be synced" in record.getMessage()

    def end(self) -> bool:
        """Listen no longer; whether something was heard."""
        _LOGGER.removeHandler(self)
        return self.heard


def reason(error: Exception) -> str:
    """What went wrong, without the advice that W&B adds."""
    return (str(error).splitlines() or [type(error).__name__])[0]
