import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from vitlab.duration import RunLength
from vitlab.optim import schedules

RUN = RunLength(total_steps=100, steps_per_epoch=10)


def torch_factors(make, steps):
    """What a scheduler of torch's sets, as shares of the learning rate 1."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    scheduler = make(optimizer)
    factors = []
    for _ in range(steps):
        factors.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return factors


def test_cosine_equals_torch_s():
    ours = [schedules.cosine(step, RUN) for step in range(100)]
    theirs = torch_factors(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=100), 100)
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_cosine_held_for_an_epoch_equals_torch_s_stepped_by_epochs():
    ours = [schedules.cosine(step, RUN, hold="1 epoch") for step in range(100)]
    by_epoch = torch_factors(lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, T_max=10), 10)
    assert ours == pytest.approx([f for f in by_epoch for _ in range(10)], abs=1e-9)


def test_one_cycle_equals_torch_s():
    ours = [schedules.one_cycle(step, RUN) for step in range(100)]
    theirs = torch_factors(lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 1.0, 100, cycle_momentum=False), 100)
    assert ours == pytest.approx(theirs, abs=1e-9)


def test_one_cycle_takes_its_start_and_end():
    assert schedules.one_cycle(0, RUN, start=10.0) == pytest.approx(0.1)
    assert schedules.one_cycle(99, RUN, start=10.0, end=100.0) == pytest.approx(0.001)


def test_linear_by_hand():
    factors = [schedules.linear(step, RUN, warmup="4 steps", floor=0.2) for step in (0, 1, 3, 4, 52, 100)]
    assert factors == pytest.approx([0.2, 0.4, 0.8, 1.0, 0.6, 0.2])


def test_constant_by_hand():
    assert [schedules.constant(s, RUN, warmup="3 steps") for s in (0, 1, 2, 3, 99)] == [0.25, 0.5, 0.75, 1, 1]


def test_warmup_stable_decay_by_hand():
    factors = [
        schedules.warmup_stable_decay(s, RUN, warmup="1 step", decay="20 steps", floor=0.5) for s in (0, 1, 80, 90, 100)
    ]
    assert factors == pytest.approx([0.5, 1, 1, 0.75, 0.5])


def test_a_rise_and_a_decay_that_overlap_are_refused():
    with pytest.raises(ValueError, match="warmup=0.9 of run and decay=0.5 of run overlap in 100 steps"):
        schedules.warmup_stable_decay(0, RUN, warmup="0.9 of run", decay="0.5 of run")
    assert schedules.warmup_stable_decay(79, RUN, warmup="0.8 of run", decay="0.2 of run") < 1


@pytest.mark.parametrize(
    "schedule", [schedules.cosine, schedules.linear, schedules.constant, schedules.warmup_stable_decay]
)
def test_warmup_rises_to_one_and_never_starts_at_zero(schedule):
    rise = [schedule(step, RUN, warmup="0.1 of run") for step in range(11)]
    assert rise[0] > 0
    assert rise == sorted(rise)
    assert rise[10] == 1


@given(
    st.sampled_from(["cosine", "linear", "constant", "one_cycle", "warmup_stable_decay"]),
    st.integers(1, 3000),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_every_factor_of_every_run_lies_between_zero_and_one(name, total, warmup, position):
    run = RunLength(total, 7)
    warmup *= 0.8 if name == "warmup_stable_decay" else 1  # which decays over the last fifth
    factor = getattr(schedules, name)(int(position * (total - 1)), run, warmup=f"{warmup:.4f} of run")
    assert 0 <= factor <= 1
    assert math.isfinite(factor)


def test_floor_is_where_the_run_ends():
    for schedule in (schedules.cosine, schedules.linear, schedules.warmup_stable_decay):
        assert schedule(100, RUN, floor=0.3) == pytest.approx(0.3)
