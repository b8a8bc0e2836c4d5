import numpy as np
import pytest
import torch

from vitlab.augment.erase import RandomErasing
from vitlab.augment.geometry import HorizontalFlip, PadCrop
from vitlab.augment.mix import MixupCutmix
from vitlab.augment.pipeline import Augment
from vitlab.augment.trivial import TrivialAugment
from vitlab.config.build import build
from vitlab.config.compose import resolved

MEAN, STD = [0.4, 0.5, 0.6], [0.2, 0.3, 0.4]
IMAGES = torch.randint(0, 256, (12, 3, 16, 16), generator=torch.Generator().manual_seed(0)).byte()
LABELS = torch.arange(12) % 5
SLOTS = {
    "crop": PadCrop(),
    "flip": HorizontalFlip(),
    "policy": TrivialAugment(),
    "erase": RandomErasing(1.0),
    "mix": MixupCutmix(5),
}


def train(augment, seed=0):
    return augment.train(IMAGES, LABELS, np.random.default_rng(seed))


def by_hand():
    mean, std = (torch.tensor(values)[:, None, None] for values in (MEAN, STD))
    return (IMAGES.float() / 255 - mean) / std


def test_alone_it_normalises_as_its_formula_says():
    augment = Augment(MEAN, STD)
    images, targets = train(augment)
    assert torch.allclose(images, by_hand(), atol=1e-6)
    assert torch.equal(targets, LABELS)
    assert torch.equal(augment.eval(IMAGES), images)


@pytest.mark.parametrize("slot", SLOTS)
def test_every_slot_does_its_work_while_training_only(slot):
    augment = Augment(MEAN, STD, **{slot: SLOTS[slot]})
    images, targets = train(augment)
    assert not torch.equal(images, train(Augment(MEAN, STD))[0])
    assert torch.allclose(augment.eval(IMAGES), by_hand(), atol=1e-6)
    assert targets.shape == ((12, 5) if slot == "mix" else (12,))


def test_the_images_that_came_in_are_left_alone():
    before = IMAGES.clone()
    train(Augment(MEAN, STD, **SLOTS))
    assert torch.equal(IMAGES, before)


def test_the_same_draws_make_the_same_batch():
    augment = Augment(MEAN, STD, **SLOTS)
    (one, shares), (same, same_shares), (other, _) = (train(augment, seed) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert torch.equal(shares, same_shares)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("name", ["none", "light", "strong"])
@pytest.mark.parametrize("data", ["digits", "mnist", "cifar10"])
def test_every_option_works_for_grey_and_for_colour(compose, name, data):
    cfg = resolved(compose([f"data={data}", f"augment={name}"]))
    size, channels = cfg.data.image_size, cfg.data.channels
    images = torch.randint(0, 256, (6, channels, size, size)).byte()
    out, targets = build(cfg, "augment").train(images, torch.arange(6), np.random.default_rng(0))
    assert out.shape == images.shape
    assert out.dtype == torch.float32
    assert out.isfinite().all()
    assert targets.shape == ((6, 10) if name == "strong" else (6,))


def test_a_slot_that_holds_no_operation_is_refused():
    with pytest.raises(ValueError, match="mix=none is no operation; mix=null leaves it out"):
        Augment([0.5], [0.5], mix="none")
