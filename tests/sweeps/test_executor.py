"""The executors keep the protocol that the loop asks for, parameter by parameter."""

import inspect

import pytest

from vitlab.sweeps import executor
from vitlab.sweeps.local import LocalExecutor, LocalJob

PAIRS = [(executor.Executor, LocalExecutor), (executor.Running, LocalJob)]


@pytest.mark.parametrize(("protocol", "cls"), PAIRS, ids=lambda c: c.__name__)
def test_methods_take_what_the_loop_gives_them(protocol, cls):
    for name, member in inspect.getmembers(protocol, inspect.isfunction):
        if not name.startswith("_"):
            assert list(inspect.signature(getattr(cls, name)).parameters) == list(inspect.signature(member).parameters)
