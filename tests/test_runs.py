import json
import subprocess
import sys
from pathlib import Path

import pytest

from vitlab.errors import VitlabError
from vitlab.runs import RunFolder, open_run, open_sweep, write_json


def test_a_new_folder_can_be_claimed_once(tmp_path):
    run = RunFolder(tmp_path / "a" / "b")
    run.claim()
    assert run.status() == "running"
    with pytest.raises(VitlabError, match="never overwritten.*resume="):
        run.claim()


def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(VitlabError, match=r"hydra.run.dir=/proc/self/run cannot be written"):
        RunFolder(Path("/proc/self/run")).claim()


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "\x00"])
def test_a_torn_summary_counts_as_running(tmp_path, content):
    run = RunFolder(tmp_path)
    run.summary.write_text(content)
    assert run.status() == "running"


def test_an_empty_folder_is_discarded_with_its_date(tmp_path):
    folder = tmp_path / "outputs" / "2026-01-01" / "10-00-00"
    folder.mkdir(parents=True)
    (tmp_path / "outputs" / "README.md").write_text("stays")
    RunFolder(folder).discard_if_empty()
    assert not folder.parent.exists()
    assert (tmp_path / "outputs").is_dir()


def test_a_folder_with_anything_in_it_is_never_discarded(tmp_path):
    folder = tmp_path / "date" / "time"
    folder.mkdir(parents=True)
    (folder / "notes.txt").write_text("mine")
    RunFolder(folder).discard_if_empty()
    assert (folder / "notes.txt").read_text() == "mine"


def test_a_missing_run_offers_the_one_that_was_meant(tmp_path):
    (tmp_path / "10-00-00").mkdir()
    with pytest.raises(VitlabError, match="no such folder; did you mean 10-00-00"):
        open_run("resume", tmp_path / "10-00-01")


def test_a_folder_of_runs_is_not_a_run(tmp_path):
    inner = tmp_path / "0-depth=4"
    inner.mkdir()
    (inner / "config.yaml").write_text("seed: 0")
    with pytest.raises(VitlabError, match=f"holds no run.*{inner}"):
        open_run("run", tmp_path)
    assert open_run("run", inner).path == inner


def test_json_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "summary.json"
    write_json(path, {"status": "done"})
    with pytest.raises(VitlabError, match="summary.json is not written: a figure in it is not finite"):
        write_json(path, {"status": float("nan")})
    assert json.loads(path.read_text()) == {"status": "done"}


def test_a_checkpoint_is_seen(tmp_path):
    run = RunFolder(tmp_path)
    assert not run.has_checkpoint()
    run.checkpoints.mkdir()
    (run.checkpoints / "last.pt.tmp").touch()
    assert not run.has_checkpoint()
    (run.checkpoints / "best.pt").touch()
    assert run.has_checkpoint()


def test_a_folder_is_held_by_one_process_at_a_time_and_let_go_of_when_it_dies(tmp_path):
    run = RunFolder(tmp_path)
    assert not run.is_locked()
    holds = "import sys, time; from pathlib import Path; from vitlab.runs import RunFolder\n"
    holds += "with RunFolder(Path(sys.argv[1])).locked(): print('held', flush=True); time.sleep(60)"
    with subprocess.Popen([sys.executable, "-c", holds, tmp_path], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        assert run.is_locked()
        with pytest.raises(VitlabError, match="is being trained by another process"), run.locked():
            pass
        other.kill()
    assert not run.is_locked()
    with run.locked():
        assert run.is_locked()
    assert not run.is_locked()


def test_a_run_without_a_config_gives_up_its_claim_and_one_with_more_keeps_it(tmp_path):
    run = RunFolder(tmp_path / "run")
    run.claim()
    run.discard_unbegun()
    run.claim()
    run.config.write_text("seed: 0")
    run.discard_unbegun()
    with pytest.raises(VitlabError, match="holds a run already"):
        run.claim()


@pytest.mark.parametrize("content", ["", "[1]", "{", "3", pytest.param("[" * 100_000, id="deep")])
def test_a_summary_that_cannot_be_read_is_empty(tmp_path, content):
    RunFolder(tmp_path).summary.write_text(content)
    assert RunFolder(tmp_path).read_summary() == {}


def test_a_missing_sweep_offers_the_one_that_was_meant(tmp_path):
    (tmp_path / "10-00").mkdir()
    with pytest.raises(VitlabError, match=r"there is no such folder; did you mean 10-00"):
        open_sweep("sweep.resume", tmp_path / "10-01")
    with pytest.raises(VitlabError, match=r"holds no sweep \(no sweep.json\)$"):
        open_sweep("sweep.resume", tmp_path / "10-00")
    (tmp_path / "10-00" / "sweep.json").touch()
    assert open_sweep("sweep.resume", tmp_path / "10-00") == tmp_path / "10-00"


def test_a_link_out_of_a_run_is_refused_and_one_inside_is_not(tmp_path):
    run, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    for folder in (run / "checkpoints", run / "evaluation", run / "wandb", elsewhere):
        folder.mkdir(parents=True)
    (run / "config.yaml").write_text("seed: 0")
    (run / "inside").symlink_to("checkpoints")
    (run / "wandb" / "debug.log").symlink_to("/tmp/of-a-run-that-has-moved.log")
    assert open_run("run", run).path == run
    for name in ("train.log", "evaluation/test"):
        (run / name).symlink_to(elsewhere)
        with pytest.raises(VitlabError, match=f"{name} is a link out of the folder"):
            open_run("run", run)
        (run / name).unlink()
    (tmp_path / "by_another_name").symlink_to(run)
    assert open_run("run", tmp_path / "by_another_name")
