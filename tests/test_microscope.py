"""The whole command, most of it in this process; the runs have weights of chance, which show as much."""

import csv
import json
import shutil
import subprocess

import hydra
import numpy as np
import pytest
import torch
from hydra.core.hydra_config import HydraConfig
from omegaconf import OmegaConf
from PIL import Image
from wandb_file import read_run

from vitlab.config import saved
from vitlab.config.build import build
from vitlab.config.compose import HYDRA_VERSION_BASE, conf_dir, resolved
from vitlab.engine.checkpoint import Checkpoints
from vitlab.errors import VitlabError
from vitlab.microscope import microscope
from vitlab.runs import RunFolder, write_json

SMALL = ("model.depth=2", "model.embed_dim=16", "model.num_heads=2", "tracker=none", "trainer.device=cpu")
FEW = ("num_images=6", "shown=2", "ablation_images=10", "device=cpu")
PARTS = ("attention", "position", "patch_embed", "pool")
OPTIONS = {part: sorted(path.stem for path in (conf_dir() / "model" / part).glob("[!_]*.yaml")) for part in PARTS}
SPECIAL = ("model.num_registers=1", "model.distillation_token=true")


@pytest.fixture
def make_run(compose, tmp_path):
    """``make_run("name", "model.depth=3")``: the folder of a run with weights as they are drawn."""

    def made(name="run", *overrides):
        run = RunFolder(tmp_path / name)
        run.path.mkdir()
        settings = resolved(compose([*SMALL, *overrides]))
        settings.data.num_classes = settings.data.num_classes or 10
        saved.save_once(run, settings, list(overrides))
        torch.manual_seed(0)
        state = {"step": 7, "model": build(settings, "model").state_dict(), "ema": None}
        for checkpoint in ("best", "last"):
            Checkpoints(run.checkpoints).save(f"{checkpoint}.pt", state)
        data = build(settings, "data")
        write_json(run.provenance, {"hashes": data.hashes(), "class_names": list(data.spec.class_names)})
        return run.path

    return made


@pytest.fixture
def look(compose, monkeypatch, tmp_path):
    """``look("run=run", ...)``: the command in this process, in the empty folder."""

    def looked(*overrides):
        monkeypatch.chdir(tmp_path)
        with hydra.initialize_config_dir(str(conf_dir()), version_base=HYDRA_VERSION_BASE):
            cfg = hydra.compose("microscope", [*FEW, *overrides], return_hydra_config=True)
        HydraConfig.instance().set_config(cfg)
        microscope(cfg)

    return looked


@pytest.mark.slow
@pytest.mark.parametrize("number", range(max(len(options) for options in OPTIONS.values())))
def test_every_option_of_the_parts_goes_through_the_whole_command(make_run, look, capsys, number):
    chosen = {part: options[(number + shift) % len(options)] for shift, (part, options) in enumerate(OPTIONS.items())}
    run = make_run("run", *(f"model/{part}={name}" for part, name in chosen.items()), *(SPECIAL if number % 2 else ()))
    look("run=run")
    folder = run / "microscope/test"
    found = json.loads((folder / "microscope.json").read_text())
    assert found["images"] == 6
    assert np.array(found["distance"]["patches"]).shape == (2, 2)
    parts = {row["part"] for row in csv.DictReader((folder / "ablation.csv").read_text().splitlines())}
    assert parts == {"head", "block"} | ({"positions"} if chosen["position"] != "none" else set())
    assert (folder / "positions.png").exists() == (chosen["position"] != "none")
    assert (folder / "biases.png").exists() == (chosen["position"] == "relative_bias")
    assert (folder / "filters.png").exists() == (chosen["patch_embed"] not in ("cct", "conv_stem", "shifted"))
    assert "seen with 6 images of test, with the weights of step 7" in capsys.readouterr().out


def test_images_of_the_user_s_are_looked_at_without_any_data_and_the_broken_one_is_named(
    make_run, look, tmp_path, capsys
):
    run = make_run()
    config = OmegaConf.load(run / "config.yaml")
    config.data.source = {"_target_": "vitlab.nothing"}
    OmegaConf.save(config, run / "config.yaml")
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (30, 20), "red").save(tmp_path / "pictures/a.png")
    (tmp_path / "pictures/broken.png").write_text("no image")
    with pytest.raises(VitlabError, match=r"1 of 2 files is left out: pictures/broken.png cannot be decoded"):
        look("run=run", "images=pictures")
    found = json.loads((run / "microscope/images/microscope.json").read_text())
    assert [row["image"] for row in found["shown"]] == ["a.png"]
    assert "label" not in found["shown"][0]
    assert len(found["left_out"]) == 1
    assert "ablation" not in found
    assert not (run / "microscope/images/cka.png").exists()
    assert "seen with 1 image of files" in capsys.readouterr().out
    with pytest.raises(VitlabError, match=r"1 of 1 file is left out"):
        look("run=run", "images=pictures/broken.png")


def test_no_more_images_are_seen_than_were_asked_for(make_run, look):
    run = make_run()
    look("run=run", "num_images=1", "shown=2", "ablation=false")
    found = json.loads((run / "microscope/test/microscope.json").read_text())
    assert found["images"] == len(found["shown"]) == 1


def test_of_one_patch_there_is_no_picture_of_distance_or_similarity(make_run, look, capsys):
    run = make_run("run", "model.patch_size=8")
    look("run=run", "ablation=false")
    pictures = {path.stem for path in (run / "microscope/test").glob("*.png")}
    assert "focus" in pictures
    assert not pictures & {"distance", "similarity"}
    assert "an image is one patch" in capsys.readouterr().out


def test_a_second_run_is_compared_and_another_checkpoint_has_its_own_folder(make_run, look, capsys):
    run = make_run()
    make_run("deeper", "model.depth=3")
    look("run=run", "other=deeper", "checkpoint=last", "split=val", "ablation=false", "num_images=20")
    found = json.loads((run / "microscope/val-last/microscope.json").read_text())
    assert np.array(found["cka_other"]).shape == (3, 4)
    assert found["other"] == "deeper"
    assert "ablation" not in found
    assert "of deeper: CKA" in capsys.readouterr().out


def test_to_w_and_b_it_goes_as_a_run_beside(make_run, look, capsys):
    run = make_run("run", "tracker=wandb", "tracker.project=mine", "tracker.tags=[a]")
    look("run=run", "wandb=true", "tracker.mode=offline", "ablation=false")
    assert "W&B is offline; later: wandb sync" in capsys.readouterr().out
    (file,) = run.glob("microscope/test/wandb/offline-run-*/*.wandb")
    sent = read_run(file)
    assert (sent.project, sent.job_type, sent.tags) == ("mine", "microscope", ["a"])
    assert {"rollout", "heads", "findings"} <= {key.split(".")[0] for row in sent.history for key in row}
    assert sent.config["model"]["depth"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run=nowhere"], "run=nowhere: there is no such folder"),
        (["run=run", "other=nowhere"], "other=nowhere: there is no such folder"),
        (["run=run", "other=grey"], "other=grey: its image_size is 28, and the run's 8"),
        (["run=run", "split=tset"], "split=tset is not one of train, val, test"),
        (["run=run", "checkpoint=worst"], "checkpoint=worst is not one of best, last"),
        (["run=run", "num_images=0"], "num_images=0 is not a whole number from 1 up"),
        (["run=run", "shown=-1"], "shown=-1"),
        (["run=run", "ablation_images=2.5"], "ablation_images=2.5"),
        (["run=run", "batch_size=many"], "batch_size=many"),
        (["run=run", "num_images=null"], "num_images=null is not a whole number from 1 up"),
        (["run=run", "batch_size=3"], "batch_size=3 is not a whole number from 4 up"),
        (["run=run", "device=null"], "device=null is not known"),
        (["run=run", "ablation=perhaps"], "ablation=perhaps is neither true nor false"),
        (["run=run", "wandb=online"], "wandb=online is neither true nor false"),
        (["run=run", "images=nowhere"], "images=nowhere: there is no such file or folder"),
        (["run=run", "images=[]"], "names no image"),
        (["run=run", "device=tpu"], "device=tpu"),
        (["run=run", "wandb=true", "tracker.mode=on"], "tracker.mode=on is not one of auto, online, offline, disabled"),
        (["run=."], "holds no run"),
        ([], "run= is missing"),
    ],
)
def test_what_cannot_be_looked_at_is_one_message(make_run, look, arguments, message):
    make_run()
    if "other=grey" in arguments:
        path = make_run("grey") / "config.yaml"
        config = OmegaConf.load(path)
        config.data.image_size = 28
        OmegaConf.save(config, path)
    with pytest.raises(VitlabError) as refused:
        look(*arguments)
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.browser
def test_the_page_shows_its_pictures_and_from_anywhere_the_command_ends_well(make_run, command, tmp_path):
    run = make_run()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    done = command("microscope", f"run={run}", *FEW, cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert "report.html shows it" in done.stdout
    assert not list(elsewhere.iterdir())
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    page = run / "microscope/test/report.html"
    shown = subprocess.run([browser, *options, page], capture_output=True, text=True, timeout=120)
    assert shown.stdout.count("<img") == 10
    assert "<title>run: test</title>" in shown.stdout
