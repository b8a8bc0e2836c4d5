from dataclasses import replace

import numpy as np
import pytest
import torch
from timm.data.auto_augment import _RAND_INCREASING_TRANSFORMS, _RAND_TRANSFORMS, LEVEL_TO_ARG

from vitlab.augment.operation import apply_chosen
from vitlab.augment.rand import RandAugment, increasing_space, original_space

# What timm calls them; those whose strengths do not always grow have an ``Increasing`` behind that.
TIMM = {
    "auto_contrast": "AutoContrast",
    "solarize_add": "SolarizeAdd",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateXRel",
    "translate_y": "TranslateYRel",
}
INCREASING = ("Posterize", "Solarize", "Color", "Contrast", "Brightness", "Sharpness")
# What timm's arguments mean in units of ours: factors around 1, values in 0..255, shares of the width.
UNITS = {
    **dict.fromkeys(("color", "contrast", "brightness", "sharpness"), lambda value: value - 1),
    **dict.fromkeys(("solarize", "solarize_add"), lambda value: value / 255),
    **dict.fromkeys(("translate_x", "translate_y"), lambda value: value * 32),
}


def images(count=256, channels=3, size=32):
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def strength_of(operation, level):
    """What it is done with, found by doing it."""
    seen = []
    recorder = replace(operation, apply=lambda images, strength: seen.append(strength.item()) or images)
    apply_chosen((recorder,), torch.zeros(1, 1, 2, 2), np.array([0]), np.array([level]), np.array([1.0]))
    return seen[0]


@pytest.mark.parametrize(
    ("space", "suffix", "theirs"),
    [(increasing_space, "Increasing", _RAND_INCREASING_TRANSFORMS), (original_space, "", _RAND_TRANSFORMS)],
)
def test_the_operations_are_timm_s_at_every_level(space, suffix, theirs):
    ours = {}
    for operation in space(32):
        name = TIMM.get(operation.apply.__name__, operation.apply.__name__.capitalize())
        ours[name + (suffix if name in INCREASING else "")] = operation
    assert ours.keys() == set(theirs)
    for name, operation in ours.items():
        if LEVEL_TO_ARG[name] is None:
            assert operation.strongest == 0
            continue
        unit = UNITS.get(operation.apply.__name__, lambda value: value)
        for level in range(11):
            expected, found = unit(LEVEL_TO_ARG[name](level, {})[0]), strength_of(operation, level / 10)
            assert (abs(found) if operation.signed else found) == pytest.approx(
                abs(expected) if operation.signed else expected, abs=1 / 255
            ), (name, level)


def test_few_images_become_black():
    batch = images(4000, 3, 8)
    out = RandAugment()(batch, np.random.default_rng(0))
    assert (out == 0).flatten(1).all(1).float().mean() < 0.005


@pytest.mark.parametrize("channels", [1, 3])
def test_images_stay_images(channels):
    batch = images(channels=channels)
    out = RandAugment(strength=1.0, probability=1.0)(batch, np.random.default_rng(0))
    assert out.shape == batch.shape
    assert out.min() >= 0
    assert out.max() <= 1


def test_each_operation_is_done_with_its_probability():
    batch = images(4000, 3, 8)

    def changed(count, probability):
        out = RandAugment(count, strength=1.0, probability=probability)(batch, np.random.default_rng(0))
        return (out != batch).flatten(1).any(1).float().mean().item()

    assert changed(3, 0.0) == 0
    assert changed(1, 1.0) > 0.9
    assert changed(1, 0.5) == pytest.approx(changed(1, 1.0) / 2, abs=0.03)
    assert changed(2, 0.5) == pytest.approx(1 - (1 - changed(1, 0.5)) ** 2, abs=0.03)


def test_strengths_lie_about_the_one_that_is_set(monkeypatch):
    seen = []
    monkeypatch.setattr(
        "vitlab.augment.rand.apply_chosen", lambda space, images, chosen, level, sign: seen.append(level) or images
    )
    RandAugment(2, strength=0.7, spread=0.1)(images(5000, 1, 2), np.random.default_rng(0))
    assert len(seen) == 2
    assert np.mean(seen) == pytest.approx(0.7, abs=0.01)
    assert np.std(seen) == pytest.approx(0.1, abs=0.01)
    assert np.max(seen) <= 1


def test_the_draws_are_those_of_the_generator():
    one, same, other = (RandAugment()(images(), np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


@pytest.mark.parametrize("wrong", [{"count": 0}, {"strength": 2}, {"spread": -1}, {"probability": 1.5}])
def test_illegal_values_are_refused(wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        RandAugment(**wrong)
