"""The folder of a run: where its files lie, how it is claimed, and what state it is in."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vitlab.errors import VitlabError, did_you_mean

SWEEP_FILE = "sweep.json"  # in the folder of a sweep: its jobs and what became of them
SWEEP_CHANGES = "sweep.jsonl"  # beside it while the sweep runs: what has changed since, a line for each change


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

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process alone; the system lets go of it however the process ends.

        Raises:
            VitlabError: another process holds it.
            OSError: the folder cannot be written.
        """
        with self._lock.open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise VitlabError(f"{self.path} is being trained by another process; stop that one first") from None
            yield

    def is_locked(self) -> bool:
        """Whether a process is training this run now."""
        try:
            with self._lock.open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except OSError:
            return False
        return False

    @property
    def _lock(self) -> Path:
        return self.path / ".lock"

    def read_summary(self) -> dict[str, Any]:
        """What ``summary.json`` holds; nothing when it is missing or cannot be read."""
        try:
            summary = json.loads(self.summary.read_text())
        except (OSError, ValueError, RecursionError):
            return {}
        return summary if isinstance(summary, dict) else {}

    def status(self) -> str:
        """``running``, ``done``, ``failed`` or ``interrupted``; ``running`` also when the summary cannot be read."""
        return str(self.read_summary().get("status", "running"))

    def discard_unbegun(self) -> None:
        """Give up the claim of a run that was killed before it had written its config, so that it can begin anew."""
        if not self.config.exists() and not self.has_checkpoint():
            self.summary.unlink(missing_ok=True)

    def discard_if_empty(self) -> None:
        """Remove the folder, and the folder of its date, where a refused command left nothing in them."""
        for folder in (self.path, self.path.parent):
            if not folder.is_dir() or any(folder.iterdir()):
                return
            folder.rmdir()


def open_run(key: str, path: str | Path) -> RunFolder:
    """The existing run folder ``path``, which the user named as ``key``.

    Raises:
        VitlabError: there is no such folder, it holds no run, or a link in it leads out of it.
    """
    folder = _open(key, path, "run", "config.yaml")
    _refuse_links_out_of(folder)
    return RunFolder(folder)


def open_sweep(key: str, path: str | Path) -> Path:
    """The existing folder ``path`` of a sweep, which the user named as ``key``.

    Raises:
        VitlabError: there is no such folder, or it holds no sweep.
    """
    return _open(key, path, "sweep", SWEEP_FILE)


def read_sweep(folder: Path) -> dict[str, Any]:
    """What the sweep in ``folder`` has written of its jobs, as it wrote it: with the changes since, in their order.

    Raises:
        OSError: there is none.
        ValueError, KeyError, TypeError, IndexError: it is not the work of a sweep.
    """
    content: dict[str, Any] = json.loads((folder / SWEEP_FILE).read_text())
    changes = folder / SWEEP_CHANGES
    lines = changes.read_text().split("\n")[:-1] if changes.exists() else []  # the last may be torn
    jobs: list[dict[str, Any]] = content["jobs"]
    for job in map(json.loads, lines):
        if job["number"] == len(jobs):
            jobs.append(job)
        jobs[job["number"]] = job
    return content


def _open(key: str, path: str | Path, kind: str, file: str) -> Path:
    folder = Path(path).expanduser().absolute()
    if not folder.is_dir():
        siblings = [p.name for p in folder.parent.iterdir()] if folder.parent.is_dir() else []
        raise VitlabError(f"{key}={path}: there is no such folder{did_you_mean(folder.name, siblings)}")
    if not (folder / file).is_file():
        inside = sorted(str(p.parent) for p in folder.glob(f"**/{file}"))[:3]
        hint = f"; it has {kind}s inside: {', '.join(inside)}" if inside else ""
        raise VitlabError(f"{key}={path} holds no {kind} (no {file}){hint}")
    return folder


def _refuse_links_out_of(folder: Path) -> None:
    """What is written into a folder, which may be a stranger's, must not land elsewhere.

    Raises:
        VitlabError: a link in it leads out of it; W&B's own links, which it makes anew, are left to it.
    """
    home = folder.resolve()
    for parent, folders, files in os.walk(folder):
        for path in (Path(parent, name) for name in [*folders, *files]):
            if path.is_symlink() and not path.resolve().is_relative_to(home):
                raise VitlabError(f"{path} is a link out of the folder of the run; put what it leads to in its place")
        folders[:] = [name for name in folders if name != "wandb"]


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write ``content`` so that a reader sees the old file or the new one, never a part.

    Raises:
        VitlabError: a number in it is not finite.
        OSError: the disk is full or the folder cannot be written; the old file stays.
    """
    try:
        text = json.dumps(content, indent=2, allow_nan=False)
    except ValueError as error:
        raise VitlabError(f"{path} is not written: a figure in it is not finite") from error
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w") as file:
        file.write(f"{text}\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
