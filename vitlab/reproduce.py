"""``python -m vitlab.reproduce``: run a finished run again, and tell whether it is the same."""

import os
from collections.abc import Iterator
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from vitlab import provenance
from vitlab.config import saved
from vitlab.config.build import build
from vitlab.config.command import run_command
from vitlab.config.rules import refuse_illegal
from vitlab.errors import VitlabError, printable
from vitlab.runs import RunFolder, open_run
from vitlab.tracking.records import Row, first_difference, rows_of
from vitlab.train import train_in

_CODE = ("commit", "uncommitted", "python", "platform")


def main() -> None:
    """The command line."""
    run_command(reproduce, "reproduce")


def reproduce(cfg: DictConfig) -> None:
    """Tell what has changed since ``cfg.run``, train it again in a folder of its own, and compare all its figures.

    Raises:
        VitlabError: there is no such run, it is not done, its data are others, or the figures are not the same.
    """
    if cfg.run is None:
        raise VitlabError("run= is missing: it names the folder of a run, as in run=outputs/DATE/TIME")
    then = open_run("run", cfg.run)
    if then.status() != "done":
        raise VitlabError(f"run={cfg.run} is {then.status()}, and only what was done can be done again")
    settings = _settings(cfg, then)
    refuse_illegal(settings, [])
    provenance.refuse_other_data(then, build(settings, "data", cfg.allow_targets).hashes())
    for line in _changes(then, settings):
        print(printable(line))
    rows = rows_of(then.path)  # before the training, whose time is lost if they cannot be read
    now = RunFolder(Path(HydraConfig.get().runtime.output_dir))
    now.claim()
    with now.locked():
        train_in(now, settings, saved.load_overrides(then), resuming=False)
    _compare(then, rows, now)


def _settings(cfg: DictConfig, then: RunFolder) -> DictConfig:
    """Those of the run, as they were once its budget was spent on a width or a length."""
    settings = saved.load_whole(then)
    settings.resume = settings.tracker = settings.budget = None
    settings.allow_targets = cfg.allow_targets  # what a folder may build is said by its user, not by the folder
    if cfg.data_root is not None:
        settings.data.root = cfg.data_root
    return settings


def _changes(then: RunFolder, settings: DictConfig) -> Iterator[str]:
    """What is not as it was then, in words."""
    from vitlab.engine.device import device_name, pick_device

    before = provenance.read(then)
    after = provenance.collect(settings.seed, device_name(pick_device(settings.trainer.device)), {})
    for name in (*_CODE, "device"):
        if before.get(name) != after[name]:
            if name == "uncommitted":
                yield "uncommitted: the changes that were not committed are others (provenance.json has them)"
            else:
                yield f"{name}: {before.get(name)} then, {after[name]} now"
    versions = before.get("versions")
    versions = versions if isinstance(versions, dict) else {}
    for name, version in after["versions"].items():
        if versions.get(name) != version:
            yield f"{name}: {versions.get(name)} then, {version} now"


def _compare(then: RunFolder, rows: list[Row], now: RunFolder) -> None:
    difference = first_difference(rows, rows_of(now.path), ("then", "now"))
    accuracies = [run.read_summary().get("test_accuracy") for run in (then, now)]
    told = " and ".join(f"{accuracy:.2%}" if accuracy is not None else "none" for accuracy in accuracies)
    if difference is not None:
        raise VitlabError(
            f"not the same: {difference}; test accuracy then and now: {told}; see {os.path.relpath(now.path)}"
        )
    print(f"the same to the last digit: {len(rows)} rows of figures, test accuracy {told}")


if __name__ == "__main__":
    main()
