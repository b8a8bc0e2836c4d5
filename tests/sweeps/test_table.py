import io
import re

import pytest

from vitlab.sweeps.local import LocalExecutor
from vitlab.sweeps.loop import Active
from vitlab.sweeps.manifest import Manifest, new_job
from vitlab.sweeps.progress import Progress
from vitlab.sweeps.table import SweepTable, report


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def running(manifest, leave):
    """The second of three jobs, half way; the first is done, the third is to come."""
    manifest.jobs[0].state, manifest.jobs[1].state = "done", "running"
    leave(manifest.run(manifest.jobs[0]), status="done", val_accuracy=0.75)
    job = manifest.jobs[1]
    progress = Progress(manifest.run(job), 50, 2.5, 100, 20, [(40, 0.625)])
    process = LocalExecutor(1, gpus=[]).start(["true"], manifest.log(job), {})
    yield Active(job, process, progress, 0.0)
    process.kill()


def test_a_terminal_has_one_table_that_is_replaced(manifest, running, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    out = Terminal()
    table = SweepTable(manifest, out)
    table.show([running])
    shown = re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())  # without colours
    assert "1 pending, 1 running, 1 done" in shown
    line = next(line for line in shown.splitlines() if "model.depth=2" in line)
    assert re.search(r"1\s*│ model.depth=2\s*│\s*2.5/5\s*│\s*62.50%\s*│ running", line)
    assert "75.00%" in next(line for line in shown.splitlines() if "model.depth=1" in line)
    table.close()
    assert out.getvalue().endswith("\x1b[?25h") or "\x1b[?25h" in out.getvalue()  # the cursor is back


def test_elsewhere_each_change_of_state_is_a_line_and_nothing_else(manifest, running):
    out = io.StringIO()
    manifest.jobs[1].state = "pending"
    table = SweepTable(manifest, out)
    table.show([])
    manifest.jobs[1].state, manifest.jobs[1].attempts = "running", 1
    for _ in range(3):
        table.show([running])
    manifest.jobs[1].state, manifest.jobs[1].reason = "failed", "it broke"
    table.show([])
    table.close()
    assert out.getvalue().splitlines()[1:] == [
        "running 1 model.depth=2",
        "failed 1 model.depth=2, val accuracy 62.50%: it broke",
    ]


def test_many_jobs_fit_the_terminal_and_those_that_run_are_among_them(tmp_path, monkeypatch):
    jobs = [new_job(n, [f"seed={n}"], [f"seed={n}"]) for n in range(500)]
    jobs[300].state, jobs[7].state = "running", "failed"
    manifest = Manifest(tmp_path, jobs)
    monkeypatch.setenv("LINES", "24")
    table = SweepTable(manifest, Terminal())
    shown = [job.number for job in table._shown({300})]
    assert len(shown) <= 24
    assert {7, 300, 301} <= set(shown)
    assert shown == sorted(shown)


def test_the_report_says_what_became_of_each_and_what_to_type_next(manifest, leave):
    for job, state in zip(manifest.jobs, ("done", "failed", "illegal"), strict=True):
        job.state, job.reason = state, None if state == "done" else f"because {state}"
    leave(manifest.run(manifest.jobs[0]), status="done", val_accuracy=0.9)
    out = io.StringIO()
    report(manifest, out)
    told = out.getvalue()
    assert "3 jobs: 1 done, 1 failed, 1 illegal" in told
    assert "failed 1 model.depth=2: because failed" in told
    assert "1-model.depth=2/console.log" in told
    assert "skipped 2 model.depth=3: because illegal" in told
    assert "best 0 model.depth=1: val accuracy 90.00%" in told
    assert "sweep.retry=true" in told
    manifest.jobs[1].state = "interrupted"
    report(manifest, out)
    assert re.search(r"sweep.resume=\S+ goes on", out.getvalue())


def test_words_of_a_job_are_no_markup(manifest):
    manifest.jobs[0].state, manifest.jobs[0].reason = "failed", "[red]x[/red] :smile:"
    out = io.StringIO()
    report(manifest, out)
    assert "[red]x[/red] :smile:" in out.getvalue()
