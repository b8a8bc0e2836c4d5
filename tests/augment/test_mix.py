import numpy as np
import pytest
import torch

from vitlab.augment.mix import MixupCutmix

LABELS = torch.arange(8) % 4
IMAGES = (LABELS.float() + 1)[:, None, None, None].expand(8, 1, 16, 16).contiguous()  # class k is all k + 1


def mixed(seed, **settings):
    return MixupCutmix(4, **settings)(IMAGES, LABELS, np.random.default_rng(seed))


@pytest.mark.parametrize("seed", range(20))
def test_targets_sum_to_one_and_tell_the_shares_of_the_pixels(seed):
    images, targets = mixed(seed)
    assert torch.allclose(targets.sum(1), torch.ones(8), atol=1e-6)
    assert (targets >= -1e-6).all()
    # The mean brightness of an image is the mean of its classes' values, whichever way it was mixed.
    assert torch.allclose(images.mean(dim=(1, 2, 3)), targets @ torch.arange(1.0, 5.0), atol=1e-4)


@pytest.mark.parametrize("seed", range(10))
def test_cutmix_pastes_one_box_and_mixup_blends_all(seed):
    boxes, _ = mixed(seed, mixup_alpha=0)
    assert set(boxes.flatten().tolist()) <= {1.0, 2.0, 3.0, 4.0}
    blends, _ = mixed(seed, cutmix_alpha=0)
    assert all(len(image.unique()) == 1 for image in blends)


def test_the_switch_chooses_between_them_for_each_batch():
    def share_of_cutmix(probability):
        return np.mean([len(mixed(s, switch_probability=probability)[0][0].unique()) > 1 for s in range(200)])

    assert share_of_cutmix(0.0) == 0
    assert 0 < share_of_cutmix(0.2) < share_of_cutmix(1.0)


def test_a_larger_alpha_mixes_more_evenly():
    def evenness(alpha):
        return np.mean([mixed(s, mixup_alpha=alpha, cutmix_alpha=0)[1].max().item() for s in range(100)])

    assert evenness(8.0) < evenness(0.1)


def test_the_draws_are_those_of_the_generator():
    assert torch.equal(mixed(3)[0], mixed(3)[0])
    assert not torch.equal(mixed(3)[0], mixed(4)[0])


def test_the_classes_are_as_many_as_are_told():
    assert MixupCutmix(7)(IMAGES, LABELS, np.random.default_rng(0))[1].shape == (8, 7)


@pytest.mark.parametrize(
    "settings", [{"mixup_alpha": -1}, {"mixup_alpha": 0, "cutmix_alpha": 0}, {"switch_probability": 1.1}]
)
def test_illegal_values_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        MixupCutmix(4, **settings)
