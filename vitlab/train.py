"""``python -m vitlab.train``: train one run, or with ``--multirun`` one run after the other."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf, open_dict

from vitlab import provenance
from vitlab.config import saved
from vitlab.config.build import build, refusals_of
from vitlab.config.command import run_command
from vitlab.config.compose import plain, resolved
from vitlab.config.rules import refuse_illegal
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


def main() -> None:
    """The command line."""
    run_command(train, "train")


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
    with _held(cfg, run, overrides) as settings:
        return _train(settings, run, overrides, resuming=cfg.resume is not None)


def _train(cfg: DictConfig, run: RunFolder, overrides: list[str], resuming: bool) -> float:
    summary: dict[str, Any] = {}
    trainer, tracker, status, exit_code = None, None, "failed", 1
    with GracefulStop() as stop:
        try:
            with stop.at_once():
                assembled = _build(cfg, run, stop, overrides)
                trainer, summary = assembled.trainer, dict(assembled.cost)
                tracker = _track(cfg, run, trainer, summary, resuming)
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
            summary["error"] = f"{error}" if isinstance(error, VitlabError) else f"{type(error).__name__}: {error}"
            raise
        finally:
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
    provenance.refuse_other_data(run, hashes)
    provenance.save_once(run, cfg.seed, device_name(trainer.device), hashes, assembled.class_names)
    saved.save_once(run, assembled.settings, overrides)
    length = {"total_steps": trainer.length.total_steps, "steps_per_epoch": trainer.length.steps_per_epoch}
    write_json(run.summary, {"status": "running", **length, **assembled.cost})
    return assembled


def _matched(run: RunFolder) -> dict[str, Any]:
    """What the budget of a run that goes on was matched by, when it began."""
    return {key: value for key, value in run.read_summary().items() if key == "budget"}


def _track(cfg: DictConfig, run: RunFolder, trainer: "Trainer", cost: dict[str, Any], resuming: bool) -> "Fanout":
    """The tracker of the run; a resumed run is brought back to its last checkpoint."""
    from vitlab.engine.snapshot import restore
    from vitlab.tracking.console import Console
    from vitlab.tracking.fanout import Fanout
    from vitlab.tracking.records import Records

    console, records = Console(trainer.length), Records(run.path)
    console.say(f"run folder {os.path.relpath(run.path)}, {trainer.device}")
    console.say(f"{cost['parameters']:,} parameters, {cost['flops_per_image'] / 1e6:,.1f} MFLOPs an image")
    if loaded := getattr(trainer.parts.model, "loaded", None):
        console.say(str(loaded))
    if resuming:
        state = trainer.parts.checkpoints.load_latest(console.say)
        if state is not None:
            restore(trainer, state, console.say)
        records.truncate(trainer.rows)
        console.say(f"going on from step {trainer.step}")
    beside = []
    if cfg.tracker is not None:
        in_sweep = (run.path.parent / "multirun.yaml").exists()
        sweep = group_of(run.path.parent) if in_sweep else None
        job = job_of(run.path)
        swept = {"sweep": dict(override.split("=", 1) for override in job.varied)} if job else {}
        name = ",".join(job.varied if job else saved.load_overrides(run))
        make = build(cfg, "tracker", cfg.allow_targets)
        with refusals_of("tracker"):
            beside.append(make(run.path, {**swept, **plain(resolved(cfg)), **cost}, sweep, name, console.say))
    return Fanout(records, console, beside)


def _finish(
    run: RunFolder,
    trainer: "Trainer | None",
    tracker: "Fanout | None",
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
