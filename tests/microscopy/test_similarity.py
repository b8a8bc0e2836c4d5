import numpy as np
import pytest
import torch
from sklearn.metrics.pairwise import cosine_similarity

from vitlab.microscopy.similarity import token_similarity


def test_it_is_the_mean_of_scikit_learn_s_cosines_over_all_pairs():
    patches = torch.randn(3, 6, 5) + 0.5
    others = ~np.eye(6, dtype=bool)
    expected = np.mean([cosine_similarity(image)[others].mean() for image in patches.numpy()])
    assert token_similarity(patches).item() == pytest.approx(expected, abs=1e-6)


def test_equal_patches_are_alike_and_orthogonal_ones_have_nothing_in_common():
    assert token_similarity(torch.ones(2, 4, 8)).item() == pytest.approx(1)
    assert token_similarity(torch.eye(4)[None]).item() == pytest.approx(0, abs=1e-6)
    assert token_similarity(torch.ones(2, 1, 8)).item() == 0
