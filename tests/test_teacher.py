import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
import torch
from omegaconf import OmegaConf

from vitlab.engine.checkpoint import read

pytestmark = pytest.mark.slow  # each test starts the command in processes of its own

STUDENT = ("objective=distill", "trainer.epochs=2", "trainer.batch_size=256", "model.mlp_drop=0.1")


@pytest.fixture
def teacher(command, quick, tmp_path):
    """A run that has learnt a little, in the folder ``teacher``."""
    done = command("train", *quick, "trainer.epochs=2", "hydra.run.dir=teacher")
    assert done.returncode == 0, done.stderr
    return tmp_path / "teacher"


def weights(folder):
    return read(folder / "checkpoints" / "last.pt")["model"]


@pytest.mark.parametrize("token", ["true", "false"])
def test_a_student_learns_from_a_run_and_is_evaluated_without_it(command, quick, teacher, tmp_path, token):
    settings = ["objective.teacher=teacher", f"model.distillation_token={token}", "hydra.run.dir=student"]
    done = command("train", *quick, *STUDENT, *settings)
    assert done.returncode == 0, done.stderr
    student = tmp_path / "student"
    assert OmegaConf.load(student / "config.yaml").objective.teacher == str(teacher)
    assert "teacher" in json.loads((student / "provenance.json").read_text())["hashes"]
    assert ("head_dist.weight" in weights(student)) is (token == "true")
    shutil.rmtree(teacher)
    assert command("evaluate", "run=student").returncode == 0


@pytest.mark.faults
def test_stopped_and_resumed_it_ends_as_if_it_had_never_stopped(command, quick, teacher, tmp_path):
    settings = [*quick, *STUDENT, "objective.teacher=teacher", "trainer.epochs=40"]
    assert command("train", *settings, "hydra.run.dir=whole").returncode == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "vitlab.train", *settings, "hydra.run.dir=half"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    while not (tmp_path / "half" / "checkpoints" / "last.pt").exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 143
    assert command("train", "resume=half").returncode == 0
    whole, half = weights(tmp_path / "whole"), weights(tmp_path / "half")
    assert all(torch.equal(whole[name], half[name]) for name in whole)


@pytest.mark.faults
def test_a_run_does_not_go_on_with_another_teacher_or_none(command, quick, teacher, tmp_path):
    settings = [*quick, *STUDENT, "objective.teacher=teacher", "hydra.run.dir=student"]
    assert command("train", *settings).returncode == 0
    (tmp_path / "student" / "summary.json").write_text('{"status": "interrupted"}')
    other = ["model.depth=1", "trainer.epochs=1", "seed=9", "hydra.run.dir=other"]
    assert command("train", *quick, *other).returncode == 0
    shutil.copy(tmp_path / "other" / "checkpoints" / "best.pt", teacher / "checkpoints" / "best.pt")
    assert "was trained on other data: teacher changed since" in command("train", "resume=student").stderr
    shutil.move(teacher, tmp_path / "moved")
    gone = command("train", "resume=student")
    assert gone.returncode == 1
    assert f"objective.teacher={teacher}: there is no such folder" in gone.stderr


def test_a_run_goes_on_with_a_teacher_that_has_moved(command, quick, teacher, tmp_path):
    settings = [*quick, *STUDENT, "objective.teacher=teacher", "hydra.run.dir=student"]
    assert command("train", *settings).returncode == 0
    (tmp_path / "student" / "summary.json").write_text('{"status": "interrupted"}')
    shutil.move(teacher, tmp_path / "moved")
    done = command("train", "resume=student", "objective=distill", "objective.teacher=moved")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "objective.teacher is missing"),
        (["objective.teacher=nowhere"], "objective.teacher=nowhere: there is no such folder"),
        (["objective.teacher=empty"], "/empty holds no run"),
        (
            ["objective.teacher=teacher", "data.mean=[0.5]"],
            "was trained with data.mean=[0.3053], and this run has [0.5]",
        ),
        (["objective.teacher={_target_: os.system}"], "objective.teacher._target_=os.system is not in the allowed"),
        (
            ["objective.teacher={_target_: torch.nn.Parameter}"],
            "objective.teacher makes a Parameter, not a torch module",
        ),
        (["objective.teacher={a: 1}"], "objective.teacher has no _target_"),
        (
            ["objective.teacher={_target_: torchvision.models.resnet18, num_classes: 10}"],
            "objective.teacher cannot see images of 1 x 8 x 8",
        ),
        (
            ["objective.teacher={_target_: torch.nn.Flatten}"],
            "objective.teacher gives (1, 64) for one image, and (1, 10) is needed",
        ),
        (["objective.teacher=teacher", "objective.kind=warm"], "objective: kind=warm is not one of soft, hard"),
    ],
)
def test_a_teacher_that_does_not_fit_is_one_message(command, quick, tmp_path, request, arguments, message):
    (tmp_path / "empty").mkdir()
    if "objective.teacher=teacher" in arguments:
        request.getfixturevalue("teacher")
    done = command("train", *quick, "objective=distill", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_teacher_that_cannot_serve_leaves_no_folder_behind(command, quick, runs):
    assert command("train", *quick, "objective=distill", "objective.teacher=nowhere").returncode == 1
    assert runs() == []
