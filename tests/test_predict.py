import csv
import json
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits

from vitlab.runs import RunFolder
from vitlab.trained import load_trained

pytestmark = pytest.mark.slow


@pytest.fixture
def run(digits_run):
    """A finished run, in the folder ``run``."""
    return digits_run


def test_the_table_holds_what_the_model_says(run, command, tmp_path):
    digits = (load_digits().images[:5] / 16 * 255).round().astype(np.uint8)
    (tmp_path / "pictures" / "below").mkdir(parents=True)
    for number, digit in enumerate(digits):
        Image.fromarray(digit).save(tmp_path / "pictures" / "below" / f"{number}.png")
    done = command("predict", "run=run", "images=pictures", "top=10", "batch_size=2")
    assert done.returncode == 0, done.stderr
    model = load_trained(RunFolder(run), "best", []).model
    with torch.no_grad():
        expected = model((torch.from_numpy(digits)[:, None] / 255 - 0.3053) / 0.3760).softmax(1)
    found = json.loads((tmp_path / "predictions/predictions.json").read_text())["images"]
    table = list(csv.DictReader((tmp_path / "predictions/predictions.csv").read_text().splitlines()))
    for row, of_json, shares in zip(table, found, expected, strict=True):
        assert row["image"] == of_json["image"]
        assert int(row["class_1"]) == shares.argmax()
        assert float(row["probability_1"]) == pytest.approx(shares.max().item(), abs=1e-5)
        assert sum(share for _, share in of_json["classes"]) == pytest.approx(1, abs=1e-5)
    with Image.open(tmp_path / "predictions/contact_sheet.png") as sheet:
        assert sheet.size[0] > 200


def test_images_of_any_size_and_mode_are_taken_and_what_is_none_is_named_while_the_rest_goes_on(run, command, tmp_path):
    for number, mode in enumerate(["RGB", "RGBA", "L", "LA", "P", "CMYK", "1", "I;16"]):
        image = Image.new(mode, (3 + 50 * number, 9))
        image.save(tmp_path / f"{number}.{'jpg' if mode == 'CMYK' else 'png'}")
    (tmp_path / "broken.png").write_bytes(b"no image")
    (tmp_path / "empty.png").touch()
    names = sorted(path.name for path in tmp_path.iterdir() if path.suffix in (".png", ".jpg"))
    done = command("predict", "run=run", f"images=[{','.join(names)}]", "output=seen")
    assert done.returncode == 1
    assert "2 of 10 files are left out: broken.png cannot be decoded" in done.stderr
    assert "empty.png" in done.stderr
    assert "Traceback" not in done.stderr
    found = json.loads((tmp_path / "seen/predictions.json").read_text())
    assert len(found["images"]) == 8
    assert [words.split()[0] for words in found["left_out"]] == ["broken.png", "empty.png"]


def test_ctrl_c_leaves_nothing_behind(run, tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    predict = [sys.executable, "-m", "vitlab.predict", "run=run", "images=pipe.png"]
    process = subprocess.Popen(predict, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    with process, (tmp_path / "pipe.png").open("wb"):  # from now on the command waits for what is to be read
        process.send_signal(signal.SIGINT)
        assert "vitlab: stopped" in process.communicate(timeout=120)[1]
    assert process.returncode == 130
    assert not (tmp_path / "predictions").exists()


def test_its_own_picture_is_no_image_to_predict(run, command, tmp_path):
    Image.new("L", (8, 8)).save(tmp_path / "a.png")
    for _ in range(2):
        assert command("predict", "run=run", "images=.").returncode == 0
    found = json.loads((tmp_path / "predictions/predictions.json").read_text())
    assert [row["image"] for row in found["images"]] == ["a.png"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run=run"], "images= is missing"),
        (["images=x.png"], "run= is missing"),
        (["run=run", "images=nowhere"], "images=nowhere: there is no such file or folder"),
        (["run=run", "images=empty"], "there is no image in this folder"),
        (["run=run", "images=run/config.yaml"], "1 of 1 file is left out: run/config.yaml cannot be decoded"),
        (["run=run", "images=x.png", "top=0"], "top=0 is not a whole number from 1 up"),
        (["run=run", "images=x.png", "top=null"], "top=null is not a whole number from 1 up"),
        (["run=run", "images=x.png", "output=null"], "output=null names no folder"),
        (["run=run", "images=x.png", "checkpoint=first"], "checkpoint=first is not one of best, last"),
        (["run=run", "images=x.png", "output=x.png"], "output=x.png cannot be written"),
    ],
)
def test_what_cannot_be_predicted_is_one_message(run, command, tmp_path, arguments, message):
    (tmp_path / "empty").mkdir()
    Image.new("L", (8, 8)).save(tmp_path / "x.png")
    done = command("predict", *arguments)
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_a_name_that_is_no_unicode_is_a_name(run, command, tmp_path):
    (tmp_path / "pictures").mkdir()
    with (tmp_path / "pictures" / os.fsdecode(b"\xff.png")).open("wb") as file:
        Image.new("L", (8, 8)).save(file, "PNG")
    done = command("predict", "run=run", "images=pictures")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "predictions/predictions.csv").exists()


def test_where_nothing_could_be_read_nothing_of_before_is_left(run, command, tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "good.png")
    (tmp_path / "broken.png").touch()
    assert command("predict", "run=run", "images=good.png").returncode == 0
    assert command("predict", "run=run", "images=broken.png").returncode == 1
    assert [path.name for path in (tmp_path / "predictions").iterdir()] == ["predictions.json"]


def test_the_name_of_a_class_moves_no_cursor(run, command, tmp_path):
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "zero.png")
    provenance = json.loads((run / "provenance.json").read_text())
    provenance["class_names"] = [f"\x1b[2J{number}" for number in range(10)]
    (run / "provenance.json").write_text(json.dumps(provenance))
    done = command("predict", "run=run", "images=zero.png")
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    assert r"\x1b[2J" in done.stdout
