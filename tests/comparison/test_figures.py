import numpy as np
from PIL import Image

from vitlab.comparison.effects import main_effects
from vitlab.comparison.figures import draw, effect_title, mean_curve

TABLE = {(4, 2): [0.50, 0.52], (8, 2): [0.60, 0.63], (4, 4): [0.30, 0.32], (8, 4): [0.40, 0.42]}


def test_every_picture_is_there_and_shows_something(sweep, tmp_path):
    paths = draw(sweep(TABLE), tmp_path)
    assert [path.name for path in paths] == ["curves.png", "effects.png", "interactions.png", "costs.png"]
    for path in paths:
        pixels = np.asarray(Image.open(path).convert("L"))
        assert min(pixels.shape) > 300
        assert 0.01 < (pixels < 200).mean() < 0.5


def test_one_run_has_curves_and_nothing_to_compare(sweep, tmp_path):
    assert [path.name for path in draw(sweep({(4, 2): [0.5]}), tmp_path)] == ["curves.png"]


def test_a_curve_is_the_mean_of_the_seeds_where_all_were_validated(sweep):
    (group,) = sweep({(4, 2): [0.5, 0.7]}).groups
    group.runs[1].rows = group.runs[1].rows[:1]  # of one seed the second validation is missing
    epochs, mean, low, high = mean_curve(group)
    assert (list(epochs), list(mean), list(low), list(high)) == ([1], [0.6], [0.5], [0.7])


def test_the_title_of_an_effect_says_what_was_found(sweep):
    comparison = sweep(TABLE)
    depth, _ = main_effects(comparison)
    assert effect_title(comparison, depth).startswith("8 ")
    assert "points" in effect_title(comparison, depth)


def test_a_figure_that_is_missing_or_no_number_draws_all_the_same(sweep, tmp_path):
    comparison = sweep(TABLE)
    for run in comparison.runs[:2]:
        run.figures.pop("parameters")
        run.rows = [{**row, "val/accuracy": None} for row in run.rows]
    assert draw(comparison, tmp_path)
