import copy

import pytest
import torch
from torch import nn

from vitlab.engine.snapshot import first_difference_of_states, restore, snapshot, values_of, weights_to_evaluate
from vitlab.errors import VitlabError


@pytest.fixture
def state(make_trainer):
    return copy.deepcopy(snapshot(make_trainer(ema_decay=0.9)))


def test_it_holds_tensors_and_plain_values_only(state):
    def check(value):
        if isinstance(value, dict):
            [check(inner) for pair in value.items() for inner in pair]
        elif isinstance(value, list | tuple):
            [check(inner) for inner in value]
        else:
            assert value is None or type(value) in (bool, int, float, str) or isinstance(value, torch.Tensor), value

    check(state)


def test_weights_of_another_architecture_are_refused(make_trainer, state):
    other = make_trainer(model=nn.Sequential(nn.Flatten(), nn.Linear(16, 5)))
    with pytest.raises(VitlabError, match="another architecture"):
        restore(other, state, pytest.fail)


@pytest.mark.parametrize("missing", ["ema", "optimizer", "scaler", "generators", "best", "window", "rows", "seconds"])
def test_a_state_that_is_not_whole_is_refused(make_trainer, state, missing):
    del state[missing]
    with pytest.raises(VitlabError, match="does not fit this run"):
        restore(make_trainer(ema_decay=0.9), state, pytest.fail)


def test_a_state_of_another_optimizer_is_refused(make_trainer, state):
    other = make_trainer(ema_decay=0.9, optimizer=lambda m: torch.optim.SGD([{"params": [p]} for p in m.parameters()]))
    with pytest.raises(VitlabError, match="does not fit this run"):
        restore(other, state, pytest.fail)


def test_generators_of_other_devices_are_told(make_trainer, state):
    state["generators"][0]["mps"] = [torch.zeros(1)]
    said = []
    restore(make_trainer(ema_decay=0.9), state, said.append)
    assert "from other devices" in said[0]


def test_the_average_counts_where_there_is_one(state):
    assert weights_to_evaluate(state) is state["ema"]["model"]
    assert weights_to_evaluate({**state, "ema": None}) is state["model"]


def test_the_first_value_that_differs_is_named_and_the_clock_is_none(state):
    other = copy.deepcopy(state)
    other["seconds"] += 1
    assert first_difference_of_states(state, other) is None
    other["generators"][0]["cpu"][5] ^= 1
    assert first_difference_of_states(state, other) == "generators.0.cpu"
    del other["model"]["1.weight"]
    assert first_difference_of_states(state, other) == "model.1.weight"
    assert "optimizer.param_groups.0.lr" in values_of(state)
