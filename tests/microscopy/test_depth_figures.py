import numpy as np
import pytest

from vitlab.microscopy.depth_figures import alike, distances, focused, shared


def test_each_head_is_a_point_at_its_distance(observation):
    figure = distances(observation.found)
    figure.draw_without_rendering()
    (axes, *_) = figure.axes
    points = np.concatenate([one.get_offsets() for one in axes.collections])
    expected = [(block + 1, far) for block, of in enumerate(observation.found["distance"]["patches"]) for far in of]
    assert np.allclose(points, expected)
    assert axes.child_axes[0].get_ylim()[1] == pytest.approx(2 * axes.get_ylim()[1])  # pixels: patches of two


def test_focus_is_shown_as_a_number_of_tokens(observation):
    (axes,) = focused(observation.found).axes
    points = np.concatenate([one.get_offsets()[:, 1] for one in axes.collections])
    assert np.allclose(np.log(points), np.ravel(observation.found["entropy"]["nats"]))


def test_the_bars_of_a_block_reach_a_hundred_percent(observation):
    (axes,) = shared(observation.found).axes
    tops = [bar.get_y() + bar.get_height() for bar in axes.patches]
    assert tops[-2:] == pytest.approx([100, 100])


def test_the_curve_begins_before_the_first_block(observation):
    (axes,) = alike(observation.found).axes
    assert axes.lines[0].get_xdata().tolist() == [0, 1, 2]
    assert np.allclose(axes.lines[0].get_ydata(), observation.found["similarity"])
