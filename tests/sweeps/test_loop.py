"""The loop on real processes, which do at once what a run takes minutes for."""

import os
import signal
import sys
import threading
import time

import pytest

from vitlab.errors import Interrupted
from vitlab.sweeps.local import LocalExecutor
from vitlab.sweeps.loop import Active, Listed, Loop
from vitlab.sweeps.manifest import read
from vitlab.sweeps.progress import Progress

# What a job does with its run folder: a line of Python each.
WRITES = "import json, os, sys, time, signal; from pathlib import Path; run = Path(sys.argv[1]);"
ENDS = WRITES + "(run / 'config.yaml').touch(); (run / 'summary.json').write_text(SUMMARY)"
DONE = ENDS.replace("SUMMARY", repr('{"status": "done", "val_accuracy": 0.5}'))
FAILED = ENDS.replace("SUMMARY", repr('{"status": "failed", "error": "it broke"}')) + "; sys.exit(1)"
SAVES = (
    WRITES
    + """
(run / 'config.yaml').touch()
def save(*_): (run / 'summary.json').write_text('{"status": "interrupted"}'); sys.exit(143)
signal.signal(15, save)
(run / 'metrics.jsonl').write_text(json.dumps({'step': 1, 'epoch': 1, 'val/accuracy': 0.1}) + chr(10))
time.sleep(60)"""
)


def loop(manifest, scripts, at_once=2, jobs=None):
    """A loop whose jobs do what ``scripts`` say, by number; and what it showed."""
    manifest.save()
    shown = []

    def command(job, goes_on):
        return [sys.executable, "-c", scripts[job.number], str(manifest.run(job).path), str(goes_on)]

    executor = LocalExecutor(len(manifest.jobs), at_once=at_once, gpus=[])
    made = Loop(manifest, jobs or Listed(manifest.jobs), executor, command, lambda active: shown.append(len(active)))
    return made, shown


def test_each_job_is_settled_as_its_folder_says_and_the_manifest_knows(manifest):
    made, shown = loop(manifest, [DONE, FAILED, WRITES + "print('vitlab: no such thing'); sys.exit(2)"])
    made.run()
    assert [job.state for job in manifest.jobs] == ["done", "failed", "failed"]
    assert [job.reason for job in manifest.jobs] == [None, "it broke", "no such thing (exit code 2)"]
    assert read(manifest.folder) == manifest
    assert max(shown) == 2


def test_a_job_that_the_system_killed_is_told_as_such(manifest):
    manifest.jobs = manifest.jobs[:1]
    made, _ = loop(manifest, [WRITES + "os.kill(os.getpid(), 9)"])
    made.run()
    assert manifest.jobs[0].reason == "killed by signal 9; the system does that when its memory is full"


def test_the_next_job_begins_when_one_ends_and_waits_for_no_other(manifest):
    meanwhile = manifest.folder / "ended"
    long = WRITES + f"p = Path({str(meanwhile)!r})\nwhile not p.exists(): time.sleep(.02)\n" + DONE
    made, _ = loop(manifest, [long, DONE, DONE + f"; Path({str(meanwhile)!r}).touch()"])
    made.run()  # with a barrier after the first two, the third could never let the first one go
    assert [job.state for job in manifest.jobs] == ["done"] * 3


def test_a_run_that_had_begun_goes_on_and_one_that_had_not_begins_anew(manifest, leave):
    leave(manifest.run(manifest.jobs[0]), status="interrupted")
    leave(manifest.run(manifest.jobs[1]), config=False, status="running")
    tells = WRITES + "(run / 'told').write_text(sys.argv[2] + str((run / 'summary.json').exists()));" + DONE
    made, _ = loop(manifest, [tells] * 3)
    made.run()
    told = [(manifest.run(job).path / "told").read_text() for job in manifest.jobs]
    assert told == ["TrueTrue", "FalseFalse", "FalseFalse"]


def signals(condition, *numbers):
    """Send this process ``numbers`` once ``condition`` holds."""

    def wait():
        end = time.monotonic() + 30
        while not condition() and time.monotonic() < end:
            time.sleep(0.02)
        for number in numbers:
            os.kill(os.getpid(), number)
            time.sleep(0.1)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_a_signal_stops_the_jobs_which_save_and_the_others_stay_pending(manifest):
    made, _ = loop(manifest, [SAVES] * 3)
    thread = signals(lambda: len(list(manifest.folder.glob("*/metrics.jsonl"))) == 2, signal.SIGINT)
    with pytest.raises(Interrupted):
        made.run()
    thread.join()
    assert [job.state for job in read(manifest.folder).jobs] == ["interrupted", "interrupted", "pending"]


def test_a_second_signal_waits_for_nothing(manifest):
    deaf = WRITES + "signal.signal(15, signal.SIG_IGN); (run / 'metrics.jsonl').touch(); time.sleep(60)"
    made, _ = loop(manifest, [deaf] * 3)
    thread = signals(lambda: len(list(manifest.folder.glob("*/metrics.jsonl"))) == 2, signal.SIGINT, signal.SIGINT)
    begun = time.monotonic()
    with pytest.raises(Interrupted):
        made.run()
    thread.join()
    assert time.monotonic() - begun < 50
    reasons = [job.reason for job in read(manifest.folder).jobs]
    assert reasons == ["killed before it had saved", "killed before it had saved", None]


class Hopeless(Listed):
    """Gives up on every job that has shown an accuracy."""

    def __init__(self, jobs):
        super().__init__(jobs)
        self.told = []

    def hopeless(self, job, progress):
        return progress.best is not None

    def ended(self, job, progress):
        self.told.append((job.number, job.state))


def test_a_hopeless_job_is_stopped_and_its_place_is_taken(manifest):
    jobs = Hopeless(manifest.jobs)
    made, _ = loop(manifest, [SAVES, DONE, SAVES], at_once=1, jobs=jobs)
    made.run()
    assert [job.state for job in manifest.jobs] == ["pruned", "done", "pruned"]
    assert manifest.jobs[0].reason == "stopped as hopeless at step 1"
    assert jobs.told == [(0, "pruned"), (1, "done"), (2, "pruned")]


def test_a_job_of_a_launcher_that_died_is_waited_for_and_then_gone_on_with(manifest, leave):
    manifest.jobs = manifest.jobs[:1]
    (job,) = manifest.jobs
    leave(manifest.run(job), status="interrupted")
    made, _ = loop(manifest, [DONE])
    with manifest.run(job).locked():
        thread = threading.Thread(target=made.run)
        thread.start()
        time.sleep(1)
        assert (job.state, job.attempts) == ("running", 0)
    thread.join()
    assert (job.state, job.attempts) == ("done", 1)


def test_time_left_is_told_from_the_pace_so_far(manifest):
    run = manifest.run(manifest.jobs[0])
    progress = Progress(run, step=50, total_steps=100)
    active = Active(manifest.jobs[0], None, progress, time.monotonic() - 20)
    assert active.seconds_left() is None
    active.first_step = 10
    assert active.seconds_left() == pytest.approx(20 / 40 * 50, abs=0.5)
