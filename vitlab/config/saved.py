"""The config of a run in its folder: written once, read back for resume and evaluation."""

from omegaconf import DictConfig, OmegaConf

from vitlab.config.compose import plain, resolved
from vitlab.errors import VitlabError
from vitlab.runs import RunFolder

# What may change when a run goes on: it alters neither the weights nor the figures.
_FREE = ("data.root", "data.num_workers", "trainer.device", "objective.teacher")


def save_once(run: RunFolder, settings: DictConfig, overrides: list[str]) -> None:
    """Write ``config.yaml`` and ``overrides.yaml`` into the folder of ``run``, unless it goes on and has them."""
    if not run.config.exists():
        OmegaConf.save(OmegaConf.create(overrides), run.overrides)
        OmegaConf.save(settings, run.config)


def load(run: RunFolder) -> DictConfig:
    """The config of ``run``, as plain values.

    Raises:
        VitlabError: the file cannot be read as a config.
    """
    try:
        settings = OmegaConf.load(run.config)
    except Exception as error:
        raise VitlabError(f"{run.config} cannot be read as a config: {str(error).splitlines()[0]}") from error
    if not isinstance(settings, DictConfig):
        raise VitlabError(f"{run.config} is not the config of a run")
    return settings


def from_checkpoint(settings: DictConfig) -> DictConfig:
    """``settings`` for a model whose weights a checkpoint holds: the file that it began with is needed no more."""
    settings = settings.copy()
    if OmegaConf.select(settings, "model.weights") is not None:
        settings.model.weights = None
    return settings


def load_overrides(run: RunFolder) -> list[str]:
    """What was typed when ``run`` began."""
    overrides: list[str] = plain(OmegaConf.load(run.overrides)) if run.overrides.is_file() else []
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
    settings = load(run)
    typed_then = load_overrides(run)
    now = resolved(cfg)
    settings.allow_targets = now.allow_targets  # what a folder may build is said by its user, not by the folder
    for override in overrides:
        key = override.split("=")[0].lstrip("+~").replace("/", ".")
        if key in ("resume", "allow_targets") or override in typed_then:
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
