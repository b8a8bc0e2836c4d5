import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.slow

EVERYTHING = ("model.mlp_drop=0.1", "model.drop_path=0.1", "augment=strong", "optimizer=muon", "trainer.ema_decay=0.9")

FORGETFUL = """
from torch.nn import functional as F

class Forgetful:
    '''Weighs each loss by how often it was asked, which no checkpoint knows.'''
    asked = 0

    def __call__(self, model, images, targets):
        self.asked += 1
        return F.cross_entropy(model(images), targets) * self.asked
"""


def test_a_run_that_is_resumed_is_the_run_that_was_not(command, quick, tmp_path):
    done = command("verify_resume", *quick, *EVERYTHING, "trainer.accumulate=2", "trainer.patience=1 step", "steps=5")
    assert done.returncode == 0, done.stderr
    assert "the same to the bit: 5 steps straight, and 2, a stop and 3 more" in done.stdout
    assert not list(tmp_path.iterdir())


def test_what_differs_first_is_named(command, quick, tmp_path):
    (tmp_path / "mine.py").write_text(FORGETFUL)
    mine = ["objective._target_=mine.Forgetful", "~objective.label_smoothing", "allow_targets=[mine]"]
    done = command("verify_resume", *quick, *mine, "steps=4")
    assert done.returncode == 1
    assert "a resumed run is not the same: at step 3 train/loss is" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("steps=1", "steps=1"),
        ("steps=null", "steps=null"),
        ("model.num_heads=5", "model.num_heads=5"),
        ("data.root=nowhere", "data.root"),
        ("resume=.", "resume="),
        ("--multirun", "leave --multirun and sweep out"),
        ("sweep=patch_depth_heads", "leave --multirun and sweep out"),
    ],
)
def test_what_cannot_be_verified_is_one_message(command, quick, override, message):
    extra = ["data=image_folder_32"] if "root" in override else []
    done = command("verify_resume", *quick, *extra, override)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.faults
def test_a_ctrl_c_ends_both_processes_in_one_line(quick, tmp_path):
    process = subprocess.Popen(
        [sys.executable, "-m", "vitlab.verify_resume", *quick, "steps=1000000"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1", "TMPDIR": str(tmp_path)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # which whoever runs the tests may ignore
    )
    while not list(tmp_path.glob("*/straight/metrics.jsonl")):
        assert process.poll() is None
        time.sleep(0.1)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)  # until all that could write there are gone
    assert process.returncode == 130
    assert said == "vitlab: stopped\n"
    assert not list(tmp_path.iterdir())
