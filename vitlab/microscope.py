"""``python -m vitlab.microscope``: how a trained ViT sees."""

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vitlab import provenance
from vitlab.config.build import build, refusals_of
from vitlab.config.command import run_command
from vitlab.config.compose import plain
from vitlab.config.rules import whole_number
from vitlab.config.secrets import hidden_in
from vitlab.errors import VitlabError, printable
from vitlab.evaluation.images import left_out, named, read
from vitlab.runs import RunFolder, open_run
from vitlab.tracking.wandb import MODES
from vitlab.train import told_to_tracker
from vitlab.trained import Trained, choose, load_trained

if TYPE_CHECKING:  # torch is imported only once there is something to look at
    import torch

    from vitlab.evaluation.predictions import Predictor
    from vitlab.microscopy.observing import Observation
    from vitlab.microscopy.sample import Sample

_SPLITS = ("train", "val", "test")


def main() -> None:
    """The command line."""
    run_command(microscope, "microscope")


def microscope(cfg: DictConfig) -> None:
    """Look into the model of a run, say what is to be seen, and keep it in the folder of the run.

    Raises:
        VitlabError: there is no such run, checkpoint, split or image, the model cannot be looked into, or the other run
            takes other images; or, when all else is done, some files are no images.
    """
    _refuse_illegal(cfg)
    run = choose(cfg)
    other = open_run("other", cfg.other) if cfg.other is not None else None
    paths = named(plain(cfg)["images"]) if cfg.images is not None else []
    trained = load_trained(run, cfg.checkpoint, cfg.allow_targets)
    if cfg.data_root is not None:
        trained.settings.data.root = cfg.data_root

    from vitlab.engine.stop import GracefulStop
    from vitlab.microscopy.report import PAGE, write
    from vitlab.microscopy.words import sentences

    folder = run.path / "microscope" / _name(cfg)
    command = " ".join(["python -m vitlab.microscope", *map(hidden_in, HydraConfig.get().overrides.task)])
    with GracefulStop() as stop, stop.at_once():
        observation, broken = _observation(cfg, trained, other, paths, stop)
        try:
            pictures = write(observation, folder, command)
        except OSError as error:
            raise VitlabError(f"{folder} cannot be written: {error.strerror or error}") from error
        print("\n".join(map(printable, sentences(observation.found))))
        print(f"{os.path.relpath(folder / PAGE)} shows it")
        if cfg.wandb and (told := _send(cfg, trained, folder, observation.found, pictures)):
            print(told)
    if broken:
        raise VitlabError(left_out(broken, len(paths)))


def _refuse_illegal(cfg: DictConfig) -> None:
    if cfg.split not in _SPLITS:
        raise VitlabError(f"split={cfg.split} is not one of {', '.join(_SPLITS)}")
    for key in ("num_images", "ablation_images", "shown"):
        whole_number(cfg, key, 1, needed=True)
    whole_number(cfg, "batch_size", 4, needed=True)  # CKA takes so many images at once
    for key in ("ablation", "wandb"):
        if not isinstance(cfg[key], bool):
            raise VitlabError(f"{key}={cfg[key]} is neither true nor false")
    if cfg.tracker.mode not in MODES:
        raise VitlabError(f"tracker.mode={cfg.tracker.mode} is not one of {', '.join(MODES)}")


def _name(cfg: DictConfig) -> str:
    """Of the folder: each split and checkpoint has its own, and images of the user's."""
    parts = ["images" if cfg.images is not None else cfg.split, cfg.checkpoint if cfg.checkpoint != "best" else None]
    return "-".join(str(part) for part in parts if part)


def _observation(
    cfg: DictConfig, trained: Trained, other: RunFolder | None, paths: list[Path], stop: Any
) -> tuple["Observation", list[str]]:
    """What is seen, and what is wrong with files that are no images."""
    from vitlab.engine.device import device_name, pick_device
    from vitlab.microscopy.observing import observe, refuse_opaque
    from vitlab.microscopy.sample import shown

    with refusals_of("device"):
        device = pick_device(cfg.device)
    with refusals_of("run"):
        model = refuse_opaque(trained.model)
    predictor = _predictor(cfg, trained, device, stop)
    beside = _other(cfg, trained, other, device, stop) if other is not None else None
    sample, broken = _sample(cfg, trained, paths, device)
    right = partial(sample.right, predictor, cfg.ablation_images, cfg.batch_size)
    observation = observe(
        model,
        predictor.augment.eval,
        sample.images if paths else sample.first(cfg.num_images),
        batch_size=cfg.batch_size,
        shown=cfg.shown,
        right=right if cfg.ablation and sample.labels is not None else None,
        other=beside,
    )
    observation.found.update(
        title=f"{trained.run.path.name}: {_name(cfg)}",
        source=sample.source,
        checkpoint=cfg.checkpoint,
        step=trained.step,
        device=device_name(device),
        shown=shown(sample, observation.maps.probabilities, trained.class_names),
        other=None if other is None else other.path.name,
        left_out=broken,
    )
    return observation, broken


def _sample(cfg: DictConfig, trained: Trained, paths: list[Path], device: "torch.device") -> tuple["Sample", list[str]]:
    """The images that are looked at, and what is wrong with files that are none."""
    from vitlab.microscopy.sample import drawn, of_files

    if paths:
        size, channels = (trained.settings.data[key] for key in ("image_size", "channels"))
        images, good, broken = read(paths, size, channels)
        if not good:
            raise VitlabError(left_out(broken, len(paths)))
        return of_files(images, good, device), broken
    data = build(trained.settings, "data", cfg.allow_targets)
    provenance.refuse_other_data(trained.run, data.hashes())
    count = max(cfg.num_images, cfg.ablation_images if cfg.ablation else 0)
    return drawn(data, cfg.split, count, trained.settings.seed, device), []


def _predictor(cfg: DictConfig, trained: Trained, device: "torch.device", stop: Any) -> "Predictor":
    from vitlab.engine.precision import Precision
    from vitlab.evaluation.predictions import Predictor

    augment = build(trained.settings, "augment", cfg.allow_targets)
    precision = Precision(trained.settings.trainer.precision, device)
    return Predictor(trained.model.to(device), augment, precision, stop)


def _other(cfg: DictConfig, own: Trained, run: RunFolder, device: "torch.device", stop: Any) -> Any:
    """A second model, which must take the same images, and what normalises them for it."""
    from vitlab.microscopy.observing import refuse_opaque

    trained = load_trained(run, cfg.checkpoint, cfg.allow_targets)
    for name in ("image_size", "channels"):
        ours, theirs = own.settings.data[name], trained.settings.data[name]
        if ours != theirs:
            raise VitlabError(
                f"other={cfg.other}: its {name} is {theirs}, and the run's {ours}; name a run of such images"
            )
    with refusals_of("other"):
        model = refuse_opaque(trained.model)
    return model, _predictor(cfg, trained, device, stop).augment.eval


def _send(cfg: DictConfig, trained: Trained, folder: Path, found: dict[str, Any], pictures: list[Path]) -> str | None:
    """Send pictures and tables to W&B, with the tracker of the run where that is W&B; what there is to say of it."""
    from vitlab.microscopy.media import send

    settings = trained.settings
    is_wandb = OmegaConf.select(settings, "tracker._target_") == cfg.tracker._target_
    own = settings.tracker if is_wandb else cfg.tracker
    typed = [override for override in plain(HydraConfig.get().overrides.task) if override.startswith("tracker.")]
    for key in ("tracker.job_type", *(override.split("=")[0] for override in typed)):
        OmegaConf.update(own, key.removeprefix("tracker."), OmegaConf.select(cfg, key), force_add=True)
    make = build(OmegaConf.create({"tracker": own}), "tracker", cfg.allow_targets)
    config, sweep, name = told_to_tracker(trained.run, settings, {})
    said: list[str] = []
    with refusals_of("tracker"):
        tracker = make(folder, config, sweep, f"microscope {name}".strip(), said.append)
    return send(tracker, found, pictures) or (said[-1] if said else None)


if __name__ == "__main__":
    main()
