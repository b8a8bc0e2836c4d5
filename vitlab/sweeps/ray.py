"""Jobs on a Ray cluster: each is a child process of a Ray actor, on whichever node has room for it."""

import os
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from vitlab.engine.stop import STOP_AT_EOF
from vitlab.errors import VitlabError, first_line

_STOPPED, _KILLED = 128 + signal.SIGTERM, 128 + signal.SIGKILL
_FROM_HERE = ("PYTHONPATH", "WANDB_", "HF_", "TORCH_")  # of the launcher's environment, by their beginnings


class RayExecutor:
    """Hands jobs over to Ray. They save and end when the launcher dies, so that no later one finds them running.

    Args:
        address: of a cluster, ``auto`` for the one that runs on this machine, None to begin one for the sweep.
        num_cpus: cores of a job; also its ``OMP_NUM_THREADS``.
        num_gpus: GPUs of a job, a fraction to share one; it sees no others.
        memory: bytes that a job reserves; None reserves none.
        max_parallel: jobs that may wait or run at once; None leaves it to Ray.
        resources: the cluster's own kinds of resources, ``{"a100": 1}``.

    Raises:
        VitlabError: ray is missing, or there is no such cluster.
    """

    def __init__(
        self,
        *,
        address: str | None = "auto",
        num_cpus: float = 1,
        num_gpus: float = 0,
        memory: int | None = None,
        max_parallel: int | None = None,
        resources: dict[str, float] | None = None,
    ) -> None:
        self._ray = _connect(address)
        # Ray would kill a worker's children with it, before they can save.
        environment = {"RAY_kill_child_processes_on_worker_exit": "0"}
        if "PYTHONPATH" in os.environ:
            environment["PYTHONPATH"] = os.environ["PYTHONPATH"]
        self._actor = self._ray.remote(_Child).options(
            num_cpus=num_cpus,
            num_gpus=num_gpus,
            memory=memory,
            resources=resources,
            max_concurrency=2,  # one call waits for the child, another signals it
            runtime_env={"env_vars": environment},
        )
        self._max_parallel = max_parallel
        self._jobs: list[_RayRunning] = []

    def room(self) -> bool:
        """Whether one more job may be handed over now."""
        if self._max_parallel is None:
            return True
        self._jobs = [job for job in self._jobs if job.exit_code() is None]
        return len(self._jobs) < self._max_parallel

    def start(self, command: Sequence[str], log: Path, environment: dict[str, str]) -> "_RayRunning":
        """Hand one job over; it begins in the launcher's working directory, which its node must see too."""
        log.parent.mkdir(parents=True, exist_ok=True)
        taken = {name: value for name, value in os.environ.items() if name.startswith(_FROM_HERE)}
        taken.pop("WANDB_SERVICE", None)  # W&B's own process, where the launcher runs
        environment = {**taken, **environment, STOP_AT_EOF: "1"}
        self._jobs.append(_RayRunning(self._ray, self._actor.remote(), command, log.absolute(), environment))
        return self._jobs[-1]

    def attach(self, reference: str) -> None:
        """Nothing: no job outlives its launcher."""

    def close(self) -> None:
        """Leave the cluster; what still runs saves and ends."""
        self._ray.shutdown()


class _RayRunning:
    """One job on the cluster."""

    reference = ""

    def __init__(self, ray: Any, actor: Any, command: Sequence[str], log: Path, environment: dict[str, str]) -> None:
        self._ray, self._actor, self._log = ray, actor, log
        self._placed = actor.place.remote()
        self._ended = actor.run.remote(list(command), str(log), environment, str(Path.cwd()))
        self._asked = False
        self._code: int | None = None

    def waiting(self) -> bool:
        """Whether no node has had room for it yet."""
        return self._code is None and not self._ready(self._placed)

    def exit_code(self) -> int | None:
        """The command's; if Ray ended the job before it could tell, 143 after ``stop`` and else 137."""
        if self._code is None and self._ready(self._ended):
            self._code = self._result()
            self._actor = None  # its last handle: the resources are free again
        return self._code

    def stop(self) -> None:
        """Take it out of the queue, or have it save and end."""
        self._asked = True
        if self.waiting():
            self._ray.kill(self._actor)
        elif self._code is None:
            self._actor.signal.remote(signal.SIGTERM)

    def kill(self) -> None:
        """End it now."""
        if self.waiting():
            self._ray.kill(self._actor)
        elif self._code is None:
            self._actor.signal.remote(signal.SIGKILL)

    def _ready(self, reference: Any) -> bool:
        ready, _ = self._ray.wait([reference], timeout=0)
        return bool(ready)

    def _result(self) -> int:
        try:
            code: int = self._ray.get(self._ended)
        except self._ray.exceptions.RayError as error:
            with suppress(OSError), self._log.open("a") as log:
                log.write(f"vitlab: the job ended on Ray: {str(error).strip().splitlines()[-1]}\n")
            if isinstance(error, self._ray.exceptions.RayTaskError):
                return 1  # the command could not be begun
            return _STOPPED if self._asked else _KILLED
        return code


class _Child:
    """The actor: the job's command as a child process that sees the end of its standard input when the actor dies."""

    def __init__(self) -> None:
        self._child: subprocess.Popen[bytes] | None = None
        self._sent: int | None = None

    def place(self) -> str:
        """Name of the node."""
        return os.uname().nodename

    def run(self, command: Sequence[str], log: str, environment: dict[str, str], folder: str) -> int:
        """Exit code of the command, as a shell tells it."""
        with Path(log).open("ab") as output:
            self._child = subprocess.Popen(  # noqa: S603 (the user's own command)
                command,
                cwd=folder,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                env={**os.environ, **environment},
            )
        if self._sent is not None:
            self._child.send_signal(self._sent)
        code = self._child.wait()
        return code if code >= 0 else 128 - code

    def signal(self, number: int) -> None:
        """Send it to the command, also to one that is about to begin."""
        self._sent = number
        if self._child is not None:
            self._child.send_signal(number)


def _connect(address: str | None) -> Any:
    """The library, connected to a cluster."""
    try:
        import ray
    except ImportError as error:
        raise VitlabError("jobs on Ray need ray; pip install 'vitlab[ray]' brings it") from error
    at_sigterm = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address or "local", logging_level="WARNING", log_to_driver=False, include_dashboard=False)
    except Exception as error:  # of several kinds
        raise VitlabError(_why_not(address, error)) from error
    finally:
        signal.signal(signal.SIGTERM, at_sigterm)  # where Ray has put one of its own
    return ray


def _why_not(address: str | None, error: BaseException) -> str:
    told = [error]
    while cause := told[-1].__cause__:
        told.append(cause)
    if any("AuthToken" in str(each) or "Unauthenticated" in str(each) for each in told):
        return f"Ray at {address} wants a token; set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to its file"
    if address == "auto" and "any running Ray" in str(error):
        return "no Ray cluster runs on this machine; `ray start --head` begins one, and address=null one for this sweep"
    return f"Ray at {address or 'this machine'} cannot be used: {first_line(error)}"
