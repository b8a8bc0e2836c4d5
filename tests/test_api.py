import doctest
import json
import subprocess
import sys

import hydra
import pytest
import torch
from omegaconf import OmegaConf
from PIL import Image
from torch import nn

import vitlab
from vitlab import api
from vitlab.assembly import assemble
from vitlab.config.compose import conf_dir
from vitlab.engine.stop import GracefulStop
from vitlab.errors import VitlabError


def test_importing_vitlab_loads_nothing_heavy_and_composing_no_torch():
    code = (
        "import sys, vitlab; before = set(sys.modules); vitlab.compose('model.depth=2');"
        "print(sorted({'hydra', 'omegaconf', 'torch'} & before), 'torch' in sys.modules)"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "[] False\n"


def test_its_names_are_there_to_be_completed_and_others_are_not():
    assert set(vitlab.__all__) <= set(dir(vitlab))
    assert vitlab.compose is api.compose
    assert not hasattr(vitlab, "composer")


def test_the_examples_of_the_docstrings_are_true():
    for example in (api.compose, api.build_model):
        runner = doctest.DocTestRunner()
        for test in doctest.DocTestFinder(recurse=False).find(example, globs=vars(api)):
            runner.run(test)
        assert runner.tries > 1
        assert not runner.failures


def test_a_config_is_that_of_the_command_line(command):
    typed = ["model=vit_tiny", "data=cifar10", "model.depth=6"]
    config = vitlab.compose(*typed)
    told = command("train", *typed, "--cfg", "job", "--resolve").stdout
    expected = OmegaConf.create(told)
    del expected["sweep"]
    assert config == expected
    assert not OmegaConf.is_missing(config.model, "embed_dim")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["model.num_heads=5"], "model.num_heads=5 does not divide model.embed_dim=64; try 4 or 8"),
        (["model=vit_tniy"], "did you mean vit_tiny?"),
        (["modle.depth=3"], "modle.depth is no setting here; did you mean model.depth"),
        (["model.depth"], "'model.depth' is not an override"),
        (["trainer.epochs=2", "trainer.max_steps=3"], "give one run two lengths"),
        (["budget=abc"], "budget=abc is of no known kind"),
        (["budget=time:1min"], "is measured when a run begins; try trainer.max_steps"),
        (["trainer.health_every=often"], "trainer.health_every=often: 'often' is not a duration"),
        (["trainer.health_every=0 steps"], "never comes; try '1 steps'"),
        (["sweep=seeds"], "sweep=seeds is for the command line"),
        (["resume=outputs/a"], "resume=outputs/a is for the command line"),
        ([["model.depth=3"]], "is not an override; write compose('model=vit_tiny', 'model.depth=6')"),
    ],
)
def test_what_the_command_line_refuses_is_refused_in_its_words(overrides, message):
    with pytest.raises(VitlabError) as refused:
        vitlab.compose(*overrides)
    assert message in str(refused.value)


def test_a_budget_is_spent():
    config = vitlab.compose("budget=params:100K", "model.depth=2")
    parameters = sum(parameter.numel() for parameter in vitlab.build_model(config).parameters())
    assert parameters == pytest.approx(100_000, rel=0.1)


def test_a_program_under_hydra_keeps_its_own():
    with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
        assert vitlab.compose("model.depth=2").model.depth == 2
        with pytest.raises(VitlabError):
            vitlab.compose("modle.depth=2")
        assert hydra.compose("train", ["model.depth=3"]).model.depth == 3


def test_a_model_begins_as_that_of_its_run_does_and_no_generator_moves(tmp_path):
    config = vitlab.compose("model.depth=1", "tracker=none", "trainer.device=cpu", "seed=3")
    state = torch.get_rng_state()
    model = vitlab.build_model(config)
    assert torch.equal(state, torch.get_rng_state())
    theirs = assemble(config, tmp_path, GracefulStop()).trainer.model.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in model.state_dict().items())


def test_classes_of_a_folder_of_images_are_counted(tmp_path):
    for number in range(6):
        for split in ("train", "test"):
            folder = tmp_path / split / "abc"[number % 3]
            folder.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (32, 32), (40 * number, 0, 0)).save(folder / f"{number}.png")
    config = vitlab.compose("data=image_folder_32", f"data.root={tmp_path}", "data.val_fraction=0.5", "model.depth=1")
    model = vitlab.build_model(config)
    assert model.head.out_features == 3
    assert config.data.num_classes is None


class Own(nn.Linear):
    """A model of the user's own."""

    def __init__(self, image_size, channels, num_classes):
        super().__init__(image_size**2 * channels, num_classes)


def test_a_model_of_one_s_own_has_to_be_allowed():
    config = vitlab.compose()
    config.model = {"_target_": f"{__name__}.Own", "image_size": 8, "channels": 1, "num_classes": 10}
    with pytest.raises(VitlabError, match="not in the allowed packages"):
        vitlab.build_model(config)
    assert type(vitlab.build_model(config, allow_targets=[__name__])).__name__ == "Own"


@pytest.mark.slow
def test_a_run_is_loaded_whole_with_either_checkpoint(command, quick, tmp_path):
    settings = ("trainer.max_steps=4", "trainer.health_every=2 steps", "hydra.run.dir=run")
    done = command("train", *quick, *settings)
    assert done.returncode == 0, done.stderr
    run = vitlab.load_run(tmp_path / "run")
    assert run.config.model.depth == 1
    assert not run.model.training
    assert run.model(torch.zeros(2, 1, 8, 8)).shape == (2, 10)
    assert run.metrics == [json.loads(line) for line in (tmp_path / "run/metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in run.metrics if "health/update_ratio" in row] == [2, 4]
    assert run.summary["status"] == "done"
    assert run.class_names == tuple("0123456789")
    assert vitlab.load_run(str(tmp_path / "run"), "last").step == 4
    for wrong, message in ((("nowhere",), "run=nowhere"), ((tmp_path / "run", "bets"), "not one of best, last")):
        with pytest.raises(VitlabError, match=message):
            vitlab.load_run(*wrong)
