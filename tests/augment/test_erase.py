import numpy as np
import pytest
import torch

from vitlab.augment.erase import RandomErasing


def erased(seed=0, count=2000, **settings):
    ones = torch.ones(count, 2, 16, 24)
    return RandomErasing(**settings)(ones, np.random.default_rng(seed)) == 0


def test_what_is_blank_is_one_rectangle_in_all_channels():
    for blank in erased(probability=1.0, count=300):
        assert torch.equal(blank[0], blank[1])
        rows, columns = blank[0].any(1), blank[0].any(0)
        assert torch.equal(blank[0], rows[:, None] & columns[None, :])
        assert rows.sum() == rows.nonzero().max() - rows.nonzero().min() + 1


def test_about_as_many_images_as_wanted_are_touched():
    touched = erased(probability=0.3).flatten(1).any(1).float().mean().item()
    assert touched == pytest.approx(0.3, abs=0.04)
    assert not erased(probability=0.0).any()


def test_the_area_and_the_aspect_lie_in_their_ranges():
    blank = erased(probability=1.0, area=[0.1, 0.2], aspect=[0.5, 2.0])[:, 0]
    heights, widths = blank.any(2).sum(1), blank.any(1).sum(1)
    share = (heights * widths) / (16 * 24)
    assert 0.07 < share.min() < 0.12
    assert 0.18 < share.max() < 0.24
    aspect = heights / widths
    assert 0.4 < aspect.min() < 0.6
    assert 1.6 < aspect.max() < 2.5


def test_every_place_can_be_blanked():
    assert erased(probability=1.0).any(0).all()


def test_the_draws_are_those_of_the_generator():
    assert torch.equal(erased(seed=1), erased(seed=1))
    assert not torch.equal(erased(seed=1), erased(seed=2))


@pytest.mark.parametrize("settings", [{"probability": 1.5}, {"area": [0.5, 0.1]}, {"area": [0, 2]}, {"aspect": [0, 1]}])
def test_illegal_values_are_refused(settings):
    with pytest.raises(ValueError, match=next(iter(settings))):
        RandomErasing(**settings)
