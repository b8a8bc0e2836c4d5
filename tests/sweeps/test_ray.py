import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from vitlab.sweeps.ray import RayExecutor

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

LONG = ("trainer.epochs=400", "trainer.log_every=1 steps")


@pytest.fixture
def executor(ray_cluster):
    """``executor(num_gpus=1, …)``: one that hands jobs to the cluster of the tests."""
    opened = []

    def make(**settings):
        opened.append(RayExecutor(**{"address": ray_cluster, **settings}))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_jobs_run_at_once_and_tell_their_exit_codes(executor, tmp_path, ended, said):
    ray = executor(num_gpus=1, num_cpus=1)
    meet = "touch $CODE; for _ in $(seq 300); do [ -e 0 ] && [ -e 3 ] && exit $CODE; sleep 0.1; done"
    script = ["bash", "-c", f"cd {tmp_path}; echo gpu $CUDA_VISIBLE_DEVICES; {meet}"]
    jobs = [ray.start(script, tmp_path / f"{code}.log", {"CODE": f"{code}"}) for code in (0, 3)]
    assert [ended(job) for job in jobs] == [0, 3]
    assert {said(tmp_path / f"{code}.log") for code in (0, 3)} == {"gpu 0\n", "gpu 1\n"}
    assert not any(job.waiting() for job in jobs)


def test_what_has_no_room_waits_and_can_be_stopped_there(executor, tmp_path, wait, ended, said):
    ray = executor(num_cpus=2, max_parallel=2)
    first = ray.start(["bash", "-c", "echo began; sleep 60"], tmp_path / "first.log", {})
    assert ray.room()
    wait(lambda: "began" in said(tmp_path / "first.log"))
    second = ray.start(["echo", "began"], tmp_path / "second.log", {})
    assert not ray.room()
    assert second.waiting()
    second.stop()
    assert ended(second) == 128 + signal.SIGTERM
    assert "began" not in said(tmp_path / "second.log")
    assert ray.room()
    first.kill()
    assert ended(first) == 128 + signal.SIGKILL
    assert (first.reference, ray.attach("")) == ("", None)


def test_a_stopped_job_saves_and_can_be_resumed(executor, tmp_path, wait, ended, said, training, rows, status):
    ray, run, log = executor(), tmp_path / "0-model.depth=1", tmp_path / "log"
    job = ray.start(training(run, *LONG[1:], "trainer.epochs=8"), log, {})
    wait(lambda: len(rows(run)) > 10)
    job.stop()
    job.stop()
    assert ended(job) == 128 + signal.SIGTERM
    assert status(run) == "interrupted"
    stopped_at = rows(run)[-1]["step"]
    again = ray.start([sys.executable, "-m", "vitlab.train", f"resume={run}"], log, {})
    assert ended(again) == 0
    assert status(run) == "done"
    assert f"going on from step {stopped_at}" in said(log)


def test_a_cluster_can_be_begun_for_one_sweep(executor, tmp_path, ended):
    assert ended(executor(address=None).start(["sh", "-c", "exit 3"], tmp_path / "log", {})) == 3


def test_a_command_that_cannot_be_run_is_told_in_the_log(executor, tmp_path, ended, said):
    log = tmp_path / "logs" / "0.log"
    assert ended(executor().start(["/nowhere/python"], log, {})) == 1
    assert "No such file or directory: '/nowhere/python'" in said(log)


LAUNCHER = """
import json, pathlib, sys, time
from vitlab.sweeps.ray import RayExecutor
RayExecutor(address=sys.argv[1]).start(json.loads(sys.argv[3]), pathlib.Path(sys.argv[2]), {})
time.sleep(60)
"""


@pytest.mark.faults
def test_a_job_whose_launcher_was_killed_saves_and_ends(ray_cluster, tmp_path, wait, training, rows, status):
    run, log = tmp_path / "run", tmp_path / "log"
    arguments = [ray_cluster, log, json.dumps(training(run, *LONG))]
    with subprocess.Popen([sys.executable, "-c", LAUNCHER, *arguments]) as launcher:
        wait(lambda: len(rows(run)) > 10)
        launcher.kill()
    wait(lambda: status(run) == "interrupted")
    assert (run / "checkpoints" / "last.pt").exists()


@pytest.mark.faults
def test_a_job_whose_worker_died_is_told_and_saves(executor, tmp_path, wait, ended, said, training, rows, status):
    run, log = tmp_path / "run", tmp_path / "log"
    job = executor().start(training(run, *LONG), log, {})
    wait(lambda: len(rows(run)) > 10)
    (child,) = [file.parent for file in Path("/proc").glob("[0-9]*/cmdline") if str(run) in said(file)]
    os.kill(int((child / "stat").read_text().rpartition(")")[2].split()[1]), signal.SIGKILL)  # its parent
    assert ended(job) == 128 + signal.SIGKILL
    assert "the job ended on Ray: " in said(log)
    wait(lambda: status(run) == "interrupted")


def test_sigterm_still_means_what_it_meant(executor):
    before = signal.getsignal(signal.SIGTERM)
    executor()
    assert signal.getsignal(signal.SIGTERM) == before


CONNECT = """
import sys
from vitlab.errors import VitlabError
from vitlab.sweeps.ray import RayExecutor
try:
    RayExecutor(address=sys.argv[1])
except VitlabError as error:
    print(error)
"""


def connect(address, *before, **environment):
    """What a launcher is told that has another environment."""
    environment = {**os.environ, "RAY_NUM_REDIS_GET_RETRIES": "1", "RAY_py_gcs_connect_timeout_s": "1", **environment}
    command = [*before, sys.executable, "-c", CONNECT, address]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can hide the processes of the machine")
def test_without_a_cluster_the_message_says_how_to_begin_one(tmp_path):
    alone = ["unshare", "--pid", "--fork", "--mount-proc"]
    told = connect("auto", *alone, RAY_TMPDIR=str(tmp_path))
    assert told.startswith("no Ray cluster runs on this machine; `ray start --head` begins one")


def test_a_cluster_that_wants_a_token_says_so(ray_cluster):
    told = connect(ray_cluster, RAY_AUTH_TOKEN="0" * 64)
    assert told.startswith(f"Ray at {ray_cluster} wants a token; set RAY_AUTH_MODE=token")
