"""``kill -9`` at random moments; ``python -m benchmarks.soak`` does the same two hundred times."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import pytest

from vitlab.engine.checkpoint import BEST, LAST, read
from vitlab.engine.snapshot import first_difference_of_states
from vitlab.tracking.records import first_difference, rows_of

pytestmark = [pytest.mark.slow, pytest.mark.faults]

EVERYTHING = (
    *("model.depth=2", "model.embed_dim=32", "model.num_heads=2", "trainer.device=cpu", "trainer.epochs=8"),
    *("model.mlp_drop=0.1", "model.drop_path=0.1", "augment=strong", "optimizer=muon"),
    *("trainer.accumulate=2", "trainer.ema_decay=0.99", "trainer.precision=bf16", "tracker=wandb"),
    *("trainer.save_every=3 steps", "trainer.log_every=2 steps", "trainer.validate_every=0.5 epochs"),
)


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "vitlab.train", *arguments],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def kill_at(process, metrics, lines, delay):
    """Kill once the run's ``metrics`` has so many ``lines``, ``delay`` seconds after that."""
    while process.poll() is None and (not metrics.exists() or metrics.read_bytes().count(b"\n") < lines):
        time.sleep(0.005)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it ended before it could be killed"


def test_killed_again_and_again_it_ends_as_if_it_had_never_been(tmp_path):
    whole = start(tmp_path, *EVERYTHING, "hydra.run.dir=whole")
    assert whole.communicate()[1] == b""
    draw, rows = random.Random(0), len(rows_of(tmp_path / "whole"))
    arguments = [*EVERYTHING, "hydra.run.dir=run"]
    for lines in sorted(draw.sample(range(rows - 8), 4)):
        kill_at(start(tmp_path, *arguments), tmp_path / "run" / "metrics.jsonl", lines, draw.uniform(0, 0.02))
        if (tmp_path / "run" / "config.yaml").exists():
            arguments = ["resume=run"]
    last = start(tmp_path, *arguments)
    assert last.communicate()[1] == b""
    assert last.returncode == 0
    assert json.loads((tmp_path / "run" / "summary.json").read_text())["status"] == "done"
    assert first_difference(rows_of(tmp_path / "whole"), rows_of(tmp_path / "run"), ("whole", "killed")) is None
    for name in (LAST, BEST):
        ends = (read(tmp_path / folder / "checkpoints" / name) for folder in ("whole", "run"))
        assert first_difference_of_states(*ends) is None
    assert len({path.name.split("-")[-1] for path in tmp_path.glob("run/wandb/*run-*")}) == 1
