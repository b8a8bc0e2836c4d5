"""The parts that vitlab ships keep the contracts that the loop asks for, parameter by parameter."""

import inspect

import pytest
import torch

from vitlab.augment.pipeline import Augment
from vitlab.data.batches import MemoryBatches, StreamBatches
from vitlab.data.image_data import ImageData
from vitlab.engine import contracts
from vitlab.engine.stop import GracefulStop
from vitlab.optim.muon import MuonAdamW
from vitlab.tracking.fanout import Fanout

PAIRS = [
    (contracts.Data, ImageData),
    (contracts.Batches, MemoryBatches),
    (contracts.Batches, StreamBatches),
    (contracts.Augment, Augment),
    (contracts.Tracker, Fanout),
    (contracts.StopSignal, GracefulStop),
    (contracts.Optimizer, MuonAdamW),
    (contracts.Optimizer, torch.optim.AdamW),
]


def methods(contract):
    return {
        name: inspect.signature(member)
        for name, member in vars(contract).items()
        if inspect.isfunction(member) and name not in ("__init__", "__subclasshook__", "_no_init_or_replace_init")
    }


@pytest.mark.parametrize(("contract", "part"), PAIRS, ids=lambda c: c.__name__)
def test_a_part_takes_what_its_contract_hands_it(contract, part):
    assert methods(contract)
    for name, wanted in methods(contract).items():
        offered = inspect.signature(getattr(part, name)).parameters
        for parameter in wanted.parameters.values():
            by_position = parameter.kind is parameter.POSITIONAL_ONLY
            assert by_position or parameter.name in offered, f"{part.__name__}.{name} lacks {parameter.name}"
        required = [p.name for p in offered.values() if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD]
        assert len(required) <= len(wanted.parameters)
