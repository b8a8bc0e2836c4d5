import pytest
from wandb_file import read_run
from wandb_server import KEY, WandbServer

pytestmark = pytest.mark.slow  # sweeps of real runs, in processes of their own

SMALL = ("model.embed_dim=16", "model.num_heads=2", "trainer.max_steps=2", "trainer.device=cpu")


def test_the_last_run_of_the_group_holds_the_comparison(command, sweeps):
    done = command("train", "-m", "model.depth=1,2", "seed=0,1", *SMALL)
    assert done.returncode == 0, done.stderr
    (folder,) = sweeps()
    (file,) = (folder / "summary").glob("wandb/offline-run-*/*.wandb")
    run = read_run(file)
    assert run.group == "_".join(folder.parts[-2:])
    assert run.name == "summary"
    assert {"comparison", "findings", "curves", "effects", "costs"} <= {
        key.split(".")[0] for row in run.history for key in row
    }
    assert run.summary["val_accuracy"] > 0
    assert run.config["states"] == {"done": 4}
    assert run.config["jobs"] == 4
    assert "summary of the sweep: W&B is offline; later: wandb sync" in done.stdout


def test_at_a_server_all_runs_are_in_one_group_and_the_summary_is_told_apart(command, sweeps):
    with WandbServer() as server:
        env = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_MODE": "online"}
        done = command("train", "-m", "model.depth=1,2", *SMALL, env=env)
        assert done.returncode == 0, done.stderr
        runs = list(server.runs.values())
    (folder,) = sweeps()
    assert {run.group for run in runs} == {"_".join(folder.parts[-2:])}
    assert sorted(run.name for run in runs) == ["model.depth=1", "model.depth=2", "summary"]


@pytest.mark.parametrize("setting", ["tracker=none", "tracker.mode=disabled"])
def test_without_w_and_b_there_is_no_summary_run(command, sweeps, setting):
    done = command("train", "-m", "seed=0,1", setting, *SMALL, "model.depth=1")
    assert done.returncode == 0, done.stderr
    assert not list(sweeps()[0].glob("summary/wandb"))
    assert "summary of the sweep" not in done.stdout
    done = command("train", f"sweep.resume={sweeps()[0]}")
    assert done.returncode == 0, done.stderr
    assert "summary of the sweep" not in done.stdout


def test_a_server_that_fails_takes_nothing_from_the_sweep(command, sweeps, jobs_of):
    with WandbServer() as server:
        server.failing = True
        env = {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_MODE": "online"}
        patience = ("tracker.init_timeout=1", "tracker.finish_timeout=1")
        done = command("train", "-m", "seed=0,1", *SMALL, "model.depth=1", *patience, env=env)
    assert done.returncode == 0, done.stderr
    assert [job["state"] for job in jobs_of(sweeps()[0])] == ["done", "done"]
    assert "Traceback" not in done.stderr
