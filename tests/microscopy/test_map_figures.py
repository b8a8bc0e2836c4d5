import numpy as np

from vitlab.microscopy.map_figures import heads, rollouts


def test_every_head_of_every_block_has_a_tile_beside_the_image(observation):
    figure = heads(observation.found, observation.maps)
    (axes, _) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["image", "head 1", "head 2", "head 3"]
    sheet = axes.images[0].get_array()
    assert sheet.shape[:2] == (2 * 96 + 8, 4 * 96 + 3 * 8)
    assert np.asarray(sheet[110:, :90]).min() == 1  # nothing below the image
    assert "Attention of CLS" in axes.get_title()


def test_every_image_is_a_column_with_what_it_is_taken_for(observation):
    observation.found["shown"][1]["class"] = "a very long name of a $class$"
    (axes, _) = rollouts(observation.found, observation.maps).axes
    labels = [label.get_text() for label in axes.get_xticklabels()]
    assert labels[0] == "cat\n50%"
    assert labels[1].startswith("a very long nam…\n50%\n(is cat)")
    assert axes.images[0].get_array().shape[:2] == (4 * 96 + 3 * 8, 3 * 96 + 2 * 8)
