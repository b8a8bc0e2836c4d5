import signal
import subprocess
import sys
import time

import pytest

from vitlab.errors import VitlabError
from vitlab.sweeps.slurm import SlurmExecutor

pytestmark = [pytest.mark.cluster, pytest.mark.slow]

SAVES = ["bash", "-c", "trap 'echo saved; exit 143' TERM; echo began; while true; do sleep 0.1; done"]


@pytest.fixture
def executor(slurm, tmp_path, monkeypatch):
    """``executor(max_parallel=1, …)``: one that hands jobs to the cluster of the tests, whose disk is not shared."""
    monkeypatch.setattr("vitlab.sweeps.slurm._LATE_FILE_SECONDS", 0.5)
    return lambda **settings: SlurmExecutor(tmp_path / "slurm", **settings)


def test_jobs_run_on_both_nodes_at_once_and_tell_their_exit_codes(executor, tmp_path, ended, said):
    slurm = executor()
    meet = "touch go$CODE; for _ in $(seq 300); do [ -e go0 ] && [ -e go3 ] && exit $CODE; sleep 0.1; done"
    script = f"cd {tmp_path}; echo $SLURMD_NODENAME $CODE; {meet}"
    jobs = [slurm.start(["bash", "-c", script], tmp_path / f"{code}.log", {"CODE": str(code)}) for code in range(4)]
    assert [ended(job) for job in jobs] == [0, 1, 2, 3]
    told = [said(tmp_path / f"{code}.log").split() for code in range(4)]
    assert [int(code) for _, code in told] == [0, 1, 2, 3]
    assert {node for node, _ in told} == {"n1", "n2"}
    slurm.close()


def test_a_stopped_job_saves_first(executor, tmp_path, wait, ended, said):
    log = tmp_path / "log"
    job = executor().start(SAVES, log, {})
    wait(lambda: "began" in said(log))
    assert (job.waiting(), job.exit_code()) == (False, None)
    job.stop()
    assert ended(job) == 143
    assert "saved" in said(log)


@pytest.mark.faults
def test_a_job_can_be_stopped_at_any_moment(executor, tmp_path, wait):
    slurm = executor()
    jobs = []
    for number in range(4):
        jobs.append(slurm.start(SAVES, tmp_path / f"{number}.log", {}))
        time.sleep(0.2 * number)
        jobs[-1].stop()
    assert wait(lambda: None not in (codes := [job.exit_code() for job in jobs]) and codes) == [143] * 4


def test_a_killed_job_ends_without_a_word(executor, tmp_path, wait, ended, said):
    log = tmp_path / "log"
    job = executor().start(SAVES, log, {})
    wait(lambda: "began" in said(log))
    job.kill()
    assert ended(job) in (137, 143)
    assert "saved" not in said(log)
    assert f"job {job.reference} was ended by Slurm as CANCELLED; see {tmp_path}/slurm/" in said(log)


def test_what_has_no_room_waits_and_can_be_stopped_there(executor, tmp_path, ended, said):
    slurm = executor(max_parallel=2, cpus_per_task=2, nodelist="n1")
    first = slurm.start(SAVES, tmp_path / "first.log", {})
    assert slurm.room()
    second = slurm.start(SAVES, tmp_path / "second.log", {})
    assert not slurm.room()
    assert second.waiting()
    second.stop()
    assert ended(second) == 143
    assert slurm.room()
    first.kill()
    assert "began" not in said(tmp_path / "second.log")


def test_a_job_sees_its_own_gpus_only(executor, tmp_path, ended, said):
    slurm = executor(gpus_per_node=1, nodelist="n1")
    jobs = [
        slurm.start(["bash", "-c", "echo gpu $CUDA_VISIBLE_DEVICES; sleep 2"], tmp_path / f"{number}.log", {})
        for number in range(2)
    ]
    assert [ended(job) for job in jobs] == [0, 0]
    assert {said(tmp_path / f"{number}.log") for number in range(2)} == {"gpu 0\n", "gpu 1\n"}


LAUNCHER = """
import pathlib, sys, time
from vitlab.sweeps.slurm import SlurmExecutor
folder = pathlib.Path(sys.argv[1])
job = SlurmExecutor(folder / "slurm").start(["bash", "-c", sys.argv[2]], folder / "log", {})
print(job.reference, flush=True)
time.sleep(60)
"""


@pytest.mark.faults
def test_a_job_is_found_again_when_its_launcher_was_killed(executor, tmp_path, wait, ended, said):
    script = f"echo began; until [ -e {tmp_path}/go ]; do sleep 0.1; done; exit 5"
    launcher = subprocess.Popen([sys.executable, "-c", LAUNCHER, tmp_path, script], stdout=subprocess.PIPE, text=True)
    with launcher:
        reference = launcher.stdout.readline().strip()
        wait(lambda: "began" in said(tmp_path / "log"))
        launcher.kill()
    found = executor().attach(reference)
    assert found.exit_code() is None
    assert found.reference == reference
    (tmp_path / "go").touch()
    assert ended(found) == 5
    assert ended(executor().attach(reference)) == 5  # and when it has ended
    assert executor().attach("999999") is None


@pytest.mark.faults
@pytest.mark.parametrize("leave", [["scancel", "--signal=USR2"], ["scontrol", "requeue"]], ids=["warned", "pre-empted"])
def test_a_job_that_must_leave_comes_back_and_ends_as_if_it_had_stayed(
    leave, executor, tmp_path, wait, ended, said, training, rows, status
):
    slurm, run, log = executor(time=5), tmp_path / "0-model.depth=1", tmp_path / "log"
    job = slurm.start(training(run, "trainer.epochs=12", "trainer.log_every=1 steps"), log, {"OMP_NUM_THREADS": "1"})
    wait(lambda: len(rows(run)) > 20)
    subprocess.run([*leave, job.reference], check=True)
    wait(job.waiting)
    assert job.exit_code() is None
    assert status(run) == "interrupted"
    stopped_at = rows(run)[-1]["step"]
    time.sleep(2)  # Slurm takes no job back in the second in which it sent it away
    subprocess.run(["scontrol", "update", f"JobId={job.reference}", "StartTime=now"], check=True)
    assert ended(job) == 0
    assert status(run) == "done"
    assert f"going on from step {stopped_at}" in said(log)
    steps = [row["step"] for row in rows(run) if "train/loss" in row]
    assert steps == sorted(set(steps))


@pytest.mark.faults
def test_a_job_whose_turns_are_used_up_saves_and_ends(executor, tmp_path, wait, ended, said):
    log = tmp_path / "log"
    job = executor(max_requeues=0, time=5).start(SAVES, log, {})
    wait(lambda: "began" in said(log))
    subprocess.run(["scancel", "--signal=USR2", job.reference], check=True)
    assert ended(job) == 128 + signal.SIGTERM
    assert "saved" in said(log)


def test_a_command_that_cannot_be_run_is_told_in_the_log(executor, tmp_path, ended, said):
    log = tmp_path / "logs" / "0.log"
    job = executor().start(["/nowhere/python"], log, {})
    assert ended(job) == 1
    assert f"job {job.reference} could not run; see {tmp_path}/slurm/" in said(log)


def test_what_slurm_refuses_is_one_message(executor, tmp_path, capfd):
    with pytest.raises(VitlabError, match=r"Slurm refuses the job: invalid partition specified: gpu; Batch job .*"):
        executor(partition="gpu").start(["true"], tmp_path / "log", {})
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"partitoin": "gpu"}, "partitoin is no parameter of a job on Slurm; did you mean partition"),
        ({"nodes": 2}, "nodes=2: a job is one process on one node; leave nodes out"),
    ],
)
def test_illegal_settings_are_refused(executor, settings, message):
    with pytest.raises(VitlabError, match=message):
        executor(**settings)


@pytest.mark.faults
def test_a_slurm_that_does_not_answer_is_told_apart_from_a_job_that_is_gone(executor, tmp_path, monkeypatch, ended):
    slurm = executor()
    job = slurm.start(["true"], tmp_path / "log", {})
    with monkeypatch.context() as patch:
        nobody = tmp_path / "slurm.conf"
        nobody.write_text("ClusterName=two\nSlurmctldHost=nobody(127.0.0.1)\nSlurmctldPort=1\nNodeName=n1\n")
        patch.setenv("SLURM_CONF", str(nobody))
        with pytest.raises(VitlabError, match="Slurm does not answer: .*Unable to contact slurm controller"):
            slurm.attach(job.reference)
        assert job.exit_code() is None
    assert ended(job) == 0


def test_without_slurm_the_message_says_where_to_start(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(VitlabError, match="there is no sbatch on this machine"):
        SlurmExecutor(tmp_path)
