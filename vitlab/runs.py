"""The folder of a run: where its files lie, how it is claimed, and what state it is in."""

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitlab.errors import VitlabError, did_you_mean


@dataclass(frozen=True)
class RunFolder:
    """The files of one run, by name.

    Args:
        path: the folder, ``outputs/DATE/TIME`` or ``multirun/DATE/TIME/JOB``.
    """

    path: Path

    @property
    def config(self) -> Path:
        """The composed and resolved config."""
        return self.path / "config.yaml"

    @property
    def overrides(self) -> Path:
        """What was typed on the command line, as a list."""
        return self.path / "overrides.yaml"

    @property
    def summary(self) -> Path:
        """Status, best and final figures, cost."""
        return self.path / "summary.json"

    @property
    def provenance(self) -> Path:
        """Commit, versions, device, hashes of the data and its splits."""
        return self.path / "provenance.json"

    @property
    def checkpoints(self) -> Path:
        """Folder of ``last.pt`` and ``best.pt``."""
        return self.path / "checkpoints"

    def has_checkpoint(self) -> bool:
        """Whether there is something to go on from."""
        return any(self.checkpoints.glob("*.pt"))

    def claim(self) -> None:
        """Take a new folder for one run.

        Raises:
            VitlabError: the folder holds a run already, or cannot be written.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            with self.summary.open("x") as file:
                json.dump({"status": "running"}, file)
        except FileExistsError:
            hint = f"resume={self.path} goes on with it, another hydra.run.dir starts afresh"
            raise VitlabError(f"{self.path} holds a run already, and a run is never overwritten; {hint}") from None
        except OSError as error:
            raise VitlabError(f"hydra.run.dir={self.path} cannot be written: {error.strerror}") from error

    def status(self) -> str:
        """``running``, ``done``, ``failed`` or ``interrupted``; ``running`` also when the summary cannot be read."""
        try:
            status: str = json.loads(self.summary.read_text())["status"]
        except (OSError, ValueError, KeyError, TypeError):
            return "running"
        return status

    def discard_if_empty(self) -> None:
        """Remove the folder, and the folder of its date, where a refused command left nothing in them."""
        for folder in (self.path, self.path.parent):
            if not folder.is_dir() or any(folder.iterdir()):
                return
            folder.rmdir()


def open_run(key: str, path: str | Path) -> RunFolder:
    """The existing run folder ``path``, which the user named as ``key``.

    Raises:
        VitlabError: there is no such folder, or it holds no run.
    """
    run = RunFolder(Path(path).expanduser().absolute())
    if not run.path.is_dir():
        siblings = [p.name for p in run.path.parent.iterdir()] if run.path.parent.is_dir() else []
        raise VitlabError(f"{key}={path}: there is no such folder{did_you_mean(run.path.name, siblings)}")
    if not run.config.is_file():
        inside = sorted(str(p.parent) for p in run.path.glob("**/config.yaml"))[:3]
        hint = f"; it has runs inside: {', '.join(inside)}" if inside else ""
        raise VitlabError(f"{key}={path} holds no run (no config.yaml){hint}")
    return run


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` so that a reader sees the old file or the new one, never a part.

    Raises:
        OSError: the disk is full or the folder cannot be written; the old file stays.
    """
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w") as file:
        json.dump(content, file, indent=2, allow_nan=False)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
