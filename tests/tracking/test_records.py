import csv
import json
import signal
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.errors import VitlabError
from vitlab.tracking.records import Records, rows_of


def row(step, **figures):
    return {"step": step, "epoch": step / 10, "images_seen": 8 * step, "seconds": 0.5, **figures}


def refuse(word):
    raise AssertionError(f"{word} is not JSON")


def test_a_row_is_in_the_file_when_log_returns(tmp_path):
    records = Records(tmp_path)
    records.log(row(1, **{"train/loss": 2.5}))
    assert json.loads((tmp_path / "metrics.jsonl").read_text()) == row(1, **{"train/loss": 2.5})


def test_figures_that_are_not_finite_become_null(tmp_path):
    records = Records(tmp_path)
    records.log({"step": 1, "a": float("nan"), "b": float("inf"), "c": float("-inf")})
    records.write_summary({"status": "failed", "best": {"loss": float("nan")}, "all": [float("inf"), 1.0]})
    line = json.loads((tmp_path / "metrics.jsonl").read_text(), parse_constant=refuse)
    assert line == {"step": 1, "a": None, "b": None, "c": None}
    summary = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert summary == {"status": "failed", "best": {"loss": None}, "all": [None, 1.0]}


@pytest.mark.faults
def test_a_killed_run_keeps_every_row(tmp_path):
    script = (
        "import os, pathlib, signal, sys\n"
        "from vitlab.tracking.records import Records\n"
        "records = Records(pathlib.Path(sys.argv[1]))\n"
        "for step in range(100): records.log({'step': step})\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    killed = subprocess.run([sys.executable, "-c", script, tmp_path])
    assert killed.returncode == -signal.SIGKILL
    assert [row["step"] for row in Records(tmp_path).rows()] == list(range(100))


def test_resuming_forgets_later_rows_and_a_torn_one(tmp_path):
    records = Records(tmp_path)
    for step in range(1, 6):
        records.log(row(step))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 2, "los')
    resumed = Records(tmp_path)
    resumed.truncate(3)
    resumed.log(row(4, again=1.0))
    assert resumed.rows() == [row(1), row(2), row(3), row(4, again=1.0)]


def test_a_run_without_rows_can_be_resumed_and_closed(tmp_path):
    records = Records(tmp_path)
    records.truncate(0)
    records.write_csv()
    assert records.rows() == []


@given(
    rows=st.lists(
        st.dictionaries(st.text(), st.floats(allow_nan=False, allow_infinity=False) | st.integers(), max_size=4),
        max_size=6,
    ),
    kept=st.integers(0, 6),
)
def test_rows_come_back_as_they_were(tmp_path_factory, rows, kept):
    records = Records(tmp_path_factory.mktemp("run"))
    logged = [{**figures, "step": step} for step, figures in enumerate(rows)]
    for figures in logged:
        records.log(figures)
    assert records.rows() == logged
    records.truncate(kept)
    assert records.rows() == logged[:kept]


@pytest.mark.parametrize("line", ["nonsense", "[1]", '{"val/loss": 1.0}', '{"step": "1"}', "[" * 100_000])
def test_a_line_that_is_no_row_is_named_by_its_number(tmp_path, line):
    Records(tmp_path).log(row(1))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(VitlabError, match=r"metrics\.jsonl, line 2, is no row of figures"):
        rows_of(tmp_path)


def test_the_table_has_every_column_and_the_position_first(tmp_path):
    records = Records(tmp_path)
    records.log({"train/loss": 2.0, **row(1)})
    records.log(row(2, **{"val/accuracy": 0.5}))
    records.write_csv()
    with (tmp_path / "metrics.csv").open(newline="") as file:
        header, *lines = csv.reader(file)
    assert header == ["step", "epoch", "images_seen", "seconds", "train/loss", "val/accuracy"]
    assert lines == [["1", "0.1", "8", "0.5", "2.0", ""], ["2", "0.2", "16", "0.5", "", "0.5"]]


@pytest.mark.faults
def test_a_full_disk_is_an_error(tmp_path):
    (tmp_path / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(OSError, match="No space left"):
        Records(tmp_path).log(row(1))
