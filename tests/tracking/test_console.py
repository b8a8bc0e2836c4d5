import io
import logging
import os
import pty
import re
import subprocess
import sys
import time

import pytest

from vitlab.duration import RunLength
from vitlab.tracking.console import Console, describe

LENGTH = RunLength(total_steps=100, steps_per_epoch=50)
TRAIN = {"step": 1, "epoch": 0.02, "train/loss": 2.30259, "images_per_second": 12345.6, "lr": 1e-3}
VAL = {"step": 50, "epoch": 1.0, "val/loss": 1.5, "val/accuracy": 0.8125}
HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"


class Terminal:
    """A pseudo-terminal: ``stream`` to write to, ``read()`` for what has been shown on it."""

    def __init__(self):
        self.master, self.slave = pty.openpty()
        self.stream = os.fdopen(self.slave, "w")

    def read(self):
        self.stream.close()
        shown = b""
        while True:
            try:
                piece = os.read(self.master, 65536)
            except OSError:  # Linux's way of saying that the other end is closed
                piece = b""
            if not piece:
                os.close(self.master)
                return shown.decode()
            shown += piece


@pytest.fixture
def terminal(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    return Terminal()


def test_a_line_has_the_position_and_the_figures():
    assert describe(TRAIN, TRAIN, LENGTH) == "epoch 0.02/2  step 1/100  train loss 2.3026  12,346 images/s"
    assert describe(VAL, {**TRAIN, **VAL}, LENGTH) == (
        "epoch 1.00/2  step 50/100  train loss 2.3026  val loss 1.5000  val accuracy 81.25%  12,346 images/s"
    )


def test_in_a_pipe_every_validation_and_few_other_rows_are_shown():
    stream = io.StringIO()
    console = Console(RunLength(1000, 100), stream)
    for step in range(1, 1001):
        console.progress(step)
        console.log({**TRAIN, "step": step})
        if step % 100 == 0:
            console.log({**VAL, "step": step})
    console.finish({}, 0)
    lines = stream.getvalue().splitlines()
    assert sum("val accuracy" in line for line in lines) == 10
    assert 10 <= sum("val accuracy" not in line for line in lines) <= 20
    assert "\x1b" not in stream.getvalue()
    assert "\r" not in stream.getvalue()


def test_words_are_shown_as_they_are():
    stream = io.StringIO()
    sentence = "data=[cifar10] :smile: [red]/a/path[/red] " + "long " * 100
    Console(LENGTH, stream).say(sentence)
    assert stream.getvalue() == sentence + "\n"


def test_every_line_goes_to_the_log_too(caplog):
    console = Console(LENGTH, io.StringIO())
    with caplog.at_level(logging.INFO, logger="vitlab"):
        console.say("hello")
        console.log(VAL)
    assert [record.message for record in caplog.records] == ["hello", describe(VAL, VAL, LENGTH)]


def test_standard_output_is_the_default(capsys):
    Console(LENGTH).say("hello")
    assert capsys.readouterr().out == "hello\n"


def test_a_terminal_has_a_progress_line_and_gets_its_cursor_back(terminal):
    console = Console(LENGTH, terminal.stream)
    console.log(TRAIN)
    console.log(VAL)
    for step in (51, 52, 53):
        console.progress(step)
        time.sleep(0.21)  # the line is refreshed five times a second
    console.say("saved")
    console.finish({}, 0)
    shown = terminal.read()
    assert re.search(r"0:00:\d\d.* left  epoch 2/2  step 53/100  loss 2.3026  val 81.25%  12,346 images/s", shown)
    assert "saved" in shown
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)


def test_a_second_run_of_the_process_has_its_own_line(terminal, capfd):
    for _ in range(2):
        console = Console(LENGTH, terminal.stream)
        console.progress(1)
        console.finish({}, 0)
    assert terminal.read().count(HIDE_CURSOR) == 2


def test_a_dumb_terminal_gets_plain_lines(terminal, monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    console = Console(LENGTH, terminal.stream)
    console.progress(1)
    console.log(VAL)
    console.finish({}, 0)
    assert "\x1b" not in terminal.read()


START = (
    "import os, signal, sys\n"
    "from vitlab.duration import RunLength\n"
    "from vitlab.tracking.console import Console\n"
    "console = Console(RunLength(100, 50))\n"
)


@pytest.mark.faults
@pytest.mark.parametrize("end", ["raise RuntimeError", "os.kill(os.getpid(), signal.SIGINT)", "sys.exit(143)"])
def test_a_run_that_ends_badly_gives_the_cursor_back(terminal, end):
    script = f"{START}console.progress(1)\n{end}"
    subprocess.run([sys.executable, "-c", script], stdout=terminal.stream, stderr=subprocess.DEVNULL)
    shown = terminal.read()
    assert shown.rindex(SHOW_CURSOR) > shown.rindex(HIDE_CURSOR)


@pytest.mark.faults
def test_a_reader_that_goes_away_does_not_end_the_run(tmp_path):
    script = f"{START}for step in range(10000): console.say('x' * 100)\nopen(sys.argv[1], 'w').close()"
    run = subprocess.Popen([sys.executable, "-c", script, tmp_path / "end"], stdout=subprocess.PIPE)
    run.stdout.readline()
    run.stdout.close()
    assert run.wait(timeout=60) == 0
    assert (tmp_path / "end").exists()
