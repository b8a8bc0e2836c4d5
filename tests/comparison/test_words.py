import pytest

from vitlab.comparison.words import sentences


def test_a_real_difference_is_told_with_its_interval_and_seeds(sweep):
    # Differences 1.2, 1.3, 1.4 points: mean 1.3, standard error 0.0577, times t(0.975, 2) = 4.303: 0.25.
    told = sentences(sweep({(4, 2): [0.900, 0.910, 0.920], (8, 2): [0.912, 0.923, 0.934]}))
    assert told[0] == "model.depth=8 beats 4 by 1.3 ± 0.2 points (3 seeds, paired)"


def test_noise_is_told_as_noise(sweep):
    told = sentences(sweep({(4, 2): [0.90, 0.95, 0.92], (8, 2): [0.95, 0.90, 0.93]}))
    assert told[0].startswith("model.depth=8 against 4: 0.3 ± ")
    assert told[0].endswith("points is within noise (3 seeds, paired): run more seeds")


def test_one_seed_is_never_called_a_difference(sweep):
    told = sentences(sweep({(4, 2): [0.90], (8, 2): [0.99]}))
    assert told[0] == "model.depth=8 is ahead of 4 by 9.0 points (1 seed): one seed tells no noise, run more"
    assert not any("beats" in sentence for sentence in told)


def test_several_keys_are_averaged_over_and_the_best_two_settings_compared(sweep):
    told = sentences(sweep({(4, 2): [0.50, 0.52], (8, 2): [0.60, 0.62], (4, 4): [0.30, 0.32], (8, 4): [0.40, 0.42]}))
    assert "model.depth=8 beats 4 by 10.0 ± 0.0 points (2 seeds, paired, mean of 2 settings of the others)" in told
    assert (
        "best setting: depth=8 patch_size=2 beats depth=4 patch_size=2 by 10.0 ± 0.0 points (2 seeds, paired)" in told
    )
    assert any(sentence.startswith("3 comparisons were made") for sentence in told)


def test_a_loss_is_better_when_less_and_in_its_own_unit(sweep):
    told = sentences(sweep({(4, 2): [0.50, 0.52], (8, 2): [0.60, 0.62]}, metric="val_loss"))
    assert told[0] == "model.depth=8 beats 4 by 0.1 ± 0 of val_loss (2 seeds, paired)"


def test_choosing_by_the_test_split_is_said(sweep):
    told = sentences(sweep({(4, 2): [0.5, 0.6], (8, 2): [0.7, 0.6]}, metric="test_accuracy"))
    assert any("has selected on the test split" in sentence for sentence in told)


@pytest.mark.parametrize(("method", "words"), [("t", "Student's t"), ("bootstrap", "BCa bootstrap")])
def test_the_kind_of_interval_is_said(sweep, method, words):
    told = sentences(sweep({(4, 2): [0.5, 0.6], (8, 2): [0.7, 0.65]}, method=method))
    assert any(words in sentence for sentence in told)
