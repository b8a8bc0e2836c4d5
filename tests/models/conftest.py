"""What the tests of the models share: the same random numbers each time, and a check of gradients."""

import pytest
import torch


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


@pytest.fixture
def gradients():
    """``gradients(module, *inputs)``: names of the parameters whose gradient is missing or zero."""

    def missing(module, *inputs):
        out = module(*inputs)
        (out * torch.randn_like(out)).sum().backward()
        return [name for name, p in module.named_parameters() if p.grad is None or p.grad.abs().sum() == 0]

    return missing
