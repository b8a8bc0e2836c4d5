"""What happens to a run folder, and to the clock, between a stop and the resume."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from vitlab.engine.checkpoint import LAST, read
from vitlab.engine.snapshot import first_difference_of_states
from vitlab.tracking.records import first_difference, rows_of

pytestmark = [pytest.mark.slow, pytest.mark.faults]

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}  # sums in another number of threads have other last bits
SETTINGS = (
    *("model.depth=1", "model.embed_dim=16", "model.num_heads=2", "model.mlp_drop=0.1", "tracker=none"),
    *("trainer.device=cpu", "trainer.epochs=6", "trainer.save_every=2 steps", "trainer.log_every=2 steps"),
)


@pytest.fixture(scope="module")
def whole_run(tmp_path_factory):
    """A run that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    subprocess.run(
        train(*SETTINGS, "hydra.run.dir=whole"), cwd=folder, env=ONE_THREAD, check=True, stdout=subprocess.DEVNULL
    )
    return folder / "whole"


def train(*arguments):
    return [sys.executable, "-m", "vitlab.train", *arguments]


def stop_halfway(folder, *arguments):
    """Start a run in ``folder`` and end it by SIGTERM after some rows."""
    command = train(*SETTINGS, *arguments, f"hydra.run.dir={folder}")
    process = subprocess.Popen(command, env=ONE_THREAD, stdout=subprocess.DEVNULL)
    metrics = folder / "metrics.jsonl"
    while not metrics.exists() or metrics.read_bytes().count(b"\n") < 20:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 143


def assert_same_end(one, other):
    assert first_difference(rows_of(one), rows_of(other), ("whole", "resumed")) is None
    assert first_difference_of_states(read(one / "checkpoints" / LAST), read(other / "checkpoints" / LAST)) is None


@pytest.mark.parametrize(
    "gone", ["summary.json", "overrides.yaml", "provenance.json", "wandb_id.txt", "checkpoints/best.pt"]
)
def test_without_a_file_that_can_be_made_again_it_goes_on(command, whole_run, tmp_path, gone):
    stop_halfway(tmp_path / "run")
    (tmp_path / "run" / gone).unlink(missing_ok=True)
    done = command("train", "resume=run")
    assert done.returncode == 0, done.stderr
    if not gone.endswith("best.pt"):
        assert_same_end(whole_run, tmp_path / "run")


def test_without_its_config_it_is_no_run(command, tmp_path):
    stop_halfway(tmp_path / "run")
    (tmp_path / "run/config.yaml").unlink()
    done = command("train", "resume=run")
    assert done.returncode == 1
    assert done.stderr == "vitlab: resume=run holds no run (no config.yaml)\n"


def test_without_its_rows_it_goes_on_and_tells_of_the_gap(command, whole_run, tmp_path):
    stop_halfway(tmp_path / "run")
    (tmp_path / "run/metrics.jsonl").unlink()
    stopped_at = read(tmp_path / "run/checkpoints" / LAST)["step"]
    done = command("train", "resume=run")
    assert done.returncode == 0, done.stderr
    assert re.search(r"metrics.jsonl has lost (\d+) of its \1 rows: its record has a gap", done.stdout)
    rows = [{**row, "seconds": 0, "images_per_second": 0} for row in rows_of(tmp_path / "run")]
    expected = [{**row, "seconds": 0, "images_per_second": 0} for row in rows_of(whole_run)]
    assert rows == [row for row in expected if row["step"] > stopped_at]
    assert read(tmp_path / "run/checkpoints" / LAST)["rows"] == len(rows) - 1  # without the row of the test


def test_without_any_checkpoint_it_begins_anew_and_says_so(command, whole_run, tmp_path):
    stop_halfway(tmp_path / "run")
    shutil.rmtree(tmp_path / "run/checkpoints")
    done = command("train", "resume=run")
    assert done.returncode == 0, done.stderr
    assert "there is no checkpoint: it begins anew" in done.stdout
    assert_same_end(whole_run, tmp_path / "run")


def test_made_read_only_in_the_middle_it_ends_with_one_message_and_goes_on_when_it_can_be_written(
    command, whole_run, tmp_path
):
    disk = tmp_path / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "tmpfs", disk], capture_output=True).returncode != 0:
        pytest.skip("only root can mount a disk")
    try:
        process = subprocess.Popen(
            train(*SETTINGS, f"hydra.run.dir={disk}/run"),
            env=ONE_THREAD,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        while not (disk / "run" / "checkpoints" / LAST).exists():
            assert process.poll() is None
            time.sleep(0.01)
        # A file that is open for writing keeps a whole disk from becoming read-only; its folder can become so beneath.
        subprocess.run(["chattr", "+i", disk / "run" / "checkpoints"], check=True, capture_output=True)
        _, error = process.communicate()
        subprocess.run(["chattr", "-i", disk / "run" / "checkpoints"], check=True)
        assert process.returncode == 1
        assert "cannot be written" in error
        assert len(error.strip().splitlines()) == 1
        done = command("train", f"resume={disk}/run")
        assert done.returncode == 0, done.stderr
        assert_same_end(whole_run, disk / "run")
    finally:
        subprocess.run(["umount", disk], check=True)


def test_a_clock_that_goes_back_changes_nothing(whole_run, tmp_path):
    if shutil.which("faketime") is None:
        pytest.skip("faketime is not installed")
    stop_halfway(tmp_path / "run")
    yesterday = ["faketime", "-f", "-1d", *train("resume=run")]
    subprocess.run(yesterday, cwd=tmp_path, env=ONE_THREAD, check=True, stdout=subprocess.DEVNULL)
    assert_same_end(whole_run, tmp_path / "run")
    seconds = [row["seconds"] for row in rows_of(tmp_path / "run")]
    assert seconds == sorted(seconds)


def test_with_other_images_it_goes_on_only_if_that_is_allowed_and_says_so_ever_after(command, tmp_path):
    draw = np.random.default_rng(0)
    for split, count in (("train", 40), ("test", 2)):
        for name in "ab":
            folder = tmp_path / "pictures" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(draw.integers(0, 256, (32, 32, 3)).astype(np.uint8)).save(folder / f"{number}.png")
    data = ["data=image_folder_32", f"data.root={tmp_path}/pictures", "trainer.epochs=100"]
    stop_halfway(tmp_path / "run", *data)
    before = json.loads((tmp_path / "run/provenance.json").read_text())["hashes"]
    Image.new("RGB", (32, 32)).save(tmp_path / "pictures/train/a/0.png")
    refused = command("train", "resume=run")
    assert refused.returncode == 1
    hint = "images/train changed since; allow_changed_data=true goes on with what is there now"
    assert hint in refused.stderr
    done = command("train", "resume=run", "allow_changed_data=true")
    assert done.returncode == 0, done.stderr
    assert "its data have changed since it began: images/train" in done.stdout
    told = json.loads((tmp_path / "run/provenance.json").read_text())
    assert told["changed_data"] == ["images/train"]
    assert told["hashes"]["images/train"] != before["images/train"]
    assert json.loads((tmp_path / "run/summary.json").read_text())["changed_data"] == "images/train"
    assert command("evaluate", "run=run").returncode == 0
