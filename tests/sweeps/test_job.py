import os
import signal
import subprocess
import sys

import pytest


@pytest.fixture
def job(tmp_path):
    """``job("model.depth=1", …)``: the command in the background, whose standard input this end holds open."""

    def start(*arguments, **environment):
        return subprocess.Popen(
            [sys.executable, "-m", "vitlab.sweeps.job", *arguments],
            cwd=tmp_path,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    return start


@pytest.mark.slow
@pytest.mark.faults
def test_when_its_input_is_closed_it_saves_and_ends(job, tmp_path, training, wait, rows, status):
    run = tmp_path / "0-model.depth=1"
    with job(*training(run, "trainer.log_every=1 steps")[3:], VITLAB_STOP_AT_EOF="1") as process:
        wait(lambda: len(rows(run)) > 10)
        process.stdin.close()
        assert process.wait(60) == 128 + signal.SIGTERM
    assert status(run) == "interrupted"
    assert (run / "checkpoints" / "last.pt").exists()


def test_it_is_the_command_train_and_looks_at_its_input_only_if_asked(job):
    process = job("--cfg", "job", "model.depth=7")
    process.stdin.close()
    assert "depth: 7" in process.stdout.read()
    process.stdout.close()
    assert process.wait(60) == 0
