"""docs/wandb_sweep.yaml, with W&B's own commands and a stand-in for its server."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from wandb_server import KEY, WandbServer

from vitlab.runs import RunFolder

SWEEP = Path(__file__).parents[1] / "docs" / "wandb_sweep.yaml"


@pytest.fixture
def wandb(tmp_path, monkeypatch):
    """``wandb(server, "sweep", …)``: what the command prints, in an empty folder."""
    monkeypatch.delenv("WANDB_MODE")

    def command(server, *arguments):
        scripts = Path(sys.executable).parent
        settings = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_ERROR_REPORTING": "false"}
        agent = {"WANDB_AGENT_REPORT_INTERVAL": "1", "OMP_NUM_THREADS": "1"}
        done = subprocess.run(
            [scripts / "wandb", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}", **settings, **agent},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=300,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    return command


def test_every_parameter_and_the_metric_are_vitlabs(compose):
    sweep = yaml.safe_load(SWEEP.read_text())
    assert sweep["command"] == ["${env}", "${interpreter}", "-m", "vitlab.train", "${args_no_hyphens}"]
    for key, legal in sweep["parameters"].items():
        for value in legal.get("values", [legal.get("value", legal.get("min")), legal.get("max")]):
            if value is not None:
                assert type(value) in (int, float)
                compose([f"{key}={value}"])


@pytest.mark.slow
def test_an_agent_trains_the_run_that_the_sweep_has_opened(wandb, tmp_path, runs):
    sweep = yaml.safe_load(SWEEP.read_text())
    small = {"model.embed_dim": 16, "model.num_heads": 2, "trainer.limit_batches": 2, "trainer.epochs": 1}
    sweep["parameters"] |= {key: {"value": value} for key, value in small.items()}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(sweep))
    with WandbServer() as server:
        told = wandb(server, "sweep", "small.yaml")
        assert "wandb agent me/vitlab/sweep0" in told
        told = wandb(server, "agent", "--count", "1", "me/vitlab/sweep0")
    typed = ["model.depth=2", "model.patch_size=2", "optimizer.lr=0.0001", "trainer.epochs=1"]
    assert all(f" {override}" in told for override in typed)
    ((name, run),) = server.runs.items()
    assert (name, run.sweep, run.project, run.exit_code) == ("sweep0-run", "sweep0", "vitlab", 0), told
    assert run.config["model"]["depth"] == 2
    assert run.config["model"]["attention"]["_target_"].startswith("vitlab.models.attention.")
    assert run.config["optimizer"]["lr"] == 0.0001
    assert any(sweep["metric"]["name"] in row for row in run.history)
    assert "Ignoring" not in told
    (folder,) = runs()
    assert RunFolder(folder).status() == "done"
    assert len(list(folder.glob("wandb/run-*"))) == 1
    assert (folder / "wandb_id.txt").read_text() == name  # so that a resumed run goes on in it
