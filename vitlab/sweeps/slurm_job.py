"""What Slurm runs on a node: one job's command as a child process, which saves when it must leave and goes on later."""

import os
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from hydra.core.override_parser.overrides_parser import OverridesParser

from vitlab.runs import RunFolder

if TYPE_CHECKING:
    from submitit.helpers import DelayedSubmission

_STOPPED = 128 + signal.SIGTERM
_POLL_SECONDS = 0.1
_RUN_FOLDER = "hydra.run.dir="


@dataclass
class SlurmJob:
    """The callable that submitit takes to the node; it returns the exit code of ``command``.

    SIGTERM (``scancel``, or the grace period before a pre-emption) is passed on to the child, which saves and ends.
    The signal that submitit asks Slurm for, some time before the limit or at a pre-emption, does the same by
    ``checkpoint``, and submitit puts the job back into the queue. In its next life the job goes on with the run.

    Args:
        command: the command line of the job.
        log: takes its output, appended.
        environment: variables added to those that Slurm gives.
    """

    command: Sequence[str]
    log: Path
    environment: dict[str, str]
    _child: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _code: int | None = field(default=None, init=False)
    _asked: bool = field(default=False, init=False)

    def __call__(self) -> int:
        """Run the command to its end."""
        command = again(self.command) if int(os.environ.get("SLURM_RESTART_COUNT", "0")) else self.command
        if command is None:
            return 0
        signal.signal(signal.SIGTERM, self._pass_on)
        os.environ.pop("WANDB_SERVICE", None)  # W&B's own process, where the launcher runs
        with self.log.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603 (the user's own command)
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **self.environment},
                preexec_fn=_ignore_warning,
            )
        if self._asked:
            self._ask()
        with suppress(Exception):  # submitit's, out of its handler: the job has been stopped and does not come back
            self._wait()
        self._code = self._wait()
        self._child.wait()
        return self._code

    def checkpoint(self) -> "DelayedSubmission | None":
        """What submitit calls before the job must leave: the job to queue again, or None if it is over."""
        from submitit.helpers import DelayedSubmission

        if self._child is not None:
            self._ask()
            if self._wait() != _STOPPED:
                return None
        return DelayedSubmission(replace(self))

    def _pass_on(self, signum: int, frame: FrameType | None) -> None:
        # Some process trackers of Slurm signal the child too: a repeated SIGTERM is the same request to it.
        self._asked = True
        self._ask()

    def _ask(self) -> None:
        if self._child is not None and self._code is None:
            os.kill(self._child.pid, signal.SIGTERM)  # which Popen.terminate would reap, if it has just ended

    def _wait(self) -> int:
        """Exit code of the child, as a shell tells it; may be called by a handler during a call."""
        assert self._child is not None
        if self._code is not None:
            return self._code
        # Asked again and again: Popen.wait holds a lock that a handler could not take, and a signal that comes just
        # before a call that blocks is not handled until it returns.
        while (ended := os.waitid(os.P_PID, self._child.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG)) is None:
            time.sleep(_POLL_SECONDS)
        return ended.si_status if ended.si_code == os.CLD_EXITED else 128 + ended.si_status


def _ignore_warning() -> None:
    # The warning before the time limit is submitit's; trackers of Slurm that signal the child would end it by that.
    from submitit.slurm.slurm import SlurmJobEnvironment

    signal.signal(SlurmJobEnvironment._usr_sig(), signal.SIG_IGN)


def again(command: Sequence[str]) -> list[str] | None:
    """The command line that goes on with what ``command`` has begun in its ``hydra.run.dir``; None if that is done.

    A run that was ended before it wrote its config has nothing to go on from: it is begun once more.
    """
    for argument in command:
        if not argument.startswith(_RUN_FOLDER):
            continue
        run = RunFolder(Path(str(OverridesParser.create().parse_override(argument).value())))
        if run.status() == "done":
            return None
        if run.config.is_file():
            path = str(run.path).replace("\\", "\\\\").replace("'", "\\'")
            return [*(other for other in command if other is not argument), f"resume='{path}'"]
        run.summary.unlink(missing_ok=True)
    return list(command)
