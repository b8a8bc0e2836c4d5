import logging
import socket

import pytest
from wandb_file import read_run
from wandb_server import KEY

from vitlab.tracking.wandb_run import open_run, reason


@pytest.fixture
def said():
    return []


@pytest.fixture
def arguments(tmp_path):
    import wandb

    settings = wandb.Settings(init_timeout=1, finish_timeout=1, silent=True, console="off", x_disable_stats=True)
    return {"dir": tmp_path, "project": "lab", "id": "abc", "resume": "allow", "settings": settings}


def only_file(folder):
    (file,) = folder.glob("wandb/*run-*/*.wandb")
    return file


def test_auto_is_offline_without_a_key(tmp_path, arguments, said):
    open_run("auto", arguments, said.append).finish()
    assert only_file(tmp_path).parent.name.startswith("offline-run-")
    assert said == ["W&B has no key; `wandb login` stores one"]


def test_auto_is_online_with_a_key_in_the_environment(tmp_path, arguments, said, server):
    open_run("auto", arguments, said.append).finish()
    assert list(server.runs) == ["abc"]
    assert said == []


def test_auto_is_online_with_a_key_in_netrc(tmp_path, arguments, said, server, monkeypatch):
    monkeypatch.delenv("WANDB_API_KEY")
    (tmp_path / "netrc").write_text(f"machine {server.url.removeprefix('http://')}\n login user\n password {KEY}\n")
    (tmp_path / "netrc").chmod(0o600)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    open_run("auto", arguments, said.append).finish()
    assert list(server.runs) == ["abc"]


def test_auto_leaves_it_to_wandb_mode(tmp_path, arguments, said, server, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    open_run("auto", arguments, said.append).finish()
    assert server.runs == {}
    assert only_file(tmp_path).parent.name.startswith("offline-run-")


def test_wandb_mode_disables(tmp_path, arguments, said, server, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert open_run("auto", arguments, said.append) is None
    assert server.runs == {}
    assert said == []


@pytest.mark.parametrize("environment", ["online", "disabled"])
def test_offline_is_offline_whatever_the_environment_says(arguments, said, server, monkeypatch, environment):
    monkeypatch.setenv("WANDB_MODE", environment)
    assert open_run("offline", arguments, said.append).offline
    assert server.runs == {}


def test_online_is_online_whatever_the_environment_says(arguments, said, server, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    open_run("online", arguments, said.append).finish()
    assert list(server.runs) == ["abc"]


@pytest.mark.faults
def test_a_closed_port_makes_the_run_offline(tmp_path, arguments, said, key):
    run = open_run("online", arguments, said.append)
    run.log({"loss": 1.0}, step=1)
    run.finish()
    assert [message[:27] for message in said] == ["W&B opens no online run: Fa"]
    assert only_file(tmp_path).parent.name.startswith("offline-run-"), "nothing of the online attempt is left"
    assert [row["loss"] for row in read_run(only_file(tmp_path)).history] == [1.0]


@pytest.mark.faults
@pytest.mark.timeout(60)
def test_a_server_that_never_answers_makes_the_run_offline(tmp_path, arguments, said, key, monkeypatch):
    with socket.create_server(("127.0.0.1", 0), backlog=64) as mute:
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{mute.getsockname()[1]}")
        run = open_run("auto", arguments, said.append)
        run.log({"loss": 1.0}, step=1)
        run.finish()
    assert len(said) == 1
    assert [row["loss"] for row in read_run(only_file(tmp_path)).history] == [1.0]


@pytest.mark.faults
def test_a_malformed_key_makes_the_run_offline(tmp_path, arguments, said, monkeypatch):
    monkeypatch.setenv("WANDB_API_KEY", "not a key")
    assert open_run("online", arguments, said.append).offline
    assert "WANDB_API_KEY invalid" in said[0]


def test_a_run_that_a_failed_job_left_open_ends_as_failed(tmp_path, arguments, said):
    left_open = open_run("offline", arguments, said.append)
    left_open.log({"loss": 1.0}, step=1)
    other = {**arguments, "dir": tmp_path / "second", "id": "def"}
    (tmp_path / "second").mkdir()
    run = open_run("offline", other, said.append)
    run.log({"loss": 2.0}, step=1)
    run.finish()
    first, second = read_run(only_file(tmp_path)), read_run(only_file(tmp_path / "second"))
    assert (first.id, first.exit_code, [row["loss"] for row in first.history]) == ("abc", 1, [1.0])
    assert (second.id, second.exit_code, [row["loss"] for row in second.history]) == ("def", 0, [2.0])


def test_every_figure_is_drawn_against_the_step(tmp_path, arguments, said):
    open_run("offline", arguments, said.append).finish()
    assert read_run(only_file(tmp_path)).axes == {"step": "", "*": "step"}


@pytest.mark.faults
def test_wandb_is_quiet_and_its_warnings_go_to_the_log(tmp_path, arguments, said, server, capfd, caplog):
    run = open_run("online", arguments, said.append)
    run.log({"loss": 1.0}, step=5)
    with caplog.at_level(logging.WARNING, logger="vitlab.wandb"):
        run.log({"loss": 2.0}, step=4)
    run.finish()
    assert "Steps must be monotonically increasing" in caplog.text
    assert capfd.readouterr() == ("", "")


def test_the_reason_is_one_line():
    assert reason(RuntimeError("no route\nConsider this\nand that")) == "no route"
    assert reason(TimeoutError()) == "TimeoutError"
