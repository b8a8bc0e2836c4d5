import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from vitlab.engine.checkpoint import read
from vitlab.runs import RunFolder

pytestmark = pytest.mark.slow  # sweeps of real runs, in processes of their own


def start(tmp_path, *arguments):
    """A sweep in the background."""
    return subprocess.Popen(
        [sys.executable, "-m", "vitlab.train", *arguments],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def wait_until(condition, seconds=120):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came"
        time.sleep(0.02)


def states(jobs):
    return [job["state"] for job in jobs]


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_every_job_is_a_process_with_its_folder_and_log_and_the_illegal_are_skipped(command, quick, sweeps, jobs_of):
    small = [q for q in quick if "num_heads" not in q]
    done = command("train", "--multirun", "model.num_heads=2,3", "seed=0,1", "trainer.max_steps=2", *small)
    assert done.returncode == 0, done.stderr
    (folder,) = sweeps()
    jobs = jobs_of(folder)
    assert states(jobs) == ["done", "done", "illegal", "illegal"]
    assert [job["folder"] for job in jobs[:2]] == [f"{n}-model.num_heads=2,seed={n}" for n in (0, 1)]
    assert [job["attempts"] for job in jobs] == [1, 1, 0, 0]
    assert "model.num_heads=3 does not divide model.embed_dim=16; try 2 or 4" in jobs[2]["reason"]
    assert "skipped 2 model.num_heads=3 seed=0" in done.stdout
    for job in jobs[:2]:
        assert "test accuracy" in (folder / job["folder"] / "console.log").read_text()
        assert "sweep" not in (folder / job["folder"] / "config.yaml").read_text()
    assert not (folder / jobs[2]["folder"]).exists()


def test_a_sweep_with_illegal_jobs_or_nothing_else_is_refused_before_anything_begins(command, quick, tmp_path):
    small = [q for q in quick if "num_heads" not in q]
    refused = command("train", "-m", "model.num_heads=2,3", "sweep.illegal=refuse", *small)
    assert refused.returncode == 1
    assert "1 of 2 jobs are illegal, and nothing was begun: job 1 model.num_heads=3: " in refused.stderr
    misspelt = command("train", "-m", "model.depht=2,3", *quick)
    assert misspelt.returncode == 1
    assert "none of the 2 jobs can be run: model.depht is no setting here; did you mean model.depth" in misspelt.stderr
    empty = command("train", "-m", "seed=range(0,0)", *quick)
    assert empty.returncode == 1
    assert "the sweep has no job: one of its lists is empty" in empty.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_job_that_fails_stops_no_other_and_is_tried_again_when_asked(command, quick, sweeps, jobs_of):
    explode = ("optimizer.lr=1e-3,1e30", "optimizer=sgd", "trainer.max_steps=30", "trainer.log_every=5 steps")
    done = command("train", "-m", *explode, *quick)
    assert done.returncode == 1
    assert "vitlab: 1 of 2 jobs failed" in done.stderr
    assert "Traceback" not in done.stderr
    (folder,) = sweeps()
    assert states(jobs_of(folder)) == ["done", "failed"]
    assert "stopped being finite" in jobs_of(folder)[1]["reason"]
    assert f"log {Path('multirun', *folder.parts[-2:], jobs_of(folder)[1]['folder'], 'console.log')}" in done.stdout

    again = command("train", f"sweep.resume={folder}")
    assert again.returncode == 1
    assert [job["attempts"] for job in jobs_of(folder)] == [1, 1]
    again = command("train", f"sweep.resume={folder}", "sweep.retry=true")
    assert again.returncode == 1
    assert [job["attempts"] for job in jobs_of(folder)] == [1, 2]


@pytest.mark.faults
def test_killed_at_any_moment_a_sweep_goes_on_and_loses_no_finished_job(command, quick, tmp_path, sweeps, jobs_of):
    arguments = ("-m", "seed=0,1,2", "model.mlp_drop=0.1", "trainer.epochs=8", *quick)
    chance = random.Random(0)
    launcher = start(tmp_path, *arguments)
    for _ in range(4):
        wait_until(sweeps)
        time.sleep(chance.uniform(0.5, 6))
        launcher.kill()
        launcher.communicate()
        done_before = {
            job["folder"] for job in jobs_of(sweeps()[0]) if RunFolder(sweeps()[0] / job["folder"]).status() == "done"
        }
        finished = {name: (sweeps()[0] / name / "summary.json").stat().st_mtime_ns for name in done_before}
        launcher = start(tmp_path, f"sweep.resume={sweeps()[0]}")
    output, _ = launcher.communicate(timeout=300)
    assert launcher.returncode == 0, output
    (folder,) = sweeps()
    assert states(jobs_of(folder)) == ["done", "done", "done"]
    for name, written in finished.items():
        assert (folder / name / "summary.json").stat().st_mtime_ns == written
    for seed, job in enumerate(jobs_of(folder)):
        plain = tmp_path / f"plain{seed}"
        unbroken = command("train", *arguments[2:], f"seed={seed}", f"hydra.run.dir={plain}")
        assert unbroken.returncode == 0, unbroken.stderr
        ours, theirs = (read(p / "checkpoints" / "last.pt")["model"] for p in (folder / job["folder"], plain))
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
        assert [row["step"] for row in rows(folder / job["folder"])] == [row["step"] for row in rows(plain)]


@pytest.mark.faults
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_all_jobs_with_their_checkpoints_saved(command, quick, tmp_path, sweeps, jobs_of, number):
    launcher = start(tmp_path, "-m", "seed=0,1", "trainer.epochs=300", "trainer.save_every=300 epochs", *quick)
    wait_until(lambda: sweeps() and len(list(sweeps()[0].glob("*/metrics.jsonl"))) == 2)
    launcher.send_signal(number)
    output, _ = launcher.communicate(timeout=60)
    assert launcher.returncode == 128 + number, output
    (folder,) = sweeps()
    assert states(jobs_of(folder)) == ["interrupted", "interrupted"]
    assert len(list(folder.glob("*/checkpoints/last.pt"))) == 2
    assert f"sweep.resume={Path('multirun', *folder.parts[-2:])} goes on" in output
    assert "Traceback" not in output


@pytest.mark.faults
def test_a_second_signal_kills(quick, tmp_path, sweeps):
    launcher = start(tmp_path, "-m", "seed=0,1", "trainer.epochs=300", *quick)
    wait_until(lambda: sweeps() and list(sweeps()[0].glob("*/metrics.jsonl")))
    launcher.send_signal(signal.SIGINT)
    launcher.send_signal(signal.SIGINT)
    launcher.communicate(timeout=30)
    assert launcher.returncode == 130
    wait_until(lambda: not any(RunFolder(path).is_locked() for path in sweeps()[0].iterdir() if path.is_dir()), 10)


def test_another_space_is_refused_and_the_difference_shown(command, quick, sweeps):
    begun = command("train", "-m", "model.depth=1,2", "trainer.max_steps=1", *quick[1:])
    assert begun.returncode == 0, begun.stderr
    (folder,) = sweeps()
    other = command("train", "-m", "model.depth=1,3", "trainer.max_steps=1", f"sweep.resume={folder}", *quick[1:])
    assert other.returncode == 1
    assert "is another sweep: it has model.depth=2; lacks model.depth=3" in other.stderr
    same = command("train", "-m", "model.depth=1,2", "trainer.max_steps=1", f"sweep.resume={folder}", *quick[1:])
    assert same.returncode == 0, same.stderr
    assert "2 jobs: 2 done" in same.stdout
    missing = command("train", f"sweep.resume={folder}x")
    assert missing.returncode == 1
    assert f"there is no such folder; did you mean {folder.name}" in missing.stderr
    above = command("train", f"sweep.resume={folder.parent}")
    assert f"holds no sweep (no sweep.json); it has sweeps inside: {folder}" in above.stderr


def test_a_folder_from_elsewhere_and_configs_of_one_s_own_reach_the_jobs(command, quick, tmp_path, sweeps, jobs_of):
    own = tmp_path / "my conf" / "experiment"
    own.mkdir(parents=True)
    (own / "mine.yaml").write_text("# @package _global_\nseed: 7\n")
    done = command(
        "train",
        "--config-dir",
        str(own.parent),
        "experiment=mine",
        "sweep.zip={model.depth:[1,2],optimizer.lr:[0.1,0.2]}",
        "trainer.max_steps=1",
        "hydra.sweep.dir='it\\'s here/a,b'",
        *quick[1:],
    )
    assert done.returncode == 0, done.stderr
    folder = tmp_path / "it's here" / "a,b"
    assert [job["varied"] for job in jobs_of(folder)] == [[f"model.depth={n}", f"optimizer.lr=0.{n}"] for n in (1, 2)]
    assert all("seed: 7" in (folder / job["folder"] / "config.yaml").read_text() for job in jobs_of(folder))


def test_hydra_s_own_sweeper_and_launcher_go_with_vitlab_s(command, quick, sweeps, runs):
    basic = command("train", "-m", "seed=0,1", "hydra/sweeper=basic", "trainer.max_steps=1", *quick)
    assert basic.returncode == 0, basic.stderr
    assert len(sweeps()) == 1
    one_process = command("train", "-m", "seed=0,1", "hydra/launcher=basic", "trainer.max_steps=1", *quick)
    assert one_process.returncode == 0, one_process.stderr
    assert len(runs("multirun")) == 4


@pytest.fixture(params=["slurm", "ray"])
def engine(request):
    """The launcher of a real cluster on this machine, with what its jobs need to be told."""
    if request.param == "slurm":
        request.getfixturevalue("slurm")
        return "hydra/launcher=slurm", "hydra.launcher.max_parallel=2", "hydra.launcher.time=5"
    address = request.getfixturevalue("ray_cluster")
    return "hydra/launcher=ray", f"hydra.launcher.address={address}", "hydra.launcher.max_parallel=2"


@pytest.mark.cluster
def test_the_same_six_jobs_through_a_cluster(command, quick, sweeps, jobs_of, engine):
    jobs = ("model.depth=1,2", "seed=0,1,2", "trainer.max_steps=3")
    done = command("train", "-m", *jobs, *engine, *quick[1:])
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = sweeps()
    assert states(jobs_of(folder)) == ["done"] * 6
    assert "6 jobs: 6 done" in done.stdout
    again = command("train", f"sweep.resume={folder}", *engine)
    assert again.returncode == 0, again.stderr
    assert [job["attempts"] for job in jobs_of(folder)] == [1] * 6


@pytest.mark.cluster
@pytest.mark.faults
def test_on_a_cluster_too_a_sweep_outlives_its_launcher(command, quick, tmp_path, sweeps, jobs_of, engine):
    jobs = ("seed=0,1,2", "trainer.epochs=10", "optimizer.lr=1e-3")
    launcher = start(tmp_path, "-m", *jobs, *engine, *quick)
    wait_until(lambda: sweeps() and len(list(sweeps()[0].glob("*/checkpoints/last.pt"))) >= 1)
    launcher.kill()
    launcher.communicate()
    (folder,) = sweeps()
    done = command("train", f"sweep.resume={folder}", *engine)
    assert done.returncode == 0, done.stdout + done.stderr
    assert states(jobs_of(folder)) == ["done"] * 3
    for seed, job in enumerate(jobs_of(folder)):
        plain = tmp_path / f"plain{seed}"
        unbroken = command("train", *jobs[1:], *quick, f"seed={seed}", f"hydra.run.dir={plain}")
        assert unbroken.returncode == 0, unbroken.stderr
        assert [row["step"] for row in rows(folder / job["folder"])] == [row["step"] for row in rows(plain)]


@pytest.mark.cluster
@pytest.mark.faults
def test_ctrl_c_stops_the_jobs_on_a_cluster_with_their_checkpoints_saved(quick, tmp_path, sweeps, jobs_of, engine):
    launcher = start(tmp_path, "-m", "seed=0,1", "trainer.epochs=3000", *engine, *quick)
    wait_until(lambda: sweeps() and len(list(sweeps()[0].glob("*/metrics.jsonl"))) == 2)
    launcher.send_signal(signal.SIGINT)
    output, _ = launcher.communicate(timeout=120)
    assert launcher.returncode == 130, output
    assert states(jobs_of(sweeps()[0])) == ["interrupted", "interrupted"]
    assert len(list(sweeps()[0].glob("*/checkpoints/last.pt"))) == 2
