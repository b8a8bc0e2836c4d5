from functools import partial

import pytest
from PIL import Image
from wandb_file import read_run

from vitlab.microscopy.media import send
from vitlab.tracking.wandb import WandbTracker

TOLD = ({"model": {"depth": 2}}, None, "microscope")


def test_pictures_findings_and_parts_are_a_run_of_its_own(observation, tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "rollout.png")
    make = partial(WandbTracker, mode="offline", job_type="microscope")
    told = send(make, TOLD, tmp_path, observation.found, [tmp_path / "rollout.png"])
    assert told.startswith("W&B is offline; later: wandb sync")
    (file,) = tmp_path.glob("wandb/offline-run-*/*.wandb")
    run = read_run(file)
    assert (run.name, run.job_type, run.exit_code) == ("microscope", "microscope", 0)
    assert {"findings", "parts", "rollout"} <= {key.split(".")[0] for row in run.history for key in row}
    assert run.summary["similarity_at_the_end"] == pytest.approx(observation.found["similarity"][-1])


def test_switched_off_there_is_nothing_to_say_and_what_fails_is_one_sentence(observation, tmp_path):
    make = partial(WandbTracker, mode="disabled")
    assert send(make, TOLD, tmp_path, observation.found, []) is None

    def broken(*arguments):
        raise RuntimeError("no space\nleft")

    assert send(broken, TOLD, tmp_path, observation.found, []) == "W&B has nothing of it: no space"
