import json
import shutil
import subprocess

import numpy as np
import pytest
from omegaconf import OmegaConf
from PIL import Image

from vitlab.errors import VitlabError
from vitlab.evaluate import _refuse_other_classes
from vitlab.evaluation.corruptions import CORRUPTIONS
from vitlab.evaluation.report import write

pytestmark = pytest.mark.slow


@pytest.fixture
def run(digits_run):
    """A finished run, in the folder ``run``."""
    return digits_run


def test_from_anywhere_the_figures_are_those_of_the_run(run, command, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    summary = json.loads((run / "summary.json").read_text())
    done = command("evaluate", f"run={run}", cwd=elsewhere)
    assert done.returncode == 0, done.stderr
    assert f"test accuracy {summary['test_accuracy']:.2%} (95 % interval" in done.stdout
    found = json.loads((run / "evaluation/test/evaluation.json").read_text())
    assert found["accuracy"] == summary["test_accuracy"]
    assert found["loss"] == pytest.approx(summary["test_loss"])
    assert not list(elsewhere.iterdir())

    done = command("evaluate", f"run={run}", "split=val", "batch_size=7", cwd=elsewhere)
    assert f"val accuracy {summary['val_accuracy']:.2%}" in done.stdout
    assert (run / "evaluation/val/report.html").exists()


def test_more_classes_than_the_data_have_are_told_by_their_numbers(command, quick, tmp_path):
    arguments = [*quick, "trainer.max_steps=2", "model.num_classes=12", "hydra.run.dir=more"]
    assert command("train", *arguments).returncode == 0
    done = command("evaluate", "run=more")
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "more/evaluation/test/evaluation.json").read_text())
    assert [row["class"] for row in found["classes"]] == [str(number) for number in range(12)]


def test_the_same_images_are_damaged_whatever_the_batch_size_is(run, command):
    damaged = []
    for size in (100, 64):
        done = command("evaluate", "run=run", "robustness=true", f"batch_size={size}", "robustness_images=120")
        assert done.returncode == 0, done.stderr
        damaged.append(json.loads((run / "evaluation/test/evaluation.json").read_text())["robustness"])
    assert damaged[0] == damaged[1]


def test_the_report_tells_no_secret(run, command):
    secret = "hf_VerySecret123"
    done = command("evaluate", "run=run", f"+foo.token={secret}", env={"HF_TOKEN": secret})
    assert done.returncode == 0, done.stderr
    for name in ("report.md", "report.html"):
        assert secret not in (run / "evaluation/test" / name).read_text()


def test_robustness_and_mirror_images_are_told_apart(run, command):
    done = command("evaluate", "run=run", "robustness=true", "mirror=true", "batch_size=64", "robustness_images=100")
    assert done.returncode == 0, done.stderr
    found = json.loads((run / "evaluation/test/evaluation.json").read_text())
    assert found["images_damaged"] == 100  # one batch and a part of the next
    assert {len(found["robustness"][name]) for name in CORRUPTIONS} == {5}
    assert found["mirrored"]["accuracy"] != found["accuracy"]  # a digit in the mirror is another
    assert "corruptions made on the fly" in done.stdout
    assert {path.name for path in (run / "evaluation/test").iterdir()} == {
        *("evaluation.json", "report.html", "report.md"),
        *("classes.png", "confusion.png", "reliability.png", "robustness.png"),
    }


def test_another_set_of_data_is_a_check_of_transfer(run, command, tmp_path):
    draw = np.random.default_rng(0)
    for split in ("train", "test"):
        for label in range(10):
            folder = tmp_path / "pictures" / split / str(label)
            folder.mkdir(parents=True)
            for number in range(12):
                Image.fromarray(draw.integers(0, 256, (8, 8)).astype(np.uint8)).save(folder / f"{number}.png")
    other = ["data=image_folder", "data.root=pictures", "data.image_size=8", "data.channels=1"]
    other += ["data.mean=[0.5]", "data.std=[0.5]"]
    done = command("evaluate", "run=run", *other)
    assert done.returncode == 0, done.stderr
    found = json.loads((run / "evaluation/image_folder-test/evaluation.json").read_text())
    assert found["images"] == 120
    assert found["accuracy"] < 0.3
    refused = command("evaluate", "run=run", *other, "data.image_size=16")
    assert refused.returncode == 1
    assert "its image_size is 16, and the run's 8" in refused.stderr


def test_classes_of_other_names_or_in_another_order_are_not_compared_by_number():
    _refuse_other_classes(("cat", "dog"), ("cat", "dog"))
    with pytest.raises(VitlabError, match="in another order: number 0 is dog, and the run's cat"):
        _refuse_other_classes(("cat", "dog"), ("dog", "cat"))
    with pytest.raises(VitlabError, match="its classes are not the run's, horse among them; name a set of cat, dog"):
        _refuse_other_classes(("cat", "dog"), ("cat", "horse"))


@pytest.mark.browser
def test_the_page_shows_its_pictures_and_no_markup_of_strangers(run, command, tmp_path):
    evil = "<script>document.title='hacked'</script>"
    assert command("evaluate", "run=run").returncode == 0
    found = json.loads((run / "evaluation/test/evaluation.json").read_text())
    found["title"] = found["classes"][0]["class"] = evil
    write(found, tmp_path / "report", "a command")
    text = (tmp_path / "report/report.html").read_text()
    assert evil not in text
    assert evil not in (tmp_path / "report/report.md").read_text()
    browser = shutil.which("chromium")
    if browser is None:
        pytest.skip("chromium is not installed")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--dump-dom"]
    shown = subprocess.run(
        [browser, *options, tmp_path / "report/report.html"], capture_output=True, text=True, timeout=120
    )
    assert "<title>&lt;script&gt;" in shown.stdout
    assert shown.stdout.count("<img") == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run=nowhere"], "run=nowhere: there is no such folder"),
        (["run=run", "split=tset"], "split=tset is not one of train, val, test"),
        (["run=run", "checkpoint=worst"], "checkpoint=worst is not one of best, last"),
        (["run=run", "batch_size=0"], "batch_size=0"),
        (["run=run", "batch_size=null"], "batch_size=null is not a whole number from 1 up"),
        (["run=run", "robustness_images=null"], "robustness_images=null"),
        (["run=run", "robustness=perhaps"], "robustness=perhaps is neither true nor false"),
        (["run=run", "data=cifar10", "data_root=nowhere"], "CIFAR10 cannot be read from data.root=nowhere"),
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
