"""Open one run at W&B: online if that is wanted and can be had, else offline."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import wandb


def open_run(mode: str, arguments: dict[str, Any], say: Callable[[str], None]) -> wandb.Run | None:
    """The opened run, or None if ``WANDB_MODE`` or the user's W&B settings disable it.

    Args:
        mode: ``online``, ``offline``, or ``auto``, which leaves it to ``WANDB_MODE`` and the user's W&B settings.
        arguments: what ``wandb.init`` is called with, ``dir`` and ``settings`` among them.
        say: told why an online run was not to be had.

    Raises:
        Exception: whatever ``wandb`` raises when not even an offline run can be opened.
    """
    if wandb.run is not None:  # left open by a job of this process that failed: its rows end here
        wandb.finish(exit_code=1)
    wanted: dict[str, Any] = {} if mode == "auto" else {"mode": mode}
    mode = wandb.setup(wandb.Settings(silent=True, **wanted)).settings.mode
    if mode == "disabled":
        return None
    run = None
    if mode not in ("offline", "dryrun"):
        run = _open_online(arguments, say)
    if run is None:
        run = wandb.init(mode="offline", **arguments)
    wandb.setup(wandb.Settings(silent=False, show_info=False))  # warnings matter, as that an upload was refused
    run.define_metric("step")
    run.define_metric("*", step_metric="step")
    return run


def _open_online(arguments: dict[str, Any], say: Callable[[str], None]) -> wandb.Run | None:
    folder = Path(arguments["dir"])
    before = set(folder.glob("wandb/run-*"))
    try:
        if wandb.login(prompt=False, verify=False):
            return wandb.init(mode="online", **arguments)
        say("W&B has no key; `wandb login` stores one")
    except Exception as error:
        say(f"W&B opens no online run: {reason(error)}")
        wandb.teardown()  # forgets the attempt, which else holds on to the run's id
        for attempt in set(folder.glob("wandb/run-*")) - before:
            shutil.rmtree(attempt)
    return None


def reason(error: Exception) -> str:
    """What went wrong, without the advice that W&B adds."""
    return (str(error).splitlines() or [type(error).__name__])[0]
