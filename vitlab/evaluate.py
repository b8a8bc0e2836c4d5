"""``python -m vitlab.evaluate``: what a finished run can do, from nothing but its folder."""

import os
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vitlab import provenance
from vitlab.config.build import build, refusals_of
from vitlab.config.command import run_command
from vitlab.config.rules import whole_number
from vitlab.config.secrets import hidden_in
from vitlab.errors import VitlabError, printable
from vitlab.trained import Trained, choose, load_trained

if TYPE_CHECKING:  # torch is imported only once there is something to evaluate
    from vitlab.data.image_data import ImageData

_SPLITS = ("train", "val", "test")


def main() -> None:
    """The command line."""
    run_command(evaluate, "evaluate")


def evaluate(cfg: DictConfig) -> float:
    """Evaluate a checkpoint of a run on one split, say what was found, and keep it in the folder of the run.

    Returns:
        The accuracy, a fraction.

    Raises:
        VitlabError: there is no such run, checkpoint or split, its data are not to be had, or the other data have
            other images or classes.
    """
    _refuse_illegal(cfg)
    trained = load_trained(choose(cfg), cfg.checkpoint, cfg.allow_targets)
    if cfg.data_root is not None:
        (cfg if cfg.get("data") else trained.settings).data.root = cfg.data_root

    from vitlab.engine.stop import GracefulStop
    from vitlab.evaluation.report import PAGE, write
    from vitlab.evaluation.words import sentences

    with GracefulStop() as stop, stop.at_once():
        found = _found(cfg, trained, stop)
    folder = trained.run.path / "evaluation" / _name(cfg)
    command = " ".join(["python -m vitlab.evaluate", *map(hidden_in, HydraConfig.get().overrides.task)])
    try:
        write(found, folder, command)
    except OSError as error:
        raise VitlabError(f"{folder} cannot be written: {error.strerror or error}") from error
    print("\n".join(map(printable, sentences(found))))
    print(f"{os.path.relpath(folder / PAGE)} shows it")
    accuracy: float = found["accuracy"]
    return accuracy


def _refuse_illegal(cfg: DictConfig) -> None:
    if cfg.split not in _SPLITS:
        raise VitlabError(f"split={cfg.split} is not one of {', '.join(_SPLITS)}")
    for key in ("batch_size", "robustness_images"):
        whole_number(cfg, key, 1, needed=True)
    for key in ("robustness", "mirror"):
        if not isinstance(cfg[key], bool):
            raise VitlabError(f"{key}={cfg[key]} is neither true nor false")


def _name(cfg: DictConfig) -> str:
    """Of the folder: each split, checkpoint and set of data has its own."""
    other = HydraConfig.get().runtime.choices.get("data") if cfg.get("data") else None
    parts = [other, cfg.split, cfg.checkpoint if cfg.checkpoint != "best" else None]
    return "-".join(str(part) for part in parts if part)


def _found(cfg: DictConfig, trained: Trained, stop: Any) -> dict[str, Any]:
    from vitlab.engine.device import device_name, pick_device
    from vitlab.engine.precision import Precision
    from vitlab.evaluation import measures
    from vitlab.evaluation.predictions import First, Predictions, Predictor
    from vitlab.evaluation.robustness import BATCH, SEED, robustness
    from vitlab.evaluation.speed import speed

    with refusals_of("device"):
        device = pick_device(cfg.device)
    settings = trained.settings
    own: ImageData = build(settings, "data", cfg.allow_targets)
    provenance.refuse_other_data(trained.run, own.hashes())
    data = _other_data(cfg, own) if cfg.get("data") else own
    augment = build(settings, "augment", cfg.allow_targets)
    predictor = Predictor(trained.model.to(device), augment, Precision(settings.trainer.precision, device), stop)

    def batches(data: "ImageData", split: str) -> Any:
        return data.batches(split, batch_size=cfg.batch_size, device=device, seed=settings.seed, shuffle=False)

    predictions = predictor.on(batches(data, cfg.split))
    names = data.spec.class_names + trained.class_names[len(data.spec.class_names) :]  # a model may know more
    shape = (data.spec.channels, data.spec.image_size, data.spec.image_size)
    temperature = measures.temperature(predictor.on(batches(own, "val")))
    cooled = Predictions(predictions.logits / temperature, predictions.labels)
    found: dict[str, Any] = {
        "title": f"{trained.run.path.name}: {_name(cfg)}",
        "split": cfg.split,
        "checkpoint": cfg.checkpoint,
        "step": trained.step,
        "device": device_name(device),
        **measures.measures(predictions),
        "calibrated": {"temperature": temperature, "fitted_on": "val", **measures.measures(cooled)},
        "classes": measures.by_class(predictions, names),
        "confusion": measures.confusion(predictions),
        "reliability": [asdict(one) for one in measures.reliability(predictions)],
        "speed": speed(predictor, shape, min(cfg.batch_size, len(predictions.labels))),
    }
    if cfg.mirror:
        found["mirrored"] = measures.measures(predictor.on(batches(data, cfg.split), mirrored=True))
    if cfg.robustness:
        drawn = data.batches(cfg.split, batch_size=BATCH, device=device, seed=SEED, shuffle=True)
        some = First(drawn, cfg.robustness_images)
        clean = predictor.on(some)
        found["images_damaged"], found["accuracy_of_these"] = len(clean.labels), clean.accuracy
        found["robustness"] = robustness(predictor, some, settings.model.get("patch_size") or data.spec.patch_size)
    return found


def _other_data(cfg: DictConfig, own: "ImageData") -> "ImageData":
    """Another set, whose images and classes the model can take."""
    data: ImageData = build(cfg, "data", cfg.allow_targets)
    for name in ("image_size", "channels", "num_classes"):
        ours, theirs = getattr(own.spec, name), getattr(data.spec, name)
        if ours != theirs:
            raise VitlabError(f"data: its {name} is {theirs}, and the run's {ours}; name a set like the run's own")
    _refuse_other_classes(own.spec.class_names, data.spec.class_names)
    return data


def _refuse_other_classes(ours: tuple[str, ...], theirs: tuple[str, ...]) -> None:
    """A label must mean the same class in both."""
    if theirs == ours:
        return
    if sorted(theirs) == sorted(ours):
        number = next(number for number, name in enumerate(ours) if theirs[number] != name)
        raise VitlabError(
            f"data: its classes are in another order: number {number} is {theirs[number]}, and the run's {ours[number]}"
        )
    strange = [name for name in theirs if name not in ours]
    told = f"{', '.join(strange[:3])}{', …' if len(strange) > 3 else ''}"
    raise VitlabError(f"data: its classes are not the run's, {told} among them; name a set of {', '.join(ours[:3])}, …")


if __name__ == "__main__":
    main()
