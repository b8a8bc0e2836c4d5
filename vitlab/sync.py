"""``python -m vitlab.sync``: send a run to W&B from nothing but its folder."""

import json
import secrets
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from vitlab.config import saved
from vitlab.config.build import build, refusals_of
from vitlab.config.command import run_command
from vitlab.config.compose import plain
from vitlab.errors import VitlabError
from vitlab.runs import RunFolder, open_run, write_json
from vitlab.tracking.records import Row, rows_of
from vitlab.train import told_to_tracker

_EXIT_CODES = {"done": 0, "interrupted": 143}


def main() -> None:
    """The command line."""
    run_command(sync, "sync")


def sync(cfg: DictConfig) -> None:
    """Send all rows of ``cfg.run`` as a new run at W&B, in which the run goes on if it is resumed.

    What W&B had of it before, in parts, with rows that were rolled back or that never arrived, is left alone there.

    Raises:
        VitlabError: there is no such run, it is being trained, or W&B did not take all of it.
    """
    if cfg.run is None:
        raise VitlabError("run= is missing: it names the folder of a run, as in run=outputs/DATE/TIME")
    run = open_run("run", cfg.run)
    with run.locked():
        rows = rows_of(run.path)
        sent = _Sent(run.path)
        if sent.whole(len(rows)):
            print(f"W&B has all {len(rows)} rows: {sent.url}")
            return
        before = sent.begin()
        try:
            url = _send(cfg, run, rows)
        except BaseException:
            sent.take_back(before)
            raise
        sent.end(url, len(rows))
    print(f"{len(rows)} rows sent: {url}")
    if before:
        print(f"what W&B had of it before is the run {before}, which can be deleted there")


def _send(cfg: DictConfig, run: RunFolder, rows: list[Row]) -> str:
    """All of ``run``; its address."""
    settings, summary = saved.load(run), run.read_summary()
    typed = [override for override in plain(HydraConfig.get().overrides.task) if override.startswith("tracker.")]
    is_wandb = OmegaConf.select(settings, "tracker._target_") == cfg.tracker._target_
    own = settings.tracker if is_wandb else cfg.tracker
    for key in [override.split("=")[0] for override in typed] + ["tracker.mode", "tracker.finish_timeout"]:
        OmegaConf.update(own, key.removeprefix("tracker."), OmegaConf.select(cfg, key), force_add=True)
    cost: dict[str, Any] = {key: summary[key] for key in ("parameters", "flops_per_image", "budget") if key in summary}
    told = told_to_tracker(run, settings, cost)
    said: list[str] = []
    make = build(OmegaConf.create({"tracker": own}), "tracker", cfg.allow_targets)
    with refusals_of("tracker"):
        tracker = make(run.path, *told, said.append)
    for row in rows if tracker.url else ():
        tracker.log({key: float("nan") if value is None else value for key, value in row.items()})
    tracker.finish(summary, _EXIT_CODES.get(run.status(), 1))
    if not tracker.url or not tracker.complete:
        raise VitlabError("; ".join(said) or "W&B is switched off")
    url: str = tracker.url
    return url


class _Sent:
    """What of a run has been sent, and as which run at W&B."""

    def __init__(self, folder: Path) -> None:
        self._id, self._note = folder / "wandb_id.txt", folder / "wandb_sent.json"
        try:
            self._content: dict[str, Any] = dict(json.loads(self._note.read_text()))
        except (OSError, ValueError, TypeError):
            self._content = {}
        self.url = str(self._content.get("url"))

    def whole(self, rows: int) -> bool:
        return self._content.get("rows") == rows

    def begin(self) -> str:
        """Give the run a new id; the one it had, if any, also where this was begun and killed before."""
        before = self._content.get("before", self._id.read_text().strip() if self._id.exists() else "")
        write_json(self._note, {"before": before})
        self._id.write_text(secrets.token_hex(4))
        return str(before)

    def take_back(self, before: str) -> None:
        self._id.write_text(before) if before else self._id.unlink()
        write_json(self._note, self._content) if self._content else self._note.unlink()

    def end(self, url: str, rows: int) -> None:
        write_json(self._note, {"url": url, "rows": rows})


if __name__ == "__main__":
    main()
