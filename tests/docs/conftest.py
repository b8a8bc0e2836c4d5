"""The bench on which commands of the pages are tried: runs and sweeps under the names that the pages use."""

import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import warm
from PIL import Image

TINY = ("model.depth=1", "model.embed_dim=32", "tracker=none", "trainer.limit_batches=2", "trainer.batch_size=8")
RUNS = ("2026-11-23/10-00-00-123456", "2026-11-23/10-00-00", "DATE/TIME", "A")
SWEEPS = ("2026-11-23/10-00-00-123456", "DATE/TIME")
# A teacher, for pages that speak of one and leave the writing to the reader.
MY_LAB = """
from torch import nn


class Teacher(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(64, 10))
"""


@pytest.fixture(scope="session")
def environment(tmp_path_factory):
    """No accounts, no network, one thread each."""
    home = tmp_path_factory.mktemp("home")
    return {**os.environ, "HOME": str(home), "WANDB_MODE": "offline", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@pytest.fixture(scope="session")
def bench(tmp_path_factory, environment):
    """``bench(folder)``: put what the placeholders of the pages name into a folder."""
    made = tmp_path_factory.mktemp("bench")

    def train(*arguments):
        done = warm.run("vitlab.train", [*TINY, *arguments], made, environment, 120)
        assert done.returncode == 0, done.stdout + done.stderr

    train("trainer.max_steps=2", "hydra.run.dir=outputs/A")
    train("trainer.max_steps=2", "hydra.run.dir=outputs/B", "seed=1")
    _interrupt(made, environment)
    _sweep(made)
    for name in RUNS[:-1]:
        shutil.copytree(made / "outputs" / "A", made / "outputs" / name)
    for name in SWEEPS:
        shutil.copytree(made / "sweep", made / "multirun" / name)
    _images(made / "PATH")
    _images(made / "holiday")
    (made / "my_lab.py").write_text(MY_LAB)
    return lambda folder: shutil.copytree(made, folder, symlinks=True)


def _interrupt(made, environment):
    """A run that was stopped by a signal, as Ctrl-C does it."""
    length = ["trainer.max_steps=150", "trainer.validate_every=150 steps", "trainer.save_every=20 steps"]
    arguments = [*TINY, *length, "hydra.run.dir=interrupted"]
    said = made / "interrupted.txt"
    forked = warm.start("vitlab.train", arguments, made, environment, said, said)
    end = time.monotonic() + 120
    while not (made / "interrupted/checkpoints/last.pt").exists():
        assert time.monotonic() < end, said.read_text()
        time.sleep(0.05)
    os.kill(forked.pid, signal.SIGINT)
    forked.join(60)
    assert json.loads((made / "interrupted/summary.json").read_text())["status"] == "interrupted"


def _sweep(made):
    """A sweep of both runs, as its launcher leaves it."""
    from vitlab.sweeps.manifest import Manifest, new_job

    manifest = Manifest(made / "sweep")
    for number, name in enumerate("AB"):
        overrides = [*TINY, "trainer.max_steps=2", f"seed={number}"]
        job = new_job(number, overrides, [f"seed={number}"])
        job.state, job.attempts = "done", 1
        manifest.jobs.append(job)
        shutil.copytree(made / "outputs" / name, manifest.run(job).path)
    manifest.save()


def _images(folder: Path):
    draw = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 2)):
        for label in range(10):
            (folder / split / f"class{label}").mkdir(parents=True)
            for number in range(count):
                image = Image.fromarray(draw.integers(0, 256, (32, 32, 3)).astype(np.uint8))
                image.save(folder / split / f"class{label}" / f"{number}.png")
