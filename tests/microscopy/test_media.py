import pytest
from PIL import Image
from wandb_file import read_run

from vitlab.microscopy.media import send
from vitlab.tracking.wandb import WandbTracker


def test_pictures_findings_and_parts_are_logged_and_the_run_is_closed(observation, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "rollout.png")
    tracker = WandbTracker(tmp_path, {}, None, "microscope", lambda sentence: None, mode="offline")
    assert send(tracker, observation.found, [tmp_path / "rollout.png"]) is None
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    run = read_run(file)
    assert run.exit_code == 0
    assert {"findings", "parts", "rollout"} <= {key.split(".")[0] for row in run.history for key in row}
    assert run.summary["similarity_at_the_end"] == pytest.approx(observation.found["similarity"][-1])


def test_what_fails_is_one_sentence_and_the_run_is_closed_all_the_same(observation, tmp_path):
    tracker = WandbTracker(tmp_path, {}, None, "microscope", lambda sentence: None, mode="offline")
    told = send(tracker, observation.found, [tmp_path / "missing.png"])
    assert told.startswith("W&B has not all of it: ")
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    assert read_run(file).exit_code == 0
