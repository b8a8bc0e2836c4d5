import pytest
from hypothesis import given
from hypothesis import strategies as st

from vitlab.duration import RunLength, parse

RUN = RunLength(total_steps=1000, steps_per_epoch=50)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("1 epoch", 50),
        ("5 epochs", 250),
        ("0.5 epochs", 25),
        ("500 steps", 500),
        ("1 step", 1),
        ("0 steps", 0),
        ("0.05 of run", 50),
        ("1 of run", 1000),
        (".1 of run", 100),
        ("  2   epochs ", 100),
    ],
)
def test_a_duration_is_so_many_steps(text, steps):
    assert parse(text).steps(RUN) == steps


@pytest.mark.parametrize("text", ["5", "epochs", "", "5 apples", "-1 epoch", "1 epoch 2 steps", "1e2 steps", None, 5])
def test_without_one_number_and_one_unit_it_is_refused_with_an_example(text):
    with pytest.raises(ValueError, match="'5 epochs', '500 steps' or '0.05 of run'"):
        parse(text)


def test_more_than_the_run_is_refused():
    with pytest.raises(ValueError, match="longer than the run"):
        parse("1.5 of run")


def test_a_part_of_a_step_is_refused():
    with pytest.raises(ValueError, match="try '2 steps'"):
        parse("2.5 steps")


@given(st.integers(0, 10**6), st.integers(1, 10**6), st.integers(1, 10**4))
def test_steps_are_steps_whatever_the_run(amount, total, per_epoch):
    assert parse(f"{amount} steps").steps(RunLength(total, per_epoch)) == amount


@given(st.floats(0, 1), st.integers(1, 10**6))
def test_a_share_never_passes_the_end(share, total):
    assert 0 <= parse(f"{share:.6f} of run").steps(RunLength(total, 1)) <= total
