"""What is done in several processes is tried in ``test_distributed.py``."""

import pytest
import torch
from torch import nn

from vitlab.engine.distributed import ALONE
from vitlab.engine.parallel import Copies, distribute, meeting


@pytest.fixture
def group(tmp_path):
    """A group of this process alone."""
    torch.distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/group", rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


class Net(nn.Linear):
    depth = 3


CPU = torch.device("cpu")


def test_alone_a_model_is_left_as_it_is():
    model = Net(2, 2)
    for kind in ("ddp", "fsdp"):
        assert distribute(model, None, kind, CPU, ALONE) is model


def test_what_cannot_be_had_is_refused():
    with pytest.raises(ValueError, match="parallel=dpp is not one of ddp, fsdp"):
        distribute(Net(2, 2), None, "dpp", CPU, ALONE)


def test_a_copy_answers_as_the_model_does(group):
    copy = Copies(Net(2, 2))
    assert copy.depth == 3
    assert copy.module.depth == 3
    with pytest.raises(AttributeError, match="width"):
        copy.width  # noqa: B018


def test_gradients_meet_when_they_are_told_to(group):
    copy = Copies(Net(2, 2))
    met = []
    copy.register_comm_hook(None, lambda _, bucket: _met(met, bucket))
    for now in (False, False, True):
        with meeting(copy, now=now):
            copy(torch.ones(1, 2)).sum().backward()
        assert len(met) == int(now)


def _met(met, bucket):
    met.append(1)
    future = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future
