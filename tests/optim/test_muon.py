import copy

import pytest
import torch
from torch import nn

from vitlab.optim.muon import MuonAdamW
from vitlab.optim.parameter_groups import parameter_groups


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(6, 6)])
        self.head = nn.Linear(6, 3)

    def forward(self, x):
        return self.head(self.blocks[0](x))


def step(model, optimizer, seed=0):
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(seed))
    model(x).square().sum().backward()
    optimizer.step()
    optimizer.zero_grad()


def trained(model, **settings):
    model = copy.deepcopy(model)
    optimizer = MuonAdamW(parameter_groups(model), **{"lr": 0.01, **settings})
    for seed in range(3):
        step(model, optimizer, seed)
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_it_equals_torch_s_muon_and_adamw_used_apart():
    torch.manual_seed(0)
    model = Small()
    ours = trained(model, weight_decay=0.1)
    other = copy.deepcopy(model)
    muon = torch.optim.Muon(
        [other.blocks[0].weight], lr=0.01, weight_decay=0.1, momentum=0.95, adjust_lr_fn="match_rms_adamw"
    )
    decayed, undecayed = [other.head.weight], [other.blocks[0].bias, other.head.bias]
    adamw = torch.optim.AdamW(
        [{"params": decayed}, {"params": undecayed, "weight_decay": 0}], lr=0.01, weight_decay=0.1
    )
    for seed in range(3):
        x = torch.randn(8, 6, generator=torch.Generator().manual_seed(seed))
        other(x).square().sum().backward()
        muon.step()
        adamw.step()
        other.zero_grad()
    assert torch.equal(ours, torch.cat([p.detach().flatten() for p in other.parameters()]))


@pytest.mark.parametrize(
    "setting",
    [
        {"lr": 0.02},
        {"weight_decay": 0.5},
        {"momentum": 0.5},
        {"nesterov": False},
        {"ns_steps": 2},
        {"betas": [0.5, 0.9]},
        {"eps": 0.1},
    ],
)
def test_every_setting_changes_the_result(setting):
    torch.manual_seed(0)
    model = Small()
    assert not torch.equal(trained(model), trained(model, **setting))


def test_a_rate_set_in_its_groups_is_used():
    model = Small()
    optimizer = MuonAdamW(parameter_groups(model), lr=0.01)
    before = copy.deepcopy(model.state_dict())
    for group in optimizer.param_groups:
        group["lr"] = 0.0
    step(model, optimizer)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_it_goes_on_from_its_state_as_if_never_stopped():
    torch.manual_seed(0)
    model = Small()
    optimizer = MuonAdamW(parameter_groups(model), lr=0.01)
    step(model, optimizer)
    copied = copy.deepcopy(model)
    resumed = MuonAdamW(parameter_groups(copied), lr=0.01)
    resumed.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    step(model, optimizer, 1)
    step(copied, resumed, 1)
    assert all(torch.equal(copied.state_dict()[name], value) for name, value in model.state_dict().items())


def test_a_model_without_hidden_matrices_is_refused():
    with pytest.raises(ValueError, match="try optimizer=adamw"):
        MuonAdamW(parameter_groups(nn.Linear(3, 3)), lr=0.1)
