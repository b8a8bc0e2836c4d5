import json
import os
import signal
import subprocess
import sys

import pytest

from vitlab.runs import RunFolder
from vitlab.sweeps.slurm_job import SlurmJob, again

RUN_JOB = """
import pathlib, sys
from vitlab.sweeps.slurm_job import SlurmJob
sys.exit(SlurmJob(sys.argv[2:], pathlib.Path(sys.argv[1]), {"NEW": "value"})())
"""
SAVES = """
import signal, sys, time
def save(signum, frame):
    print("saved", flush=True)
    sys.exit(143)
signal.signal(signal.SIGTERM, save)
print("began", flush=True)
time.sleep(60)
"""


@pytest.fixture
def train(tmp_path):
    """A job's command line with the folder of its run."""
    run = RunFolder(tmp_path / "0-model.depth=4,it's")
    folder = str(run.path).replace("'", "\\'")
    return run, [sys.executable, "-m", "vitlab.train", "model.depth=4", f"hydra.run.dir='{folder}'", "seed=1"]


def claim(run, status):
    run.path.mkdir()
    run.summary.write_text(json.dumps({"status": status}))


def test_a_run_that_has_begun_is_gone_on_with(train):
    run, command = train
    claim(run, "running")
    run.config.write_text("seed: 1")
    resume = str(run.path).replace("'", "\\'")
    assert again(command) == [*command[:4], "seed=1", f"resume='{resume}'"]


def test_a_run_that_was_ended_before_it_began_is_begun_once_more(train):
    run, command = train
    assert again(command) == command
    claim(run, "running")
    assert again(command) == command
    run.claim()  # or else the run would be refused


def test_a_run_that_is_done_is_left_alone(train):
    run, command = train
    claim(run, "done")
    assert again(command) is None


def test_a_command_without_a_run_folder_stays_as_it_is():
    assert again(["train", "resume='/runs/0'"]) == ["train", "resume='/runs/0'"]


def run_job(log, *command, **environment):
    """A job in a process of its own, whose handlers it sets."""
    arguments = [sys.executable, "-c", RUN_JOB, log, *command]
    return subprocess.Popen(arguments, env={**os.environ, **environment})


def test_output_environment_and_exit_code_are_those_of_the_command(tmp_path):
    log = tmp_path / "log"
    log.write_text("before\n")
    assert run_job(log, "sh", "-c", "echo $NEW; exit 7").wait() == 7
    assert run_job(log, "sh", "-c", "kill -9 $$").wait() == 137
    assert log.read_text() == "before\nvalue\n"


@pytest.mark.faults
def test_sigterm_reaches_the_command(tmp_path, wait, said):
    log = tmp_path / "log"
    with run_job(log, sys.executable, "-c", SAVES) as job:
        wait(lambda: "began" in said(log))
        job.send_signal(signal.SIGTERM)
    assert job.returncode == 143
    assert "saved" in said(log)


def test_before_it_has_begun_it_is_queued_again_as_it_is(tmp_path):
    pytest.importorskip("submitit")
    job = SlurmJob(["true"], tmp_path / "log", {})
    assert job.checkpoint().function == job


def test_only_a_job_that_comes_back_looks_at_the_folder_of_its_run(train, tmp_path):
    run, command = train
    claim(run, "done")
    run_as_script = ["sh", "-c", "exit 7", *command]
    assert run_job(tmp_path / "log", *run_as_script, SLURM_RESTART_COUNT="0").wait() == 7
    assert run_job(tmp_path / "log", *run_as_script, SLURM_RESTART_COUNT="1").wait() == 0
