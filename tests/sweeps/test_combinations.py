import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given
from hypothesis import strategies as st

from vitlab.errors import VitlabError
from vitlab.sweeps.combinations import combinations, varied, written

NONE = {"grid": {}, "zip": {}, "jobs": []}


def jobs(*typed, **sweep):
    return combinations(OverridesParser.create().parse_overrides(list(typed)), {**NONE, **sweep})


def test_lists_on_the_command_line_go_each_with_each():
    expected = [["a=1", "b=x", "c=5"], ["a=1", "b=y", "c=5"], ["a=2", "b=x", "c=5"], ["a=2", "b=y", "c=5"]]
    assert jobs("a=1,2", "b=x,y", "c=5") == expected
    assert jobs("a=range(1,4)") == [["a=1"], ["a=2"], ["a=3"]]
    assert jobs() == [[]]


def test_a_grid_of_the_config_is_the_same_as_lists_on_the_command_line():
    assert jobs("c=5", grid={"a": [1, 2], "b": ["x", "y"]}) == jobs("a=1,2", "b=x,y", "c=5")
    assert jobs(grid={"model": {"depth": [1, 2]}}) == jobs(grid={"model.depth": [1, 2]})


def test_the_command_line_counts_in_place_of_the_grid_s_list():
    assert jobs("a=9", grid={"a": [1, 2], "b": [3, 4]}) == [["b=3", "a=9"], ["b=4", "a=9"]]


def test_zipped_lists_go_side_by_side_and_with_each_of_the_others():
    assert jobs("c=5,6", zip={"a": [1, 2], "b": [3, 4]}) == [
        ["a=1", "b=3", "c=5"],
        ["a=1", "b=3", "c=6"],
        ["a=2", "b=4", "c=5"],
        ["a=2", "b=4", "c=6"],
    ]


def test_explicit_jobs_are_taken_as_they_stand():
    assert jobs("c=5", jobs=[{"a": 1}, {"a": 2, "b": 7}]) == [["a=1", "c=5"], ["a=2", "b=7", "c=5"]]


def test_what_speaks_of_the_sweep_is_no_part_of_a_job():
    assert jobs("sweep=seeds", "sweep.illegal=refuse", "sweep.grid={a:[1]}", "b=2") == [["b=2"]]


@pytest.mark.parametrize(
    ("typed", "sweep", "message"),
    [
        (["a=interval(0,1)"], {}, "a=interval\\(0,1\\) has no steps to go through"),
        ([], {"zip": {"a": [1, 2], "b": [1]}}, "differ in length: a has 2, b has 1"),
        ([], {"grid": {"a": 4}}, "sweep.grid.a=4 is no list of values"),
        ([], {"grid": {"a": []}}, "sweep.grid.a=\\[\\] is no list of values"),
        ([], {"grid": [1]}, "sweep.grid=\\[1\\] holds no keys with lists"),
        ([], {"jobs": [1]}, "sweep.jobs is a list of combinations, as in"),
        (["a=1"], {"zip": {"a": [1, 2]}}, "a is given twice"),
        ([], {"zip": {"a": [1, 2]}, "jobs": [{"a": 1}]}, "a is given twice"),
    ],
)
def test_contradictions_are_refused_by_name(typed, sweep, message):
    with pytest.raises(VitlabError, match=message):
        jobs(*typed, **sweep)


def test_varied_is_what_not_all_jobs_share():
    assert varied([["a=1", "b=2"], ["a=1", "b=3"]]) == [["b=2"], ["b=3"]]
    assert varied([["a=1"]]) == [[]]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(VALUES)
def test_a_written_value_is_read_by_hydra_as_what_it_was(value):
    override = OverridesParser.create().parse_override(f"key={written(value)}")
    assert not override.is_sweep_override()
    assert override.value() == value


@pytest.mark.parametrize(
    "text", ["A¹", "params:3.5M", "0.05 of run", "a,b", "true", "1e-3", "it's", "[x]", "", "x y", "ü\\"]
)
def test_strings_stay_strings(text):
    value = OverridesParser.create().parse_override(f"key={written(text)}").value()
    assert value == text
    assert isinstance(value, str)
