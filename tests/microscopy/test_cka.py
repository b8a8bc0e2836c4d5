from itertools import permutations

import pytest
import torch

from vitlab.microscopy.cka import Alignment, grams, unbiased_hsic


def by_definition(one, other):
    """The unbiased HSIC as the mean over all choices of four different images (Song et al. 2012, section 4)."""
    n = len(one)
    terms = [one[i, j] * (other[i, j] + other[q, r] - 2 * other[i, q]) for i, j, q, r in permutations(range(n), 4)]
    return sum(terms).item() / len(terms)


def cka(*batches):
    alignment = Alignment()
    for one, other in batches:
        alignment.add(one, other)
    return alignment.found()


def test_hsic_is_the_mean_over_all_quadruples():
    one, other = torch.randn(2, 6, 3), torch.randn(3, 6, 4)
    found = unbiased_hsic(grams(one), grams(other))
    for row, layer in enumerate(one):
        for column, beside in enumerate(other):
            expected = by_definition(layer.double() @ layer.double().T, beside.double() @ beside.double().T)
            assert found[row, column].item() == pytest.approx(expected, rel=1e-4, abs=1e-5)


def test_turning_scaling_and_shifting_the_features_changes_nothing():
    layer, other = torch.randn(20, 5), torch.randn(20, 5)
    turn, _ = torch.linalg.qr(torch.randn(5, 5))
    changed = 7 * layer @ turn + 3
    assert cka(([layer], [changed])).item() == pytest.approx(1, abs=1e-5)
    assert cka(([layer], [other])).item() == pytest.approx(cka(([changed], [other])).item(), abs=1e-5)


def test_layers_of_chance_have_nothing_in_common_however_wide_they_are():
    values = [cka(([torch.randn(40, 500)], [torch.randn(40, 500)])).item() for _ in range(5)]
    assert max(map(abs, values)) < 0.1  # the biased estimate is above 0.9 here


def test_batches_add_up_and_one_of_three_images_says_nothing():
    layers, others = [torch.randn(12, 4), torch.randn(12, 3, 2)], [torch.randn(12, 4)]
    first, second = ([part[:6] for part in parts] for parts in (layers, others))
    rest = ([part[6:] for part in layers], [part[6:] for part in others])
    both = cka((first, second), rest, ([part[:3] for part in layers], [part[:3] for part in others]))
    assert both.shape == (2, 1)
    sums = [
        unbiased_hsic(grams(a), grams(b))
        for a, b in ((first, second), rest, (first, first), (rest[0], rest[0]), (second, second), (rest[1], rest[1]))
    ]
    size = (sums[2] + sums[3]).diagonal()[:, None] * (sums[4] + sums[5]).diagonal()
    assert torch.allclose(both, ((sums[0] + sums[1]) / size.sqrt()).float())


def test_a_layer_that_says_the_same_of_all_images_is_like_none():
    assert cka(([torch.ones(8, 3)], [torch.randn(8, 3)])).item() == 0


def test_too_few_images_are_told():
    assert cka(([torch.randn(3, 2)], [torch.randn(3, 2)])) is None
    with pytest.raises(ValueError, match="3 images are too few"):
        unbiased_hsic(torch.zeros(1, 3, 3), torch.zeros(1, 3, 3))
