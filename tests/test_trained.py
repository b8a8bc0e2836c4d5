import pytest
import torch
from omegaconf import OmegaConf

from vitlab.engine.checkpoint import Checkpoints, read
from vitlab.errors import VitlabError
from vitlab.runs import RunFolder
from vitlab.trained import choose, load_trained

pytestmark = pytest.mark.slow


@pytest.fixture
def run(command, quick, tmp_path):
    done = command("train", *quick, "trainer.max_steps=3", "trainer.ema_decay=0.9", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    return RunFolder(tmp_path / "run")


def test_the_averaged_weights_come_in_eval_mode_with_the_names_of_the_classes(run):
    trained = load_trained(run, "last", [])
    state = torch.load(run.checkpoints / "last.pt", weights_only=True)
    for name, value in trained.model.state_dict().items():
        assert torch.equal(value, state["ema"]["model"][name])
    assert not trained.model.training
    assert trained.step == 3
    assert trained.class_names == tuple("0123456789")
    run.provenance.unlink()
    assert trained.class_names == tuple("0123456789")  # their numbers, as nothing tells their names
    run.provenance.write_text('{"class_names": ["cat", "dog"]}')
    assert trained.class_names == ("cat", "dog", *"23456789")


def test_weights_that_are_not_finite_are_refused(run):
    path = run.checkpoints / "last.pt"
    state = read(path)
    next(iter(state["ema"]["model"].values())).fill_(float("nan"))
    Checkpoints(run.checkpoints).save("last.pt", state)
    with pytest.raises(VitlabError, match="last.pt holds weights that are not finite"):
        load_trained(run, "last", [])


def test_a_run_is_chosen_by_its_folder(run):
    assert choose(OmegaConf.create({"run": str(run.path), "checkpoint": "best"})).path == run.path
    for wrong, message in (({"run": None}, "run= is missing"), ({"checkpoint": "bets"}, "is not one of best, last")):
        with pytest.raises(VitlabError, match=message):
            choose(OmegaConf.create({"run": str(run.path), "checkpoint": "best", **wrong}))
