"""The executors keep the protocol that the loop asks for, parameter by parameter."""

import inspect

import pytest

from vitlab.sweeps.executor import Executor, Running
from vitlab.sweeps.local import LocalExecutor, LocalJob
from vitlab.sweeps.ray import RayExecutor, _RayRunning
from vitlab.sweeps.slurm import SlurmExecutor, _SlurmRunning

PAIRS = [
    *((Executor, kind) for kind in (LocalExecutor, SlurmExecutor, RayExecutor)),
    *((Running, kind) for kind in (LocalJob, _SlurmRunning, _RayRunning)),
]


def public(kind):
    return {name: value for name, value in vars(kind).items() if not name.startswith("_")}


@pytest.mark.parametrize(("protocol", "kind"), PAIRS)
def test_an_executor_is_called_as_the_protocol_says(protocol, kind):
    assert public(kind).keys() >= public(protocol).keys()
    for name, asked in public(protocol).items():
        if inspect.isfunction(asked):
            assert list(inspect.signature(getattr(kind, name)).parameters) == list(inspect.signature(asked).parameters)
