from dataclasses import replace

import numpy as np
import pytest
import torch
from torchvision.transforms import TrivialAugmentWide

from vitlab.augment.trivial import TrivialAugment, wide_space


def images(count=256, channels=3, size=32):
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(0))


def test_the_space_is_torchvision_s():
    names = {
        "shear_x": "ShearX",
        "shear_y": "ShearY",
        "translate_x": "TranslateX",
        "translate_y": "TranslateY",
        "auto_contrast": "AutoContrast",
    }
    theirs = TrivialAugmentWide()._augmentation_space(31)
    ours = {names.get(o.apply.__name__, o.apply.__name__.capitalize()): o for o in wide_space(32)}
    assert ours.keys() == theirs.keys()
    for name, (strengths, signed) in theirs.items():
        assert ours[name].signed == signed, name
        if strengths.ndim:
            unit = 255 if name == "Solarize" else 1
            assert ours[name].weakest == pytest.approx(strengths[0].item() / unit), name
            assert ours[name].strongest == pytest.approx(strengths[-1].item() / unit), name


def test_small_images_are_not_moved_out_of_sight():
    assert {o.strongest for o in wide_space(8) if "translate" in o.apply.__name__} == {8.0}


@pytest.mark.parametrize("channels", [1, 3])
def test_images_stay_images_and_most_are_changed(channels):
    batch = images(channels=channels)
    out = TrivialAugment()(batch, np.random.default_rng(0))
    assert out.shape == batch.shape
    assert out.min() >= 0
    assert out.max() <= 1
    changed = (out != batch).flatten(1).any(1).float().mean()
    assert 0.7 < changed < 1


def test_each_image_gets_an_operation_of_its_own():
    same = images(1).expand(200, -1, -1, -1)
    out = TrivialAugment()(same, np.random.default_rng(0))
    assert len({image.numpy().tobytes() for image in out}) > 100


def test_weaker_draws_change_less():
    batch = images()

    def distance(strongest):
        return (TrivialAugment(strongest)(batch, np.random.default_rng(0)) - batch).abs().mean()

    assert distance(0.1) < distance(1.0)


def test_each_image_keeps_its_place():
    batch = images(64)
    alone = torch.zeros_like(batch)
    alone[17] = batch[17]
    together, lonely = (TrivialAugment()(b, np.random.default_rng(0)) for b in (batch, alone))
    assert torch.equal(together[17], lonely[17])


def test_strengths_are_even_between_the_weakest_and_the_strongest(monkeypatch):
    seen = {}
    space = wide_space(32)

    def recorder(name):
        def record(images, strength):
            seen[name] = strength
            return images

        return record

    recorders = tuple(replace(o, apply=recorder(o.apply.__name__)) for o in space)
    monkeypatch.setattr("vitlab.augment.trivial.wide_space", lambda size: recorders)
    TrivialAugment()(images(7000, 1, 2), np.random.default_rng(0))
    assert sum(len(strengths) for strengths in seen.values()) == 7000
    assert set(seen["posterize"].tolist()) == {8, 7, 6, 5, 4, 3, 2}
    for operation in space:
        strengths = seen[operation.apply.__name__]
        ends = sorted((-operation.strongest if operation.signed else operation.weakest, operation.strongest))
        assert [strengths.min().item(), strengths.max().item()] == pytest.approx(ends)
        assert strengths.mean().item() == pytest.approx(sum(ends) / 2, abs=0.1 * (ends[1] - ends[0]))


def test_the_draws_are_those_of_the_generator():
    one, same, other = (TrivialAugment()(images(), np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert torch.equal(one, same)
    assert not torch.equal(one, other)


def test_an_illegal_strength_is_refused():
    with pytest.raises(ValueError, match="strongest=2"):
        TrivialAugment(2)
