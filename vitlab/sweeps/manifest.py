"""What a sweep's folder knows of its jobs: ``sweep.json``, and a line in ``sweep.jsonl`` for each change since."""

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from vitlab.config.compose import folder_name
from vitlab.errors import VitlabError
from vitlab.runs import SWEEP_CHANGES, SWEEP_FILE, RunFolder, read_sweep, write_json

STATES = ("pending", "running", "done", "failed", "interrupted", "illegal", "pruned")
_SHOWN_DIFFERENCES = 5


@dataclass
class Job:
    """One run of a sweep.

    Args:
        number: its place in the sweep, from 0.
        folder: name of its run folder inside that of the sweep.
        overrides: its whole command line.
        varied: the part of it in which the jobs differ.
        state: one of ``STATES``; ``illegal`` was refused before anything began, ``pruned`` stopped as hopeless.
        attempts: how often it was started.
        reason: why it failed or is illegal.
        reference: what finds it again in a cluster after the launcher has died.
    """

    number: int
    folder: str
    overrides: list[str]
    varied: list[str]
    state: str = "pending"
    attempts: int = 0
    reason: str | None = None
    reference: str = ""

    @property
    def name(self) -> str:
        """As people call it: ``2 model.depth=8``."""
        return " ".join([str(self.number), *self.varied])


@dataclass
class Manifest:
    """All jobs of the sweep in ``folder``; every change is on the disk when ``save`` or ``note`` returns."""

    folder: Path
    jobs: list[Job] = field(default_factory=list)
    search: list[str] | None = None  # the command line of a search, which thinks of its jobs as it goes

    def save(self) -> None:
        """Write all jobs: a reader sees the old file or the new one.

        Raises:
            VitlabError: it cannot be written.
        """
        with self._writing(SWEEP_FILE):
            self.folder.mkdir(parents=True, exist_ok=True)
            search = {"search": self.search} if self.search is not None else {}
            write_json(self.folder / SWEEP_FILE, {**search, "jobs": [asdict(job) for job in self.jobs]})
            (self.folder / SWEEP_CHANGES).unlink(missing_ok=True)

    def note(self, job: Job) -> None:
        """Write what has changed of one job: a line, so that a change costs the same in a sweep of any size.

        Raises:
            VitlabError: it cannot be written.
        """
        with self._writing(SWEEP_CHANGES), (self.folder / SWEEP_CHANGES).open("a") as file:
            file.write(json.dumps(asdict(job)) + "\n")
            file.flush()
            os.fsync(file.fileno())

    @contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise VitlabError(f"{self.folder / name} cannot be written: {error.strerror or error}") from error

    def run(self, job: Job) -> RunFolder:
        """The run folder of ``job``."""
        return RunFolder(self.folder / job.folder)

    def log(self, job: Job) -> Path:
        """What ``job`` printed."""
        return self.folder / job.folder / "console.log"

    def by_state(self, *states: str) -> list[Job]:
        """The jobs in these states, in their order."""
        return [job for job in self.jobs if job.state in states]

    def refuse_other_jobs(self, wanted: Sequence[Sequence[str]]) -> None:
        """Make sure that a command line asks for the jobs that are here.

        Raises:
            VitlabError: it does not; the difference is shown.
        """
        here, there = {tuple(sorted(job.overrides)) for job in self.jobs}, {tuple(sorted(job)) for job in wanted}
        shared = set.intersection(*(set(job) for job in here | there)) if here | there else set()
        told = [f"has {_words(job, shared)}" for job in sorted(here - there)]
        told += [f"lacks {_words(job, shared)}" for job in sorted(there - here)]
        if told:
            shown = "; ".join(told[:_SHOWN_DIFFERENCES]) + ("; …" if len(told) > _SHOWN_DIFFERENCES else "")
            hint = "leave the overrides out to go on with its own jobs, or start a new sweep"
            raise VitlabError(f"sweep.resume={self.folder} is another sweep: it {shown}; {hint}")


def new_job(number: int, overrides: Sequence[str], own: Sequence[str]) -> Job:
    """A job with a folder named after its number and what is its own."""
    return Job(number, folder_name("-".join([str(number), ",".join(own)]).rstrip("-")), list(overrides), list(own))


def read(folder: Path) -> Manifest:
    """The manifest in ``folder``.

    Raises:
        VitlabError: there is none, or it cannot be read.
    """
    try:
        content = read_sweep(folder)
        return Manifest(folder, [_job(entry) for entry in content["jobs"]], content.get("search"))
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise VitlabError(f"{folder / SWEEP_FILE} cannot be read as the jobs of a sweep: {error}") from error


def group_of(folder: Path) -> str:
    """The name of the sweep in ``folder`` at W&B: its date and time."""
    return "_".join(folder.parts[-2:])


def job_of(run: Path) -> Job | None:
    """The job whose run folder is ``run``, or None if that is no part of a sweep of vitlab's."""
    if not (run.parent / SWEEP_FILE).is_file():
        return None
    return next((job for job in read(run.parent).jobs if job.folder == run.name), None)


def _job(entry: dict[str, Any]) -> Job:
    job = Job(**entry)
    texts = [job.folder, job.state, *job.overrides, *job.varied]
    if (
        not all(isinstance(text, str) for text in texts)
        or job.state not in STATES
        or Path(job.folder).name != job.folder
    ):
        raise ValueError(f"job {job.number} is none")
    return job


def _words(job: Sequence[str], shared: set[str]) -> str:
    return " ".join(text for text in job if text not in shared) or "a job of no overrides"
