import time

import pytest

from vitlab.engine.pace import Pace


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still unless it is moved."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_pauses_do_not_slow_the_pace(clock):
    pace = Pace()
    pace.add(40)
    clock[0] += 2
    with pace.paused():
        clock[0] += 50
    assert pace.lap() == pytest.approx(20)


def test_each_lap_counts_its_own_images(clock):
    pace = Pace()
    pace.add(10)
    clock[0] += 1
    pace.lap()
    pace.add(30)
    clock[0] += 1
    assert pace.lap() == pytest.approx(30)


def test_seconds_go_on_from_the_earlier_parts_of_the_run(clock):
    pace = Pace(seconds=60)
    clock[0] += 5
    assert pace.seconds == pytest.approx(65)
