import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from wandb_file import read_run

from vitlab.tracking.wandb import WandbTracker

CONFIG = {"model": {"depth": 4, "norm": {"eps": 1e-6}}, "trainer": {"betas": [0.9, 0.999]}, "parameters": 1234}
FIRST = {"step": 1, "epoch": 0.5, "images_seen": 8, "seconds": 0.25, "train/loss": 2.5}
SECOND = {"step": 2, "epoch": 1.0, "images_seen": 16, "seconds": 0.5, "train/loss": 2.0}
VALIDATION = {"step": 2, "epoch": 1.0, "images_seen": 16, "seconds": 0.75, "val/accuracy": 0.5}


class Tracker(WandbTracker):
    """Offline and in a hurry unless told otherwise, with what it said in ``said``."""

    def __init__(self, folder, sweep=None, overrides="", **settings):
        self.said = []
        folder.mkdir(exist_ok=True)
        settings = {"mode": "offline", "init_timeout": 2, "finish_timeout": 2, **settings}
        super().__init__(folder, CONFIG, sweep, overrides, self.said.append, **settings)


def files(folder):
    return sorted(folder.glob("wandb/*run-*/*.wandb"), key=lambda path: path.stat().st_mtime_ns)


def read(folder):
    (file,) = files(folder)
    return read_run(file)


def test_an_offline_run_has_it_all(tmp_path):
    tracker = Tracker(tmp_path, "2026-11-23_10-00-00", "model.depth=4")
    for row in (FIRST, SECOND, VALIDATION):
        tracker.log(row)
    tracker.finish({"test_accuracy": 0.75, "flops_per_image": 5}, 0)
    run = read(tmp_path)
    assert (run.project, run.group, run.name, run.job_type) == (
        "vitlab",
        "2026-11-23_10-00-00",
        "model.depth=4",
        "train",
    )
    assert {key: run.config[key] for key in CONFIG} == CONFIG
    assert [{key: row[key] for key in FIRST} for row in run.history] == [FIRST, {**SECOND, "seconds": 0.75}]
    assert run.history[1]["val/accuracy"] == 0.5
    assert (run.summary["test_accuracy"], run.summary["flops_per_image"]) == (0.75, 5)
    assert run.exit_code == 0
    (file,) = files(tmp_path)
    assert tracker.said == [f"W&B is offline; later: wandb sync {os.path.relpath(file.parent)}"]


@pytest.mark.parametrize("exit_code", [1, 143])
def test_a_run_that_did_not_succeed_is_shown_as_failed(tmp_path, exit_code):
    Tracker(tmp_path).finish({}, exit_code)
    assert read(tmp_path).exit_code == exit_code


def test_every_setting_reaches_wandb(tmp_path):
    told = {"project": "p", "entity": "e", "group": "g", "name": "n", "notes": "why", "job_type": "test"}
    tracker = Tracker(tmp_path, "sweep", "a=1", **told, tags=["x", "y"], settings={"host": "elsewhere"})
    tracker.finish({}, 0)
    run = read(tmp_path)
    assert {key: getattr(run, key) for key in told} == told
    assert run.tags == ["x", "y"]
    assert run.host == "elsewhere"


def test_long_names_are_cut_to_what_the_server_takes(tmp_path):
    Tracker(tmp_path, "s" * 200, "o" * 200).finish({}, 0)
    run = read(tmp_path)
    assert (run.group, run.name) == ("s" * 128, "o" * 128)


def test_disabled_touches_nothing(tmp_path):
    tracker = Tracker(tmp_path / "run", mode="disabled")
    tracker.log(FIRST)
    tracker.finish({}, 0)
    assert list((tmp_path / "run").iterdir()) == []
    assert tracker.said == []


def test_an_online_run_arrives(tmp_path, server):
    tracker = Tracker(tmp_path, "sweep", "a=1", mode="auto")
    for row in (FIRST, SECOND, VALIDATION):
        tracker.log(row)
    tracker.finish({"test_accuracy": 0.75}, 0)
    ((name, run),) = server.runs.items()
    assert name == (tmp_path / "wandb_id.txt").read_text()
    assert {key: run.config[key] for key in CONFIG} == CONFIG
    assert (run.group, run.name, run.exit_code) == ("sweep", "a=1", 0)
    assert [{key: row[key] for key in FIRST} for row in run.history] == [FIRST, {**SECOND, "seconds": 0.75}]
    assert run.summary["test_accuracy"] == 0.75
    assert tracker.said == [f"W&B: {server.url}/me/vitlab/runs/{name}"]


def test_a_resumed_run_goes_on_in_the_same_run(tmp_path, server, caplog):
    tracker = Tracker(tmp_path, mode="auto")
    tracker.log(FIRST)
    tracker.log(SECOND)
    tracker.finish({}, 143)
    resumed = Tracker(tmp_path, mode="auto")
    resumed.log(SECOND)  # after the checkpoint, before the stop: the server has it
    resumed.log({**SECOND, "step": 3})
    resumed.finish({}, 0)
    (run,) = server.runs.values()
    assert [row["step"] for row in run.history] == [1, 2, 3]
    assert run.exit_code == 0
    assert not [record for record in caplog.records if record.name == "vitlab.wandb"]


def test_a_resumed_offline_run_keeps_its_id(tmp_path):
    for row in (FIRST, SECOND):
        tracker = Tracker(tmp_path)
        tracker.log(row)
        tracker.finish({}, 0)
    first, second = map(read_run, files(tmp_path))
    assert first.id == second.id
    assert [row["_step"] for row in first.history + second.history] == [1, 2]


@pytest.mark.faults
@pytest.mark.timeout(18)  # less than the default of init_timeout
def test_an_unreachable_server_does_not_keep_the_run_from_beginning(tmp_path, key):
    tracker = Tracker(tmp_path, mode="online", init_timeout=1)
    tracker.log(FIRST)
    tracker.finish({}, 0)
    assert tracker.said[0].startswith("W&B opens no online run: ")
    assert tracker.said[1].startswith("W&B is offline; later: wandb sync ")
    assert [row["step"] for row in read(tmp_path).history] == [1]


@pytest.mark.faults
@pytest.mark.parametrize("accident", ["fails", "stalls", "refuses the key", "vanishes"])
def test_a_server_that_goes_out_of_order_loses_nothing(tmp_path, server, accident):
    tracker = Tracker(tmp_path, mode="auto")
    tracker.log(FIRST)
    server.failing, server.refusing = accident == "fails", accident == "refuses the key"
    server.stall = 30 if accident == "stalls" else 0
    if accident == "vanishes":
        server.close()
    begin = time.monotonic()
    tracker.log(SECOND)
    assert time.monotonic() - begin < 1, "it waited for the server"
    tracker.finish({"test_accuracy": 0.75}, 0)
    run = read(tmp_path)
    assert [row["step"] for row in run.history] == [1, 2]
    assert (run.summary["test_accuracy"], run.exit_code) == (0.75, 0)
    (file,) = files(tmp_path)
    hint = f"later: wandb sync --include-online {os.path.relpath(file.parent)}"
    problem = (
        "has stopped taking rows, see the log"
        if accident == "refuses the key"
        else "did not take everything within 2 s"
    )
    assert tracker.said[1:] == [f"W&B {problem}; {hint}"]
    assert not tracker.complete


@pytest.mark.faults
def test_a_key_that_the_server_does_not_know_makes_the_run_offline(tmp_path, server):
    server.refusing = True
    tracker = Tracker(tmp_path, mode="auto", init_timeout=5)
    tracker.log(FIRST)
    tracker.finish({}, 0)
    assert tracker.said[0].startswith("W&B opens no online run: ")
    assert tracker.said[1].startswith("W&B is offline; later: wandb sync ")
    assert [row["step"] for row in read(tmp_path).history] == [1]


@pytest.mark.faults
def test_a_run_can_be_synced_when_the_server_is_back(tmp_path, server, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tracker = Tracker(tmp_path, mode="auto")
    server.failing = True
    tracker.log(FIRST)
    tracker.finish({"test_accuracy": 0.75}, 0)
    server.failing = False
    program, *arguments = shlex.split(tracker.said[-1].partition("later: ")[2])
    subprocess.run([Path(sys.executable).with_name(program), *arguments], check=True, capture_output=True, timeout=120)
    (run,) = server.runs.values()
    assert [row["step"] for row in run.history] == [1]
    assert run.summary["test_accuracy"] == 0.75


def test_several_runs_of_a_process_stay_apart_even_if_one_is_left_open(tmp_path):
    left_open = Tracker(tmp_path / "0", overrides="seed=0")
    left_open.log(FIRST)
    second = Tracker(tmp_path / "1", overrides="seed=1")
    second.log(SECOND)
    second.finish({}, 0)
    third = Tracker(tmp_path / "2", overrides="seed=2")
    third.finish({}, 0)
    runs = [read(tmp_path / name) for name in "012"]
    assert [run.name for run in runs] == ["seed=0", "seed=1", "seed=2"]
    assert [run.exit_code for run in runs] == [1, 0, 0]
    assert [[row["step"] for row in run.history] for run in runs] == [[1], [2], []]
    assert len({run.id for run in runs}) == 3


KILLED = """
import os, pathlib, signal, sys
from vitlab.tracking.wandb import WandbTracker
first, second = (pathlib.Path(path) for path in sys.argv[1:])
tracker = WandbTracker(first, {}, None, "", print, mode="offline")
for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
    parent = int(status.read_text().rpartition(")")[2].split()[1])
    if parent == os.getpid() and "wandb-core" in (status.parent / "cmdline").read_text():
        os.kill(int(status.parent.name), signal.SIGKILL)
try:
    tracker.finish({}, 0)
except Exception as error:  # or none, if the last words were already sent
    print(error)
tracker = WandbTracker(second, {}, None, "", print, mode="offline")
tracker.log({"step": 1})
tracker.finish({}, 0)
"""


@pytest.mark.faults
def test_a_run_whose_wandb_process_died_does_not_harm_the_next_one(tmp_path):
    for name in "01":
        (tmp_path / name).mkdir()
    subprocess.run([sys.executable, "-c", KILLED, tmp_path / "0", tmp_path / "1"], capture_output=True, check=True)
    assert [row["step"] for row in read(tmp_path / "1").history] == [1]


STOPPED = """
import os, pathlib, signal, sys, time
from vitlab.tracking.wandb import WandbTracker
def stop(signum, frame):
    sys.exit(128 + signum)
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, stop)
tracker = WandbTracker(pathlib.Path(sys.argv[1]), {}, None, "", print, mode="offline")
exit_code = 0
try:
    for step in range(1, 21):
        tracker.log({"step": step})
    print("ready", flush=True)
    time.sleep(60)
except SystemExit as end:
    exit_code = end.code
    raise
finally:
    tracker.finish({}, exit_code)
"""


@pytest.mark.faults
@pytest.mark.parametrize("number", [15, 2], ids=["SIGTERM", "SIGINT"])
def test_a_stop_keeps_every_row(tmp_path, number):
    command = [sys.executable, "-c", STOPPED, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as run:
        while run.stdout.readline() != "ready\n":
            assert run.poll() is None
        os.killpg(run.pid, number)  # as Ctrl-C and Slurm do: W&B's own process gets it too
    assert run.returncode == 128 + number
    stopped = read(tmp_path)
    assert [row["step"] for row in stopped.history] == list(range(1, 21))
    assert stopped.exit_code == 128 + number


@pytest.mark.faults
def test_a_folder_that_wandb_cannot_use_switches_it_off(tmp_path):
    (tmp_path / "wandb").write_text("a file where W&B wants a folder")
    tracker = Tracker(tmp_path)
    tracker.log(FIRST)
    tracker.finish({}, 0)
    assert len(tracker.said) == 1
    assert tracker.said[0].startswith("W&B is switched off, the run goes on: ")


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"mode": "on-line"}, "mode=on-line is none of auto, online, offline, disabled; did you mean online"),
        ({"init_timeout": 0}, "init_timeout=0 is no time to wait; try init_timeout=20"),
        ({"finish_timeout": -1}, "finish_timeout=-1 is no time to wait; try finish_timeout=20"),
        (
            {"settings": {"x_disable_stat": True}},
            "settings.x_disable_stat is no setting of W&B; did you mean x_disable_stats",
        ),
    ],
)
def test_illegal_settings_are_refused(tmp_path, setting, message):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        Tracker(tmp_path, **setting)
