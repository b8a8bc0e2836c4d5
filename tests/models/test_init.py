import copy

import pytest
import torch
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


def test_no_weight_is_left_unset(make_vit):
    def fill_with_nan(model):
        with torch.no_grad():
            for module in model.modules():
                if not isinstance(module, nn.LayerNorm):
                    for parameter in module.parameters(recurse=False):
                        parameter.fill_(float("nan"))
        trunc_normal(model)

    model = make_vit(init=fill_with_nan)
    assert all(p.isfinite().all() for p in model.parameters())
