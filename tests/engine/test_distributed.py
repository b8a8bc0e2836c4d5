"""Several processes for real: ``torchrun`` with two of them on the CPU."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from vitlab.engine.checkpoint import read
from vitlab.engine.distributed import ALONE, AgreedStop, World, world
from vitlab.engine.stop import GracefulStop
from vitlab.errors import Interrupted, VitlabError

QUICK = ("model.depth=2", "model.embed_dim=16", "model.num_heads=2", "tracker=none", "trainer.device=cpu")
EXACT = ("augment=none", "trainer.log_every=1 step", "trainer.batch_size=60")  # 1,438 images: the last batch has 58
LONG = ("trainer.epochs=400", "trainer.save_every=1 step", "augment=none")


@pytest.fixture
def torchrun(tmp_path):
    """``torchrun(*arguments, of_torchrun=())``: the command in two processes, started and not waited for."""
    started = []

    def start(*arguments, of_torchrun=()):
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", *of_torchrun]
        process = subprocess.Popen(
            [*command, "-m", "vitlab.train", *QUICK, *arguments],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def summary(folder):
    return json.loads((folder / "summary.json").read_text())


def wait_for_step(folder, step):
    path = folder / "metrics.jsonl"
    until = time.monotonic() + 120
    while time.monotonic() < until:
        if path.exists() and any(json.loads(line)["step"] >= step for line in path.read_text().split("\n")[:-1]):
            return
        time.sleep(0.05)
    raise AssertionError(f"no step {step}")


def workers(process):
    """Process ids of the two, in the order of their ranks."""
    found = {}
    for line in subprocess.check_output(["ps", "-eo", "pid,ppid"], text=True).splitlines()[1:]:
        pid, parent = map(int, line.split())
        if parent == process.pid:
            pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
            variables = dict(pair.split("=", 1) for pair in pairs if "=" in pair)
            found[int(variables["RANK"])] = pid
    return [found[rank] for rank in sorted(found)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "digits"),
    [
        (["trainer.parallel=ddp"], 1e-5),
        (["trainer.parallel=fsdp"], 1e-5),
        # Muon orthogonalises in bfloat16, which makes more of the last digit.
        (["trainer.parallel=fsdp", "optimizer=muon", "trainer.ema_decay=0.9", "trainer.accumulate=2"], 1e-4),
    ],
    ids=["ddp", "fsdp", "fsdp and all"],
)
def test_two_processes_train_as_one_does(command, torchrun, tmp_path, settings, digits):
    settings = [*settings, *EXACT, "trainer.max_steps=30", "trainer.health_every=10 steps"]
    done = command("train", *QUICK, *settings, "hydra.run.dir=one")
    assert done.returncode == 0, done.stderr
    two = torchrun(*settings, "hydra.run.dir=two")
    assert two.wait() == 0, two.stdout.read()
    expected, found = rows(tmp_path / "one"), rows(tmp_path / "two")
    assert len(found) == len(expected)
    assert sum("health/answer_spread" in row for row in found) == 3
    for row, of_one in zip(found, expected, strict=True):
        for key in of_one.keys() - {"seconds", "images_per_second", "grad_norm"}:
            loosely = 1e-3 if key.startswith("health/") else None  # ratios of sums of squares, of all sizes
            assert row[key] == pytest.approx(of_one[key], abs=digits, rel=loosely), (row["step"], key)
    assert not (tmp_path / "outputs").exists()
    assert "x 2" in json.loads((tmp_path / "two" / "provenance.json").read_text())["device"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_stopped_by_a_signal_it_goes_on_with_another_number_of_processes(command, torchrun, tmp_path, kind):
    settings = [
        *EXACT,
        "trainer.ema_decay=0.9",
        "trainer.max_steps=100",
        "optimizer.lr=1e-4",
        f"trainer.parallel={kind}",
    ]
    whole = command("train", *QUICK, *settings, "hydra.run.dir=whole")
    assert whole.returncode == 0, whole.stderr
    first = torchrun(*settings, "hydra.run.dir=run")
    wait_for_step(tmp_path / "run", 10)
    first.send_signal(signal.SIGTERM)
    first.wait()
    assert summary(tmp_path / "run")["status"] == "interrupted"
    files = list((tmp_path / "run/checkpoints").glob("last.shards-*/*"))
    assert len(files) == (2 if kind == "fsdp" else 0)
    alone = subprocess.Popen(
        [sys.executable, "-m", "vitlab.train", "resume=run"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    wait_for_step(tmp_path / "run", len(rows(tmp_path / "run")) + 10)
    alone.send_signal(signal.SIGTERM)
    said, _ = alone.communicate()
    assert alone.returncode == 143
    assert "dropout draws other numbers from here on" in said
    assert not list((tmp_path / "run/checkpoints").glob("last.shards-*"))
    last = torchrun("resume=run", f"trainer.parallel={kind}")
    assert last.wait() == 0, last.stdout.read()
    for row, expected in zip(rows(tmp_path / "run"), rows(tmp_path / "whole"), strict=True):
        assert row["step"] == expected["step"]
        if "train/loss" in row:
            assert row["train/loss"] == pytest.approx(expected["train/loss"], abs=1e-4)


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("rank", [0, 1])
def test_when_one_process_is_killed_the_others_end_in_seconds_and_say_why(torchrun, tmp_path, rank):
    process = torchrun(*LONG, "hydra.run.dir=run")
    wait_for_step(tmp_path / "run", 10)
    os.kill(workers(process)[rank], signal.SIGKILL)
    begin = time.monotonic()
    assert process.wait(timeout=60) != 0
    assert time.monotonic() - begin < 30
    said = process.stdout.read()
    assert "another process of this run is gone" in said
    assert read(tmp_path / "run/checkpoints/last.pt")["step"] >= 10


@pytest.mark.slow
@pytest.mark.faults
@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_torchrun_starts_it_again_from_its_last_checkpoint(torchrun, tmp_path, kind):
    settings = [*EXACT, "trainer.max_steps=100", "trainer.save_every=1 step", f"trainer.parallel={kind}"]
    process = torchrun(*settings, of_torchrun=["--max-restarts=2"])
    until = time.monotonic() + 120
    while not (folders := list(tmp_path.glob("outputs/*/*"))) and time.monotonic() < until:
        time.sleep(0.05)
    wait_for_step(folders[0], 20)
    os.kill(workers(process)[1], signal.SIGKILL)
    assert process.wait(timeout=240) == 0, process.stdout.read()
    said = process.stdout.read()
    assert re.search(r"going on from step [1-9]", said)
    assert list(tmp_path.glob("outputs/*/*")) == folders
    assert summary(folders[0])["status"] == "done"
    steps = [row["step"] for row in rows(folders[0]) if "train/loss" in row]
    assert steps == list(range(1, 101))


@pytest.mark.slow
@pytest.mark.cluster
def test_the_line_of_the_docs_trains_one_run_on_two_nodes_of_a_cluster(slurm, command, tmp_path):
    settings = [*QUICK, *EXACT, "trainer.max_steps=20"]
    done = command("train", *settings, "hydra.run.dir=one")
    assert done.returncode == 0, done.stderr
    (line,) = re.findall(r"^srun .*$", (Path(__file__).parents[2] / "docs/processes.md").read_text(), re.MULTILINE)
    line = line.replace("--gpus-per-node=4 ", "").replace("--nproc-per-node=4", "--nproc-per-node=1")
    line = re.sub(
        r"vitlab\.train [^']*", f"vitlab.train {shlex.join(settings).replace(chr(39), chr(34))} hydra.run.dir=two", line
    )
    assert "--nnodes" in line
    script = tmp_path / "two_nodes.sh"
    script.write_text(f"#!/bin/bash\n{line}\n")
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    sbatch = ["sbatch", "--wait", "--nodes=2", "--output=log", script]
    ended = subprocess.run(sbatch, cwd=tmp_path, env=environment, capture_output=True, timeout=240)
    said = (tmp_path / "log").read_text()
    assert ended.returncode == 0, said
    assert "2 processes" in said
    assert [row["step"] for row in rows(tmp_path / "two")] == [row["step"] for row in rows(tmp_path / "one")]
    for row, expected in zip(rows(tmp_path / "two"), rows(tmp_path / "one"), strict=True):
        for key in row.keys() & {"train/loss", "val/loss", "test/loss"}:
            assert row[key] == pytest.approx(expected[key], abs=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["model.num_heads=5"], "model.num_heads=5 does not divide"),
        (["budget=time:1min"], "budget=time:1min is measured in one process"),
        (["trainer.parallel=fsdp", "trainer.precision=fp16"], "has no loss scaler"),
    ],
)
def test_what_is_refused_is_said_once(torchrun, tmp_path, arguments, message):
    process = torchrun(*arguments)
    assert process.wait() == 1
    assert process.stdout.read().count(message) == 1
    assert not list(tmp_path.glob("outputs/*/*"))


@pytest.mark.slow
def test_a_sweep_is_refused(torchrun, tmp_path):
    process = torchrun("seed=0,1", "--multirun")
    assert process.wait() == 1
    assert "vitlab: torchrun trains one run in several processes; leave --multirun out" in process.stdout.read()
    assert not list(tmp_path.iterdir())


def test_a_process_alone_is_its_own_world():
    assert world() == ALONE
    assert ALONE.leads
    assert ALONE.gather("a") == ["a"]
    assert ALONE.from_leader("a") == "a"
    assert ALONE.sum(torch.ones(2)).tolist() == [1, 1]
    assert ALONE.share(7) == 7


def test_shares_of_a_batch_add_up():
    for size in (1, 2, 3, 8):
        for images in (1, 2, 7, 16):
            shares = [World(rank, size).share(images) for rank in range(size)]
            assert sum(shares) == images
            assert max(shares) - min(shares) <= 1


def test_an_error_that_is_not_of_the_others_stays_itself():
    with pytest.raises(RuntimeError, match="gloo"), ALONE.complete():
        raise RuntimeError("gloo")
    with pytest.raises(RuntimeError, match="shape"), World(0, 2).complete():
        raise RuntimeError("a wrong shape")
    with pytest.raises(VitlabError, match="another process of this run is gone"), World(0, 2).complete():
        raise RuntimeError("[gloo] Connection closed by peer")


def test_a_stop_that_was_agreed_on_ends_those_too_that_were_not_asked():
    class Told(World):
        def sum(self, tensor):
            return tensor + 1  # the other one was asked

    stop = AgreedStop(GracefulStop(), Told(0, 2))
    stop.obey()
    assert stop.requested
    with pytest.raises(Interrupted):
        stop.obey()
