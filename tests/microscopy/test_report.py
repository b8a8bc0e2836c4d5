import csv
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from vitlab.microscopy.report import write

EVIL = "<script>document.title='hacked'</script>"


def test_a_report_is_json_table_tensors_pictures_and_a_page_that_needs_nothing_else(observation, tmp_path):
    folder = tmp_path / "report"
    pictures = write(observation, folder, "the command")
    assert json.loads((folder / "microscope.json").read_text()) == json.loads(json.dumps(observation.found))
    rows = list(csv.DictReader((folder / "ablation.csv").read_text().splitlines()))
    assert [float(row["drop"]) for row in rows] == [row["drop"] for row in observation.found["ablation"]["rows"]]
    assert rows[-1]["part"] == "positions"
    assert torch.equal(load_file(folder / "maps.safetensors")["rollout"], observation.maps.rollout)
    page = (folder / "report.html").read_text()
    assert page.count("data:image/png;base64,") == len(pictures) == 10
    assert page.count("<figcaption>") == 10
    assert "the command" in page
    assert "http://" not in page
    assert "https://" not in page


def test_names_of_strangers_are_text_and_pictures_of_before_are_gone(observation, tmp_path):
    (tmp_path / "old.png").touch()
    (tmp_path / "ablation.csv").touch()
    del observation.found["ablation"]
    observation.found["title"] = observation.found["other"] = EVIL
    observation.found["shown"][0] |= {"class": EVIL, "image": EVIL}
    observation.found["cka"] = None
    write(replace(observation, grids=[], filters=None), tmp_path, EVIL)
    assert "<script" not in (tmp_path / "report.html").read_text()
    assert not (tmp_path / "old.png").exists()
    assert not (tmp_path / "ablation.csv").exists()


def test_names_with_dollars_and_those_that_are_no_unicode_are_drawn_and_written(observation, tmp_path):
    observation.found["other"], observation.found["title"] = "$_x^$", "\udcff"
    observation.found["shown"][0] |= {"class": r"{%\foo$", "image": "\ud800.png"}
    write(observation, tmp_path, "the command")
    assert "of $_x^$: CKA" in (tmp_path / "report.html").read_text()


def test_what_was_there_stays_until_there_is_a_new_page(observation, tmp_path):
    (tmp_path / "ablation.csv").touch()
    del observation.found["title"]
    with pytest.raises(KeyError):
        write(observation, tmp_path, "the command")
    assert (tmp_path / "ablation.csv").exists()
