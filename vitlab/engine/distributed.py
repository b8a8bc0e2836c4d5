"""Several processes that train one run together, as ``torchrun`` starts them: who is who, and what they agree on."""

import logging
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, NoReturn

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from vitlab.engine.contracts import StopSignal
from vitlab.errors import Interrupted, VitlabError, first_line

_SIGTERM = 15
_OF_FELLOWS = ("gloo", "nccl", "peer", "socket")
_PATIENCE = timedelta(minutes=10)  # as long as one process may read data while the others wait for it


@dataclass(frozen=True)
class World:
    """The processes of one run; a single one is its own world.

    Args:
        rank: number of this process, from 0; the first writes the records.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes the records and the checkpoints."""
        return self.rank == 0

    def share(self, images: int) -> int:
        """How many of a batch of so many images are this process's: every ``size``-th from ``rank`` on."""
        return len(range(self.rank, images, self.size))

    def sum(self, tensor: Tensor) -> Tensor:
        """Add up ``tensor`` over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(tensor)
        return tensor

    def gather(self, value: Any) -> list[Any]:
        """``value`` of every process, in the order of their ranks."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values

    def from_leader(self, value: Any) -> Any:
        """``value`` of the first process."""
        if self.size == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    @contextmanager
    def complete(self) -> Iterator[None]:
        """Turn what torch raises when a fellow is gone into one message.

        Raises:
            VitlabError: that message.
        """
        try:
            yield
        except RuntimeError as error:
            if self.size == 1 or not any(word in str(error).lower() for word in _OF_FELLOWS):
                raise
            raise VitlabError(
                f"another process of this run is gone ({first_line(error)}); resume= goes on from the last checkpoint"
            ) from error

    def wait(self) -> None:
        """Go on when all processes have come here."""
        self.sum(torch.zeros(()))


ALONE = World()


def world() -> World:
    """This process and its fellows."""
    return World(dist.get_rank(), dist.get_world_size()) if dist.is_initialized() else ALONE


def in_company(task: Callable[[], None]) -> NoReturn:
    """Join the other processes that ``torchrun`` started, do ``task`` with them, and end this process.

    Tensors of a CPU go through gloo, those of a GPU through nccl. The process ends without tearing anything down:
    gloo's threads abort one in ten that does.
    """
    code: Any = 1
    try:
        _join()
        task()
        world().wait()  # gloo takes it ill when one leaves while another still speaks
        code = 0
    except VitlabError as error:
        print(f"vitlab: {error}", file=sys.stderr)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
    finally:
        logging.shutdown()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _join() -> None:
    gpus = torch.cuda.device_count()
    if gpus:
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]) % gpus)
    try:
        store, rank, size = next(iter(rendezvous("env://")))
        # torchrun's store outlives its processes: without a prefix those it starts anew read where the dead ones were.
        store = PrefixStore(f"attempt {_attempt()}", store)
        backend = "cpu:gloo,cuda:nccl" if gpus else "gloo"
        dist.init_process_group(backend, timeout=_PATIENCE, store=store, rank=rank, world_size=size)
    except (RuntimeError, ValueError) as error:
        raise VitlabError(f"the processes of this run do not find each other: {first_line(error)}") from error


def begun_at() -> float:
    """When ``torchrun`` was started, in seconds since 1970, as the first process knows it.

    It stays the same when ``torchrun`` starts its processes anew, so that they find the folder of their run.
    """
    import psutil

    own = psutil.Process().parent()
    started: float = world().from_leader(own.create_time() if own is not None else time.time())
    return started


def restarted() -> bool:
    """Whether ``torchrun --max-restarts`` has started this process in the place of one that failed."""
    return _attempt() > 0


def _attempt() -> int:
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0"))


class AgreedStop:
    """A request to stop one process is one to stop all, at the same step.

    Args:
        stop: of this process.
        world: all processes; each asks ``requested`` at the same places.
    """

    def __init__(self, stop: StopSignal, world: World) -> None:
        self._stop, self._world = stop, world
        self._agreed = False

    @property
    def requested(self) -> bool:
        """Whether any of them was asked to; the host waits for the others, the device does not."""
        if not self._agreed:
            self._agreed = bool(self._world.sum(torch.tensor(int(self._stop.requested))))
        return self._agreed

    def obey(self) -> None:
        """End the run if that was agreed on."""
        if self._agreed:
            self._stop.obey()
            raise Interrupted(_SIGTERM)
