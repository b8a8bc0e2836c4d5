"""A sweep's folder as tests look at it; a real Ray cluster, begun once and ended by its own process ids."""

import contextlib
import importlib.util
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from slurm_cluster import three_free_ports

from vitlab.runs import RunFolder
from vitlab.sweeps.manifest import Manifest, new_job


@pytest.fixture(scope="session")
def ray_cluster():
    """The address of a running Ray cluster of two CPUs and two pretended GPUs; ray may be imported only after this."""
    if importlib.util.find_spec("ray") is None:
        pytest.skip("ray is not installed")
    folder = tempfile.mkdtemp(prefix="ray", dir="/tmp")  # the paths of its sockets may not be long
    port = three_free_ports()
    address = f"127.0.0.1:{port}"
    secret = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}  # read once, by the first import
    os.environ.update(secret)
    head = ["start", "--head", "--block", f"--port={port}", f"--temp-dir={folder}", "--node-ip-address=127.0.0.1"]
    size = ["--num-cpus=2", "--num-gpus=2", f"--object-store-memory={10**8}", "--include-dashboard=false"]
    log = Path(folder) / "head.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [Path(sys.executable).with_name("ray"), *head, *size],
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    end = time.monotonic() + 60
    while "Ray runtime started" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < end, log.read_text()
        time.sleep(0.1)
    yield address
    process.terminate()
    process.wait(60)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)  # `ray stop` would end every Ray of the machine
    shutil.rmtree(folder, ignore_errors=True)
    for name in secret:
        del os.environ[name]


@pytest.fixture
def wait():
    """``wait(lambda: …)``: the first true value, or a failed test after a minute."""

    def until(condition, seconds=60):
        end = time.monotonic() + seconds
        while not (value := condition()):
            assert time.monotonic() < end, "it never came"
            time.sleep(0.05)
        return value

    return until


@pytest.fixture
def ended(wait):
    """``ended(job)``: its exit code."""
    return lambda job: wait(lambda: job.exit_code() is not None) and job.exit_code()


@pytest.fixture
def said():
    """``said(log)``: the text of a log, also of one that is not there yet."""
    return lambda log: log.read_text() if log.exists() else ""


@pytest.fixture
def training():
    """``training(folder, "trainer.epochs=2", …)``: the command line of a small run."""

    def command(folder, *overrides):
        small = ["model.depth=1", "model.embed_dim=16", "model.num_heads=2", "tracker=none", "trainer.device=cpu"]
        return [sys.executable, "-m", "vitlab.train", *small, *overrides, f"hydra.run.dir='{folder}'"]

    return command


@pytest.fixture
def rows():
    """``rows(folder)``: what a run has logged so far."""

    def read(folder):
        file = folder / "metrics.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    return read


@pytest.fixture
def status():
    """``status(folder)``: that of its run."""
    return lambda folder: RunFolder(folder).status()


@pytest.fixture
def sweeps(tmp_path):
    """``sweeps()``: the folders of the sweeps that commands have left in the empty folder."""
    return lambda: sorted(path.parent for path in (tmp_path / "multirun").glob("*/*/sweep.json"))


@pytest.fixture
def jobs_of():
    """``jobs_of(folder)``: the entries of its manifest."""
    return lambda folder: json.loads((folder / "sweep.json").read_text())["jobs"]


@pytest.fixture
def manifest(tmp_path):
    """Three jobs of different depth in an empty folder."""
    own = [[f"model.depth={depth}"] for depth in (1, 2, 3)]
    jobs = [new_job(number, ["tracker=none", *varied], varied) for number, varied in enumerate(own)]
    return Manifest(tmp_path / "sweep", jobs)


@pytest.fixture
def leave():
    """``leave(run, status="done", ...)``: what a run of that kind leaves in its folder."""

    def written(run, rows=(), config=True, **summary):
        run.path.mkdir(parents=True, exist_ok=True)
        run.summary.write_text(json.dumps(summary))
        (run.path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        if config:
            run.config.write_text("seed: 0\n")

    return written
