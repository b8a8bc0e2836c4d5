import json

import pytest
from omegaconf import OmegaConf

pytestmark = pytest.mark.slow


@pytest.fixture
def run(command, quick, tmp_path):
    """A finished run, in the folder ``run``."""
    done = command("train", *quick, "trainer.max_steps=12", "model.mlp_drop=0.1", "hydra.run.dir=run")
    assert done.returncode == 0, done.stderr
    return tmp_path / "run"


def test_the_same_code_and_data_give_the_same_figures(run, command, runs):
    done = command("reproduce", "run=run")
    assert done.returncode == 0, done.stderr
    assert "the same to the last digit: 4 rows of figures" in done.stdout
    again = runs()
    assert len(again) == 1
    assert (again[0] / "config.yaml").read_text() == (run / "config.yaml").read_text()


def test_what_has_changed_since_is_told_and_so_is_the_first_figure_that_is_another(run, command):
    provenance = json.loads((run / "provenance.json").read_text())
    provenance["versions"]["torch"] = "1.0"
    provenance["commit"] = "0" * 40
    (run / "provenance.json").write_text(json.dumps(provenance))
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    rows[2]["val/loss"] += 1e-9
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = command("reproduce", "run=run")
    assert done.returncode == 1
    assert "torch: 1.0 then, " in done.stdout
    assert "commit: 0000" in done.stdout
    assert "not the same: at step 12 val/loss is" in done.stderr
    assert "Traceback" not in done.stderr


def test_other_data_are_refused_before_anything_is_trained(run, command, runs):
    provenance = json.loads((run / "provenance.json").read_text())
    provenance["hashes"]["split/val"] = "another"
    (run / "provenance.json").write_text(json.dumps(provenance))
    done = command("reproduce", "run=run")
    assert done.returncode == 1
    assert "was trained on other data: split/val changed since" in done.stderr
    assert runs() == []


def test_a_stranger_s_folder_runs_no_code(run, command, tmp_path):
    config = OmegaConf.load(run / "config.yaml")
    config.model.pool = {"_target_": "os.system", "command": "touch hacked"}
    config.allow_targets = ["os"]
    OmegaConf.save(config, run / "config.yaml")
    done = command("reproduce", "run=run")
    assert done.returncode == 1
    assert "model.pool._target_=os.system is not in the allowed packages" in done.stderr
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize("status", ["interrupted", "failed", "running"])
def test_only_what_was_done_can_be_done_again(run, command, status):
    (run / "summary.json").write_text(json.dumps({"status": status}))
    done = command("reproduce", "run=run")
    assert done.returncode == 1
    assert f"run=run is {status}" in done.stderr


@pytest.mark.parametrize("content", ["{", "[]", "{}"])
def test_a_provenance_that_cannot_be_read_is_named(run, command, content):
    (run / "provenance.json").write_text(content)
    done = command("reproduce", "run=run")
    assert done.returncode == 1
    assert "provenance.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_rows_that_cannot_be_read_are_named_before_anything_is_trained(run, command, runs):
    provenance = json.loads((run / "provenance.json").read_text())
    (run / "provenance.json").write_text(json.dumps({**provenance, "versions": 5}))
    (run / "metrics.jsonl").write_text('{"val/loss": 1.0}\n')
    done = command("reproduce", "run=run")
    assert done.returncode == 1
    assert "torch: None then, " in done.stdout
    assert "metrics.jsonl, line 1, is no row of figures" in done.stderr
    assert "Traceback" not in done.stderr
    assert runs() == []
