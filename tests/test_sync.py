"""Against a stand-in for the server of W&B."""

import json

import pytest
from wandb_server import KEY, WandbServer

from vitlab.sync import _Sent

pytestmark = pytest.mark.slow

SHORT = ("tracker=wandb", "trainer.max_steps=30", "trainer.log_every=1 step", "hydra.run.dir=run")


@pytest.fixture
def server():
    """The stand-in, for as long as the test runs."""
    with WandbServer() as server:
        yield server


@pytest.fixture
def online(server):
    """The environment of a user with a key."""
    return {"WANDB_BASE_URL": server.url, "WANDB_API_KEY": KEY, "WANDB_MODE": "online"}


def rows(folder):
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def steps(run):
    return [row["_step"] for row in run.history]


def losses(entries):
    return [row["train/loss"] for row in entries if "train/loss" in row]


def test_an_offline_run_arrives_whole_and_once(command, quick, tmp_path, server, online):
    done = command("train", *quick[:3], *SHORT)
    assert done.returncode == 0, done.stderr
    first = command("sync", "run=run", env=online)
    assert first.returncode == 0, first.stderr
    assert "rows sent: http://127.0.0.1" in first.stdout
    (run,) = [run for run in server.runs.values() if run.history]
    assert steps(run) == list(range(1, 31))
    assert losses(run.history) == losses(rows(tmp_path / "run"))
    assert (run.exit_code, run.project) == (0, "vitlab")
    assert run.config["model"]["depth"] == 1
    assert run.config["parameters"] > 0
    assert run.summary["test_accuracy"] == rows(tmp_path / "run")[-1]["test/accuracy"]
    again = command("sync", "run=run", env=online)
    assert again.returncode == 0, again.stderr
    assert "W&B has all 33 rows: http://127.0.0.1" in again.stdout
    assert len(run.history) == 30


def test_parts_that_were_sent_offline_rolled_back_and_resumed_become_one_clean_run(
    command, quick, tmp_path, server, online
):
    begun = command("train", *quick[:3], *SHORT, env=online)
    assert begun.returncode == 0, begun.stderr
    (old,) = server.runs
    folder = tmp_path / "run"
    kept = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()][:20]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in kept))  # as if rolled back since
    done = command("sync", "run=run", "tracker.project=clean", env=online)
    assert done.returncode == 0, done.stderr
    assert f"what W&B had of it before is the run {old}, which can be deleted there" in done.stdout
    new = (folder / "wandb_id.txt").read_text()
    assert new != old
    assert steps(server.runs[new]) == list(range(1, 21))
    assert server.runs[new].project == "clean"
    assert len(server.runs[old].history) == 30


@pytest.mark.faults
def test_the_id_of_before_is_told_even_if_the_first_attempt_was_killed(command, quick, tmp_path, server, online):
    begun = command("train", *quick[:3], *SHORT, env=online)
    assert begun.returncode == 0, begun.stderr
    (old,) = server.runs
    sent = _Sent(tmp_path / "run")
    sent.begin()  # and no more: as if killed
    assert (tmp_path / "run" / "wandb_id.txt").read_text() != old
    done = command("sync", "run=run", env=online)
    assert done.returncode == 0, done.stderr
    assert f"what W&B had of it before is the run {old}, which can be deleted there" in done.stdout


@pytest.mark.faults
@pytest.mark.parametrize("trouble", ["no server", "no key", "errors"])
def test_what_does_not_arrive_is_said_and_can_be_sent_later(command, quick, tmp_path, server, online, trouble):
    done = command("train", *quick[:3], *SHORT)
    assert done.returncode == 0, done.stderr
    before = (tmp_path / "run" / "wandb_id.txt").read_text()
    broken = dict(online)
    if trouble == "no server":
        broken["WANDB_BASE_URL"] = "http://127.0.0.1:9"
    elif trouble == "no key":
        broken["WANDB_API_KEY"] = ""
    else:
        server.failing = True
    failed = command("sync", "run=run", "tracker.init_timeout=3", "tracker.finish_timeout=3", env=broken)
    assert failed.returncode == 1
    assert "W&B" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert (tmp_path / "run" / "wandb_id.txt").read_text() == before
    server.failing = False
    later = command("sync", "run=run", env=online)
    assert later.returncode == 0, later.stderr
    assert [steps(run) for run in server.runs.values() if run.history] == [list(range(1, 31))]


@pytest.mark.parametrize(
    ("argument", "message"), [("run=nowhere", "there is no such folder"), ("device=cpu", "device")]
)
def test_what_cannot_be_sent_is_one_message(command, argument, message):
    done = command("sync", argument)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
