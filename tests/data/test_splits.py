import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.model_selection import train_test_split

from vitlab.data.splits import carve, digest


@given(st.lists(st.integers(10, 60), min_size=2, max_size=6), st.floats(0.1, 0.9), st.integers(0, 9))
def test_both_parts_together_are_the_whole_in_the_proportions_of_the_classes(counts, fraction, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    rest, carved = carve(labels, fraction, seed)
    assert sorted([*rest, *carved]) == list(range(len(labels)))
    for label, count in enumerate(counts):
        assert abs((labels[carved] == label).sum() - fraction * count) <= 1.5


@given(
    st.lists(st.integers(0, 40), min_size=1, max_size=7).filter(any), st.floats(-0.1, 1.1), st.integers(0, 2**32 - 1)
)
def test_the_draw_is_that_of_scikit_learn(counts, fraction, seed):
    labels = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    try:
        rest, carved = train_test_split(np.arange(len(labels)), test_size=fraction, random_state=seed, stratify=labels)
    except ValueError:
        with pytest.raises(ValueError, match="cannot be carved out"):
            carve(labels, fraction, seed)
        return
    ours = carve(labels, fraction, seed)
    assert np.array_equal(ours[0], np.sort(rest))
    assert np.array_equal(ours[1], np.sort(carved))


def test_the_draw_is_the_seed_s():
    labels = np.arange(100) % 5
    first, again, other = (carve(labels, 0.2, seed)[1] for seed in (0, 0, 1))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert np.array_equal(first, np.sort(first))


def test_a_class_with_a_single_image_is_named():
    with pytest.raises(ValueError, match=r"class number 2 has 1"):
        carve(np.array([0] * 50 + [1] * 50 + [2]), 0.1, 0)


@pytest.mark.parametrize("fraction", [0.001, 0.999])
def test_of_a_share_too_small_or_too_large_the_nearest_legal_is_told(fraction):
    labels = np.arange(1437) % 10
    with pytest.raises(ValueError, match=f"val_fraction={fraction} cannot .*; try 0") as refusal:
        carve(labels, fraction, 0)
    nearest = float(str(refusal.value).rpartition("try ")[2])
    assert nearest == pytest.approx(0.007 if fraction < 0.5 else 0.993)
    assert all(len(part) >= 10 for part in carve(labels, nearest, 0))


def test_a_digest_is_sha256_of_kind_shape_and_bytes():
    array = np.arange(6, dtype=np.uint8)
    assert digest(array) == hashlib.sha256(b"uint8(6,)" + bytes(range(6))).hexdigest()
    assert digest(array) != digest(array.reshape(2, 3))
    assert digest(array) != digest(array[::-1])
