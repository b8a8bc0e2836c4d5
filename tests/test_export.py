import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
import timm
import torch
import torchvision
import transformers
from omegaconf import OmegaConf
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file

from vitlab.config import saved
from vitlab.config.build import build
from vitlab.engine.checkpoint import read
from vitlab.errors import VitlabError
from vitlab.export import FORMATS, export, refuse_missing
from vitlab.exports import graphs
from vitlab.runs import RunFolder

pytestmark = pytest.mark.slow  # each test starts the command in processes of its own

# Colour images of 8 px in two classes, and a model that every library has.
SMALL = ("model.depth=1", "model.embed_dim=16", "model.num_heads=2", "tracker=none", "trainer.device=cpu")
FOLDER = (
    "data=image_folder",
    "data.root=images",
    "data.image_size=8",
    "data.patch_size=2",
    "data.source.cache_dir=null",
)


def draw(folder, classes=("cat", "dog"), count=20):
    generator = np.random.default_rng(0)
    for number, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            array = generator.integers(0, 128, (8, 8, 3), dtype=np.uint8) + np.uint8(100 * number)
            Image.fromarray(array).save(folder / name / f"{i:02d}.png")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run, made once, whose averaged weights are what counts."""
    folder = tmp_path_factory.mktemp("finished")
    draw(folder / "images")
    more = ("trainer.epochs=3", "trainer.batch_size=8", "trainer.ema_decay=0.5", "optimizer.lr=1e-2")
    done = subprocess.run(
        [sys.executable, "-m", "vitlab.train", *SMALL, *FOLDER, *more, "hydra.run.dir=run"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "run"


@pytest.fixture
def run(finished, tmp_path):
    """A copy of it, in the folder ``run``."""
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def model_of(run, checkpoint="best"):
    settings = saved.from_checkpoint(saved.load(RunFolder(run)))
    model = build(settings, "model")
    state = read(run / "checkpoints" / f"{checkpoint}.pt")
    model.load_state_dict(state["ema"]["model"])
    return model.eval()


def opened(path, kind):
    """What a stranger would do with the export."""
    if kind == "onnx":
        session = onnxruntime.InferenceSession(path)
        return lambda images: torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    if kind == "torch_export":
        return torch.export.load(path).module()
    if kind == "timm":
        return timm.create_model(f"local-dir:{path}", pretrained=True).eval()
    if kind == "hf":
        model = transformers.AutoModelForImageClassification.from_pretrained(path).eval()
        return lambda images: model(images).logits
    config = json.loads((path / "config.json").read_text())
    model = torchvision.models.VisionTransformer(**config["arguments"]).eval()
    model.load_state_dict(load_file(path / "model.safetensors"))
    return model


@pytest.fixture
def exported(compose, capsys):
    """``exported("run=…", "format=onnx")``: the command within this process, and what it printed."""

    def run_command(*arguments):
        export(compose(list(arguments), "export"))
        return capsys.readouterr().out

    return run_command


@pytest.mark.parametrize("kind", [kind for kind in FORMATS if kind != "safetensors"])
def test_what_is_written_predicts_the_same_elsewhere(run, exported, kind):
    (line,) = exported(f"run={run}", f"format={kind}").splitlines()
    path = run / "export" / f"best{FORMATS[kind].ending}"
    assert line.startswith(f"{path}: the weights of step ")
    assert f"(best.pt) as {kind}, checked on random images: greatest difference" in line
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    images = torch.randn(5, 3, 8, 8)
    with torch.no_grad():
        wanted, given = model_of(run)(images), opened(path, kind)(images)
    assert (wanted - given).abs().max() <= 1e-4 * wanted.abs().max()


def test_the_command_says_one_line_and_may_be_said_again(run, command, exported):
    exported(f"run={run}", "format=timm")
    done = command("export", "run=run", "format=timm")
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_the_classes_and_the_way_to_prepare_images_go_with_the_weights(run, exported):
    for kind in ("hf", "timm", "safetensors", "onnx"):
        exported(f"run={run}", f"format={kind}", "checkpoint=last")
    config = json.loads((run / "export" / "last-hf" / "config.json").read_text())
    assert config["id2label"] == {"0": "cat", "1": "dog"}
    timm_config = json.loads((run / "export" / "last-timm" / "config.json").read_text())
    assert timm_config["pretrained_cfg"]["label_names"] == ["cat", "dog"]
    with safe_open(run / "export" / "last.safetensors", "pt") as file:
        about = file.metadata()
    assert json.loads(about["class_names"]) == ["cat", "dog"]
    assert about["num_heads"] == "2"
    assert onnxruntime.InferenceSession(run / "export" / "last.onnx").get_modelmeta().custom_metadata_map[
        "class_names"
    ] == json.dumps(["cat", "dog"])

    image = Image.new("RGB", (8, 8), (10, 200, 90))
    processor = transformers.AutoImageProcessor.from_pretrained(run / "export" / "last-hf")
    data = OmegaConf.load(run / "config.yaml").data
    mean, std = (torch.tensor(list(values)).view(3, 1, 1) for values in (data.mean, data.std))
    pixels = (torch.from_numpy(np.array(image)).permute(2, 0, 1) / 255 - mean) / std
    assert torch.allclose(processor(image, return_tensors="pt")["pixel_values"][0], pixels, atol=1e-5)


def test_an_export_is_a_start_for_training_and_heads_that_differ_are_seen(run, command, exported, tmp_path):
    exported(f"run={run}", f"output={tmp_path}/weights.safetensors")
    draw(tmp_path / "images", classes=("ant", "bee", "cow"))
    short = ("trainer.epochs=1", "trainer.limit_batches=1")
    done = command("train", *SMALL, *FOLDER, *short, "model.weights=weights.safetensors", "hydra.run.dir=next")
    assert done.returncode == 0, done.stderr
    assert f"weights from {tmp_path}/weights.safetensors (vitlab layout): " in done.stdout
    assert "head replaced (2 classes in the file, 3 here)" in done.stdout
    assert OmegaConf.load(tmp_path / "next" / "config.yaml").model.weights == str(tmp_path / "weights.safetensors")
    done = command("train", *SMALL, *FOLDER, *short, "model.weights=weights.safetensors", "model.num_heads=4")
    assert done.returncode == 1
    assert "heads   2            4     model.num_heads=2" in done.stderr


def test_the_weights_file_is_needed_no_more_once_there_is_a_checkpoint(run, command, exported, tmp_path):
    exported(f"run={run}", "format=hf", f"output={tmp_path}/start")
    draw(tmp_path / "images")
    arguments = ("model.weights=start", "trainer.epochs=3", "trainer.batch_size=8", "trainer.save_every=1 epoch")
    done = command("train", *SMALL, *FOLDER, *arguments, "hydra.run.dir=next")
    assert done.returncode == 0, done.stderr
    assert "(Hugging Face layout): " in done.stdout
    shutil.rmtree(tmp_path / "start")
    evaluated = command("evaluate", "run=next")
    assert evaluated.returncode == 0, evaluated.stderr
    exported(f"run={tmp_path}/next")
    (tmp_path / "next" / "summary.json").write_text('{"status": "interrupted"}')
    done = command("train", "resume=next")
    assert done.returncode == 0, done.stderr
    assert "weights from" not in done.stdout


def test_a_run_stopped_before_its_first_checkpoint_begins_with_its_weights_again(run, command, exported, tmp_path):
    exported(f"run={run}", f"output={tmp_path}/start.safetensors")
    draw(tmp_path / "images")
    arguments = ("model.weights=start.safetensors", "trainer.epochs=1", "trainer.batch_size=8")
    assert command("train", *SMALL, *FOLDER, *arguments, "hydra.run.dir=next").returncode == 0
    shutil.rmtree(tmp_path / "next" / "checkpoints")
    (tmp_path / "next" / "summary.json").write_text('{"status": "interrupted"}')
    done = command("train", "resume=next")
    assert done.returncode == 0, done.stderr
    assert "weights from" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run=nowhere"], "run=nowhere: there is no such folder"),
        ([], "run= is missing"),
        (["run=."], "holds no run"),
        (
            ["run=run", "format=onxx"],
            "format=onxx is not one of safetensors, onnx, torch_export, timm, hf, torchvision",
        ),
        (["run=run", "format=onxx"], "did you mean onnx?"),
        (["run=run", "checkpoint=worst"], "checkpoint=worst is not one of best, last"),
        (["run=run", "format=onnx", "opset=9"], "opset=9 is not a whole number from 17 to 24; try 17"),
        (["run=run", "format=onnx", "output=model.bin"], "format=onnx is a .onnx file; try model.onnx"),
        (["run=run", "format=hf", "output=run"], "output=run is a folder that holds "),
        (["run=run", "format=onnx", "output=folder.onnx"], "output=folder.onnx is a folder, and format=onnx is not"),
        (["run=run", "format=hf", "output=run/config.yaml"], "is a file, and format=hf is not"),
        (["run=run", "output=/proc/model.safetensors"], "/proc/model.safetensors cannot be written"),
    ],
)
def test_what_cannot_be_exported_is_refused_by_name(run, exported, tmp_path, monkeypatch, arguments, message):
    (tmp_path / "folder.onnx").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VitlabError) as refused:
        exported(*arguments)
    assert message in str(refused.value)
    assert len(str(refused.value).splitlines()) == 1
    assert not (run / "export").exists()


def test_a_part_that_a_library_lacks_is_named_and_nothing_is_left(command, exported, tmp_path):
    arguments = ("model/position=rope_2d", "trainer.epochs=1", "trainer.limit_batches=1", "hydra.run.dir=rope")
    assert command("train", *SMALL, *arguments).returncode == 0
    done = command("export", "run=rope", "format=hf")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "vitlab: format=hf: Hugging Face has no RotaryPosition; a model for it is trained with"
    )
    assert "model/position=learned" in done.stderr
    assert not (tmp_path / "rope" / "export").exists()
    assert "as onnx, checked" in exported(f"run={tmp_path}/rope", "format=onnx")


def test_an_export_that_computes_something_else_is_not_kept(run, exported, monkeypatch):
    def wrong(model, path, about, opset=None):
        path.write_text("wrong")
        return lambda images: model(images) * 1.001

    monkeypatch.setattr(graphs, "write_onnx", wrong)
    with pytest.raises(VitlabError, match=r"differs from the model by 1\.0e-03 .* more than 0\.0001; nothing is kept"):
        exported(f"run={run}", "format=onnx")
    assert not (run / "export").exists()


@pytest.mark.parametrize("kind", [kind for kind, format_ in FORMATS.items() if format_.needs])
def test_a_missing_package_is_named_with_what_installs_it(kind, monkeypatch):
    monkeypatch.setattr("vitlab.export.find_spec", lambda name: None)
    needed = " and ".join(FORMATS[kind].needs)
    with pytest.raises(VitlabError, match=rf"format={kind} needs {needed}: pip install 'vitlab\[export\]'"):
        refuse_missing(kind)
