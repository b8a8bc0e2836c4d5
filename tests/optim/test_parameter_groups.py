import torch
from torch import nn

from vitlab.optim.parameter_groups import apply_scales, parameter_groups


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.patch = nn.Conv2d(1, 4, 2)
        self.blocks = nn.ModuleList([nn.Linear(4, 4), nn.LayerNorm(4)])
        self.head = nn.Linear(4, 2)

    def no_weight_decay(self):
        return {"cls_token"}


def names(model, group):
    own = {id(p): name for name, p in model.named_parameters()}
    return {own[id(p)] for p in group["params"]}


def test_norms_biases_and_named_tokens_are_not_decayed():
    model = Small()
    groups = {g["name"]: g for g in parameter_groups(model)}
    undecayed = {"cls_token", "patch.bias", "blocks.0.bias", "blocks.1.weight", "blocks.1.bias", "head.bias"}
    assert names(model, groups["no_decay"]) == undecayed
    assert groups["no_decay"]["weight_decay"] == 0


def test_only_matrices_inside_the_blocks_are_hidden_matrices():
    model = Small()
    groups = {g["name"]: g for g in parameter_groups(model)}
    assert names(model, groups["hidden_matrices"]) == {"blocks.0.weight"}
    assert names(model, groups["other_weights"]) == {"patch.weight", "head.weight"}


def test_each_trainable_parameter_is_in_exactly_one_group():
    model = Small()
    model.head.requires_grad_(False)
    ids = [id(p) for g in parameter_groups(model) for p in g["params"]]
    assert sorted(ids) == sorted(id(p) for p in model.parameters() if p.requires_grad)


def test_a_model_that_names_nothing_and_empty_groups_are_fine():
    assert [g["name"] for g in parameter_groups(nn.Linear(2, 2, bias=False))] == ["other_weights"]


def test_torch_optimizers_take_the_groups_and_keep_the_decay():
    optimizer = torch.optim.AdamW(parameter_groups(Small()), lr=0.1, weight_decay=0.3)
    assert {g["name"]: g["weight_decay"] for g in optimizer.param_groups} == {
        "hidden_matrices": 0.3,
        "other_weights": 0.3,
        "no_decay": 0.0,
    }


def test_parameters_with_scales_of_their_own_have_groups_of_their_own():
    model = Small()
    model.lr_scale, model.decay_scale = {"head.weight": 0.5, "head.bias": 0.25}, {"head.weight": 2.0}
    optimizer = torch.optim.AdamW(parameter_groups(model), lr=0.1, weight_decay=0.3)
    apply_scales(optimizer)
    found = {
        name: (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for name in names(model, group)
    }
    assert found["head.weight"] == (0.05, 0.6)
    assert found["head.bias"] == (0.025, 0.0)
    assert found["patch.weight"] == found["blocks.0.weight"] == (0.1, 0.3)
    assert found["cls_token"] == (0.1, 0.0)


def test_groups_come_in_the_same_order_whatever_their_scales():
    model = Small()
    model.lr_scale = {"patch.weight": 0.5, "blocks.0.weight": 0.1}
    kinds = [group["name"] for group in parameter_groups(model)]
    assert kinds == ["hidden_matrices", "other_weights", "other_weights", "no_decay"]
