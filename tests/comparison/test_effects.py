import pytest

from vitlab.comparison.effects import interactions, main_effects

# depth 8 gives +0.1, patch 4 gives -0.2; the seeds shift everything.
TABLE = {(4, 2): [0.50, 0.52], (8, 2): [0.60, 0.62], (4, 4): [0.30, 0.32], (8, 4): [0.40, 0.42]}


def by_key(comparison):
    return {effect.key.name: effect for effect in main_effects(comparison)}


def test_a_main_effect_is_the_mean_over_all_others_for_each_seed(sweep):
    effects = by_key(sweep(TABLE))
    depth = effects["model.depth"]
    assert depth.levels == ["4", "8"]
    assert depth.by_seed["4"] == {0: pytest.approx(0.40), 1: pytest.approx(0.42)}
    assert depth.by_seed["8"] == {0: pytest.approx(0.50), 1: pytest.approx(0.52)}
    assert depth.cells == 2
    assert depth.balanced
    patch = effects["model.patch_size"]
    assert patch.intervals["4"].mean - patch.intervals["2"].mean == pytest.approx(-0.2)


def test_where_a_combination_is_missing_only_shared_settings_are_compared(sweep):
    table = {levels: accuracies for levels, accuracies in TABLE.items() if levels != (8, 4)}
    depth = by_key(sweep(table))["model.depth"]
    assert depth.cells == 1  # patch 2, which both depths have; else depth 4 would be drawn down by patch 4
    assert depth.intervals["8"].mean - depth.intervals["4"].mean == pytest.approx(0.1)


def test_where_nothing_is_shared_it_is_said_that_others_are_mixed_in(sweep):
    effects = by_key(sweep({(4, 2): [0.5], (8, 4): [0.6], (6, 2): [0.55]}))
    assert not effects["model.depth"].balanced


def test_seeds_that_not_all_settings_have_are_left_out_of_the_pairs(sweep):
    table = {**TABLE, (8, 4): [0.40]}
    depth = by_key(sweep(table))["model.depth"]
    assert depth.by_seed["8"] == {0: pytest.approx(0.5)}
    assert set(depth.by_seed["4"]) == {0, 1}


def test_an_interaction_is_the_mean_at_each_pair_of_levels(sweep):
    ((first, second, means),) = interactions(sweep(TABLE))
    assert (first.name, second.name) == ("model.depth", "model.patch_size")
    assert means == {(str(d), str(p)): pytest.approx(sum(a) / 2) for (d, p), a in TABLE.items()}
