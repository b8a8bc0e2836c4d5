import json

import pytest
from omegaconf import OmegaConf

pytestmark = pytest.mark.slow


@pytest.fixture
def run(command, quick, tmp_path):
    """A finished run, in the folder ``run``."""
    done = command("train", *quick, "trainer.epochs=3", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    return tmp_path / "run"


def test_from_anywhere_the_figures_are_those_of_the_run(run, command, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    summary = json.loads((run / "summary.json").read_text())
    done = command("evaluate", f"run={run}", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert f"test: accuracy {summary['test_accuracy']:.2%}" in done.stdout
    found = json.loads((run / "evaluation.json").read_text())
    assert found["accuracy"] == summary["test_accuracy"]
    assert found["loss"] == pytest.approx(summary["test_loss"])
    assert not list(elsewhere.iterdir())

    done = command("evaluate", f"run={run}", "split=val", "batch_size=7", cwd=elsewhere)
    assert f"val: accuracy {summary['val_accuracy']:.2%}" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run=nowhere"], "run=nowhere: there is no such folder"),
        (["run=run", "split=tset"], "split=tset is not one of train, val, test"),
        (["run=run", "checkpoint=worst"], "checkpoint=worst is not one of best, last"),
        (["run=run", "batch_size=0"], "batch_size=0"),
        (["run=run", "device=tpu"], "device=tpu"),
        (["run=."], "holds no run"),
        ([], "run"),
    ],
)
def test_what_cannot_be_evaluated_is_one_message(run, command, arguments, message):
    done = command("evaluate", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_stranger_s_folder_runs_no_code(run, command, tmp_path):
    config = OmegaConf.load(run / "config.yaml")
    config.model.pool = {"_target_": "os.system", "command": "touch run/hacked"}
    config.allow_targets = ["os"]
    OmegaConf.save(config, run / "config.yaml")
    done = command("evaluate", "run=run")
    assert done.returncode == 1
    assert "model.pool._target_=os.system is not in the allowed packages" in done.stderr
    assert not (run / "hacked").exists()


def test_a_checkpoint_of_another_architecture_is_told(run, command):
    config = OmegaConf.load(run / "config.yaml")
    config.model.embed_dim = 32
    OmegaConf.save(config, run / "config.yaml")
    done = command("evaluate", "run=run")
    assert done.returncode == 1
    assert "holds weights of another architecture" in done.stderr
