import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vitlab.comparison.statistics import difference, interval

VALUES = st.lists(st.floats(0, 1, width=32), min_size=2, max_size=12)


def test_an_interval_worked_by_hand():
    found = interval([0.90, 0.92, 0.94])  # s = 0.02, standard error 0.011547, t(0.975, 2) = 4.302653
    assert found.mean == pytest.approx(0.92)
    assert found.half == pytest.approx(4.302653 * 0.0115470, rel=1e-5)
    assert found.n == 3


@given(VALUES)
def test_student_s_interval_is_scipy_s(values):
    found = interval(values)
    if min(values) == max(values):
        assert found.half == 0
        return
    low, high = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == (pytest.approx(low, abs=1e-9), pytest.approx(high, abs=1e-9))


def test_the_bootstrap_interval_holds_the_mean_and_is_always_the_same():
    values = list(np.random.default_rng(0).normal(0.9, 0.02, 20))
    first, second = interval(values, "bootstrap"), interval(values, "bootstrap")
    assert first == second
    assert first.low < first.mean < first.high
    assert first.half == pytest.approx(interval(values).half, rel=0.25)


def test_one_value_has_no_interval():
    found = interval([0.9])
    assert math.isnan(found.half)
    assert not found.excludes_zero


@given(VALUES, st.integers(0, 9))
def test_a_paired_difference_is_that_of_the_paired_t_test(values, shift):
    ours = dict(enumerate(values))
    theirs = {seed: value * 0.5 + 0.01 * (seed % (shift + 1)) for seed, value in ours.items()}
    found = difference(ours, theirs)
    differences = [ours[seed] - theirs[seed] for seed in ours]
    assert found.paired
    if min(differences) == max(differences):
        return
    p = stats.ttest_rel(list(ours.values()), list(theirs.values())).pvalue
    if abs(p - 0.05) > 1e-6:
        assert found.is_real == (p < 0.05)


def test_pairing_finds_what_the_spread_of_the_seeds_hides():
    base = [0.80, 0.85, 0.90, 0.95]
    better = [value + step for value, step in zip(base, (0.010, 0.011, 0.009, 0.010), strict=True)]
    paired = difference(dict(enumerate(better)), dict(enumerate(base)))
    apart = difference(dict(enumerate(better)), {seed + 10: value for seed, value in enumerate(base)})
    assert paired.is_real
    assert not apart.paired
    assert not apart.is_real


@given(VALUES, VALUES)
def test_without_common_seeds_it_is_welch_s(a, b):
    found = difference(dict(enumerate(a)), {100 + seed: value for seed, value in enumerate(b)})
    if np.std(a) < 1e-6 or np.std(b) < 1e-6:  # scipy loses its digits there
        return
    welch = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    assert found.interval.low == pytest.approx(welch.low, abs=1e-9, nan_ok=True)
    assert found.interval.mean == pytest.approx(np.mean(a) - np.mean(b), abs=1e-9)


def test_one_common_seed_tells_no_noise():
    found = difference({0: 0.9}, {0: 0.8})
    assert found.interval.mean == pytest.approx(0.1)
    assert math.isnan(found.interval.half)
    assert not found.is_real
