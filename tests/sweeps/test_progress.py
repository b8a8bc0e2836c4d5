import json

from vitlab.runs import RunFolder
from vitlab.sweeps.progress import Progress


def row(step, **figures):
    return {"step": step, "epoch": step / 10, "images_seen": step, "seconds": 1.0, **figures}


def test_figures_are_those_of_the_rows_so_far(tmp_path, leave):
    run = RunFolder(tmp_path / "run")
    progress = Progress(run)
    progress.update()
    assert (progress.step, progress.best, progress.epochs()) == (0, None, "")
    rows = [row(5), row(10, **{"val/accuracy": 0.5}), row(20, **{"val/accuracy": 0.4})]
    leave(run, rows, status="running", total_steps=40, steps_per_epoch=10)
    progress.update()
    assert progress.step == 20
    assert progress.best == 0.5
    assert progress.validations == [(10, 0.5), (20, 0.4)]
    assert progress.epochs() == "2.0/4"


def test_a_row_that_is_being_written_is_left_for_later(tmp_path, leave):
    run = RunFolder(tmp_path / "run")
    leave(run, [row(1)], status="running")
    progress = Progress(run)
    progress.update()
    whole = json.dumps(row(2)) + "\n"
    with (run.path / "metrics.jsonl").open("a") as file:
        file.write(whole[:9])
        file.flush()
        progress.update()
        assert progress.step == 1
        file.write(whole[9:])
    progress.update()
    assert progress.step == 2


def test_a_run_that_went_back_to_its_checkpoint_is_read_anew(tmp_path, leave):
    run = RunFolder(tmp_path / "run")
    progress = Progress(run)
    leave(run, [row(1, **{"val/accuracy": 0.9}), row(2), row(3)], status="running")
    progress.update()
    leave(run, [row(1, **{"val/accuracy": 0.2})], status="running")
    progress.update()
    assert (progress.step, progress.best) == (1, 0.2)


def test_an_accuracy_that_is_no_number_is_left_out(tmp_path, leave):
    run = RunFolder(tmp_path / "run")
    leave(run, [row(1, **{"val/accuracy": None})], status="running")
    progress = Progress(run)
    progress.update()
    assert progress.best is None
