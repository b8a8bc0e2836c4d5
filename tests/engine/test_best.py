import math

import pytest

from vitlab.engine.best import Best


def test_any_validation_beats_none():
    assert Best().after(0.0, 2.0, 5) == Best(0.0, 2.0, 5, risen_at=5)


def test_a_worse_one_changes_nothing():
    best = Best(0.5, 1.0, 5, 5)
    assert best.after(0.4, 0.1, 9) is best


def test_of_equals_the_latest_is_kept_and_patience_goes_on_counting():
    assert Best(0.5, 1.0, 5, 3).after(0.5, 1.2, 9) == Best(0.5, 1.2, 9, risen_at=3)


def test_a_better_one_is_kept_and_patience_begins_anew():
    assert Best(0.5, 1.0, 5, 3).after(0.6, 1.2, 9) == Best(0.6, 1.2, 9, risen_at=9)


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_is_never_the_best(loss):
    assert Best().after(0.9, loss, 5) == Best()
