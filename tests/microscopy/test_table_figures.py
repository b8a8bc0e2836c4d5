import numpy as np

from vitlab.microscopy.table_figures import aligned, lost


def test_another_run_has_a_table_of_its_own(observation):
    own, beside, *_ = aligned(observation.found).axes
    assert np.allclose(own.images[0].get_array(), observation.found["cka"])
    assert beside.images[0].get_array().shape == (3, 4)
    assert "another" in beside.get_xlabel()
    del observation.found["cka_other"]
    assert len(aligned(observation.found).axes) == 2  # the table and its scale


def test_a_loss_stands_at_its_block_and_head_and_that_of_positions_below(observation):
    axes, _ = lost(observation.found).axes
    table = axes.images[0].get_array()
    assert table.shape == (2, 4)
    rows = observation.found["ablation"]["rows"]
    expected = next(row for row in rows if (row["block"], row["head"]) == (2, 3))
    assert table[1, 2] == 100 * expected["drop"]
    assert table[1, 3] == 100 * next(row for row in rows if (row["block"], row["head"]) == (2, None))["drop"]
    assert f"without positions: {100 * rows[-1]['drop']:.1f} points" in axes.get_xlabel()


def test_a_number_of_cka_has_its_sign(observation):
    observation.found["cka"] = [[1.0, -0.05, 0.999], [-0.05, 1.0, -0.001], [0.999, -0.001, 1.0]]
    written = [text.get_text() for text in aligned(observation.found).axes[0].texts]
    assert written == ["1", "-.05", "1", "-.05", "1", ".00", "1", ".00", "1"]
