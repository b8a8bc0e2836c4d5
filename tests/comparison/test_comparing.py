import pytest

from vitlab.comparison.comparing import Key, as_sortable, compare, differing_keys, value_of
from vitlab.comparison.loading import load
from vitlab.errors import VitlabError


def keys(tmp_path):
    return differing_keys(load([tmp_path]).runs)


def test_runs_that_differ_in_their_seed_alone_are_one_setting(sweep):
    comparison = sweep({(4, 2): [0.9, 0.8], (8, 2): [0.7]})
    assert [key.name for key in comparison.keys] == ["model.depth"]
    assert [(group.values, group.metric) for group in comparison.groups] == [
        (("4",), {0: 0.9, 1: 0.8}),
        (("8",), {0: 0.7}),
    ]
    assert comparison.label(comparison.groups[0]) == "depth=4"


def test_settings_that_change_together_are_one_key_and_both_are_named(make_run, tmp_path):
    make_run("a", 0.5, **{"model.depth": 4, "optimizer.lr": 0.1})
    make_run("b", 0.5, **{"model.depth": 8, "optimizer.lr": 0.2})
    assert keys(tmp_path) == [Key("model.depth", ("optimizer.lr",))]


def test_a_choice_of_a_group_stands_for_what_follows_from_it(make_run, tmp_path):
    for name, windows in (("full", {}), ("window", {"model.attention.window_size": 4})):
        settings = {"model.attention._target_": name, **windows}
        make_run(name, 0.5, typed=[f"model/attention={name}"], **settings)
    (key,) = keys(tmp_path)
    assert key == Key("model/attention")
    assert [value_of(run, key) for run in load([tmp_path]).runs] == ["full", "window"]


def test_where_and_how_a_run_was_done_is_no_difference(make_run, tmp_path):
    make_run("a", 0.5, **{"data.root": "/a", "tracker.project": "x", "trainer.device": "cpu", "seed": 1})
    make_run("b", 0.5, **{"data.root": "/b", "tracker.project": "y", "trainer.device": "cuda", "seed": 2})
    assert keys(tmp_path) == []


def test_a_setting_that_one_run_has_not_is_a_dash(make_run, tmp_path):
    make_run("a", 0.5)
    make_run("b", 0.5, **{"model.window_size": 4})
    (key,) = keys(tmp_path)
    assert [value_of(run, key) for run in load([tmp_path]).runs] == ["–", "4"]


def test_a_seed_that_was_run_twice_counts_once(make_run, tmp_path):
    make_run("a", 0.5)
    make_run("b", 0.7)
    comparison = compare(load([tmp_path]))
    assert comparison.groups[0].metric == {0: pytest.approx(0.6)}
    assert comparison.interval(comparison.groups[0]).n == 1


def test_the_best_comes_first_whether_more_or_less_is_better(sweep, tmp_path):
    comparison = sweep({(4, 2): [0.7], (8, 2): [0.9]})
    assert comparison.groups[0].values == ("8",)
    assert compare(load([tmp_path]), "val_loss").groups[0].values == ("8",)
    assert compare(load([tmp_path]), "seconds").groups[0].values == ("4",)
    assert compare(load([tmp_path]), "val/loss").groups[0].figure("val/loss") == 0.25


def test_a_metric_that_no_run_has_names_those_there_are(sweep):
    with pytest.raises(VitlabError, match=r"metric=val_acuracy: no run has it; did you mean val_accuracy"):
        sweep({(4, 2): [0.7]}, metric="val_acuracy")


def test_runs_without_the_metric_are_left_out(make_run, tmp_path):
    make_run("a", 0.5)
    make_run("b", None, **{"model.depth": 8})
    comparison = compare(load([tmp_path]))
    assert comparison.left_out == [("b", "has no val_accuracy")]


def test_levels_are_sorted_as_people_count():
    assert sorted(["10", "9", "x", "1e-3"], key=as_sortable) == ["1e-3", "9", "10", "x"]
