"""The loop of a sweep: start jobs where there is room, watch them, note what became of each."""

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from vitlab.engine.stop import GracefulStop
from vitlab.errors import Interrupted
from vitlab.runs import RunFolder
from vitlab.sweeps.executor import Executor, Running
from vitlab.sweeps.manifest import Job, Manifest
from vitlab.sweeps.progress import Progress

_SECONDS_BETWEEN_LOOKS = 0.2


class Jobs(Protocol):
    """Where the jobs come from: a list, or a search that thinks of the next one when there is room for it."""

    def next(self) -> Job | None:
        """The job to start now, or None if there is none at this moment."""

    def over(self) -> bool:
        """Whether no more will come."""

    def hopeless(self, job: Job, progress: Progress) -> bool:
        """Whether a running job is to be stopped because nothing will come of it."""

    def ended(self, job: Job, progress: Progress) -> None:
        """A job that was started is over."""


@dataclass
class Active:
    """A job that runs or waits in a queue."""

    job: Job
    running: Running
    progress: Progress
    begun: float
    first_step: int | None = None
    given_up: bool = False

    def seconds_left(self) -> float | None:
        """As long as it will take at its pace so far; None before it has one."""
        progress = self.progress
        if self.first_step is None or progress.total_steps is None or progress.step <= self.first_step:
            return None
        pace = (time.monotonic() - self.begun) / (progress.step - self.first_step)
        return pace * (progress.total_steps - progress.step)


class Listed:
    """Jobs that are all known from the start."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        self._waiting = deque(jobs)

    def next(self) -> Job | None:
        """The next in order."""
        return self._waiting.popleft() if self._waiting else None

    def over(self) -> bool:
        """Whether all were given."""
        return not self._waiting

    def hopeless(self, job: Job, progress: Progress) -> bool:
        """Never: each was asked for."""
        return False

    def ended(self, job: Job, progress: Progress) -> None:
        """Nothing follows from it."""


class Loop:
    """Runs the jobs of ``manifest``.

    Args:
        manifest: knows the jobs; kept up to date with every change.
        jobs: gives the next one.
        executor: runs them.
        command: the command line of a job, to begin it or, if told so, to go on with its run.
        show: called with the jobs that run, many times a second.
    """

    def __init__(
        self,
        manifest: Manifest,
        jobs: Jobs,
        executor: Executor,
        command: Callable[[Job, bool], Sequence[str]],
        show: Callable[[Sequence[Active]], None],
    ) -> None:
        self._manifest, self._jobs, self._executor = manifest, jobs, executor
        self._command, self._show = command, show
        self._active: list[Active] = []
        self._again: deque[Job] = deque()  # jobs of a launcher that died, which have saved since

    def run(self) -> None:
        """Run until all jobs are over.

        Raises:
            Interrupted: a signal came; the jobs have saved and ended. A second signal kills them.
            VitlabError: the manifest cannot be written, or the executor refuses; jobs that ran were stopped.
        """
        with GracefulStop() as stop:
            try:
                while not stop.requested and (self._active or self._again or not self._jobs.over()):
                    self._start_jobs()
                    self._look()
                    time.sleep(_SECONDS_BETWEEN_LOOKS)
                self._stop_jobs()
                stop.obey()
            except Interrupted:  # the second signal, or the first one obeyed
                self._kill_jobs()
                raise
            except BaseException:
                self._stop_jobs()
                raise
            finally:
                self._executor.close()

    def _start_jobs(self) -> None:
        while self._executor.room() and (job := self._next()) is not None:
            run = self._manifest.run(job)
            running = self._executor.attach(job.reference) if job.reference else None
            if running is None and run.is_locked():
                running = _Elsewhere(run)
            if running is None:
                goes_on = run.config.exists()
                if not goes_on:
                    run.discard_unbegun()
                job.attempts += 1
                running = self._executor.start(self._command(job, goes_on), self._manifest.log(job), {})
            job.state, job.reason, job.reference = "running", None, running.reference
            self._manifest.note(job)
            self._active.append(Active(job, running, Progress(run), time.monotonic()))

    def _next(self) -> Job | None:
        return self._again.popleft() if self._again else self._jobs.next()

    def _look(self) -> None:
        """See how far each job is, and settle those that are over."""
        for active in tuple(self._active):
            code = active.running.exit_code()  # before the figures, so that the last of them are read
            active.progress.update()
            if active.first_step is None and active.progress.step:
                active.first_step, active.begun = active.progress.step, time.monotonic()
            if code is not None:
                self._settle(active, code)
            elif not active.given_up and self._jobs.hopeless(active.job, active.progress):
                active.given_up = True
                active.running.stop()
        self._show(self._active)

    def _settle(self, active: Active, code: int) -> None:
        job = active.job
        job.state, job.reason = _outcome(self._manifest.run(job), code, self._manifest.log(job))
        if active.given_up and job.state == "interrupted":
            job.state, job.reason = "pruned", f"stopped as hopeless at step {active.progress.step}"
        if isinstance(active.running, _Elsewhere) and job.state == "interrupted":
            job.state = "pending"  # it ended because its launcher had died; now it is ours to go on with
            self._again.append(job)
        job.reference = ""
        self._active.remove(active)
        self._manifest.note(job)
        if job.state != "pending":
            self._jobs.ended(job, active.progress)

    def _stop_jobs(self) -> None:
        for active in self._active:
            active.running.stop()
        while self._active:
            self._look()
            time.sleep(_SECONDS_BETWEEN_LOOKS)

    def _kill_jobs(self) -> None:
        for active in self._active:
            active.running.kill()
            active.job.state, active.job.reason = "interrupted", "killed before it had saved"
            self._manifest.note(active.job)
        self._active = []


class _Elsewhere:
    """A job of a launcher that has died, which still holds its run folder and is about to end."""

    reference = ""

    def __init__(self, run: RunFolder) -> None:
        self._run = run

    def waiting(self) -> bool:
        return False

    def exit_code(self) -> int | None:
        return None if self._run.is_locked() else 0

    def stop(self) -> None:
        pass

    kill = stop


def _outcome(run: RunFolder, code: int, log: Path) -> tuple[str, str | None]:
    """State and reason of a job that is over: its run folder tells, and its exit code where that is silent."""
    status = run.status()
    if status == "done":
        return "done", None
    if status == "interrupted":
        return "interrupted", None
    if status == "failed":
        return "failed", str(run.read_summary().get("error", "")) or _last_words(log)
    if code > 128:
        cause = "; the system does that when its memory is full" if code == 128 + 9 else ""
        return "failed", f"killed by signal {code - 128}{cause}"
    return "failed", f"{_last_words(log) or 'no word of why'} (exit code {code})"


def _last_words(log: Path) -> str:
    """The last line that a job printed."""
    try:
        lines = log.read_text(errors="replace").strip().splitlines()
    except OSError:
        return ""
    return lines[-1].removeprefix("vitlab: ") if lines else ""
