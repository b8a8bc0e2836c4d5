import subprocess
import sys
import time
from pathlib import Path

import pytest

from vitlab.errors import VitlabError
from vitlab.sweeps.local import LocalExecutor

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]
SHOWS = [
    sys.executable,
    "-c",
    "import os; print(*(os.environ.get(n) for n in ('OMP_NUM_THREADS', 'CUDA_VISIBLE_DEVICES', 'X')))",
]


def wait(job, seconds=30):
    end = time.monotonic() + seconds
    while job.exit_code() is None:
        assert time.monotonic() < end
        time.sleep(0.02)
    return job.exit_code()


@pytest.fixture
def start(tmp_path):
    """``start(executor, command, number)``; whatever still runs at the end is killed."""
    begun = []

    def started(executor, command, number=0, **environment):
        begun.append(executor.start(command, tmp_path / str(number) / "console.log", environment))
        return begun[-1]

    yield started
    for job in begun:
        job.kill()


def test_no_more_jobs_run_than_there_is_room_for_and_an_end_makes_room(start):
    executor = LocalExecutor(3, at_once=2, gpus=[])
    jobs = []
    for number in range(2):
        assert executor.room()
        jobs.append(start(executor, SLEEPS, number))
    assert not executor.room()
    jobs[0].stop()
    assert wait(jobs[0]) == 128 + 15
    assert executor.room()


def test_the_cores_are_divided_among_the_jobs_at_once(start, tmp_path, monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 8)
    assert LocalExecutor(3, gpus=[]).threads == 2
    assert LocalExecutor(30, gpus=[]).limit == 8
    executor = LocalExecutor(2, gpus=[])
    assert wait(start(executor, SHOWS, X="mine")) == 0
    assert (tmp_path / "0" / "console.log").read_text() == "4 None mine\n"


def test_each_job_has_a_gpu_and_hands_it_back(start, tmp_path, monkeypatch):
    monkeypatch.setattr("vitlab.sweeps.local._visible_gpus", lambda: ["0", "1"])
    executor = LocalExecutor(4, gpus=[0, 1], jobs_per_gpu=1)
    assert executor.limit == 2
    executor._measure = False
    first, second = start(executor, SHOWS, 0), start(executor, SLEEPS, 1)
    assert wait(first) == 0
    assert executor.room()
    assert wait(start(executor, SHOWS, 2)) == 0
    gpus = [(tmp_path / str(n) / "console.log").read_text().split()[1] for n in (0, 2)]
    assert gpus == ["0", "0"]
    assert second.gpu == "1"
    assert LocalExecutor(9, gpus=[0, 1], jobs_per_gpu=3).limit == 6


def test_a_gpu_that_is_not_there_is_refused(monkeypatch):
    monkeypatch.setattr("vitlab.sweeps.local._visible_gpus", lambda: ["0", "1"])
    with pytest.raises(VitlabError, match=r"hydra.launcher.gpus has 7, which is not there \(there are: 0, 1\)"):
        LocalExecutor(4, gpus=[1, 7])


def test_the_first_job_runs_alone_until_its_memory_is_known_and_the_others_fit_beside_it(start, tmp_path, monkeypatch):
    monkeypatch.setattr("joblib.cpu_count", lambda: 16)
    executor = LocalExecutor(16, gpus=[])
    takes = "x = bytearray(200 * 2**20); import time; time.sleep(60)"
    first = start(executor, [sys.executable, "-c", takes])
    assert not executor.room()
    while first.memory() < 200 * 2**20:
        time.sleep(0.05)
    (tmp_path / "0" / "metrics.jsonl").write_text("{}\n")
    free = 3 * first.memory()
    monkeypatch.setattr("psutil.virtual_memory", lambda: type("Memory", (), {"available": free}))
    assert executor.room()
    assert executor.limit == 1 + 2  # of 2.7 jobs' worth of memory


def test_a_job_ends_when_its_launcher_is_killed(tmp_path):
    """The pipe that the job reads is held by the launcher alone."""
    waits = "import os; os.read(0, 1); open('ended', 'w').close()"
    launches = (
        "import sys, time; from pathlib import Path; from vitlab.sweeps.local import LocalExecutor;"
        f"e = LocalExecutor(2, gpus=[]); c = [sys.executable, '-c', {waits!r}];"
        "e.start(c, Path('a/log'), {}); e.start(c, Path('b/log'), {}); print('begun', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", launches], cwd=tmp_path, stdout=subprocess.PIPE) as launcher:
        launcher.stdout.readline()
        time.sleep(0.5)
        assert not (tmp_path / "ended").exists()
        launcher.kill()
    end = time.monotonic() + 20
    while not (tmp_path / "ended").exists():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_output_goes_to_the_log_after_what_is_there(start, tmp_path):
    executor = LocalExecutor(1, at_once=1, gpus=[])
    for _ in range(2):
        wait(start(executor, [sys.executable, "-c", "print('word'); raise SystemExit(3)"]))
    assert (tmp_path / "0" / "console.log").read_text() == "word\nword\n"


def test_a_kill_takes_the_children_too(start, tmp_path, monkeypatch):
    parent = "import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']);"
    parent += "open('pid', 'w').write(str(p.pid)); p.wait()"
    monkeypatch.chdir(tmp_path)
    job = start(LocalExecutor(1, at_once=1, gpus=[]), [sys.executable, "-c", parent])
    end = time.monotonic() + 20
    while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
        assert time.monotonic() < end
    job.kill()
    assert wait(job) == 128 + 9
    time.sleep(0.2)
    stat = Path("/proc", (tmp_path / "pid").read_text(), "stat")
    assert not stat.exists() or " Z " in stat.read_text()


@pytest.mark.parametrize("setting", [{"at_once": 0}, {"threads": "many"}, {"jobs_per_gpu": 1.5}, {"at_once": True}])
def test_numbers_that_are_none_are_refused(setting):
    (name,) = setting
    with pytest.raises(VitlabError, match=f"hydra.launcher.{name}=.* is not auto and no whole number from 1 up"):
        LocalExecutor(1, gpus=[], **setting)


def test_a_command_that_is_not_there_is_told(tmp_path):
    with pytest.raises(VitlabError, match="the job cannot be started: No such file"):
        LocalExecutor(1, gpus=[]).start(["/no/such/python"], tmp_path / "log", {})
