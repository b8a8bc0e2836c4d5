"""``python -m vitlab.train``: train one run, or with ``--multirun`` one run after the other."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from vitlab import provenance
from vitlab.config import saved
from vitlab.config.build import build, refusals_of
from vitlab.config.command import run_command
from vitlab.config.compose import plain, resolved
from vitlab.config.rules import refuse_illegal
from vitlab.errors import Interrupted, VitlabError
from vitlab.runs import RunFolder, write_json

if TYPE_CHECKING:  # torch is imported only once there is something to train
    from torch import nn

    from vitlab.engine.contracts import Optimizer
    from vitlab.engine.stop import GracefulStop
    from vitlab.engine.trainer import Trainer
    from vitlab.tracking.fanout import Fanout

NAMES_OF_MODELS = ("timm:", "hf:", "torchvision:")  # weights that are no file


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
    run, resuming = RunFolder(Path(HydraConfig.get().runtime.output_dir)), cfg.resume is not None
    overrides = plain(HydraConfig.get().overrides.task)
    cfg = _settle(cfg, run, overrides)

    from vitlab.engine.stop import GracefulStop

    summary: dict[str, Any] = {}
    trainer, tracker, status, exit_code = None, None, "failed", 1
    with GracefulStop() as stop:
        try:
            trainer, summary = _build(cfg, run, stop, overrides)
            tracker = _track(cfg, run, trainer, summary, resuming)
            stop.wait_for_loop()
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


def _settle(cfg: DictConfig, run: RunFolder, overrides: list[str]) -> DictConfig:
    """The legal settings of a run whose folder is claimed; a refusal leaves nothing behind."""
    try:
        if cfg.resume is not None:
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise VitlabError(f"resume={cfg.resume} goes on with one run; leave --multirun out")
            cfg = saved.load_to_resume(run, cfg, overrides)
            refuse_illegal(cfg, [])
            write_json(run.summary, {"status": "running"})
            return cfg
        for key in ("data.root", "model.weights"):  # absolute, so that the folder can be used from anywhere
            path = OmegaConf.select(cfg, key)
            if path is not None and not str(path).startswith(NAMES_OF_MODELS):
                OmegaConf.update(cfg, key, str(Path(str(path)).expanduser().absolute()))
        refuse_illegal(resolved(cfg), overrides)
        run.claim()
        return cfg
    except OSError as error:
        raise VitlabError(f"{run.path} cannot be written: {error.strerror or error}") from error
    except VitlabError:
        run.discard_if_empty()
        raise


def _build(
    cfg: DictConfig, run: RunFolder, stop: "GracefulStop", overrides: list[str]
) -> tuple["Trainer", dict[str, Any]]:
    """All the parts, put into a trainer; what is known of the run before it begins goes into its folder."""
    import torch

    from vitlab.analysis.cost import count_parameters, flops_per_image
    from vitlab.engine.checkpoint import Checkpoints
    from vitlab.engine.device import device_name
    from vitlab.engine.trainer import Parts
    from vitlab.optim.parameter_groups import parameter_groups

    allow = cfg.allow_targets
    data = build(resolved(cfg), "data", allow)
    if OmegaConf.select(cfg, "data.num_classes") is None:  # a folder of images knows it only now
        cfg.data.num_classes = data.spec.num_classes
    cfg = resolved(cfg)

    torch.manual_seed(cfg.seed)
    begun = run.has_checkpoint()  # a run that was stopped before its first one begins anew
    model = build(saved.from_checkpoint(cfg) if begun else cfg, "model", allow)
    make_optimizer = build(cfg, "optimizer", allow)

    def optimizer_for(model: "nn.Module") -> "Optimizer":
        with refusals_of("optimizer"):
            optimizer: Optimizer = make_optimizer(parameter_groups(model))
            return optimizer

    parts = Parts(
        model=model,
        data=data,
        augment=build(cfg, "augment", allow),
        objective=build(cfg, "objective", allow),
        optimizer=optimizer_for,
        schedule=build(cfg, "scheduler", allow),
        checkpoints=Checkpoints(run.checkpoints),
        stop=stop,
    )
    cost = {
        "parameters": count_parameters(model),
        "flops_per_image": flops_per_image(model, data.spec.channels, data.spec.image_size),
    }
    make_trainer = build(cfg, "trainer", allow)
    with refusals_of("trainer or scheduler"):
        trainer: Trainer = make_trainer(parts, cfg.seed)
    hashes = data.hashes()
    provenance.refuse_other_data(run, hashes)
    provenance.save_once(run, cfg.seed, device_name(trainer.device), hashes, data.spec.class_names)
    saved.save_once(run, cfg, overrides)
    return trainer, cost


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
        sweep = "_".join(run.path.parts[-3:-1]) if in_sweep else None
        name = ",".join(saved.load_overrides(run))
        make = build(cfg, "tracker", cfg.allow_targets)
        with refusals_of("tracker"):
            beside.append(make(run.path, {**plain(resolved(cfg)), **cost}, sweep, name, console.say))
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
