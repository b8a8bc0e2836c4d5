"""The config of a run in its folder: written once, read back for resume and evaluation."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from vitlab.config.compose import plain, resolved
from vitlab.config.secrets import forgotten, hidden_override, without_secrets
from vitlab.errors import VitlabError, first_line
from vitlab.runs import RunFolder

# What may change when a run goes on: it alters neither the weights nor the figures.
_FREE = ("data.root", "data.num_workers", "trainer.device", "trainer.parallel", "objective.teacher")

# What may be asked of W&B by a folder, which may be a stranger's: not where to send the key, nor by which way.
_HARMLESS_TO_W_AND_B = ("x_disable_stats", "x_stats_sampling_interval", "console", "silent", "quiet")
_ASKS = "${"  # for what stands elsewhere, in the environment say; a config is resolved before it is saved

_PARTS = ("data", "augment", "model", "objective", "optimizer", "scheduler", "trainer")
_OF_THE_USER = ("allow_targets", "allow_changed_data")  # what is allowed is said by who runs, not by a folder


def save_once(run: RunFolder, settings: DictConfig, overrides: list[str]) -> None:
    """Write ``config.yaml`` and ``overrides.yaml``, without secrets, unless ``run`` goes on and has them."""
    if not run.config.exists():
        OmegaConf.save(OmegaConf.create([hidden_override(override) for override in overrides]), run.overrides)
        OmegaConf.save(OmegaConf.create(without_secrets(plain(settings))), run.config)


def load(run: RunFolder) -> DictConfig:
    """The config of ``run``, as plain values.

    Raises:
        VitlabError: the file cannot be read as a config.
    """
    try:
        settings = _read(run.config)
        if isinstance(settings, DictConfig):
            return resolved(OmegaConf.create(_harmless(forgotten(plain(settings)))))
    except Exception as error:
        raise VitlabError(f"{run.config} cannot be read as a config: {first_line(error)}") from error
    raise VitlabError(f"{run.config} is not the config of a run")


def load_whole(run: RunFolder) -> DictConfig:
    """The config of ``run``, from which all its parts can be built.

    Raises:
        VitlabError: the file cannot be read as a config, or lacks the settings of a part.
    """
    settings = load(run)
    for part in _PARTS:
        if not isinstance(settings.get(part), DictConfig):
            raise VitlabError(f"{run.config} is not the config of a run: it has no settings of {part}")
    return settings


def _read(path: Path) -> Any:
    """What OmegaConf makes of the file ``path``, which must be as large as it looks."""
    if any(isinstance(token, yaml.AliasToken) for token in yaml.scan(path.read_text())):
        raise ValueError("it has an alias (*), which vitlab never writes")
    return OmegaConf.load(path)


def _harmless(values: dict[str, Any]) -> dict[str, Any]:
    """``values`` of a folder, which may be a stranger's, without what must not be asked for."""
    if asking := next((text for text in _texts(values) if _ASKS in text), None):
        raise ValueError(f"it asks for {asking[:60]}, and the config of a run holds nothing but values")
    if isinstance(values.get("tracker"), dict) and isinstance(asked := values["tracker"].get("settings"), dict):
        values["tracker"]["settings"] = {key: asked[key] for key in _HARMLESS_TO_W_AND_B if key in asked}
    return values


def _texts(plain: Any) -> Iterator[str]:
    """Every text in nested dicts and lists."""
    if isinstance(plain, str):
        yield plain
    elif isinstance(plain, dict | list):
        for value in plain.values() if isinstance(plain, dict) else plain:
            yield from _texts(value)


def from_checkpoint(settings: DictConfig) -> DictConfig:
    """``settings`` for a model whose weights a checkpoint holds: the file that it began with is needed no more."""
    settings = settings.copy()
    if OmegaConf.select(settings, "model.weights") is not None:
        settings.model.weights = None
    return settings


def load_overrides(run: RunFolder) -> list[str]:
    """What was typed when ``run`` began.

    Raises:
        VitlabError: the file cannot be read as a list of words.
    """
    if not run.overrides.is_file():
        return []
    try:
        overrides = plain(_read(run.overrides))
    except Exception as error:
        raise VitlabError(f"{run.overrides} cannot be read: {first_line(error)}") from error
    if not isinstance(overrides, list) or not all(isinstance(override, str) for override in overrides):
        raise VitlabError(f"{run.overrides} is no list of overrides")
    return overrides


def load_to_resume(run: RunFolder, cfg: DictConfig, overrides: list[str]) -> DictConfig:
    """The settings with which ``run`` goes on: its own, apart from what is free to change.

    Args:
        run: the run to go on with.
        cfg: the config that the present command line composed.
        overrides: what that command line holds.

    Raises:
        VitlabError: the run is done, or an override contradicts its settings.
    """
    if run.status() == "done":
        hint = f"python -m vitlab.evaluate run={run.path} shows its figures"
        raise VitlabError(f"resume={run.path}: this run is done; {hint}")
    settings = load_whole(run)
    typed_then = load_overrides(run)
    now = resolved(cfg)
    for key in _OF_THE_USER:
        OmegaConf.update(settings, key, now[key])
    for override in overrides:
        key = override.split("=")[0].lstrip("+~").replace("/", ".")
        if key in ("resume", *_OF_THE_USER) or hidden_override(override) in typed_then:
            continue
        if key.split(".")[0] == "tracker":
            settings.tracker = now.tracker
        elif key in _FREE:
            OmegaConf.update(settings, key, OmegaConf.select(now, key))
        elif (wanted := OmegaConf.select(now, key)) is None or wanted != OmegaConf.select(settings, key):
            was = OmegaConf.select(settings, key)
            own = "the run has its own settings" if was is None or OmegaConf.is_config(was) else f"the run's is {was}"
            raise VitlabError(f"{override} cannot change in a run that is resumed ({own}); leave it out, or start anew")
    return settings
