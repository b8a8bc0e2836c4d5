"""Weights & Biases beside the run folder: it never ends a training, and delays it by its time-outs at most."""

import os
import secrets
import shlex
import sys
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitlab.config.secrets import hidden_in, without_secrets
from vitlab.errors import did_you_mean

if TYPE_CHECKING:
    from wandb import Run

MODES = ("auto", "online", "offline", "disabled")
_LONGEST_NAME = 128  # what the server takes


class WandbTracker:
    """One run at W&B. The same folder is the same run: a resumed run goes on where it was.

    Under ``wandb agent`` it is the run that the agent has opened, in the sweep's own project.

    Args:
        folder: the run folder; W&B's own files lie in ``wandb/`` inside it, its run id in ``wandb_id.txt``.
        config: the composed config as plain nested dicts.
        sweep: name of the sweep that the run belongs to, the default ``group``.
        overrides: what was typed, the default ``name``.
        say: takes one sentence for the user.
        project, entity, group, name, tags, notes, job_type: as W&B knows them.
        mode: ``online``, ``offline``, ``disabled``, or ``auto``: what ``WANDB_MODE`` says, and offline without a key.
        init_timeout: seconds to wait for the server at the start, then the run goes on offline.
        finish_timeout: seconds to wait for the last rows to arrive at the end.
        settings: more of ``wandb.Settings``, by name.

    Raises:
        ValueError: an unknown mode, a time-out that is not positive, or settings that ``wandb.Settings`` refuses.
    """

    def __init__(
        self,
        folder: Path,
        config: Mapping[str, Any],
        sweep: str | None,
        overrides: str,
        say: Callable[[str], None],
        *,
        project: str = "vitlab",
        entity: str | None = None,
        mode: str = "auto",
        group: str | None = None,
        name: str | None = None,
        tags: Sequence[str] = (),
        notes: str | None = None,
        job_type: str = "train",
        init_timeout: float = 20.0,
        finish_timeout: float = 30.0,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        _refuse_illegal(mode, init_timeout, finish_timeout)
        self._folder, self._say = folder, say
        self._finish_timeout = finish_timeout
        self._run: Run | None = None
        self.complete = False  # whether all has arrived
        if mode == "disabled":
            return
        os.environ.setdefault("WANDB_ERROR_REPORTING", "false")  # read when wandb is imported
        sys.argv[1:] = [hidden_in(argument) for argument in sys.argv[1:]]  # W&B writes down how a process was called
        import wandb

        from vitlab.tracking.wandb_run import Losses, open_run, reason

        _refuse_unknown(settings or {}, wandb.Settings.model_fields)
        chosen: dict[str, Any] = {"silent": True, "console": "off", "x_disable_stats": True, **(settings or {})}
        chosen |= {"init_timeout": init_timeout, "finish_timeout": finish_timeout, "finish_timeout_raises": True}
        told = {
            "config": dict(config),
            "group": (group or sweep or "")[:_LONGEST_NAME] or None,
            "name": (name or overrides)[:_LONGEST_NAME] or None,
            "tags": list(tags),
            "notes": notes,
        }
        arguments = {
            "dir": folder,
            **({} if _agent_run_id() else {"project": project, "entity": entity}),  # the agent has given them
            **without_secrets(told),
            "job_type": job_type,
            "id": self._run_id(),
            "resume": "allow",
            "settings": wandb.Settings(**chosen),
        }
        self._losses = Losses()
        try:
            self._run = open_run(mode, arguments, say)
        except Exception as error:
            say(f"W&B is switched off, the run goes on: {reason(error)}")
        if self._run is not None:
            say(f"W&B is offline; {_how_to_sync(self._run)}" if self._run.offline else f"W&B: {self._run.url}")

    @property
    def url(self) -> str | None:
        """Where the run is to be seen, if it is online."""
        return None if self._run is None or self._run.offline else self._run.url

    def log(self, row: Mapping[str, float | str]) -> None:
        """Hand one row to W&B's own process; waits for no server."""
        # A resumed run repeats rows that the server has; W&B would complain of each.
        if self._run is not None and int(row["step"]) >= self._run.starting_step:
            self._run.log(dict(row), step=int(row["step"]))

    def log_media(self, media: Mapping[str, Any]) -> None:
        """Hand tables and pictures to W&B's own process, by their names."""
        if self._run is not None:
            self._run.log(dict(media))

    def finish(self, summary: Mapping[str, Any], exit_code: int) -> None:
        """Close the run; W&B shows it as failed if ``exit_code`` is not 0."""
        if self._run is None:
            return
        self._run.summary.update(dict(summary))
        try:
            self._run.finish(exit_code=exit_code)
            self.complete = not self._losses.end()
            if not self.complete:
                self._say(f"W&B has stopped taking rows, see the log; {_how_to_sync(self._run)}")
        except TimeoutError:
            self._say(f"W&B did not take everything within {self._finish_timeout:g} s; {_how_to_sync(self._run)}")

    def _run_id(self) -> str:
        """The id of this folder's run at W&B: the same for its whole life."""
        file = self._folder / "wandb_id.txt"
        if not file.exists():
            file.write_text(_agent_run_id() or secrets.token_hex(4))
        return file.read_text().strip()


def _agent_run_id() -> str | None:
    """Id of the run that a ``wandb agent`` has opened for this process."""
    return os.environ.get("WANDB_RUN_ID") if "WANDB_SWEEP_ID" in os.environ else None


def _how_to_sync(run: "Run") -> str:
    command = "wandb sync" if run.offline else "wandb sync --include-online"
    return f"later: {command} {shlex.quote(os.path.relpath(Path(run.dir).parent))}"


def _refuse_illegal(mode: str, init_timeout: float, finish_timeout: float) -> None:
    if mode not in MODES:
        raise ValueError(f"mode={mode} is none of {', '.join(MODES)}{did_you_mean(mode, MODES)}")
    for name, seconds in (("init_timeout", init_timeout), ("finish_timeout", finish_timeout)):
        if seconds <= 0:
            raise ValueError(f"{name}={seconds} is no time to wait; try {name}=20")


def _refuse_unknown(settings: Iterable[str], legal: Collection[str]) -> None:
    for name in settings:
        if name not in legal:
            raise ValueError(f"settings.{name} is no setting of W&B{did_you_mean(name, legal)}")
