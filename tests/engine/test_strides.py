import math

import pytest
import torch
from torch import nn

from vitlab.engine.distributed import ALONE
from vitlab.engine.strides import Stride

LR = 0.1


def with_gradient(frozen=False):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.GELU(), nn.Linear(4, 2))
    model[0].requires_grad_(not frozen)
    model(torch.randn(5, 3)).square().sum().backward()
    return model


def whole_norm(tensors):
    return torch.cat([tensor.flatten() for tensor in tensors]).norm().item()


def taken(model, grad_norm=None, lr=LR):
    gradients = [p.grad for p in model.parameters() if p.grad is not None]
    grad_norm = torch.tensor(whole_norm(gradients)) if grad_norm is None else grad_norm
    stride = Stride(model, grad_norm, ALONE)
    torch.optim.SGD(model.parameters(), lr=lr).step()
    stride.end()
    return stride.read()


def test_gradients_and_ratios_are_those_of_plain_sgd_worked_out():
    model = with_gradient()
    gradients = {i: whole_norm([p.grad for p in model[i].parameters()]) for i in (0, 2)}
    found = taken(model)
    for i in (0, 2):
        assert found[f"layer0{i}/grad_norm"] == pytest.approx(gradients[i])
        expected = LR * gradients[i] / whole_norm([p.detach() for p in model[i].parameters()])
        assert found[f"layer0{i}/update_ratio"] == pytest.approx(expected, rel=1e-4)
    expected = LR * math.hypot(*gradients.values()) / whole_norm([p.detach() for p in model.parameters()])
    assert found["update_ratio"] == pytest.approx(expected, rel=1e-4)


def test_gradients_that_were_clipped_are_told_as_they_were_before():
    plain, clipped = with_gradient(), with_gradient()
    norm = nn.utils.clip_grad_norm_(clipped.parameters(), 1e-3)
    expected, found = taken(plain), taken(clipped, norm)
    for name in ("layer00/grad_norm", "layer02/grad_norm"):
        assert found[name] == pytest.approx(expected[name], rel=1e-3)
    assert found["update_ratio"] < expected["update_ratio"] / 100


def test_what_is_frozen_is_left_out():
    assert set(taken(with_gradient(frozen=True))) == {"layer02/grad_norm", "layer02/update_ratio", "update_ratio"}


def test_weights_that_begin_at_zero_have_a_ratio():
    model = with_gradient()
    nn.init.zeros_(model[0].weight)
    nn.init.zeros_(model[0].bias)
    assert taken(model)["layer00/update_ratio"] == pytest.approx(1, abs=1e-3)


def test_a_gradient_that_is_not_finite_has_no_stride():
    assert taken(with_gradient(), torch.tensor(math.inf)) is None
    assert taken(with_gradient(), torch.tensor(math.nan)) is None
