"""What a person sees of a sweep: a live table on a terminal, a line for each change elsewhere, a report at its end."""

import os
import time
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Literal, TextIO

import rich.console
from rich.live import Live
from rich.table import Table

from vitlab.sweeps.loop import Active
from vitlab.sweeps.manifest import STATES, Job, Manifest

_SECONDS_BETWEEN_REFRESHES = 0.5
_ROWS_FOR_OTHERS = 4  # of the terminal: title, header, rule, what is not shown
_RANK = {"running": 0, "failed": 1, "done": 2, "pruned": 2, "interrupted": 2, "pending": 3, "illegal": 4}
_STYLE = {"running": "bold", "done": "green", "failed": "red", "illegal": "yellow", "pruned": "dim", "pending": "dim"}


class SweepTable:
    """Shows the jobs of ``manifest`` while they run.

    Args:
        manifest: of the sweep.
        stream: where to write, ``sys.stdout`` if None; whether it is a terminal decides how.
    """

    def __init__(self, manifest: Manifest, stream: TextIO | None = None) -> None:
        self._manifest = manifest
        self._out = rich.console.Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True)
        self._live: Live | None = None
        self._refreshed = 0.0
        self._told: dict[int, tuple[str, int]] = {job.number: (job.state, job.attempts) for job in manifest.jobs}
        self._best: dict[int, float | None] = {}
        self._out.print(f"sweep folder {os.path.relpath(manifest.folder)}, {_counted(manifest)}")
        for job in manifest.by_state("illegal"):
            self._out.print(f"skipped {job.name}: {job.reason}")

    def show(self, active: Sequence[Active]) -> None:
        """Bring the table up to date, now and then; elsewhere than on a terminal, tell of changes of state."""
        for one in active:
            self._best[one.job.number] = one.progress.best
        if not self._out.is_terminal or self._out.is_dumb_terminal:
            self._tell()
            return
        if time.monotonic() - self._refreshed < _SECONDS_BETWEEN_REFRESHES:
            return
        self._refreshed = time.monotonic()
        if self._live is None:
            self._live = Live(console=self._out, auto_refresh=False, transient=True)
            self._live.start()
        self._live.update(self._table(active), refresh=True)

    def close(self) -> None:
        """Take the table away and give the cursor back."""
        if self._live is not None:
            self._live.stop()
        else:
            self._tell()

    def _tell(self) -> None:
        for job in self._manifest.jobs:
            if self._told.get(job.number) == (job.state, job.attempts):
                continue
            self._told[job.number] = (job.state, job.attempts)
            best = self._accuracy(job)
            figure = f", val accuracy {best}" if best and job.state != "running" else ""
            self._out.print(f"{job.state} {job.name}{figure}{f': {job.reason}' if job.reason else ''}")

    def _table(self, active: Sequence[Active]) -> Table:
        table = Table(
            title=f"{os.path.relpath(self._manifest.folder)}  {_counted(self._manifest)}", title_justify="left"
        )
        for name, width in {"job": 3, "overrides": 8, "epoch": 5, "val accuracy": 7, "state": 7, "left": 7}.items():
            justify: Literal["left", "right"] = "left" if name in ("overrides", "state") else "right"
            table.add_column(name, justify=justify, no_wrap=True, min_width=width)
        running = {one.job.number: one for one in active}
        for job in self._shown(running.keys()):
            one = running.get(job.number)
            state = "queued" if one is not None and one.running.waiting() else job.state
            epochs = one.progress.epochs() if one is not None else ""
            left = _time(one.seconds_left()) if one is not None else ""
            cells = (str(job.number), " ".join(job.varied), epochs, self._accuracy(job), state, left)
            table.add_row(*cells, style=_STYLE.get(state))
        return table

    def _shown(self, running: Collection[int]) -> list[Job]:
        """The jobs for which the terminal has room: those that run, then what failed, then the latest and the next."""
        room = max(1, self._out.height - _ROWS_FOR_OTHERS)
        latest = max(running, default=0)

        def rank(job: Job) -> tuple[int, int]:
            return (0 if job.number in running else _RANK[job.state], abs(job.number - latest))

        return sorted(sorted(self._manifest.jobs, key=rank)[:room], key=lambda job: job.number)

    def _accuracy(self, job: Job) -> str:
        if job.number not in self._best:
            self._best[job.number] = self._manifest.run(job).read_summary().get("val_accuracy")
        best = self._best[job.number]
        return f"{best:.2%}" if best is not None else ""


def report(manifest: Manifest, stream: TextIO | None = None) -> None:
    """Print what became of each job: how many are done, why others are not, and what to type next."""
    out = rich.console.Console(file=stream, markup=False, highlight=False, emoji=False, soft_wrap=True)
    folder = os.path.relpath(manifest.folder)
    out.print(f"{len(manifest.jobs)} jobs: {_counted(manifest)}")
    for job in manifest.by_state("failed", "interrupted", "illegal", "pruned"):
        state = "skipped" if job.state == "illegal" else job.state
        out.print(f"  {state} {job.name}{f': {job.reason}' if job.reason else ''}")
        if job.state == "failed":
            out.print(f"    log {os.path.relpath(manifest.log(job))}")
    accuracies = {job.number: manifest.run(job).read_summary().get("val_accuracy") for job in manifest.by_state("done")}
    if known := {number: accuracy for number, accuracy in accuracies.items() if accuracy is not None}:
        best = max(known, key=lambda number: known[number])
        out.print(f"  best {manifest.jobs[best].name}: val accuracy {known[best]:.2%}")
        out.print(f"python -m vitlab.compare {folder} shows which differences are real")
    if manifest.by_state("pending", "running", "interrupted"):
        out.print(f"python -m vitlab.train sweep.resume={folder} goes on")
    elif manifest.by_state("failed"):
        out.print(f"python -m vitlab.train sweep.resume={folder} sweep.retry=true tries the failed jobs again")


def _counted(manifest: Manifest) -> str:
    counts = Counter(job.state for job in manifest.jobs)
    return ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state]) or "no job yet"


def _time(seconds: float | None) -> str:
    return str(timedelta(seconds=round(seconds))) if seconds is not None else ""
