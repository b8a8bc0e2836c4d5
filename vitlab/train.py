"""``python -m vitlab.train``: train one run, or with ``--multirun`` one run after the other."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from vitlab import provenance
from vitlab.config import saved
from vitlab.config.build import build, refusals_of
from vitlab.config.command import run_command
from vitlab.config.compose import RUN_FOLDER, plain, resolved
from vitlab.config.rules import refuse_illegal
from vitlab.config.secrets import hidden_in, without_secrets
from vitlab.engine.stop import STOP_AT_EOF, GracefulStop, stop_at_end_of
from vitlab.errors import Interrupted, VitlabError
from vitlab.runs import RunFolder, write_json
from vitlab.sweeps.budget import fit_budget, settle_budget
from vitlab.sweeps.manifest import group_of, job_of
from vitlab.teacher import refuse_teacher

if TYPE_CHECKING:  # torch is imported only once there is something to train
    from vitlab.assembly import Assembled
    from vitlab.engine.trainer import Trainer
    from vitlab.tracking.fanout import Fanout
    from vitlab.tracking.silent import Silent


def main() -> None:
    """The command line; under ``torchrun`` that of each of several processes."""
    if not _by_torchrun():
        run_command(train, "train")
        return
    if any(argument in ("-m", "--multirun") or argument.startswith("sweep") for argument in sys.argv):
        sys.exit("vitlab: torchrun trains one run in several processes; leave --multirun out")
    from vitlab.engine.distributed import begun_at, in_company

    def task() -> None:
        os.environ[RUN_FOLDER] = datetime.fromtimestamp(begun_at()).strftime("outputs/%Y-%m-%d/%H-%M-%S-%f")
        run_command(train, "train")

    in_company(task)


def _by_torchrun() -> bool:
    return "TORCHELASTIC_RUN_ID" in os.environ


def train(cfg: DictConfig) -> float:
    """Train the run that ``cfg`` describes, from its start or from where it stopped.

    Returns:
        The best validation accuracy, a fraction.

    Raises:
        VitlabError: the settings are refused, or the training failed for a reason that the user can mend.
        Interrupted: a signal stopped the run; what it needs to go on is saved.
    """
    if os.environ.pop(STOP_AT_EOF, None):
        stop_at_end_of(sys.stdin.fileno())
    run = RunFolder(Path(HydraConfig.get().runtime.output_dir))
    overrides = plain(HydraConfig.get().overrides.task)
    hold = _held_together if _by_torchrun() else _held
    with hold(cfg, run, overrides) as settings:
        return train_in(run, settings, overrides, resuming=cfg.resume is not None)


def train_in(run: RunFolder, cfg: DictConfig, overrides: list[str], resuming: bool) -> float:
    """Train in the folder of ``run``, which is claimed and held.

    Args:
        run: where everything goes.
        cfg: its legal settings.
        overrides: what was typed.
        resuming: whether it goes on from a checkpoint, if there is one.

    Returns:
        The best validation accuracy, a fraction.

    Raises:
        VitlabError: the training failed for a reason that the user can mend.
        Interrupted: a signal stopped the run; what it needs to go on is saved.
    """
    summary: dict[str, Any] = {}
    trainer, tracker, status, exit_code = None, None, "failed", 1
    with GracefulStop() as stop:
        try:
            with stop.at_once():
                assembled = _build(cfg, run, stop, overrides)
                trainer, summary = assembled.trainer, dict(assembled.cost)
                tracker = _track(cfg, run, trainer, summary, resuming)
            with trainer.world.complete():
                trainer.fit(tracker)
                test = trainer.test()
            summary |= {"test_accuracy": test.accuracy, "test_loss": test.loss, "test_images": test.images}
            status, exit_code = "done", 0
        except Interrupted as interruption:
            status, exit_code = "interrupted", 128 + interruption.signum
            raise
        except OSError as error:
            summary["error"] = f"{error.filename or run.path}: {error.strerror or error}"
            raise VitlabError(summary["error"]) from error
        except BaseException as error:
            message = f"{error}" if isinstance(error, VitlabError) else f"{type(error).__name__}: {error}"
            summary["error"] = hidden_in(message)
            raise
        finally:
            if trainer is None or trainer.world.leads:
                _finish(run, trainer, tracker, status, summary, exit_code)
    return trainer.best.accuracy


@contextmanager
def _held(cfg: DictConfig, run: RunFolder, overrides: list[str]) -> Iterator[DictConfig]:
    """The legal settings of a run whose folder is claimed, and no other process's meanwhile."""
    if cfg.resume is None:
        settings = _settle(cfg, run, overrides)
        with run.locked():
            yield settings
    else:
        with run.locked():
            yield _settle(cfg, run, overrides)


@contextmanager
def _held_together(cfg: DictConfig, run: RunFolder, overrides: list[str]) -> Iterator[DictConfig]:
    """What ``_held`` does, by the first of several processes for all of them."""
    from vitlab.engine.distributed import restarted, world

    world().wait()  # for Hydra in all of them: it makes the folder, which a refusal takes away again
    if restarted() and cfg.resume is None:
        run.discard_unbegun()
        cfg.resume = str(run.path) if run.config.exists() else None
    if not world().leads:
        settings = world().from_leader(None)
        if settings is None:  # refused, and told by the first
            sys.exit(1)
        yield OmegaConf.create(settings)
        return
    settings = None
    try:
        if str(cfg.budget).startswith("time:"):
            run.discard_if_empty()
            raise VitlabError(f"budget={cfg.budget} is measured in one process; try trainer.max_steps")
        with _held(cfg, run, overrides) as settings:
            world().from_leader(plain(settings))
            yield settings
    finally:
        if settings is None:
            world().from_leader(None)


def _settle(cfg: DictConfig, run: RunFolder, overrides: list[str]) -> DictConfig:
    """The legal settings of a run whose folder is claimed; a refusal leaves nothing behind."""
    with open_dict(cfg):
        cfg.pop("sweep", None)  # of all jobs, and not of this run
    try:
        if cfg.resume is not None:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise VitlabError(f"resume={cfg.resume} goes on with one run; leave --multirun out")
            cfg = saved.load_to_resume(run, cfg, overrides)
            refuse_illegal(cfg, [])
            write_json(run.summary, {"status": "running", **_matched(run)})
            return cfg
        for key in ("data.root", "model.weights", "objective.teacher"):
            _make_absolute(cfg, key)
        settle_budget(cfg, overrides)
        refuse_illegal(resolved(cfg), overrides)
        refuse_teacher(resolved(cfg))
        if not run.is_locked():
            run.discard_unbegun()
        run.claim()
        return cfg
    except OSError as error:
        raise VitlabError(f"{run.path} cannot be written: {error.strerror or error}") from error
    except VitlabError:
        run.discard_if_empty()
        raise


def _make_absolute(cfg: DictConfig, key: str) -> None:
    """Write a path out from the root on, so that the folder of the run can be used from anywhere."""
    value = OmegaConf.select(cfg, key)
    # The name of a model of timm stays as it is, and so does a path to nothing, which is refused as it was typed.
    if isinstance(value, str) and (key == "data.root" or Path(value).expanduser().exists()):
        OmegaConf.update(cfg, key, str(Path(value).expanduser().absolute()))


def _build(cfg: DictConfig, run: RunFolder, stop: GracefulStop, overrides: list[str]) -> "Assembled":
    """All the parts, put into a trainer; what is known of the run before it begins goes into its folder."""
    from vitlab.assembly import assemble
    from vitlab.engine.device import device_name

    begun = run.has_checkpoint()  # a run that was stopped before its first one begins anew
    matched = _matched(run) if run.config.exists() else fit_budget(cfg, overrides)
    assembled = assemble(cfg, run.checkpoints, stop, begun)
    assembled.cost |= matched
    trainer, hashes = assembled.trainer, assembled.hashes
    if not cfg.allow_changed_data:
        hint = "; allow_changed_data=true goes on with what is there now"
        provenance.refuse_other_data(run, hashes, hint)
    if not trainer.world.leads:
        return assembled
    if changed := provenance.accept_other_data(run, hashes):
        assembled.cost["changed_data"] = ", ".join(changed)
    device = device_name(trainer.device) + (f" x {trainer.world.size}" if trainer.world.size > 1 else "")
    provenance.save_once(run, cfg.seed, device, hashes, assembled.class_names)
    saved.save_once(run, assembled.settings, overrides)
    length = {"total_steps": trainer.length.total_steps, "steps_per_epoch": trainer.length.steps_per_epoch}
    write_json(run.summary, {"status": "running", **length, **assembled.cost})
    return assembled


def _matched(run: RunFolder) -> dict[str, Any]:
    """What the budget of a run that goes on was matched by, when it began."""
    return {key: value for key, value in run.read_summary().items() if key == "budget"}


def _track(
    cfg: DictConfig, run: RunFolder, trainer: "Trainer", cost: dict[str, Any], resuming: bool
) -> "Fanout | Silent":
    """The tracker of the run; a resumed run is brought back to its last checkpoint."""
    from vitlab.tracking.console import Console
    from vitlab.tracking.fanout import Fanout
    from vitlab.tracking.records import Records
    from vitlab.tracking.silent import Silent

    if not trainer.world.leads:
        if resuming:
            _go_on(trainer, Silent().say)
        return Silent()
    console, records = Console(trainer.length), Records(run.path)
    processes = f", {trainer.world.size} processes" if trainer.world.size > 1 else ""
    console.say(f"run folder {os.path.relpath(run.path)}, {trainer.device}{processes}")
    console.say(f"{cost['parameters']:,} parameters, {cost['flops_per_image'] / 1e6:,.1f} MFLOPs an image")
    if loaded := getattr(trainer.parts.model, "loaded", None):
        console.say(str(loaded))
    if "changed_data" in cost:
        console.say(f"its data have changed since it began: {cost['changed_data']}")
    if resuming:
        _go_on(trainer, console.say)
        kept = records.truncate(trainer.rows)
        if kept < trainer.rows:
            console.say(
                f"metrics.jsonl has lost {trainer.rows - kept} of its {trainer.rows} rows: its record has a gap"
            )
            trainer.rows = kept
        begun = trainer.saved_step is not None
        console.say(f"going on from step {trainer.step}" if begun else "there is no checkpoint: it begins anew")
    beside = []
    if cfg.tracker is not None:
        make = build(cfg, "tracker", cfg.allow_targets)
        with refusals_of("tracker"):
            beside.append(make(run.path, *told_to_tracker(run, cfg, cost), console.say))
    return Fanout(records, console, beside)


def told_to_tracker(run: RunFolder, cfg: DictConfig, cost: dict[str, Any]) -> tuple[dict[str, Any], str | None, str]:
    """What a tracker is told of ``run``: its config and ``cost`` without secrets, its sweep, its name."""
    in_sweep = (run.path.parent / "multirun.yaml").exists()
    sweep = group_of(run.path.parent) if in_sweep else None
    job = job_of(run.path)
    swept = {"sweep": dict(override.split("=", 1) for override in job.varied)} if job else {}
    name = ",".join(job.varied if job else saved.load_overrides(run))
    return without_secrets({**swept, **plain(resolved(cfg)), **cost}), sweep, name


def _go_on(trainer: "Trainer", say: Callable[[str], None]) -> None:
    """Bring ``trainer`` to its last checkpoint, if it has one."""
    from vitlab.engine.snapshot import restore

    state = trainer.parts.checkpoints.load_latest(say)
    if state is not None:
        restore(trainer, state, say)


def _finish(
    run: RunFolder,
    trainer: "Trainer | None",
    tracker: "Fanout | Silent | None",
    status: str,
    summary: dict[str, Any],
    exit_code: int,
) -> None:
    """Leave the summary in the folder, also of a run that failed before it began."""
    if trainer is None or tracker is None:
        with suppress(OSError):  # the reason for the failure counts, not that it could not be written down
            write_json(run.summary, {"status": status, **summary})
        return
    tracker.finish(status, {**trainer.figures(), **summary}, exit_code)
    if status == "interrupted":
        tracker.say(f"stopped at step {trainer.step}; resume={os.path.relpath(run.path)} goes on from there")
    if "test_accuracy" in summary:
        tracker.say(f"test accuracy {summary['test_accuracy']:.2%} with the weights of step {trainer.best.step}")


if __name__ == "__main__":
    main()
