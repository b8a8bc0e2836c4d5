import copy

import pytest
import torch
import torch.utils.deterministic
from torch import nn

from vitlab.models.init import torch_default, trunc_normal


def test_weights_are_normal_and_biases_zero(make_vit):
    torch.manual_seed(0)
    model = make_vit(embed_dim=192, init=trunc_normal)
    for module in model.modules():
        if isinstance(module, nn.Linear | nn.Conv2d):
            assert (module.bias == 0).all()
            assert module.weight.abs().max() <= 2
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.2)


def test_torch_default_leaves_the_layers_as_torch_made_them(make_vit):
    made = []
    torch.manual_seed(0)
    model = make_vit(init=lambda model: made.append(copy.deepcopy(model.state_dict())))
    torch_default(model)
    tokens = model.no_weight_decay()
    for name, value in model.state_dict().items():
        assert torch.equal(value, made[0][name]) is (name not in tokens), name


@pytest.mark.parametrize("init", [trunc_normal, torch_default])
def test_positions_and_cls_are_drawn(make_vit, init):
    torch.manual_seed(0)
    model = make_vit(embed_dim=192, init=init)
    for parameter in (model.cls_token, model.position.embedding):
        assert parameter.std().item() == pytest.approx(0.02, rel=0.2)


@pytest.fixture
def memory_full_of_nan():
    """Every tensor that torch makes without setting it is full of NaN, so that a forgotten one cannot hide."""
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("init", [trunc_normal, torch_default])
def test_no_weight_is_left_unset(make_vit, memory_full_of_nan, init):
    assert torch.empty(3).isnan().all()
    model = make_vit(init=init)
    assert all(p.isfinite().all() for p in model.parameters())
