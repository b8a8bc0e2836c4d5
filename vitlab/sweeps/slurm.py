"""Jobs on Slurm, through submitit: submitted, watched in the queue, found again, stopped."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, suppress
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vitlab.errors import VitlabError, did_you_mean
from vitlab.sweeps.slurm_job import SlurmJob

if TYPE_CHECKING:
    import submitit

_POLL_SECONDS = 1.0
_ASK_AGAIN_SECONDS = 5.0  # a job that is just beginning may miss the signal
_LATE_FILE_SECONDS = 5.0  # for how long a shared disk may keep a result to itself
_WAITING = ("PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED")
_ASKED_TO_END = ("CANCELLED", "PREEMPTED", "TIMEOUT")
_OVER = (*_ASKED_TO_END, "BOOT_FAIL", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "REVOKED", "")
_STOPPED, _KILLED = 128 + signal.SIGTERM, 128 + signal.SIGKILL


class SlurmExecutor:
    """Hands jobs over to Slurm; they go on without the launcher, and a later one finds them by their ids.

    A job that must leave (pre-emption, time limit) saves its checkpoint, goes back into the queue, and goes on from
    there: ``exit_code`` stays None until it has really ended.

    Args:
        folder: on a disk that all nodes share; takes submitit's own files, which ``attach`` needs.
        partition: of the cluster; None for its default.
        time: limit of one turn of a job in minutes; a job that needs longer goes on in a turn of its own.
        cpus_per_task: cores of a job.
        mem: memory of a job as Slurm writes it, ``16GB``; None for the cluster's default.
        gpus_per_node: GPUs of a job, which sees no others.
        max_parallel: jobs that may wait or run at once; None leaves it to Slurm.
        max_requeues: how often a job may come back after its time limit; pre-emptions do not count.
        parameters: more of what submitit takes, by its names (``gres``, ``qos``, ``account``, ``constraint``,
            ``signal_delay_s``: seconds between the warning and the end, ``setup``, ``additional_parameters``, …).

    Raises:
        VitlabError: submitit or Slurm's commands are missing, or a parameter has no such name or no such value.
    """

    def __init__(
        self,
        folder: Path,
        *,
        partition: str | None = None,
        time: int = 60,
        cpus_per_task: int = 1,
        mem: str | None = None,
        gpus_per_node: int | None = None,
        max_parallel: int | None = None,
        max_requeues: int = 100,
        **parameters: Any,
    ) -> None:
        self._engine = _submitit().SlurmExecutor
        chosen = {"partition": partition, "mem": mem, "gpus_per_node": gpus_per_node, **parameters}
        for name, value in chosen.items():
            if name in ("nodes", "tasks_per_node", "ntasks_per_node") and value not in (None, 1):
                raise VitlabError(f"{name}={value}: a job is one process on one node; leave {name} out")
            if name not in (legal := self._engine._valid_parameters()):
                raise VitlabError(f"{name} is no parameter of a job on Slurm{did_you_mean(name, legal)}")
        self._submitit = self._engine(folder.absolute(), max_num_timeout=max_requeues)
        self._submitit.update_parameters(
            **{
                "job_name": "vitlab",
                "time": time,
                "cpus_per_task": cpus_per_task,
                "srun_args": [f"--cpus-per-task={cpus_per_task}"],  # srun does not take it over from sbatch
                "stderr_to_stdout": True,
                **{name: value for name, value in chosen.items() if value is not None},
            }
        )
        self._max_parallel = max_parallel
        self._queue = _Queue()
        self._jobs: list[_SlurmRunning] = []

    def room(self) -> bool:
        """Whether one more job may be handed over now."""
        if self._max_parallel is None:
            return True
        self._jobs = [job for job in self._jobs if job.exit_code() is None]
        return len(self._jobs) < self._max_parallel

    def start(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> "_SlurmRunning":
        """Submit one job.

        Raises:
            VitlabError: Slurm refuses it.
        """
        log.parent.mkdir(parents=True, exist_ok=True)
        said = StringIO()
        try:
            with redirect_stderr(said):  # submitit prints there what it raises
                job = self._submitit.submit(SlurmJob(list(command), log.absolute(), environment))
        except Exception as error:  # of several kinds
            words = [line.partition("error: ")[2] for line in said.getvalue().splitlines() if "error: " in line]
            raise VitlabError(f"Slurm refuses the job: {'; '.join(words) or error}") from error
        return self._follow(job)

    def attach(self, reference: str) -> "_SlurmRunning | None":
        """The job of that id, or None if Slurm knows it no more and it has left no result.

        Raises:
            VitlabError: Slurm does not answer.
        """
        job = _submitit().SlurmJob(self._submitit.folder, reference)
        if reference not in self._queue.look() and not job.paths.result_pickle.exists():
            return None
        return self._follow(job)

    def close(self) -> None:
        """What is in the queue stays there."""

    def _follow(self, job: "submitit.SlurmJob[int]") -> "_SlurmRunning":
        self._jobs.append(_SlurmRunning(job, self._queue))
        return self._jobs[-1]


class _SlurmRunning:
    """One job of Slurm."""

    def __init__(self, job: "submitit.SlurmJob[int]", queue: "_Queue") -> None:
        self._job, self._queue = job, queue
        self._since = time.monotonic()
        self._asked: float | None = None
        self._missed: float | None = None
        self._code: int | None = None

    @property
    def reference(self) -> str:
        """The id of the job."""
        return str(self._job.job_id)

    def waiting(self) -> bool:
        """Whether it stands in the queue: for the first time, or again after it had to leave."""
        return self._queue.state(self.reference, self._since) in _WAITING

    def exit_code(self) -> int | None:
        """The command's; 143 or 137 if Slurm ended the job before it could tell. None until it has left the queue."""
        if self._code is not None:
            return self._code
        if (state := self._queue.state(self.reference, self._since)) in _OVER:
            self._code = self._result(state)
        elif self._asked is not None and time.monotonic() - self._asked > _ASK_AGAIN_SECONDS:
            self.stop()
        return self._code

    def stop(self) -> None:
        """Take it out of the queue, or have it save and end."""
        self._asked = time.monotonic()
        _scancel("--state=PENDING", self.reference)
        _scancel("--signal=TERM", self.reference)

    def kill(self) -> None:
        """End it now."""
        _scancel("--signal=KILL", f"{self.reference}.0")  # the whole job would be given time to save
        _scancel(self.reference)

    def _result(self, state: str) -> int | None:
        if self._job.paths.result_pickle.exists():
            if self._job.exception() is None:
                code: int = self._job.result()
                return code
            self._tell("could not run")
            return 1
        self._missed = self._missed or time.monotonic()
        if time.monotonic() - self._missed < _LATE_FILE_SECONDS:
            return None
        self._tell(f"was ended by Slurm as {state or 'unknown'}")
        return _STOPPED if self._asked or state in _ASKED_TO_END else _KILLED

    def _tell(self, fate: str) -> None:
        """Say in the log of the job what became of it where the job itself could not."""
        handed_over: Any = self._job.submission().function
        with suppress(OSError), handed_over.log.open("a") as log:
            log.write(f"vitlab: job {self.reference} {fate}; see {self._job.paths.stdout}\n")


class _Queue:
    """The user's jobs as Slurm has them, asked for once a second for all of them together."""

    def __init__(self) -> None:
        self._states: dict[str, str] = {}
        self._tried = self._answered = float("-inf")

    def state(self, reference: str, since: float) -> str:
        """State of the job that was submitted at ``since``; empty if Slurm has it no more.

        As long as Slurm does not answer, all is as it was.
        """
        if time.monotonic() - self._tried >= _POLL_SECONDS:
            with suppress(VitlabError):
                self.look()
        return "PENDING" if self._answered < since else self._states.get(reference, "")

    def look(self) -> dict[str, str]:
        """State by id of the job.

        Raises:
            VitlabError: Slurm does not answer.
        """
        asked = time.monotonic()
        command = ["squeue", "--noheader", "--states=all", f"--user={os.getuid()}", "--format=%i %T"]
        try:
            told = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)  # noqa: S603
        except subprocess.SubprocessError as error:
            raise VitlabError(f"Slurm does not answer: {getattr(error, 'stderr', None) or error}") from error
        finally:
            self._tried = time.monotonic()
        self._states = dict(line.split() for line in told.stdout.splitlines())
        self._answered = asked
        return self._states


def _scancel(*arguments: str) -> None:
    # It fails for a job that has ended meanwhile.
    subprocess.run(["scancel", *arguments], capture_output=True, check=False, timeout=60)  # noqa: S603, S607


def _submitit() -> Any:
    """The library, on a machine where it can be used."""
    try:
        import submitit
    except ImportError as error:
        raise VitlabError("jobs on Slurm need submitit; pip install 'vitlab[slurm]' brings it") from error
    for program in ("sbatch", "srun", "squeue", "scancel"):
        if shutil.which(program) is None:
            raise VitlabError(f"there is no {program} on this machine; start the sweep where Slurm takes jobs")
    return submitit
