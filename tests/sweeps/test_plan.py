import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.duration import RunLength
from vitlab.errors import VitlabError
from vitlab.sweeps import plan as planning
from vitlab.sweeps.forecast import Forecast
from vitlab.sweeps.plan import Planned, makespan, plan, show

COST = Forecast(17, 102_218, 3_500_000, 11 * 2**20, 0.01, 0.1, RunLength(1000, 10), 10)  # 11 s in all


def test_the_table_has_each_job_its_cost_or_why_not_and_the_total():
    out = io.StringIO()
    jobs = [
        Planned(["model.depth=2", "seed=0"], 64, COST),
        Planned(["model.depth=3", "seed=0"], refusal="it is not so"),
    ]
    show([*jobs, Planned(["model.depth=4", "seed=0"], 32, COST)], 2, out)
    told = out.getvalue()
    row = next(line for line in told.splitlines() if "102,218" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == [
        *("0", "2", "0", "64", "17", "102,218", "3.5 M", "11 MiB", "0:00:11")
    ]
    assert "illegal 1 model.depth=3 seed=0: it is not so" in told
    assert "3 jobs, 1 illegal, which are skipped, 0:00:22 of training and validation, about 0:00:11 with 2 at" in told


def best_greedy(seconds, at_once):
    """The same by hand: a clock for each place."""
    clocks = [0.0] * at_once
    for duration in seconds:
        first = clocks.index(min(clocks))
        clocks[first] += duration
    return max(clocks)


@given(st.lists(st.floats(0, 100), max_size=20), st.integers(1, 5))
def test_the_end_of_the_last_job_is_that_of_places_refilled_as_they_get_free(seconds, at_once):
    assert makespan(seconds, at_once) == pytest.approx(best_greedy(seconds, at_once))


class Asked:
    """Composes by name, as far as the plan asks for it."""

    def __init__(self, compose):
        self._compose = compose

    def compose_legal(self, overrides):
        if "model.depth=0" in overrides:
            raise VitlabError("depth 0 is none")
        return self._compose(overrides)


def test_jobs_that_differ_in_what_costs_nothing_are_measured_once(compose, monkeypatch):
    measured = []
    monkeypatch.setattr(planning, "_cost", lambda cfg: measured.append(cfg) or COST)
    jobs = [
        [f"model.depth={d}", f"seed={s}", f"optimizer.lr={r}"] for d in (1, 2, 0) for s in (0, 1) for r in (0.1, 0.2)
    ]
    planned = list(plan(jobs, Asked(compose)))
    assert len(measured) == 2
    assert [job.refusal for job in planned] == [None] * 8 + ["depth 0 is none"] * 4
    jobs = [["trainer.epochs=1"], ["trainer.epochs=2"], ["trainer.batch_size=8"]]
    assert len(list(plan(jobs, Asked(compose)))) == 3
    assert len(measured) == 5
