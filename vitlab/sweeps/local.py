"""Jobs on this machine: each in a process of its own, so many at once as cores, GPUs and memory allow."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Literal

import joblib
import psutil

from vitlab.engine.stop import STOP_AT_EOF
from vitlab.errors import VitlabError
from vitlab.sweeps.executor import Running

_SPARE = 0.9  # the share of the free memory that may be planned with
_SECONDS_TO_DIE = 5
_THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


class LocalExecutor:
    """Runs jobs side by side and starts the next as soon as one ends.

    Args:
        jobs: how many there are to run, so that few jobs get many threads each.
        at_once: how many run at a time. ``auto``: one for each core, or for each place on a GPU where there are GPUs,
            and no more than fit into the memory. The first job runs alone until it has trained its first steps; what
            it then takes is what each of the others is expected to take.
        threads: threads a job, ``auto`` for an equal share of the cores.
        gpus: numbers of the GPUs to use, ``auto`` for all that ``CUDA_VISIBLE_DEVICES`` shows, ``[]`` for none.
        jobs_per_gpu: places on each GPU.

    Raises:
        VitlabError: a number that is not positive, or a GPU that is not there.
    """

    def __init__(
        self,
        jobs: int,
        *,
        at_once: int | Literal["auto"] = "auto",
        threads: int | Literal["auto"] = "auto",
        gpus: Sequence[int] | Literal["auto"] = "auto",
        jobs_per_gpu: int = 1,
    ) -> None:
        for name, number in (("at_once", at_once), ("threads", threads), ("jobs_per_gpu", jobs_per_gpu)):
            if number != "auto" and (not isinstance(number, int) or isinstance(number, bool) or number < 1):
                raise VitlabError(f"hydra.launcher.{name}={number} is not auto and no whole number from 1 up")
        places = [gpu for _ in range(jobs_per_gpu) for gpu in _chosen(gpus)]
        cores = joblib.cpu_count()
        self._measure = at_once == "auto"
        self.limit = max(1, min(jobs, len(places) or cores)) if at_once == "auto" else at_once
        self.threads = max(1, cores // self.limit) if threads == "auto" else threads
        self._free_places: list[str] = places
        self._running: list[LocalJob] = []

    def room(self) -> bool:
        """Whether one more job may start; while the first job's memory is being measured, none may."""
        for job in [job for job in self._running if job.exit_code() is not None]:
            self._running.remove(job)
            if job.gpu is not None:
                self._free_places.append(job.gpu)
            self._measure = False  # a job that has ended holds no memory to measure
        if self._measure and self._running:
            if not self._running[0].has_trained():
                return False
            free, taken = psutil.virtual_memory().available, self._running[0].memory()
            self.limit = min(self.limit, 1 + int(free * _SPARE / max(1, taken)))
            self._measure = False
        return len(self._running) < self.limit

    def start(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> "LocalJob":
        """Start ``command`` with its share of the threads and, where there are GPUs, one of them.

        Raises:
            VitlabError: the log cannot be written, or the process cannot be started.
        """
        gpu = self._free_places.pop(0) if self._free_places else None
        shared = {name: str(self.threads) for name in _THREADS}
        device = {"CUDA_VISIBLE_DEVICES": gpu} if gpu is not None else {}
        job = LocalJob(command, log, {**_own_environment(), **shared, **device, **environment}, gpu)
        self._running.append(job)
        return job

    def attach(self, reference: str) -> Running | None:
        """None: jobs of this machine end with their launcher."""
        return None

    def close(self) -> None:
        """Nothing to do: a job that runs is waited for by who started it."""


class LocalJob:
    """A process whose standard input is a pipe from the launcher: when that dies, the job saves and ends."""

    reference = ""

    def __init__(self, command: Sequence[str], log: Path, environment: dict[str, str], gpu: str | None) -> None:
        self.gpu, self._log = gpu, log
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603
                    command,
                    stdin=subprocess.PIPE,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={**environment, STOP_AT_EOF: "1"},
                    start_new_session=True,  # Ctrl-C is for the launcher, which stops its jobs in order
                )
        except OSError as error:
            raise VitlabError(f"{log}: the job cannot be started: {error.strerror or error}") from error

    def waiting(self) -> bool:
        """False: a process runs at once."""
        return False

    def exit_code(self) -> int | None:
        """As the shell tells it, ``128 + n`` for signal n; None while it runs."""
        code = self._process.poll()
        if code is not None and self._process.stdin is not None:
            self._process.stdin.close()
        return code if code is None or code >= 0 else 128 - code

    def stop(self) -> None:
        """SIGTERM, upon which a run saves and ends."""
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL for the job and all that it started."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_SECONDS_TO_DIE)
        self.exit_code()

    def has_trained(self) -> bool:
        """Whether it has logged its first figures, and so holds the memory that it needs."""
        return (self._log.parent / "metrics.jsonl").exists()

    def memory(self) -> int:
        """Bytes that the job and its children hold now."""
        try:
            process = psutil.Process(self._process.pid)
            return sum(p.memory_info().rss for p in [process, *process.children(recursive=True)])
        except psutil.Error:
            return 0


def _own_environment() -> dict[str, str]:
    """The launcher's, without W&B's own process, which each job starts for itself."""
    return {name: value for name, value in os.environ.items() if name != "WANDB_SERVICE"}


def _chosen(gpus: Sequence[int] | Literal["auto"]) -> list[str]:
    """The names of the GPUs to use."""
    if gpus != "auto" and not gpus:
        return []  # without asking torch, whose import takes longer than the rest of the launcher's start
    visible = _visible_gpus()
    if gpus == "auto":
        return visible
    for gpu in map(str, gpus):
        if gpu not in visible:
            there = ", ".join(visible) or "none"
            raise VitlabError(f"hydra.launcher.gpus has {gpu}, which is not there (there are: {there})")
    return [str(gpu) for gpu in gpus]


def _visible_gpus() -> list[str]:
    """The GPUs that a job could use, by the names under which ``CUDA_VISIBLE_DEVICES`` knows them."""
    import torch

    if "CUDA_VISIBLE_DEVICES" in os.environ:
        shown = [name.strip() for name in os.environ["CUDA_VISIBLE_DEVICES"].split(",") if name.strip()]
        return shown[: torch.cuda.device_count()]
    return [str(number) for number in range(torch.cuda.device_count())]
