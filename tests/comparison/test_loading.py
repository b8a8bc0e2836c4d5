import json

import pytest

from vitlab.comparison.loading import load
from vitlab.errors import VitlabError


def test_every_finished_run_below_a_folder_is_found_once_and_in_the_order_of_the_jobs(make_run, tmp_path):
    for number in (10, 9, 1):
        make_run(f"{number}-x", 0.5)
    loaded = load([tmp_path / "sweep", tmp_path / "sweep" / "9-x", tmp_path])
    assert [run.name for run in loaded.runs] == ["1-x", "9-x", "10-x"]
    run = loaded.runs[0]
    assert run.config["model.depth"] == 4
    assert run.figures["val_accuracy"] == 0.5
    assert "status" not in run.figures
    assert run.curve("val/loss") == ([1, 2], [0.5, 0.25])


def test_what_is_not_finished_or_cannot_be_read_is_left_out_by_name(make_run, tmp_path):
    make_run("good", 0.5)
    make_run("stopped", 0.4, status="interrupted")
    (make_run("torn", 0.4) / "config.yaml").write_text("a: [")
    (make_run("strange", 0.4) / "metrics.jsonl").write_text("nonsense\n")
    broke = make_run("broke", None, status="failed")
    (broke / "summary.json").write_text(json.dumps({"status": "failed", "error": "it exploded"}))
    jobs = [{"folder": "7-illegal", "state": "illegal", "reason": "no heads"}, {"folder": "good", "state": "done"}]
    (tmp_path / "sweep" / "sweep.json").write_text(json.dumps({"jobs": jobs}))
    loaded = load([tmp_path / "sweep"])
    assert [run.name for run in loaded.runs] == ["good"]
    left_out = dict(loaded.left_out)
    assert left_out["stopped"] == "interrupted"
    assert left_out["broke"] == "it exploded"
    assert left_out["7-illegal"] == "no heads"
    assert "cannot be read" in left_out["torn"]
    assert "cannot be read" in left_out["strange"]


def test_a_row_that_is_torn_is_left_out(make_run, tmp_path):
    with (make_run("a", 0.5) / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3')
    assert len(load([tmp_path]).runs[0].rows) == 2


def test_files_of_w_and_b_are_no_runs(make_run, tmp_path):
    inside = make_run("a", 0.5) / "wandb" / "run-1" / "files"
    inside.mkdir(parents=True)
    (inside / "config.yaml").write_text("seed: 0")
    assert len(load([tmp_path]).runs) == 1


def test_runs_of_one_name_are_told_apart_by_their_sweeps(make_run, tmp_path):
    for sweep in ("first", "second"):
        make_run("0-x", 0.5, parent=tmp_path / sweep)
    assert [run.name for run in load([tmp_path]).runs] == ["first/0-x", "second/0-x"]


def test_folders_with_nothing_to_compare_are_told(make_run, tmp_path):
    with pytest.raises(VitlabError, match="there is no finished run to compare$"):
        load([tmp_path])
    make_run("x", 0.5, status="interrupted")
    with pytest.raises(VitlabError, match=r"no finished run to compare \(x: interrupted\)"):
        load([tmp_path])
    with pytest.raises(VitlabError, match="swep: there is no such folder; did you mean sweep"):
        load([tmp_path / "swep"])
