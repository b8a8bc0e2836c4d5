"""``python -m vitlab.verify_resume``: is a run that is stopped and resumed the run that was not?"""

import io
import signal
import sys
import tempfile
from collections.abc import Callable
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vitlab.config.command import run_command
from vitlab.config.compose import plain, resolved
from vitlab.config.rules import refuse_illegal, whole_number
from vitlab.errors import Interrupted, VitlabError
from vitlab.sweeps.budget import settle_budget
from vitlab.teacher import refuse_teacher
from vitlab.tracking.records import first_difference, rows_of

_SIGTERM = 15


def main() -> None:
    """The command line: that of ``vitlab.train``, and ``steps=``."""
    if any(argument in ("-m", "--multirun") or argument.startswith("sweep") for argument in sys.argv):
        sys.exit("vitlab: verify_resume tries one config; leave --multirun and sweep out")
    run_command(verify_resume, "verify_resume")


def verify_resume(cfg: DictConfig) -> None:
    """Train ``cfg.steps`` steps straight, and half of them, a stop and the rest; each in a process of its own.

    Raises:
        VitlabError: the two do not end the same, bit for bit; what differs first is named.
    """
    if cfg.resume is not None:
        raise VitlabError(
            f"resume={cfg.resume} is a run that has begun, and verify_resume begins its own; leave it out"
        )
    whole_number(cfg, "steps", 2, needed=True)
    overrides = plain(HydraConfig.get().overrides.task)
    steps, half = cfg.steps, cfg.steps // 2
    settings = _settled(cfg, overrides)
    with tempfile.TemporaryDirectory() as folder:
        straight, halved = Path(folder, "straight"), Path(folder, "halved")
        for path, stop_at in ((straight, None), (halved, half), (halved, None)):
            _in_a_process(settings, path, stop_at)
        compared = _compare(straight, halved)
    print(
        f"the same to the bit: {steps} steps straight, and {half}, a stop and {steps - half} more in another "
        f"process ({compared} tensors and values)"
    )


def _settled(cfg: DictConfig, overrides: list[str]) -> dict[str, Any]:
    """The settings of a short run that logs each step and leaves no trace."""
    OmegaConf.set_struct(cfg, False)
    cfg.trainer.max_steps = cfg.pop("steps")
    cfg.trainer.log_every, cfg.trainer.patience, cfg.tracker = "1 step", None, None
    cfg.pop("sweep", None)
    settle_budget(cfg, overrides)
    refuse_illegal(resolved(cfg), overrides)
    refuse_teacher(resolved(cfg))
    settings: dict[str, Any] = plain(resolved(cfg))
    return settings


def _in_a_process(settings: dict[str, Any], folder: Path, stop_at: int | None) -> None:
    """What ``_train`` does, with nothing left over from what ran before."""
    context = get_context("spawn")
    theirs, ours = context.Pipe()
    process = context.Process(target=_tell_how_it_ended, args=(ours, settings, folder, stop_at))
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is this process's, which ends the other
    process.start()
    signal.signal(signal.SIGINT, before)
    ours.close()
    try:
        problem = theirs.recv()
    except EOFError:
        problem = "its process was killed"
    except BaseException:
        process.kill()
        raise
    finally:
        process.join()
    if problem is not None:
        raise VitlabError(problem)


def _tell_how_it_ended(end: Any, settings: dict[str, Any], folder: Path, stop_at: int | None) -> None:
    try:
        _train(OmegaConf.create(settings), folder, stop_at)
    except VitlabError as error:
        end.send(str(error))
    except OSError as error:
        end.send(f"{error.filename or folder}: {error.strerror or error}")
    else:
        end.send(None)


def _train(cfg: DictConfig, folder: Path, stop_at: int | None) -> None:
    """Train in ``folder``, from its checkpoint if it has one, to the end or to the step ``stop_at``."""
    from vitlab.assembly import assemble
    from vitlab.engine.snapshot import restore
    from vitlab.tracking.console import Console
    from vitlab.tracking.fanout import Fanout
    from vitlab.tracking.records import Records

    folder.mkdir(exist_ok=True)
    stop = _StopAt(stop_at)
    begun = (folder / "last.pt").exists()
    trainer = assemble(cfg, folder, stop, begun).trainer
    records, console = Records(folder), Console(trainer.length, io.StringIO())
    if begun:
        state = trainer.parts.checkpoints.load_latest(console.say)
        assert state is not None
        restore(trainer, state, console.say)
        records.truncate(trainer.rows)
    stop.reached = lambda: trainer.step
    try:
        trainer.fit(Fanout(records, console))
    except Interrupted:
        return
    if stop_at is not None:
        raise VitlabError(
            f"the run ended at step {trainer.step} without the stop at step {stop_at}: nothing is verified"
        )


class _StopAt:
    """A signal that comes at a certain step."""

    def __init__(self, step: int | None) -> None:
        self._step = step
        self.reached: Callable[[], int] = lambda: 0

    @property
    def requested(self) -> bool:
        return self.reached() == self._step

    def obey(self) -> None:
        if self.requested:
            raise Interrupted(_SIGTERM)


def _compare(straight: Path, halved: Path) -> int:
    """How many tensors and values are the same; all are.

    Raises:
        VitlabError: the first that is not: of the figures, step by step, or else of what a run goes on from.
    """
    from vitlab.engine.checkpoint import LAST, read
    from vitlab.engine.snapshot import first_difference_of_states, values_of

    difference = first_difference(rows_of(straight), rows_of(halved), ("straight", "resumed"))
    if difference is not None:
        raise VitlabError(f"a resumed run is not the same: {difference}")
    one_end, other_end = (read(path / LAST) for path in (straight, halved))
    name = first_difference_of_states(one_end, other_end)
    if name is not None:
        raise VitlabError(f"a resumed run is not the same: at its end {name} differs")
    return len(values_of(one_end))


if __name__ == "__main__":
    main()
