import csv
import io
import json
import logging

import pytest

from vitlab.duration import RunLength
from vitlab.tracking.console import Console
from vitlab.tracking.fanout import Fanout
from vitlab.tracking.records import Records

ROW = {"step": 1, "epoch": 0.1, "images_seen": 8, "seconds": 0.5, "val/accuracy": 0.25}


class Notebook:
    """Writes down what it is told; ``failing`` is raised from every row."""

    def __init__(self, failing=None):
        self.rows, self.ends, self.failing = [], [], failing

    def log(self, row):
        self.rows.append(dict(row))
        if self.failing:
            raise self.failing

    def finish(self, summary, exit_code):
        self.ends.append((dict(summary), exit_code))


def fanout(folder, *beside, stream=None):
    return Fanout(Records(folder), Console(RunLength(100, 10), stream or io.StringIO()), beside)


def test_everybody_gets_every_row_and_the_end(tmp_path):
    stream, notebook = io.StringIO(), Notebook()
    tracker = fanout(tmp_path, notebook, stream=stream)
    tracker.log(ROW)
    tracker.progress(2)
    tracker.say("half way")
    tracker.finish("done", {"test_accuracy": 0.5}, 0)
    assert Records(tmp_path).rows() == notebook.rows == [ROW]
    assert notebook.ends == [({"test_accuracy": 0.5}, 0)]
    assert json.loads((tmp_path / "summary.json").read_text()) == {"status": "done", "test_accuracy": 0.5}
    with (tmp_path / "metrics.csv").open(newline="") as file:
        assert [row["val/accuracy"] for row in csv.DictReader(file)] == ["0.25"]
    assert "val accuracy 25.00%" in stream.getvalue()
    assert "half way\n" in stream.getvalue()


def test_a_failing_tracker_is_said_once_and_the_others_go_on(tmp_path):
    stream, failing, working = io.StringIO(), Notebook(RuntimeError("gone away")), Notebook()
    tracker = fanout(tmp_path, failing, working, stream=stream)
    for _ in range(3):
        tracker.log(ROW)
    tracker.finish("done", {}, 0)
    assert len(failing.rows) == 1
    assert not failing.ends
    assert len(working.rows) == len(Records(tmp_path).rows()) == 3
    assert len(working.ends) == 1
    assert stream.getvalue().count("Notebook is switched off, the run goes on: RuntimeError: gone away") == 1


def test_a_console_that_cannot_be_written_leaves_the_log(tmp_path, caplog):
    stream, notebook = io.StringIO(), Notebook()
    tracker = fanout(tmp_path, notebook, stream=stream)
    stream.close()
    with caplog.at_level(logging.INFO, logger="vitlab"):
        tracker.log(ROW)
        tracker.progress(2)
        tracker.say("half way")
        tracker.finish("done", {}, 0)
    assert notebook.rows == Records(tmp_path).rows() == [ROW]
    assert "Console is switched off" in caplog.text
    assert "half way" in caplog.text


@pytest.mark.faults
def test_files_that_cannot_be_written_are_an_error_but_the_others_are_finished(tmp_path):
    notebook = Notebook()
    tracker = fanout(tmp_path, notebook)
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        tracker.log(ROW)
    assert notebook.rows == []
    (tmp_path / "summary.json.tmp").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        tracker.finish("failed", {"test_accuracy": 0.5}, 1)
    assert notebook.ends == [({"test_accuracy": 0.5}, 1)]
