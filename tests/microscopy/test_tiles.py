import numpy as np
import torch

from vitlab.microscopy.tiles import folded, heated, middles, plain, tiled


def test_the_greatest_number_is_the_brightest_patch():
    heat = torch.tensor([[0.0, 0.2], [1.0, -3.0]])
    picture = heated(torch.full((3, 8, 8), 128, dtype=torch.uint8), heat, 16)
    assert picture.shape == (16, 16, 3)
    brightness = picture.mean(axis=2)
    quarters = [brightness[row : row + 8, column : column + 8] for row in (0, 8) for column in (0, 8)]
    assert all(np.ptp(quarter) < 1e-6 for quarter in quarters)  # one colour a patch
    first, second, third, fourth = (quarter.mean() for quarter in quarters)
    assert third > second > first
    assert fourth == first  # less than nothing is nothing
    assert 0 <= picture.min() <= picture.max() <= 1


def test_images_grow_by_repetition_and_shrink_by_means_and_grey_ones_get_three_channels():
    image = torch.tensor([[[0, 255], [255, 0]]], dtype=torch.uint8)
    assert plain(image, 4)[:2, :2].tolist() == np.zeros((2, 2, 3)).tolist()
    assert np.allclose(plain(image, 1), 0.5)


def test_tiles_lie_where_their_middles_say():
    black = np.zeros((5, 5, 3))
    sheet = tiled([[black, black], [black]], gap=3)
    assert sheet.shape == (13, 13, 3)
    assert middles(2, 5, 3) == [2, 10]
    for row, column, shade in ((2, 2, 0), (2, 10, 0), (10, 2, 0), (10, 10, 1), (6, 2, 1)):
        assert sheet[row, column, 0] == shade


def test_titles_begin_with_a_capital_and_are_folded():
    assert folded("one two three", 8) == "One two\nthree"
